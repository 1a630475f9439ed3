"""Training a classifier: what a run holds at its end, when it may go on, where it can start, and that it learns."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import classifiers
from classifiers.config import Config
from classifiers.starting_point import StartingPoint
from classifiers.train import train
from textseq.errors import ConfigurationError, RunDirectoryError
from textseq.run_directory import RunDirectory
from textseq.tokenization import TokenizationConfig
from textseq.tokenizer_training import train_tokenizer
from textseq.training.report import TrainingReport

LEARNING = (
    *("model.embedding_dropout=0.1", "model.pooled_dropout=0.1", "model.state_dropout=0.0", "model.word_dropout=0.0"),
    *("training.epochs=16", "training.learning_rate=0.02", "training.warmup_steps=10", "training.average_decay=0.9"),
)


@pytest.fixture(scope="module")
def messages() -> list[Any]:
    return []


@pytest.fixture(scope="module")
def given(tiny_config: Config) -> Config:
    """What `trained` was trained with, as it was given."""
    return tiny_config.with_overrides(LEARNING)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, given: Config, messages: list[Any]) -> Path:
    """A finished run; copy it to change it."""
    run = tmp_path_factory.mktemp("trained") / "run"
    train(given, run, progress=messages.append)
    return run


def _report(run: Path) -> TrainingReport:
    report = TrainingReport.read(RunDirectory.open(run, "classifiers"), "texts")
    assert report is not None
    return report


def test_report(trained: Path) -> None:
    report = _report(trained)
    metrics = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    best = next(record for record in reversed(metrics) if record.get("best"))
    assert report.scores == {name: best[f"validation_{name}"] for name in ("loss", "accuracy", "macro_f1", "ece")}
    assert report.best_step == best["step"] <= report.steps
    assert (report.run, report.examples, report.metric, report.seed) == (str(trained), 240, "macro_f1", 1)
    assert report.to_dict() == json.loads((trained / "report.json").read_text())


def test_it_learns(trained: Path, tiny_texts: list[tuple[str, str]]) -> None:
    predictions = classifiers.Classifier.load(trained).predict([text for _, text in tiny_texts[300:360]])
    right = sum(said.label == label for said, (label, _) in zip(predictions, tiny_texts[300:360], strict=True))
    assert right >= 54  # of 60; chance is 20


def test_what_a_run_holds(trained: Path) -> None:
    assert (trained / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    config = Config.from_toml(trained / "config.toml")
    assert config.training.epochs == 16
    assert None not in (config.tokenization.vocabulary_size, config.batching.token_budget, config.training.unroll)
    assert RunDirectory.open(trained, "classifiers").read_best() is not None


def test_what_is_told(messages: list[Any], trained: Path) -> None:
    texts = [record["message"] for record in messages if "message" in record]
    assert any(text.startswith("240 texts, 0.0 M weights, ") for text in texts)
    assert any("validation_macro_f1" in record for record in messages)


def test_a_finished_run_gives_its_report_and_trains_nothing(trained: Path, given: Config) -> None:
    told: list[Any] = []
    assert train(given, trained, progress=told.append) == _report(trained)
    assert told[-1]["message"] == f"{trained} is trained to its end; for another training choose another --run"
    # As the command line gives it without --config: all that was chosen is written out.
    assert train(Config.from_toml(trained / "config.toml"), trained) == _report(trained)


@pytest.mark.parametrize(
    ("settings", "difference"),
    [
        (["training.epochs=17"], "training.epochs: 16 -> 17"),
        (["seed=2"], "seed: 1 -> 2"),
        (["model.cell=gru"], 'model.cell: "lstm" -> "gru"'),
        (["corpus.label_separator=;"], 'corpus.label_separator: "," -> ";"'),
    ],
)
def test_another_configuration_is_refused_and_shown(
    trained: Path, given: Config, settings: list[str], difference: str
) -> None:
    with pytest.raises(RunDirectoryError) as caught:
        train(given.with_overrides(settings), trained)
    assert f"this run was trained with another configuration ({difference}" in str(caught.value)


def test_killed_and_resumed_is_bit_for_bit_the_same(tmp_path: Path, trained: Path, given: Config) -> None:
    run = tmp_path / "run"

    def stop(record: Any) -> None:
        if record.get("epoch") == 3 and "validation_loss" in record:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(given, run, progress=stop)
    assert not (run / "report.json").exists()
    train(given, run)
    assert _weights(run) == _weights(trained)


def _weights(run: Path) -> dict[str, bytes]:
    best = RunDirectory.open(run, "classifiers").read_best()
    assert best is not None
    return {name: array.tobytes() for name, array in best.tensors["weights"].items()}


def test_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"corpus\.train"):
        train(Config(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# Starting points ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Path, tiny_settings: tuple[str, ...]) -> Path:
    """A run of `pretrain` on the texts of the tiny corpus."""
    folder = tmp_path_factory.mktemp("pretrained")
    lines = (tiny_corpus / "train.tsv").read_text(encoding="utf-8").splitlines()
    (folder / "text.txt").write_text("".join(line.split("\t")[1] + "\n" for line in lines), encoding="utf-8")
    own = ("model.pooling", "model.attention", "model.ngram", "training.compiled")
    kept = [one for one in tiny_settings if not one.startswith(own)]
    config = classifiers.PretrainingConfig().with_overrides(
        [f"corpus.text={folder / 'text.txt'}", *kept, "model.cell=gru"]
    )
    classifiers.pretrain(config, folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory, tiny_config: Config, pretrained: Path) -> Path:
    """A run that started from `pretrained`, with a learning rate that hardly moves it."""
    run = tmp_path_factory.mktemp("started") / "run"
    train(_from(tiny_config, pretrained), run)
    return run


def _from(config: Config, start: Path) -> Config:
    settings = (f"from_run={start}", "training.learning_rate=1e-9", "tokenization.vocabulary_size=none")
    return config.with_overrides([*settings, "model.embedding_units=none", "model.encoder_units=none"])


def test_training_starts_from_the_weights_of_another_run(started: Path, pretrained: Path) -> None:
    start = StartingPoint.load(pretrained)
    best = RunDirectory.open(started, "classifiers").read_best()
    assert best is not None
    for name, array in start.weights.items():
        assert abs(best.tensors["weights"][name] - array).max() < 1e-5, name
    config = Config.from_toml(started / "config.toml")
    assert (config.from_run, config.model.cell) == (str(pretrained), "gru")
    assert config.model.sizes == (16, 16)
    assert classifiers.Classifier.load(started).tokenizer == start.tokenizer


def test_a_setting_that_does_not_fit_the_starting_point(tmp_path: Path, tiny_config: Config, pretrained: Path) -> None:
    config = _from(tiny_config, pretrained).with_overrides(["model.encoder_units=17"])
    with pytest.raises(ConfigurationError, match=r"model\.encoder_units is 17, but 16 in .*leave these settings out"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_starting_point_with_another_vocabulary_than_the_data(
    tmp_path: Path, tiny_config: Config, started: Path, pretrained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(started, run)
    for made in ("checkpoints", "best"):
        shutil.rmtree(run / made)
    (run / "report.json").unlink()
    other = train_tokenizer(["other text"], TokenizationConfig(), vocabulary_size=300, seed=1)
    start = replace(StartingPoint.load(pretrained), tokenizer=other)
    monkeypatch.setattr(StartingPoint, "load", staticmethod(lambda run: start))
    with pytest.raises(RunDirectoryError, match="has another vocabulary than when this run was begun; bring the old"):
        train(_from(tiny_config, pretrained), run)


def test_there_must_be_something_to_start_from(tmp_path: Path, tiny_config: Config) -> None:
    with pytest.raises(RunDirectoryError, match="no run here"):
        train(tiny_config.with_overrides([f"from_run={tmp_path / 'none'}"]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("given", ["as at the start", "as stored"])
def test_a_begun_run_no_longer_needs_what_it_started_from(
    tmp_path: Path, started: Path, pretrained: Path, tiny_config: Config, given: str
) -> None:
    run, moved = tmp_path / "run", tmp_path / "moved"
    shutil.copytree(started, run)
    (run / "report.json").unlink()
    os.replace(pretrained, moved)
    try:
        stored = Config.from_toml(run / "config.toml")
        report = train(stored if given == "as stored" else _from(tiny_config, pretrained), run)
    finally:
        os.replace(moved, pretrained)
    assert report.epochs == 1
    assert _weights(run) == _weights(started)
