"""The training loop: records, the best weights, stopping, spoilt steps, and resuming to the very same bits."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.textseq.training import toy_task
from tests.textseq.training.toy_task import ToyTask, config, train
from textseq.errors import CheckpointError, ConfigurationError, TrainingDiverged
from textseq.run_directory import RunDirectory
from textseq.training.config import TrainingConfig
from textseq.training.schedule import learning_rate
from textseq.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[3]
TIMES = ("texts_per_second", "seconds_validating")
STEPS = 16  # 5 batches, 6, 5


class Killed(Exception):
    """Stands for a SIGKILL: nothing in the library catches it."""


def _metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def _outcome(run: Path) -> dict[str, Any]:
    """All that must be the same after a training that was killed, with arrays as bytes."""
    directory = RunDirectory.open(run, "toy")
    checkpoint, best = directory.read_checkpoint(), directory.read_best()
    assert checkpoint is not None
    assert best is not None
    state = json.loads(json.dumps(checkpoint.state))
    del state["seconds"], state["window"]["seconds"]
    arrays = {
        f"{kind} {stem} {name}": (str(array.dtype), array.shape, array.tobytes())
        for kind, tensors in (("checkpoint", checkpoint.tensors), ("best", best.tensors))
        for stem, named in tensors.items()
        for name, array in named.items()
    }
    records = [{key: value for key, value in record.items() if key not in TIMES} for record in _metrics(run)]
    return {"state": state, "best": (best.step, best.state), "metrics": records, **arrays}


@pytest.fixture(scope="module", autouse=True)
def _quickly() -> Iterator[None]:
    """Leaves XLA out, which takes most of the time here; processes of their own run the compiled step."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def unkilled(tmp_path_factory: pytest.TempPathFactory, _quickly: None) -> dict[str, Any]:
    run = tmp_path_factory.mktemp("unkilled") / "run"
    train(str(run), ToyTask())
    return _outcome(run)


