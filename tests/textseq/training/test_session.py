"""Training in a run directory, with a toy for the task: when it goes on, what it restores, what it leaves behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from pydantic import Field

from tests.textseq.training.toy_task import SETTINGS, ToyTask
from textseq.configuration import Configuration
from textseq.errors import ConfigurationError, CorpusError, RunDirectoryError
from textseq.run_directory import RunDirectory
from textseq.training.config import TrainingConfig
from textseq.training.session import Trainable, train_run


class ToyCorpus(Configuration):
    """Where the text is, and of what kind."""

    text: str | None = Field(None, description="Text.")
    kind: str = Field("plain", description="Kind.")


class ToyTrainingConfig(TrainingConfig):
    """As of every task."""

    metric: str = Field("loss", description="Metric.")


class ToyConfig(Configuration):
    """All."""

    seed: int = Field(1, description="Seed.")
    units: int | None = Field(None, description="Chosen.")
    corpus: ToyCorpus = ToyCorpus()
    training: ToyTrainingConfig = ToyTrainingConfig()


class Toy:
    """A task that counts how often it is prepared and built."""

    def __init__(self) -> None:
        self.prepared = self.built = 0

    def prepare(self, config: ToyConfig, run: RunDirectory, notify: Any) -> int:
        if config.corpus.text == "bad":
            (run.tokenizer_path / "text.model").write_bytes(b"half done")
            raise CorpusError("is bad", "bad")
        self.prepared += 1
        (run.data_path / "prepared.json").write_text("{}")
        notify("data: prepared")
        return 40

    def build(self, config: ToyConfig, data: int) -> tuple[ToyTask, dict[str, Any]]:
        self.built += 1
        return ToyTask(), {"model.units": config.units}

    def trainable(self) -> Trainable[ToyConfig, int]:
        return Trainable(
            task="toy",
            example_name="texts",
            text_keys=("text",),
            prepare=self.prepare,
            resolve=lambda config, data: config.with_choices({"units": data // 10}),
            examples=lambda data: data,
            build=self.build,
        )


@pytest.fixture(scope="module", autouse=True)
def _quickly() -> Iterator[None]:
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def config() -> ToyConfig:
    return ToyConfig().with_overrides(["corpus.text=a.txt", *(f"training.{setting}" for setting in SETTINGS)])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, _quickly: None) -> Path:
    """A run that was trained to its end; copy it to change it."""
    run = tmp_path_factory.mktemp("trained") / "run"
    given = ToyConfig().with_overrides(["corpus.text=a.txt", *(f"training.{setting}" for setting in SETTINGS)])
    train_run(Toy().trainable(), given, run)
    return run


def test_a_training_and_its_report(tmp_path: Path, config: ToyConfig) -> None:
    told: list[Any] = []
    report = train_run(Toy().trainable(), config, tmp_path / "run", told.append)
    assert (report.examples, report.example_name, report.epochs, report.metric) == (40, "texts", 3, "loss")
    assert report.to_dict()["texts"] == 40
    assert json.loads((tmp_path / "run" / "report.json").read_text()) == report.to_dict()
    assert ToyConfig.from_toml(tmp_path / "run" / "config.toml").units == 4
    messages = [record["message"] for record in told if "message" in record]
    assert messages == ["data: prepared", "40 texts, 0.0 M weights, 5 batches an epoch"]
    best = RunDirectory.open(tmp_path / "run", "toy").read_best()
    assert best is not None
    assert best.state["identity"] == {"model.units": 4}
    assert (tmp_path / "run" / "learning_curve.png").is_file()


def test_one_text_is_singular(tmp_path: Path, config: ToyConfig) -> None:
    told: list[Any] = []
    one = replace(Toy().trainable(), examples=lambda data: 1)
    train_run(one, config, tmp_path / "run", told.append)
    assert any(record.get("message", "").startswith("1 text, ") for record in told)


def test_a_finished_run_is_not_trained_again(trained: Path, config: ToyConfig) -> None:
    toy, told = Toy(), list[Any]()
    report = train_run(toy.trainable(), config, trained, told.append)
    assert report.to_dict() == json.loads((trained / "report.json").read_text())
    assert told[-1]["message"] == f"{trained} is trained to its end; for another training choose another --run"
    assert (toy.prepared, toy.built) == (1, 0)


def test_text_may_move_but_not_change_its_kind(trained: Path, config: ToyConfig) -> None:
    train_run(Toy().trainable(), config.with_overrides(["corpus.text=moved.txt"]), trained)
    seen: list[ToyConfig] = []
    toy = Toy().trainable()

    def prepare(config: ToyConfig, run: RunDirectory, notify: Any) -> int:
        seen.append(config)
        return 40

    train_run(replace(toy, prepare=prepare), config.with_overrides(["corpus.text=moved.txt"]), trained)
    train_run(replace(toy, prepare=prepare), config.with_overrides(["corpus.text=none"]), trained)
    assert [each.corpus.text for each in seen] == ["moved.txt", "a.txt"]
    assert [each.units for each in seen] == [4, 4]
    with pytest.raises(RunDirectoryError) as caught:
        train_run(toy, config.with_overrides(["corpus.kind=other", "seed=2"]), trained)
    assert str(caught.value) == (
        f'{trained}: this run was trained with another configuration (seed: 1 -> 2; corpus.kind: "plain" -> "other"); '
        "choose another --run, or give the settings of the run"
    )


def test_what_is_beside_lost_weights_is_restored(trained: Path, config: ToyConfig, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    directory = RunDirectory.open(run, "toy")
    before = directory.read_best()
    assert before is not None
    shutil.rmtree(directory.best_path)
    told: list[Any] = []
    report = train_run(Toy().trainable(), config, run, told.append)
    assert any("best/ was lost or altered; made anew from step" in record.get("message", "") for record in told)
    best = directory.read_best()
    assert best is not None
    assert best.state["identity"] == {"model.units": 4}
    assert best.state["beside"] == {"bias": best.tensors["weights"]["toy/bias"].tolist()}
    if report.best_step == report.steps:
        assert best.state == before.state


def test_lost_weights_are_restored_where_none_are_averaged(tmp_path: Path, config: ToyConfig) -> None:
    run = tmp_path / "run"
    config = config.with_overrides(["training.average_decay=0"])
    train_run(Toy().trainable(), config, run)
    directory = RunDirectory.open(run, "toy")
    shutil.rmtree(directory.best_path)
    train_run(Toy().trainable(), config, run)
    best = directory.read_best()
    assert best is not None
    assert "toy/bias" in best.tensors["weights"]


def test_an_edited_run_does_not_resume(trained: Path, config: ToyConfig, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    (run / "report.json").unlink()
    edited = (run / "config.toml").read_text().replace("units = 4", "units = 5")
    (run / "config.toml").write_text(edited)
    with pytest.raises(RunDirectoryError, match=r"was changed after the training \(model.units: 4 -> 5\)"):
        train_run(Toy().trainable(), config, run)


def test_a_corpus_that_fails_leaves_nothing_behind(tmp_path: Path, config: ToyConfig) -> None:
    bad = config.with_overrides(["corpus.text=bad"])
    with pytest.raises(CorpusError):
        train_run(Toy().trainable(), bad, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / ".lock").touch()  # of a run that was killed at its very beginning
    with pytest.raises(CorpusError):
        train_run(Toy().trainable(), bad, tmp_path / "mine")
    assert list(tmp_path.rglob("*")) == [tmp_path / "mine"]


def test_a_failure_after_the_data_leaves_the_data(tmp_path: Path, config: ToyConfig) -> None:
    def resolve(config: ToyConfig, data: int) -> ToyConfig:
        raise ConfigurationError("does not fit")

    with pytest.raises(ConfigurationError):
        train_run(replace(Toy().trainable(), resolve=resolve), config, tmp_path / "run")
    assert (tmp_path / "run" / "data" / "prepared.json").is_file()


def test_a_run_in_use_is_left_alone(tmp_path: Path, config: ToyConfig) -> None:
    directory = RunDirectory.create(tmp_path / "run", "toy")
    with directory.lock(), pytest.raises(RunDirectoryError, match="in use by process"):
        train_run(Toy().trainable(), config.with_overrides(["corpus.text=bad"]), tmp_path / "run")
    assert (tmp_path / "run" / "run.json").is_file()
