"""Pretraining from end to end: it learns, its report is true, and it goes on to the bit where it was killed."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.pretrain import choose_epochs, make_language_model, pretrain, resolve
from classifiers.pretraining_config import LanguageModelConfig, PretrainingConfig
from classifiers.pretraining_data import PretrainingData, prepare_pretraining_data
from classifiers.pretraining_task import PretrainingTask
from classifiers.starting_point import StartingPoint
from tests.run_outcome import Killed, outcome
from textseq.errors import ConfigurationError, RunDirectoryError
from textseq.run_directory import RunDirectory
from textseq.training.task import Task

SETTINGS = (
    *("tokenization.vocabulary_size=300", "tokenization.sampling=0"),
    *("batching.max_length=16", "batching.token_budget=512"),
    *("model.embedding_units=16", "model.encoder_units=12", "training.precision=float32"),
    *("training.epochs=2", "training.warmup_steps=4", "training.log_steps=3", "training.tensorboard=false"),
    "training.learning_rate=0.01",
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, tiny_texts: list[tuple[str, str]]) -> PretrainingConfig:
    path = tmp_path_factory.mktemp("unlabelled") / "text.txt"
    path.write_text("".join(f"{text}\n" for _, text in tiny_texts[:300]), encoding="utf-8")
    return PretrainingConfig().with_overrides([f"corpus.text={path}", *SETTINGS])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, config: PretrainingConfig) -> Path:
    run = tmp_path_factory.mktemp("finished") / "run"
    pretrain(config, run)
    return run


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory, config: PretrainingConfig) -> PretrainingTask:
    plain = config.with_overrides([f"model.{kind}_dropout=0" for kind in ("embedding", "state", "output")])
    run = RunDirectory.create(tmp_path_factory.mktemp("task") / "run", "pretraining")
    data = prepare_pretraining_data(plain, run, lambda text: None)
    plain = resolve(plain, data)
    return PretrainingTask(make_language_model(plain, data), data, plain)


def test_it_learns(finished: Path, config: PretrainingConfig) -> None:
    records = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    validated = [record for record in records if "validation_loss" in record]
    assert [record["best"] for record in validated] == [True, True]
    assert validated[-1]["validation_perplexity"] < 60 < math.exp(records[0]["loss"])
    report = json.loads((finished / "report.json").read_text())
    assert report["texts"] == 285
    assert set(report["scores"]) == {"loss", "perplexity", "forward_perplexity", "backward_perplexity"}
    assert report["metric"] == "loss"
    assert (finished / "learning_curve.png").stat().st_size > 0
    assert json.loads((finished / "run.json").read_text())["task"] == "pretraining"


def test_a_finished_run_is_left_alone(finished: Path, config: PretrainingConfig) -> None:
    told: list[str] = []
    before = (finished / "best/weights.safetensors").read_bytes()
    report = pretrain(config, finished, progress=lambda record: told.append(str(record.get("message", ""))))
    assert report.examples == 285
    assert any("is trained to its end" in message for message in told)
    assert (finished / "best/weights.safetensors").read_bytes() == before


def test_another_configuration_is_refused(finished: Path, config: PretrainingConfig) -> None:
    with pytest.raises(RunDirectoryError, match=r"was trained with another configuration \(model.encoder_units: 12 ->"):
        pretrain(config.with_overrides(["model.encoder_units=13"]), finished)


def test_a_run_of_another_task_is_refused(tmp_path: Path, config: PretrainingConfig) -> None:
    RunDirectory.create(tmp_path / "run", "nmt")
    with pytest.raises(RunDirectoryError, match=r"a run of the task nmt, expected pretraining; choose another folder"):
        pretrain(config, tmp_path / "run")


def test_the_weights_reach_a_starting_point(finished: Path) -> None:
    start = StartingPoint.load(finished)
    best = RunDirectory.open(finished, "pretraining").read_best()
    assert best is not None
    assert start.kind == "language model"
    assert start.weights["embedding/embeddings"].shape == (start.tokenizer.vocabulary_size, 16)
    for name, array in start.weights.items():
        np.testing.assert_array_equal(array, best.tensors["weights"][name])


@pytest.mark.slow
def test_killed_and_resumed_it_ends_with_the_same_bits(
    tmp_path: Path, config: PretrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every dropout and subword sampling on."""
    settings = ["tokenization.sampling=0.2", "model.word_dropout=0.1", "training.checkpoint_minutes=0"]
    config = config.with_overrides(settings)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    steps = pretrain(config, whole).steps
    arrays, begun = PretrainingTask.arrays, [0]

    def arrays_or_die(self: PretrainingTask, batch: Any, epoch: int) -> Any:
        if begun[0] == steps // 2 + 2:
            raise Killed
        begun[0] += 1
        return arrays(self, batch, epoch)

    with monkeypatch.context() as patch:
        patch.setattr(PretrainingTask, "arrays", arrays_or_die)
        with pytest.raises(Killed):
            pretrain(config, killed)
    told: list[str] = []
    pretrain(config, killed, progress=lambda record: told.append(str(record.get("message", ""))))
    assert f"resuming at step {steps // 2 + 2}, epoch 2" in told
    assert outcome(killed, "pretraining") == outcome(whole, "pretraining")


