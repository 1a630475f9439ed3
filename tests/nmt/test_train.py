"""Training a translator: what a run holds at its end, when it may go on, and that it learns."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nmt
from nmt.config import Config
from nmt.train import train
from textseq.errors import ConfigurationError, CorpusError, RunDirectoryError, TrainingDiverged
from textseq.run_directory import RunDirectory
from textseq.training import session
from textseq.training.report import TrainingReport

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def messages() -> list[Any]:
    return []


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_config: Config, messages: list[Any]) -> Path:
    """A run that was trained for two epochs; copy it to change it."""
    run = tmp_path_factory.mktemp("trained") / "run"
    train(tiny_config.with_overrides(["training.epochs=2"]), run, progress=messages.append)
    return run


@pytest.fixture
def given(tiny_config: Config) -> Config:
    """What `trained` was trained with, as it was given."""
    return tiny_config.with_overrides(["training.epochs=2"])


def _report(run: Path) -> TrainingReport:
    report = TrainingReport.read(RunDirectory.open(run, "nmt"), "pairs")
    assert report is not None
    return report


def test_report(trained: Path) -> None:
    report = _report(trained)
    metrics = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    best = next(record for record in reversed(metrics) if record.get("best"))
    assert report.scores == {name: best[f"validation_{name}"] for name in ("loss", "perplexity", "bleu", "chrf")}
    assert report.best_step == best["step"] <= report.steps
    assert (report.run, report.epochs, report.metric, report.seed) == (str(trained), 2, "bleu", 1)
    assert report.minutes > 0
    assert 0.1 < report.peak_memory_gib < 16
    assert report.machine.endswith(("core", "cores"))
    assert report.to_dict() == json.loads((trained / "report.json").read_text())
    assert report.to_dict()["pairs"] == report.examples == 200
    assert dict(report.rows())["best weights"].startswith(f"step {report.best_step} of {report.steps}, by validation")


def test_what_a_run_holds(trained: Path) -> None:
    assert (trained / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert Config.from_toml(trained / "config.toml").training.epochs == 2
    best = nmt.Translator.load(trained)
    assert len(best.translate(["a house", ""])) == 2


def test_what_is_told(trained: Path, messages: list[Any]) -> None:
    report = _report(trained)
    texts = [record["message"] for record in messages if "message" in record]
    assert any(text.startswith(f"{report.examples:,} pairs, 0.0 M weights, ") for text in texts)
    assert any("validation_bleu" in record for record in messages)


def test_a_finished_run_gives_its_report_and_trains_nothing(
    trained: Path, given: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_train", lambda *arguments: pytest.fail("trained again"))
    before = sorted((path, path.stat().st_mtime_ns) for path in trained.rglob("*") if path.is_file())
    told: list[Any] = []
    assert train(given, trained, progress=told.append) == _report(trained)
    assert told[-1]["message"] == f"{trained} is trained to its end; for another training choose another --run"
    after = sorted((path, path.stat().st_mtime_ns) for path in trained.rglob("*") if path.is_file())
    assert [entry for entry in after if ".lock" not in entry[0].name] == [
        entry for entry in before if ".lock" not in entry[0].name
    ]
    # As the command line gives it without --config: all that was chosen is written out.
    assert train(Config.from_toml(trained / "config.toml"), trained) == _report(trained)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"run": "x"}'])
def test_a_report_that_is_lost_is_made_again(tmp_path: Path, trained: Path, given: Config, content: str | None) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    old = _report(run)
    if content is None:
        (run / "report.json").unlink()
    else:
        (run / "report.json").write_text(content)
    new = train(given, run).to_dict()
    same = set(new) - {"peak_memory_gib"}
    assert {name: new[name] for name in same} == {name: old.to_dict()[name] for name in same}


@pytest.mark.parametrize(
    ("settings", "difference"),
    [
        (["training.epochs=3"], "training.epochs: 2 -> 3"),
        (["model.decoder_units=17"], "model.decoder_units: 16 -> 17"),
        (["seed=2"], "seed: 1 -> 2"),
        (["search.patience=none"], "search.patience: 1.0 -> none"),
        (["training.learning_rate=0.5", "model.cell=lstm"], 'model.cell: "gru" -> "lstm"; training.learning_rate: '),
    ],
)
def test_another_configuration_is_refused_and_shown(
    trained: Path, given: Config, settings: list[str], difference: str
) -> None:
    with pytest.raises(RunDirectoryError) as caught:
        train(given.with_overrides(settings), trained)
    message = str(caught.value)
    assert message.startswith(f"{trained}: this run was trained with another configuration ({difference}")
    assert message.endswith("; choose another --run, or give the settings of the run")


def test_what_was_chosen_may_stay_open(trained: Path, given: Config) -> None:
    """The same command again: all that was given as none was chosen then."""
    stored = Config.from_toml(trained / "config.toml")
    opened = given.with_overrides(["training.unroll=none", "training.precision=none", "model.attention_units=none"])
    assert stored.training.unroll is False
    assert train(opened, trained) == _report(trained)


def test_no_finite_score_is_no_run(tmp_path: Path, tiny_config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    from nmt.task import TranslationTask

    scores = dict.fromkeys(("loss", "perplexity", "bleu", "chrf"), float("nan"))
    monkeypatch.setattr(TranslationTask, "validate", lambda self: scores)
    with pytest.raises(TrainingDiverged) as caught:
        train(tiny_config, tmp_path / "run")
    assert str(caught.value) == (
        f"{tmp_path / 'run'}: no validation gave finite scores, so no weights were kept; "
        "start a new run with a lower training.learning_rate"
    )
    assert not (tmp_path / "run" / "report.json").exists()


@pytest.mark.slow
def test_ctrl_c_on_the_command_line(tmp_path: Path, tiny_config: Config) -> None:
    (tmp_path / "config.toml").write_text(tiny_config.with_overrides(["training.epochs=500"]).to_toml())
    run = tmp_path / "run"
    program = ["-c", "from nmt.cli import main; main()", "train", "--run", str(run), "--config"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, *program, str(tmp_path / "config.toml")], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while not list(run.glob("checkpoints/step-*")) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=60)[1]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    checkpoint = RunDirectory.open(run, "nmt").read_checkpoint()
    assert checkpoint is not None
    assert f"saved at step {checkpoint.step:,}" in errors
    assert errors.strip().splitlines()[-1] == "interrupted; run the same command to resume"
    assert "Traceback" not in errors


def _sequences(count: int, seed: int) -> list[list[str]]:
    """Distinct sequences of 2 to 6 of eight symbols."""
    generator = np.random.Philox(seed)
    drawn: dict[tuple[str, ...], None] = {}
    while len(drawn) < count:
        bits = generator.random_raw(7)
        drawn[tuple("abcdefgh"[int(bit % 8)] for bit in bits[: 2 + int(bits[6] % 5)])] = None
    return [list(symbols) for symbols in drawn]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["copy", "reverse"])
def test_it_learns_to(kind: str, tmp_path: Path) -> None:
    """More than 95 % of the sequences that were never seen come out exactly right, by greedy search."""
    sequences = _sequences(4400, 3)
    for name, part in (("train", sequences[:4000]), ("valid", sequences[4000:4200]), ("test", sequences[4200:])):
        results = [one if kind == "copy" else one[::-1] for one in part]
        (tmp_path / f"{name}.source").write_text("".join(" ".join(one) + "\n" for one in part))
        (tmp_path / f"{name}.target").write_text("".join(" ".join(one) + "\n" for one in results))
    files = {"source": "train.source", "target": "train.target"}
    files |= {"valid_source": "valid.source", "valid_target": "valid.target"}
    settings = [
        *(f"corpus.{key}={tmp_path / name}" for key, name in files.items()),
        *("tokenization.byte_fallback=false", "tokenization.vocabulary_size=24"),
        *("model.embedding_units=32", "model.encoder_units=64", "model.decoder_units=64", "model.attention_units=32"),
        *(f"model.{name}_dropout=0" for name in ("embedding", "state", "memory", "readout")),
        *("batching.token_budget=1024", "batching.shapes=2"),
        *("training.epochs=12", "training.learning_rate=0.005", "training.warmup_steps=50"),
        *("training.label_smoothing=0", "training.average_decay=0.98", "training.precision=float32"),
        *("training.unroll=false", "training.tensorboard=false"),
    ]
    train(Config().with_overrides(settings), tmp_path / "run")
    sources = (tmp_path / "test.source").read_text().splitlines()
    targets = (tmp_path / "test.target").read_text().splitlines()
    found = [str(translation) for translation in nmt.Translator.load(tmp_path / "run").translate(sources, beam=1)]
    right = sum(one == other for one, other in zip(found, targets, strict=True))
    assert right > 0.95 * len(targets), f"{right} of {len(targets)} right"


@pytest.mark.parametrize("harm", ["altered", "lost"])
def test_best_weights_are_made_anew(trained: Path, given: Config, tmp_path: Path, harm: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    weights = run / "best" / "weights.safetensors"
    whole = weights.read_bytes()
    if harm == "lost":
        shutil.rmtree(run / "best")
    else:
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    told: list[Any] = []
    report = train(given, run, progress=told.append)
    assert any("best/ was lost or altered; made anew from step" in record.get("message", "") for record in told)
    if report.best_step == report.steps:
        assert weights.read_bytes() == whole
    assert str(nmt.Translator.load(run).translate(["We know."], beam=1)[0]) is not None


def test_a_configuration_that_was_edited_is_refused(trained: Path, given: Config, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    path = run / "config.toml"
    path.write_text(path.read_text().replace("attention_heads = 1", "attention_heads = 2"))
    with pytest.raises(RunDirectoryError, match=r"changed after the training \(model.attention_heads: 1 -> 2\)"):
        nmt.Translator.load(run)
    path.write_text(path.read_text().replace("attention_heads = 2", "attention_heads = 1"))
    nmt.Translator.load(run)


def test_a_tokenizer_that_was_changed_is_refused(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    path = run / "tokenizer" / "joint.model"
    model = path.read_bytes()
    piece = "▁the".encode()
    assert piece in model
    path.write_bytes(model.replace(piece, "▁thx".encode()))
    with pytest.raises(RunDirectoryError, match=r"tokenizer/ was changed after the training \(tokenizer.source: "):
        nmt.Translator.load(run)


@pytest.mark.parametrize("made_before", [True, False])
def test_a_corpus_that_fails_leaves_no_run_behind(tmp_path: Path, tiny_config: Config, made_before: bool) -> None:
    run = tmp_path / "run"
    if made_before:
        run.mkdir()
    (tmp_path / "short.de").write_text("one line\n")
    for target in ("nowhere.de", "short.de"):
        config = tiny_config.with_overrides([f"corpus.target={tmp_path / target}"])
        with pytest.raises(CorpusError):
            train(config, run)
        assert sorted(path.name for path in tmp_path.iterdir()) == (["run"] if made_before else []) + ["short.de"]
        assert not made_before or list(run.iterdir()) == []
    # Too few tokens are found out when the tokenizers are written already.
    with pytest.raises(CorpusError, match="has at most 2 tokens a side"):
        train(tiny_config.with_overrides(["batching.max_length=2"]), run)
    assert run.exists() is made_before


def test_a_run_that_was_begun_stays(trained: Path, given: Config, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    with pytest.raises(RunDirectoryError):
        train(given.with_overrides(["seed=2"]), run)
    assert train(given, run) is not None


def test_sizes_that_do_not_fit_are_refused_before_the_data_are_prepared(tmp_path: Path, tiny_config: Config) -> None:
    words = r"received 3, expected a divisor of attention_units, which is 16; "
    with pytest.raises(ConfigurationError, match=words):
        train(tiny_config.with_overrides(["model.attention_heads=3"]), tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
