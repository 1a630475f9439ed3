"""Classification as the training loop sees it, on texts whose label is one of their words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from sklearn.metrics import f1_score

from classifiers.adversarial import embedding_deviation
from classifiers.calibration import Calibration, expected_calibration_error
from classifiers.config import Config
from classifiers.labels import LabelInventory
from classifiers.losses import balanced_weights, classification_loss
from classifiers.model import ClassifierModel
from classifiers.task import ClassificationTask
from tests.numpy_oracle import log_softmax, sigmoid
from textseq.special_ids import SpecialIds
from textseq.training.task import Task
from textseq.training.tensorflow_step import TensorFlowStep

SPECIAL = SpecialIds(pad_id=0, unk_id=1, bos_id=2, eos_id=3)
CLASSES, VOCABULARY, TEXTS, LENGTH = 3, 12, 40, 8
FIRST_LABEL_WORD = 4  # word 4 is label 0, word 5 label 1, word 6 label 2


class Arrays(NamedTuple):
    """What `ClassificationBatch` is."""

    token_ids: np.ndarray
    targets: np.ndarray
    present: np.ndarray


class ToyData:
    """Texts of other words and one, or any number of, words that name their labels; four a batch, one row empty."""

    def __init__(self, multi_label: bool = False) -> None:
        random = np.random.RandomState(7)
        self.training_texts = TEXTS
        self.token_ids = np.full((TEXTS, LENGTH), SPECIAL.pad_id, "int32")
        self.targets = np.zeros((TEXTS, CLASSES), "int32")
        for row, target in zip(self.token_ids, self.targets, strict=True):
            words = random.randint(7, VOCABULARY, size=random.randint(1, 4)).tolist()
            for label in random.permutation(CLASSES)[: random.randint(0, 3) if multi_label else 1]:
                target[label] = 1
                words.insert(random.randint(len(words) + 1), FIRST_LABEL_WORD + label)
            row[: len(words) + 1] = [*words, SPECIAL.eos_id]
        self.labels = LabelInventory(("bad", "fine", "good"), tuple(self.targets.sum(0).tolist()), multi_label, TEXTS)
        self.plan = list(range(TEXTS // 4))

    def batches(self, epoch: int) -> list[int]:
        return np.random.RandomState(epoch).permutation(len(self.plan)).tolist()

    def arrays(self, batch: int, epoch: int) -> Arrays:
        rows = slice(4 * batch, 4 * batch + 4)
        empty = np.full((1, LENGTH), SPECIAL.pad_id, "int32")
        empty[0, 0] = SPECIAL.eos_id
        return Arrays(
            np.concatenate([self.token_ids[rows], empty]),
            np.concatenate([self.targets[rows], np.zeros((1, CLASSES), "int32")]),
            np.array([1, 1, 1, 1, 0], "int32"),
        )

    def validation_batches(self) -> Iterator[Arrays]:
        return (self.arrays(batch, 0) for batch in self.plan)


def task_of(*settings: str, multi_label: bool = False, dropout: bool = False) -> ClassificationTask:
    kinds = ("embedding", "state", "layer", "pooled", "word", "ngram")
    rates = () if dropout else [f"model.{kind}_dropout=0" for kind in kinds]
    config = Config().with_overrides(
        ["model.embedding_units=8", "model.encoder_units=6", "training.warmup_steps=0", *rates, *settings]
    )
    data: Any = ToyData(multi_label)
    model = ClassifierModel(config.model, vocabulary_size=VOCABULARY, classes=CLASSES, special_ids=SPECIAL, seed=3)
    return ClassificationTask(model, data, config)


def trained(task: ClassificationTask, epochs: int) -> list[float]:
    """The mean loss of a text in each epoch."""
    step, losses = TensorFlowStep(task, task.config), []
    for epoch in range(epochs):
        outcomes = [step(task.arrays(batch, epoch), 0.02, 0.9) for batch in task.batches(epoch)]
        assert all(outcome.applied for outcome in outcomes)
        losses.append(sum(one.plain_sum for one in outcomes) / sum(one.targets for one in outcomes))
    return losses


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_loss_is_the_mean_over_the_texts(multi_label: bool) -> None:
    """Against NumPy in float64: rows of no text add nothing."""
    task = task_of("training.class_weights=balanced", "training.l2=0.01", "model.ngrams=0", multi_label=multi_label)
    typed: Task = task
    arrays = task.arrays(0, 0)
    loss = typed.loss(arrays)
    logits, targets = np.float64(task.model(arrays[0]).numpy()[:4]), arrays[1][:4]
    weights = np.array(balanced_weights(task.data.labels.counts, TEXTS, multi_label=multi_label))
    if multi_label:
        plain = -np.where(targets, np.log(sigmoid(logits)), np.log(sigmoid(-logits)))
        smoothed = 0.95 * plain - 0.05 * np.where(targets, np.log(sigmoid(-logits)), np.log(sigmoid(logits)))
        plain, objective = plain.mean(1), (np.where(targets, weights, 1) * smoothed).mean(1)
    else:
        log_probabilities = log_softmax(logits)
        plain = -(targets * log_probabilities).sum(1)
        objective = (0.9 * plain - 0.1 * log_probabilities.mean(1)) * (targets @ weights)
    kernels = [weight for weight in task.model.trainable_variables if "kernel" in weight.path]
    assert len(kernels) == 5
    penalty = 0.01 * sum((weight.numpy().astype("float64") ** 2).sum() for weight in kernels)
    assert float(loss.targets) == 4
    assert float(loss.plain_sum) == pytest.approx(plain.sum(), rel=1e-5)
    assert float(loss.objective) == pytest.approx(objective.mean() + penalty, rel=1e-5)


def test_network_and_ngrams_are_each_held_against_the_labels() -> None:
    task = task_of("model.ngram_dropout=0")
    table = task.model.ngrams.table
    table.assign(np.random.RandomState(5).normal(size=table.shape) * 0.1)
    token_ids, targets, present = task.arrays(0, 0)
    reading = task.model.read(task.model.embed(token_ids), task.model.token_mask(token_ids))
    parts = [reading.logits - reading.ngram_logits, reading.ngram_logits]
    alone = [classification_loss(logits, targets, smoothing=0.1)[0][:4] for logits in parts]
    loss = task.loss((token_ids, targets, present))
    assert float(loss.objective) == pytest.approx(float(np.mean(alone[0] + alone[1])), rel=1e-5)
    together = classification_loss(reading.logits, targets)[1][:4]
    assert float(loss.plain_sum) == pytest.approx(float(np.sum(together)), rel=1e-5)


def test_more_padding_changes_no_loss() -> None:
    task = task_of("training.adversarial=adversarial")
    token_ids, targets, present = task.arrays(0, 0)
    wider = np.pad(token_ids, ((0, 0), (0, 5)), constant_values=SPECIAL.pad_id)
    for one, other in zip(task.loss((token_ids, targets, present)), task.loss((wider, targets, present)), strict=True):
        assert float(one) == pytest.approx(float(other), rel=1e-6)


SETTINGS: dict[str, tuple[str, ...]] = {
    "plain": (),
    "adversarial": ("training.adversarial=adversarial", "training.adversarial_size=1"),
    "virtual": ("training.adversarial=virtual", "training.adversarial_size=1"),
    "focal": ("training.focal_gamma=2", "training.class_weights=balanced"),
    "attention": ('model.pooling=["attention"]', "model.convolution_filters=8"),
}


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("name", SETTINGS)
def test_it_learns(name: str, multi_label: bool) -> None:
    task = task_of(*SETTINGS[name], multi_label=multi_label)
    losses = trained(task, 12)
    assert losses[-1] < 0.3 * losses[0]
    scores = task.validate()
    assert scores["accuracy"] > 0.9
    assert scores["macro_f1"] > 0.9


@pytest.mark.parametrize("kind", ["adversarial", "virtual"])
def test_the_adversarial_loss_is_added(kind: str) -> None:
    def objective(*settings: str) -> float:
        task = task_of("model.embedding_dropout=0.3", *settings)
        return float(task.loss(task.arrays(0, 0)).objective)

    plain = objective()
    added = [objective(f"training.adversarial={kind}", f"training.adversarial_weight={w}") - plain for w in (0.5, 1.0)]
    assert added[1] == pytest.approx(2 * added[0], rel=1e-3)
    assert added[0] > 0
    assert objective(f"training.adversarial={kind}", "training.adversarial_weight=0") == plain


def test_the_size_is_in_units_of_the_embeddings() -> None:
    """Embeddings ten times as large, with kernels that read a tenth of them, give the same loss."""
    task = task_of("training.adversarial=adversarial", "training.label_smoothing=0")
    arrays = task.arrays(0, 0)
    before = float(task.loss(arrays).objective)
    embeddings = task.model.embedding.embeddings
    deviation = float(embedding_deviation(embeddings.value))
    embeddings.assign(10 * embeddings.value)
    for direction in task.model.encoder.directions[0]:
        direction.input_kernel.assign(direction.input_kernel.value / 10)
    assert float(embedding_deviation(embeddings.value)) == pytest.approx(10 * deviation, rel=1e-5)
    assert float(task.loss(arrays).objective) == pytest.approx(before, rel=1e-4)


@pytest.mark.parametrize("multi_label", [False, True])
def test_validation_scores_are_those_of_scikit_learn(multi_label: bool) -> None:
    task = task_of(multi_label=multi_label)
    trained(task, 2)
    scores = task.validate()
    logits = task.model(task.data.token_ids).numpy().astype("float64")
    targets = task.data.targets
    calibration = Calibration.from_dict(task.beside_weights()["calibration"])
    probabilities = calibration.probabilities(logits)
    said = calibration.answers(probabilities)
    if multi_label:
        likely = np.where(targets, probabilities, 1.0 - probabilities)
        assert scores["micro_f1"] == pytest.approx(f1_score(targets, said, average="micro", zero_division=0))
    else:
        likely = probabilities[targets > 0]
        np.testing.assert_array_equal(said.argmax(1), logits.argmax(1))
        assert "micro_f1" not in scores
    assert scores["loss"] == pytest.approx(-np.log(likely).mean(), rel=1e-5)
    assert scores["accuracy"] == pytest.approx((said == targets).all(1).mean())
    assert scores["macro_f1"] == pytest.approx(f1_score(targets, said, average="macro", zero_division=0))
    error = expected_calibration_error(probabilities, targets, multi_label=multi_label)
    assert scores["ece"] == pytest.approx(error, abs=1e-4)


def test_a_network_that_is_too_sure_is_no_worse_once_it_is_calibrated() -> None:
    task = task_of("training.metric=loss")
    trained(task, 2)
    task.data.targets[::7] = np.roll(task.data.targets[::7], 1, axis=1)  # some texts that it does not get right
    before = task.validate()
    for weight in task.model.trainable_variables:
        if weight.name in ("output_kernel", "output_bias", "table"):
            weight.assign(5.0 * weight)
    assert task.validate() == pytest.approx(before, rel=1e-4)


def test_a_label_that_is_never_said_has_an_f1_of_zero() -> None:
    task = task_of()
    task.model.output_bias.assign([100.0, 0.0, 0.0])
    scores = task.validate()
    share = (task.data.targets.argmax(1) == 0).mean()
    assert scores["macro_f1"] == pytest.approx(2 * share / (share + 1) / 3)


@pytest.mark.parametrize("multi_label", [False, True])
def test_what_stands_beside_the_weights(multi_label: bool) -> None:
    task = task_of(multi_label=multi_label)
    task.validate()
    beside = task.beside_weights()
    assert json.loads(json.dumps(beside)) == beside
    assert beside["labels"] == ["bad", "fine", "good"]
    assert beside["multi_label"] is multi_label
    np.testing.assert_allclose(beside["prior"], task.data.targets.mean(0))
    assert Calibration.from_dict(beside["calibration"]).multi_label is multi_label


def test_spoilt_weights_get_scores_that_are_not_finite() -> None:
    task = task_of()
    task.model.output_bias.assign([np.nan, 0.0, 0.0])
    assert not np.isfinite(list(task.validate().values())).all()


def test_validation_changes_no_state() -> None:
    task = task_of(dropout=True)
    before = [np.array(variable.numpy()) for variable in task.model.variables]
    assert task.validate() == task.validate()
    for variable, array in zip(task.model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), array)


@pytest.mark.parametrize(("metric", "higher"), [("macro_f1", True), ("accuracy", True), ("loss", False)])
def test_direction_of_the_metric(metric: str, higher: bool) -> None:
    task = task_of(f"training.metric={metric}")
    assert (task.metric, task.higher_is_better) == (metric, higher)
    assert metric in task.validate()


@pytest.mark.slow
def test_two_tasks_of_one_seed_train_alike() -> None:
    one, other = (task_of(*SETTINGS["virtual"], dropout=True) for _ in range(2))
    assert trained(one, 2) == trained(other, 2)
    for weight, weight_other in zip(one.model.trainable_variables, other.model.trainable_variables, strict=True):
        np.testing.assert_array_equal(weight.numpy(), weight_other.numpy())