@pytest.fixture(scope="module")
def unkilled_process(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    run = tmp_path_factory.mktemp("unkilled_process") / "run"
    assert _run(run) == 0
    return _outcome(run)


# Records


def test_metrics(tmp_path: Path) -> None:
    shown: list[dict[str, Any]] = []
    state = train(str(tmp_path), ToyTask(), progress=shown.append)
    assert (state.step, state.epoch, state.finished, state.stopped_early) == (STEPS, 3, True, False)
    records = _metrics(tmp_path)
    windows = [record for record in records if "loss" in record]
    assert [record["step"] for record in windows] == [2, 4, 6, 8, 10, 12, 14, 16]
    assert all(
        set(record)
        == {
            *("step", "epoch", "loss", "perplexity", "texts_per_second"),
            *("gradient_norm", "learning_rate", "skipped_steps"),
        }
        for record in windows
    )
    assert windows[0]["epoch"] == pytest.approx(0.4)
    assert windows[3]["epoch"] == pytest.approx(1.5)  # the third of six batches of the second epoch
    assert all(record["perplexity"] == pytest.approx(np.exp(record["loss"])) for record in windows)
    validations = [record for record in records if "validation_loss" in record]
    assert [(record["step"], record["epoch"]) for record in validations] == [(5, 1.0), (11, 2.0), (16, 3.0)]
    assert all(
        set(record) == {"step", "epoch", "validation_loss", "seconds_validating", "best"} for record in validations
    )
    assert [record["step"] for record in shown] == [record["step"] for record in records]
    assert all(record["epochs"] == 3 for record in shown)
    assert all("seconds_left" in record for record in shown if "loss" in record)


def test_the_loss_falls(tmp_path: Path) -> None:
    train(str(tmp_path), ToyTask(10), "epochs=12", "warmup_steps=0", "patience=0")
    losses = [record["validation_loss"] for record in _metrics(tmp_path) if "validation_loss" in record]
    assert losses[-1] < 0.6 * losses[0]


def test_a_window_is_the_mean_of_its_steps(tmp_path: Path) -> None:
    single, pair = tmp_path / "single", tmp_path / "pair"
    train(str(single), ToyTask(), "log_steps=1")
    train(str(pair), ToyTask(), "log_steps=2")
    ones = [record for record in _metrics(single) if "loss" in record]
    for number, record in enumerate(record for record in _metrics(pair) if "loss" in record):
        both = ones[2 * number : 2 * number + 2]
        assert record["loss"] == pytest.approx(np.mean([one["loss"] for one in both]))
        assert record["gradient_norm"] == pytest.approx(np.mean([one["gradient_norm"] for one in both]))


def test_the_learning_rate_is_the_schedule_over_a_fixed_number_of_steps(tmp_path: Path) -> None:
    """Though epochs differ in their number of batches."""
    train(str(tmp_path), ToyTask(), "log_steps=1")
    rates = [record["learning_rate"] for record in _metrics(tmp_path) if "loss" in record]
    assert rates == [learning_rate(config(), step, 15) for step in range(STEPS)]


def test_tensorboard(tmp_path: Path) -> None:
    train(str(tmp_path), ToyTask(), "tensorboard=true")
    tf.config.run_functions_eagerly(False)  # it warns where tf.data is used
    tags: dict[str, list[int]] = {}
    (file,) = (tmp_path / "tensorboard").glob("events.*")
    for raw in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        event = tf.compat.v1.Event.FromString(raw)
        for value in event.summary.value:
            tags.setdefault(value.tag, []).append(event.step)
    tf.config.run_functions_eagerly(True)
    assert tags["validation/loss"] == [5, 11, 16]
    assert tags["training/loss"] == tags["training/gradient_norm"] == [2, 4, 6, 8, 10, 12, 14, 16]


def test_epochs_must_be_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"training\.epochs is unset, expected a number of epochs; set it"):
        Trainer(ToyTask(), TrainingConfig(), RunDirectory.create(tmp_path, "toy"), lambda record: None)


# The best weights, patience, plateau


def _task(scores: list[float], metric: str = "bleu") -> ToyTask:
    task = ToyTask(2, scores=[{metric: score} for score in scores])
    task.metric, task.higher_is_better = metric, metric != "loss"
    return task


@pytest.mark.parametrize(
    ("metric", "scores", "best"),
    [("bleu", [1.0, 5.0, 5.0, 3.0], 2), ("loss", [4.0, 3.0, 3.5, 3.0], 2), ("loss", [1.0, 2.0, 3.0, 4.0], 1)],
)
def test_the_best_by_its_direction(tmp_path: Path, metric: str, scores: list[float], best: int) -> None:
    state = train(str(tmp_path), _task(scores, metric), "epochs=4", "patience=0")
    kept = RunDirectory.open(tmp_path, "toy").read_best()
    assert kept is not None
    assert kept.state["scores"] == {metric: scores[best - 1]}
    assert state.best_step == kept.step == kept.state["step"] == [2, 5, 7, 10][best - 1]
    flags = [record["best"] for record in _metrics(tmp_path) if "best" in record]
    assert flags[best - 1]
    assert not any(flags[best:])


def test_the_best_are_the_averaged_weights(tmp_path: Path) -> None:
    train(str(tmp_path), _task([1.0, 2.0]), "epochs=2")
    directory = RunDirectory.open(tmp_path, "toy")
    best, checkpoint = directory.read_best(), directory.read_checkpoint()
    assert best is not None
    assert checkpoint is not None
    assert set(best.tensors) == {"weights"}
    for name, array in best.tensors["weights"].items():
        np.testing.assert_array_equal(array, checkpoint.tensors["averages"][name])
        assert (array != checkpoint.tensors["weights"][name]).any()


