"""The loss of a text against its definition in NumPy, and its gradients against numerical differences."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from classifiers.losses import balanced_weights, classification_loss, divergence
from tests.numpy_oracle import log_softmax, sigmoid
from tests.textseq.layers.gradients import check_against_differences, values

BATCH, CLASSES = 5, 4
ONE_LABEL = np.eye(CLASSES, dtype="int32")[[0, 3, 1, 1, 2]]
SEVERAL_LABELS = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 1]], "int32")
WEIGHTS = (0.5, 2.0, 1.0, 3.0)
SETTINGS = list(itertools.product((False, True), (0.0, 0.1), (None, WEIGHTS), (0.0, 0.5, 2.0)))


def targets_of(multi_label: bool) -> np.ndarray:
    return SEVERAL_LABELS if multi_label else ONE_LABEL


def by_definition(
    logits: np.ndarray, multi_label: bool, smoothing: float, class_weights: tuple[float, ...] | None, gamma: float
) -> np.ndarray:
    """Text by text, label by label."""
    weights = class_weights or (1.0,) * CLASSES
    losses = []
    for row, target in zip(logits, targets_of(multi_label), strict=True):
        if multi_label:
            terms = []
            for logit, present, weight in zip(row, target, weights, strict=True):
                answers = np.array([1 - sigmoid(logit), sigmoid(logit)])
                mass = (1 - smoothing) * np.eye(2)[present] + smoothing / 2
                cross_entropy = -(mass * np.log(answers)).sum()
                terms.append((weight if present else 1) * (1 - answers[present]) ** gamma * cross_entropy)
            losses.append(np.mean(terms))
        else:
            answers, label = np.exp(log_softmax(row)), int(target.argmax())
            mass = (1 - smoothing) * target + smoothing / CLASSES
            losses.append(weights[label] * (1 - answers[label]) ** gamma * -(mass * np.log(answers)).sum())
    return np.array(losses)


@pytest.mark.parametrize(("multi_label", "smoothing", "class_weights", "gamma"), SETTINGS)
def test_loss_follows_its_definition(
    multi_label: bool, smoothing: float, class_weights: tuple[float, ...] | None, gamma: float
) -> None:
    logits = 3 * values(BATCH, CLASSES)
    objective, plain = classification_loss(
        logits,
        targets_of(multi_label),
        multi_label=multi_label,
        smoothing=smoothing,
        class_weights=class_weights,
        focal_gamma=gamma,
    )
    expected = by_definition(logits.numpy(), multi_label, smoothing, class_weights, gamma)
    np.testing.assert_allclose(objective, expected, rtol=1e-9)
    np.testing.assert_allclose(plain, by_definition(logits.numpy(), multi_label, 0.0, None, 0.0), rtol=1e-9)


@pytest.mark.parametrize(("multi_label", "smoothing", "class_weights", "gamma"), SETTINGS)
def test_gradients_are_those_of_differences(
    multi_label: bool, smoothing: float, class_weights: tuple[float, ...] | None, gamma: float
) -> None:
    def total(logits: Any) -> Any:
        objective, _ = classification_loss(
            logits,
            targets_of(multi_label),
            multi_label=multi_label,
            smoothing=smoothing,
            class_weights=class_weights,
            focal_gamma=gamma,
        )
        return tf.reduce_sum(objective * values(BATCH, seed=8))

    check_against_differences(total, [values(BATCH, CLASSES)])


@pytest.mark.parametrize("multi_label", [False, True])
def test_no_gradient_flows_through_the_plain_loss(multi_label: bool) -> None:
    logits = values(BATCH, CLASSES)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        _, plain = classification_loss(logits, targets_of(multi_label), multi_label=multi_label)
    assert tape.gradient(plain, logits) is None


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("multi_label", [False, True])
def test_certainty_stays_finite(multi_label: bool, gamma: float) -> None:
    targets = targets_of(multi_label)
    for sign in (1, -1):
        logits = tf.constant(sign * 200.0 * (2 * targets - 1), "float32")
        with tf.GradientTape() as tape:
            tape.watch(logits)
            objective, plain = classification_loss(
                logits, targets, multi_label=multi_label, smoothing=0.1, focal_gamma=gamma
            )
        assert np.isfinite(objective).all()
        assert np.isfinite(plain).all()
        assert np.isfinite(tape.gradient(objective, logits)).all()


def test_focal_loss_turns_to_what_is_wrong() -> None:
    logits = tf.constant([[4.0, 0.0], [0.0, 4.0]])
    targets = np.array([[1, 0], [1, 0]], "int32")
    right, wrong = classification_loss(logits, targets, focal_gamma=2.0)[0].numpy()
    plain_right, plain_wrong = classification_loss(logits, targets)[0].numpy()
    assert right / wrong < 1e-3 * plain_right / plain_wrong


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.repeat(np.arange(3), [7, 2, 11])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(balanced_weights([7, 2, 11], 20), expected)


def test_balanced_weights_of_several_labels_weigh_presence_like_absence() -> None:
    for count, weight in zip([7, 2, 11], balanced_weights([7, 2, 11], 20, multi_label=True), strict=True):
        assert weight * count == pytest.approx(20 - count)


@pytest.mark.parametrize("multi_label", [False, True])
def test_divergence_follows_its_definition(multi_label: bool) -> None:
    one, other = values(BATCH, CLASSES, seed=1), values(BATCH, CLASSES, seed=2)
    if multi_label:
        p, q = sigmoid(one.numpy()), sigmoid(other.numpy())
        expected = (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))).mean(-1)
    else:
        p, q = (np.exp(log_softmax(logits.numpy())) for logits in (one, other))
        expected = (p * np.log(p / q)).sum(-1)
    found = divergence(one, other, multi_label=multi_label)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert (found.numpy() > 0).all()
    np.testing.assert_allclose(divergence(one, one, multi_label=multi_label), 0, atol=1e-15)
