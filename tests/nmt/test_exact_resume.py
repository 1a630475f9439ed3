"""A training that is killed at any instant ends with the very bits of the one that was not.

With every dropout and subword sampling on. What is compared: all arrays of the last checkpoint (weights, random states,
optimizer, averages) and of the best weights by SHA-256, the training state (position in the data, patience, best
score), and the metrics; all but times.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nmt.config import Config
from nmt.train import train
from tests.run_outcome import Killed, outcome

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = (
    *("tokenization.sampling=0.2", "model.word_dropout=0.1", "batching.token_budget=1024"),
    *("training.epochs=2", "training.log_steps=3", "training.checkpoint_minutes=0", "training.warmup_steps=4"),
    *("training.metric=loss", "training.average_checkpoints=2", "training.patience=1"),
)

# The `nmt` command, which kills itself at a point: before the batch of a step, or between the best weights of the
# validation at a step and what follows them.
PROGRAM = """
import os, signal, sys
kind, at = sys.argv[1], int(sys.argv[2])
sys.argv[1:3] = []

def die():
    os.kill(os.getpid(), signal.SIGKILL)

if kind == "step":
    from nmt.task import TranslationTask
    arrays, begun = TranslationTask.arrays, [0]
    def arrays_or_die(self, batch, epoch):
        if begun[0] == at:
            die()
        begun[0] += 1
        return arrays(self, batch, epoch)
    TranslationTask.arrays = arrays_or_die
if kind == "validation":
    from textseq.run_directory import RunDirectory
    append = RunDirectory.append_metrics
    def append_or_die(self, record):
        if "best" in record and record["step"] >= at:
            die()
        append(self, record)
    RunDirectory.append_metrics = append_or_die
from nmt.cli import main
main()
"""


@pytest.fixture(scope="module")
def config(tiny_config: Config) -> Config:
    return tiny_config.with_overrides(SETTINGS)


def test_killed_once_in_this_process(tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the fast suite; models of one process do not disturb each other's random states."""
    from nmt.task import TranslationTask

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(config, whole)
    steps = json.loads((whole / "report.json").read_text())["steps"]
    arrays, begun = TranslationTask.arrays, [0]

    def arrays_or_die(self: TranslationTask, batch: Any, epoch: int) -> Any:
        if begun[0] == steps // 2 + 2:
            raise Killed
        begun[0] += 1
        return arrays(self, batch, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(TranslationTask, "arrays", arrays_or_die)
        with pytest.raises(Killed):
            train(config, killed)
    told: list[str] = []
    train(config, killed, progress=lambda record: told.append(str(record.get("message", ""))))
    assert f"resuming at step {steps // 2 + 2}, epoch 2" in told
    assert outcome(killed, "nmt") == outcome(whole, "nmt")


def _command(config_path: Path, run: Path, kind: str, at: int) -> list[str]:
    return [sys.executable, "-c", PROGRAM, kind, str(at), "train", "--run", str(run), "--config", str(config_path)]


def _environment() -> dict[str, str]:
    threads = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return {**os.environ, **threads, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}


@pytest.fixture(scope="module")
def config_path(tmp_path_factory: pytest.TempPathFactory, config: Config) -> Path:
    path = tmp_path_factory.mktemp("exact") / "config.toml"
    path.write_text(config.to_toml(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def unkilled(config_path: Path) -> dict[str, Any]:
    run = config_path.parent / "unkilled"
    subprocess.run(_command(config_path, run, "none", 0), env=_environment(), check=True, capture_output=True)
    return outcome(run, "nmt")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "at"), [("step", 0), ("step", 5), ("step", 9), ("validation", 1)])
def test_killed_at_a_point(tmp_path: Path, config_path: Path, unkilled: dict[str, Any], kind: str, at: int) -> None:
    run = tmp_path / "run"
    first = subprocess.run(_command(config_path, run, kind, at), env=_environment(), check=False, capture_output=True)
    assert first.returncode == -signal.SIGKILL
    subprocess.run(_command(config_path, run, "none", 0), env=_environment(), check=True, capture_output=True)
    assert outcome(run, "nmt") == unkilled


@pytest.mark.slow
def test_killed_from_outside_at_any_instant(tmp_path: Path, config_path: Path, unkilled: dict[str, Any]) -> None:
    """Preparing the data, building, training, validating, writing: the same command again until it ends."""
    run = tmp_path / "run"
    generator = random.Random(7)
    kills = 0
    while True:
        process = subprocess.Popen(
            _command(config_path, run, "none", 0),
            env=_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            # The first within the start, the others from when the data are there, each a little later.
            while kills and process.poll() is None and not (run / ".lock").exists():
                time.sleep(0.01)
            time.sleep(generator.uniform(1.0, 4.0 + 2.0 * kills))
            if kills < 6:
                process.kill()
            code = process.wait(timeout=300)
        finally:
            process.kill()
            process.wait()
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
    assert outcome(run, "nmt") == unkilled