def test_what_belongs_to_the_best_weights_stands_beside_them(tmp_path: Path) -> None:
    train(str(tmp_path), _task([1.0, 3.0, 2.0]), "epochs=3", "patience=0")
    directory = RunDirectory.open(tmp_path, "toy")
    best, checkpoint = directory.read_best(), directory.read_checkpoint()
    assert best is not None
    assert checkpoint is not None
    assert best.step == 5
    assert best.state["beside"] == {"bias": best.tensors["weights"]["toy/bias"].tolist()}
    # The checkpoint has what belongs to the weights that were validated last, so that these can be restored.
    assert checkpoint.state["beside"] == {"bias": checkpoint.tensors["averages"]["toy/bias"].tolist()}
    assert checkpoint.state["beside"] != best.state["beside"]


def test_patience_stops_early(tmp_path: Path) -> None:
    task = _task([1.0, 3.0, 2.0, 3.0, 9.0])
    state = train(str(tmp_path), task, "epochs=9", "patience=2")
    assert (state.epoch, state.stopped_early, state.finished, task.validations) == (4, True, True, 4)
    assert train(str(tmp_path), _task([]), "epochs=9", "patience=2") == state


def test_patience_at_the_last_epoch_is_no_early_stop(tmp_path: Path) -> None:
    state = train(str(tmp_path), _task([3.0, 2.0, 1.0]), "epochs=3", "patience=2")
    assert (state.epoch, state.stopped_early) == (3, False)


def test_zero_patience_trains_to_the_end(tmp_path: Path) -> None:
    assert train(str(tmp_path), _task([3.0, 2.0, 1.0, 0.0]), "epochs=4", "patience=0").epoch == 4


def test_a_plateau_lowers_the_learning_rate(tmp_path: Path) -> None:
    task = _task([3.0, 2.0, 1.0, 1.0, 4.0, 1.0])
    settings = ("epochs=6", "patience=0", "plateau_patience=2", "plateau_factor=0.5", "log_steps=1")
    state = train(str(tmp_path), task, *settings, "schedule=constant", "warmup_steps=0")
    assert state.learning_rate_factor == 0.5
    rates = [record["learning_rate"] for record in _metrics(tmp_path) if "loss" in record]
    # The third validation, after 2 + 3 + 2 steps, is the second without a better score.
    assert rates == [0.05] * 7 + [0.025] * 8


def test_validation_every_second_epoch_and_at_the_end(tmp_path: Path) -> None:
    task = _task([1.0, 2.0, 3.0])
    train(str(tmp_path), task, "epochs=5", "validate_epochs=2")
    assert [record["epoch"] for record in _metrics(tmp_path) if "best" in record] == [2.0, 4.0, 5.0]


@pytest.mark.parametrize(("last", "kept"), [(9.0, True), (1.0, False)])
def test_mean_of_the_last_epochs(tmp_path: Path, last: float, kept: bool) -> None:
    task = _task([1.0, 2.0, 3.0, 4.0, last])
    weights: list[dict[str, np.ndarray]] = []
    validate = task.validate
    trainer: list[Trainer] = []

    def keep_weights() -> dict[str, float]:
        step = trainer[0].step
        weights.append({variable.path: np.array(variable.numpy()) for variable in step.variables})
        return validate()

    task.validate = keep_weights  # type: ignore[method-assign]
    settings = config("epochs=4", "average_checkpoints=3", "average_decay=0", "patience=0")
    trainer.append(Trainer(task, settings, RunDirectory.create(tmp_path, "toy"), lambda record: None))
    trainer[0].train()
    best = trainer[0].run.read_best()
    assert best is not None
    assert best.state["scores"] == {"bleu": max(4.0, last)}
    assert _metrics(tmp_path)[-1]["weights"] == "mean of the last epochs"
    assert _metrics(tmp_path)[-1]["best"] is kept
    expected = {
        name: np.mean([np.float64(one[name]) for one in weights[1:4]], axis=0) if kept else weights[3][name]
        for name in weights[0]
    }
    for name, array in best.tensors["weights"].items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, expected[name], rtol=1e-6)
    # What the validation put in place is taken out again.
    for variable in trainer[0].step.variables:
        np.testing.assert_array_equal(variable.numpy(), weights[3][variable.path])