def test_the_loss_is_the_mean_over_both_directions(task: PretrainingTask) -> None:
    """Against NumPy in float64; padding and the rows that fill up a batch add nothing."""
    typed: Task = task
    assert typed.higher_is_better is False
    batch = min(task.batches(0), key=lambda batch: len(batch.indices))
    (ids,) = task.arrays(batch, 0)
    pad = task.data.special_ids.pad_id
    mask = ids[:, 1:] != pad
    assert not mask.all()
    sums = []
    for logits, labels in zip(task.model(ids), (ids[:, 1:], ids[:, :-1]), strict=True):
        values = np.float64(logits.numpy())
        log_probabilities = values - np.log(np.exp(values).sum(-1, keepdims=True))
        sums.append(-np.take_along_axis(log_probabilities, labels[..., None], axis=-1)[..., 0][mask].sum())
    loss = task.loss((ids,))
    assert float(loss.targets) == mask.sum()
    assert float(loss.plain_sum) == pytest.approx(np.mean(sums), rel=1e-5)
    assert float(loss.objective) == pytest.approx(np.mean(sums) / mask.sum(), rel=1e-5)


def test_validation_is_over_all_tokens_and_changes_nothing(task: PretrainingTask) -> None:
    before = [np.array(variable.numpy()) for variable in task.model.variables]
    scores = task.validate()
    total = np.zeros(3)
    for ids in task.data.validation_batches():
        loss = task.loss((ids,))
        total += [float(loss.plain_sum), float(loss.targets), 0]
    assert scores["loss"] == pytest.approx(total[0] / total[1], rel=1e-5)
    assert scores["perplexity"] == pytest.approx(math.exp(scores["loss"]))
    both = math.log(scores["forward_perplexity"]) + math.log(scores["backward_perplexity"])
    assert both / 2 == pytest.approx(scores["loss"])
    assert task.metric in scores
    assert task.beside_weights() == {}
    for variable, array in zip(task.model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), array)


def test_what_is_open_is_chosen_from_the_text(tmp_path: Path, config: PretrainingConfig) -> None:
    from classifiers.choices import choose_sizes

    opened = config.with_overrides(
        [f"{key}=none" for key in ("model.embedding_units", "model.encoder_units", "training.epochs")]
    )
    data = prepare_pretraining_data(opened, RunDirectory.create(tmp_path / "run", "pretraining"), lambda text: None)
    resolved = resolve(opened, data)
    assert resolved.model.sizes == choose_sizes(data.training_texts)
    assert resolved.training.epochs == choose_epochs(data.training_tokens)
    assert resolved.training.unroll is False
    assert [choose_epochs(tokens) for tokens in (0, 10**6, 10**9)] == [30, 15, 1]


@pytest.mark.parametrize("name", ["embedding_units", "encoder_units"])
def test_an_open_size_is_named(name: str) -> None:
    sizes = {"embedding_units": 4, "encoder_units": 5, name: None}
    with pytest.raises(ConfigurationError, match=rf"model.{name} is unset, expected a number of units; set it"):
        _ = LanguageModelConfig(**sizes).sizes


def test_memory_is_bounded_by_the_window(tmp_path: Path, config: PretrainingConfig) -> None:
    """One text of 5,000 words is read whole, and no array is larger than the budget."""
    text = tmp_path / "long.txt"
    text.write_text("a short one\n" + "the film is long " * 1250 + "\nthe end\n", encoding="utf-8")
    config = config.with_overrides([f"corpus.text={text}", f"corpus.valid_text={text}", "cleaning.drop_held_out=false"])
    data: PretrainingData = prepare_pretraining_data(
        config, RunDirectory.create(tmp_path / "run", "pretraining"), lambda message: None
    )
    arrays = [data.arrays(batch, 0) for batch in data.batches(0)]
    assert max(array.shape[1] for array in arrays) == 16
    assert max(array.size for array in [*arrays, *data.validation_batches()]) <= 512
    predictions = sum(int((array[:, 1:] != data.special_ids.pad_id).sum()) for array in arrays)
    assert predictions == data.training_tokens > 5000


def test_altered_weights_are_told(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    weights = run / "best/weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(RunDirectoryError, match=r"weights.safetensors: altered; its SHA-256 differs"):
        StartingPoint.load(run)