def test_a_score_that_is_not_finite_is_never_the_best(tmp_path: Path) -> None:
    state = train(str(tmp_path), _task([float("nan"), 2.0, float("inf")]), "epochs=3")
    assert (state.best_score, state.best_step) == (2.0, 5)
    assert [record["validation_bleu"] for record in _metrics(tmp_path) if "best" in record] == [None, 2.0, None]


def test_weights_that_are_not_finite_are_never_the_best(tmp_path: Path) -> None:
    task = _task([1.0])
    task.model.kernel.assign(np.full(task.model.kernel.shape, np.nan))
    state = train(str(tmp_path), task, "epochs=1")
    assert state.best_score is None
    assert RunDirectory.open(tmp_path, "toy").read_best() is None


# Spoilt steps


@pytest.mark.parametrize("spoiled", [float("nan"), float("inf")])
def test_spoilt_steps_are_skipped_and_counted(tmp_path: Path, spoiled: float) -> None:
    bad = {3, 4, 9}
    task = ToyTask(spoil=lambda step: spoiled if step in bad else 1.0)
    state = train(str(tmp_path), task, "log_steps=1", "max_skipped_steps=3")
    assert (state.skipped_steps, state.skipped_in_a_row, state.step) == (3, 0, STEPS)
    windows = [record for record in _metrics(tmp_path) if "loss" in record]
    assert [record["step"] for record in windows] == [step + 1 for step in range(STEPS) if step not in bad]
    assert [record["skipped_steps"] for record in windows if record["step"] in (3, 6, 11)] == [0, 2, 3]
    assert all(np.isfinite(record["loss"]) and np.isfinite(record["gradient_norm"]) for record in windows)


def test_too_many_in_a_row_stop_and_leave_the_last_good_checkpoint(tmp_path: Path) -> None:
    """Also where ends of epochs come between: from step 9 on all is spoilt, epochs end at 11, 16, 22."""
    task = ToyTask(spoil=lambda step: float("nan") if step >= 9 else 1.0)
    with pytest.raises(TrainingDiverged) as caught:
        train(str(tmp_path), task, "epochs=9", "max_skipped_steps=14", "checkpoint_minutes=0")
    assert str(caught.value) == (
        "14 steps in a row had a loss or gradient that is not finite, at step 23; the last good checkpoint stands; "
        "start a new run with a lower training.learning_rate"
    )
    directory = RunDirectory.open(tmp_path, "toy")
    checkpoint = directory.read_checkpoint()
    assert checkpoint is not None
    assert checkpoint.step == 9
    assert checkpoint.state["skipped_steps"] == 0
    assert sorted(os.listdir(directory.checkpoints_path)) == ["step-00000008", "step-00000009"]


def test_diverging_again_after_a_resume_is_the_same(tmp_path: Path) -> None:
    for first in (0, 9):
        task = ToyTask(spoil=lambda step, first=first: float("nan") if step + first >= 9 else 1.0)  # type: ignore[misc]
        with pytest.raises(TrainingDiverged, match=r"14 steps in a row .* at step 23; "):
            train(str(tmp_path), task, "epochs=9", "max_skipped_steps=14", "checkpoint_minutes=0")


# Resuming


@pytest.mark.parametrize(("at", "minutes"), [(0, "0"), (4, "0"), (8, "0"), (15, "0"), (8, "1e6"), (11, "1e6")])
def test_killed_and_resumed_in_one_process(tmp_path: Path, unkilled: dict[str, Any], at: int, minutes: str) -> None:
    """The 10 steps = 5 + resume + 5 of it; without checkpoints inside an epoch, the epoch is trained again."""

    def kill(step: int) -> None:
        if step == at:
            raise Killed

    with pytest.raises(Killed):
        train(str(tmp_path), ToyTask(on_step=kill), f"checkpoint_minutes={minutes}")
    messages: list[str] = []
    task = ToyTask()
    train(
        str(tmp_path),
        task,
        f"checkpoint_minutes={minutes}",
        progress=lambda record: messages.append(record.get("message", "")),
    )
    assert _outcome(tmp_path) == unkilled
    first = at if minutes == "0" else max(end for end in (0, 5, 11) if end <= at)
    assert len(task.seen) == STEPS - first
    epoch = 1 + (first >= 5) + (first >= 11)
    assert messages[0] == (f"resuming at step {first}, epoch {epoch}" if first else "")


def test_killed_again_and_again(tmp_path: Path, unkilled: dict[str, Any]) -> None:
    def kill(step: int) -> None:
        if step == 3:
            raise Killed

    for _ in range(STEPS // 3):
        with pytest.raises(Killed):
            train(str(tmp_path), ToyTask(on_step=kill), "checkpoint_minutes=0")
    train(str(tmp_path), ToyTask())
    assert _outcome(tmp_path) == unkilled


@pytest.mark.parametrize(
    "settings",
    [
        ("average_checkpoints=3", "average_decay=0"),
        ("optimizer=sgd", "plateau_patience=1", "patience=3"),
        ("optimizer=rmsprop", "log_steps=7", "schedule=cosine", "weight_decay=0.01"),
    ],
    ids=lambda settings: settings[0],
)
def test_killed_with_other_settings(tmp_path: Path, settings: tuple[str, ...]) -> None:
    def kill(step: int) -> None:
        if step == 6:
            raise Killed

    scores = [{"loss": loss} for loss in (2.0, 3.0, 1.0, 5.0)]  # of three epochs, and of their mean
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    train(str(whole), ToyTask(scores=scores), *settings)
    with pytest.raises(Killed):
        train(str(killed), ToyTask(scores=scores, on_step=kill), *settings)
    train(str(killed), ToyTask(scores=scores[1:]), *settings)
    assert _outcome(killed) == _outcome(whole)


def test_killed_between_the_best_weights_and_the_checkpoint(tmp_path: Path, unkilled: dict[str, Any]) -> None:
    def kill(record: Any) -> None:
        if "best" in record and record["step"] == 5:
            raise Killed

    with pytest.raises(Killed):
        train(str(tmp_path), ToyTask(), "checkpoint_minutes=0", progress=kill)
    directory = RunDirectory.open(tmp_path, "toy")
    best, checkpoint = directory.read_best(), directory.read_checkpoint()
    assert best is not None
    assert checkpoint is not None
    assert (best.step, checkpoint.step) == (5, 4)
    train(str(tmp_path), ToyTask())
    assert _outcome(tmp_path) == unkilled


def test_a_finished_training_does_nothing_more(tmp_path: Path, unkilled: dict[str, Any]) -> None:
    train(str(tmp_path), ToyTask())
    task = ToyTask()
    shown: list[Any] = []
    state = train(str(tmp_path), task, "tensorboard=true", progress=shown.append)
    assert state.finished
    assert (task.seen, task.validations, shown) == ([], 0, [])
    assert not (tmp_path / "tensorboard").exists()
    assert _outcome(tmp_path) == unkilled


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    train(str(tmp_path), ToyTask())
    with pytest.raises(CheckpointError) as caught:
        train(str(tmp_path), ToyTask(), "average_decay=0")
    words = f"{tmp_path}/checkpoints/step-000000{STEPS}: averages.safetensors has toy/bias, which is not in the model; "
    assert str(caught.value).startswith(words)


def test_a_state_of_another_release_is_refused(tmp_path: Path) -> None:
    train(str(tmp_path), ToyTask())
    directory = RunDirectory.open(tmp_path, "toy")
    checkpoint = directory.read_checkpoint()
    assert checkpoint is not None
    directory.write_checkpoint(checkpoint.step, checkpoint.tensors, {"epoch": 3})
    with pytest.raises(CheckpointError, match=r"state\.json is not the state of a training of this release; train in"):
        train(str(tmp_path), ToyTask())


# In processes of their own


def _run(run: Path, *arguments: str) -> int:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, toy_task.__file__, str(run), *arguments, "checkpoint_minutes=0"]
    return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=120).returncode


def test_sigkill(tmp_path: Path, unkilled_process: dict[str, Any]) -> None:
    assert _run(tmp_path, "--kill-at", "7") == -signal.SIGKILL
    assert _run(tmp_path) == 0
    assert _outcome(tmp_path) == unkilled_process


@pytest.mark.slow
def test_ctrl_c_exits_130_and_the_rest_follows(tmp_path: Path, unkilled_process: dict[str, Any]) -> None:
    assert _run(tmp_path, "--interrupt-at", "7") == 130
    checkpoint = RunDirectory.open(tmp_path, "toy").read_checkpoint()
    assert checkpoint is not None
    assert checkpoint.step == 8  # the step during which Ctrl-C came is finished and saved
    assert _run(tmp_path) == 0
    assert _outcome(tmp_path) == unkilled_process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("at", [2, 4])
def test_an_interrupted_training_is_saved_and_goes_on(
    tmp_path: Path, unkilled: dict[str, Any], number: int, at: int
) -> None:
    """4 is the last step of an epoch: the epoch ends with its validation before training stops."""
    messages: list[str] = []
    task = ToyTask(on_step=lambda step: os.kill(os.getpid(), number) if step == at else None)
    with pytest.raises(KeyboardInterrupt):
        train(
            str(tmp_path),
            task,
            "checkpoint_minutes=1e6",
            progress=lambda record: messages.append(record.get("message", "")),
        )
    assert len(task.seen) == at + 1
    assert [text for text in messages if text][-1] == f"saved at step {at + 1}"
    assert ("interrupted; the epoch is ended first, Ctrl-C again stops at once" in messages) == (at == 4)
    train(str(tmp_path), ToyTask())
    assert _outcome(tmp_path) == unkilled


def test_ctrl_c_in_the_last_step_of_all_finishes(tmp_path: Path, unkilled: dict[str, Any]) -> None:
    task = ToyTask(on_step=lambda step: os.kill(os.getpid(), signal.SIGINT) if step == STEPS - 1 else None)
    assert train(str(tmp_path), task).finished
    assert _outcome(tmp_path) == unkilled


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("--kill-at", "0"), ("--kill-at", "11"), ("--kill-in-validation", "5")])
def test_sigkill_at_a_point(tmp_path: Path, unkilled_process: dict[str, Any], arguments: tuple[str, str]) -> None:
    assert _run(tmp_path, *arguments) == -signal.SIGKILL
    assert _run(tmp_path) == 0
    assert _outcome(tmp_path) == unkilled_process


@pytest.mark.slow
def test_sigkill_from_outside_at_any_instant(tmp_path: Path) -> None:
    """Kills processes again and again, each some random time after its training began, until one comes to its end."""
    settings = ("epochs=60", "checkpoint_minutes=0")
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert _run(whole, *settings) == 0
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    generator = random.Random(5)
    kills = 0
    while True:
        process = subprocess.Popen(
            [sys.executable, toy_task.__file__, str(killed), *settings],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            before = _modified(killed)
            while process.poll() is None and _modified(killed) == before:
                time.sleep(0.002)
            time.sleep(generator.uniform(0.0, 0.4))
            if kills < 8:
                process.kill()
            code = process.wait(timeout=120)
        finally:
            process.kill()
            process.wait()
        if code == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
    assert kills >= 3
    assert _outcome(killed) == _outcome(whole)
    shutil.rmtree(killed)


def _modified(run: Path) -> int:
    folder = run / "checkpoints"
    return folder.stat().st_mtime_ns if folder.is_dir() else 0
