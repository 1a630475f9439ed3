"""Adversarial and virtual adversarial losses against numerical differences, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifiers.adversarial import adversarial_loss, embedding_deviation, perturbation, virtual_adversarial_loss
from classifiers.losses import classification_loss, divergence
from tests.textseq.layers.gradients import differentiate, values

BATCH, LENGTH, UNITS, CLASSES = 3, 4, 2, 3
LENGTHS = np.array([4, 2, 1])
MASK = tf.constant(np.arange(LENGTH) < LENGTHS[:, None])
PRESENT = MASK.numpy()[..., None]
TARGETS = np.eye(CLASSES, dtype="int32")[[2, 0, 1]]
WEIGHTS = values(LENGTH * UNITS, CLASSES, seed=4)
EMBEDDED = values(BATCH, LENGTH, UNITS, seed=2)


def reader(weights: Any, flags: list[bool] | None = None) -> Callable[[Any, bool], Any]:
    """A network of one curved layer; like the real one it does not see padding."""

    def read(embedded: Any, training: bool) -> Any:
        if flags is not None:
            flags.append(training)
        flat = tf.reshape(tf.where(PRESENT, embedded, tf.zeros_like(embedded)), (-1, LENGTH * UNITS))
        return tf.matmul(tf.tanh(flat), weights)

    return read


def loss_of(logits: Any) -> Any:
    return classification_loss(logits, TARGETS, smoothing=0.1)[0]


def slope(function: Callable[[np.ndarray], float], place: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """The gradient by central differences, element by element."""
    gradient = np.zeros_like(place)
    for index in np.ndindex(*place.shape):
        aside = np.zeros_like(place)
        aside[index] = step
        gradient[index] = (function(place + aside) - function(place - aside)) / (2 * step)
    return gradient


def steps(gradient: np.ndarray, size: float) -> np.ndarray:
    """Each text's gradient over its real tokens at the norm `size`."""
    gradient = gradient * PRESENT
    return size * gradient / np.sqrt((gradient**2).sum((1, 2), keepdims=True))


@pytest.mark.parametrize("scale", [1.0, 1e-25, 1e25])
def test_a_perturbation_has_its_size_over_the_real_tokens(scale: float) -> None:
    direction = tf.constant(scale * values(BATCH, LENGTH, UNITS).numpy(), "float32")
    step = perturbation(direction, MASK, 2.5).numpy()
    np.testing.assert_allclose(np.sqrt((step**2).sum((1, 2))), 2.5, rtol=1e-5)
    assert not step[~MASK.numpy()].any()
    np.testing.assert_allclose(step, steps(direction.numpy().astype("float64"), 2.5), rtol=1e-4)


def test_no_direction_is_no_perturbation() -> None:
    np.testing.assert_array_equal(perturbation(tf.zeros((BATCH, LENGTH, UNITS)), MASK, 2.5), 0)


def test_the_adversarial_perturbation_is_the_steepest() -> None:
    read = reader(WEIGHTS)
    found = adversarial_loss(read, EMBEDDED, MASK, loss_of, size=0.3)
    step = steps(slope(lambda place: float(tf.reduce_sum(loss_of(read(place, True)))), EMBEDDED.numpy()), 0.3)
    np.testing.assert_allclose(found, loss_of(read(EMBEDDED + step, True)), rtol=1e-7)
    assert (found.numpy() > loss_of(read(EMBEDDED, True)).numpy()).all()
    random = np.random.RandomState(1)
    for _ in range(20):
        other = steps(random.normal(size=EMBEDDED.shape), 0.3)
        assert (found.numpy() >= loss_of(read(EMBEDDED + other, True)).numpy() - 5e-3).all()


def test_the_gradient_of_the_adversarial_loss_holds_the_perturbation_constant() -> None:
    def total(weights: Any, embedded: Any) -> Any:
        return tf.reduce_sum(adversarial_loss(reader(weights), embedded, MASK, loss_of, size=0.3))

    value, gradients = differentiate(total, [WEIGHTS, EMBEDDED])
    read = reader(WEIGHTS)
    step = steps(slope(lambda place: float(tf.reduce_sum(loss_of(read(place, True)))), EMBEDDED.numpy()), 0.3)

    def with_step(weights: Any, embedded: Any) -> float:
        return float(tf.reduce_sum(loss_of(reader(weights)(embedded + step, True))))

    assert value == pytest.approx(with_step(WEIGHTS, EMBEDDED), rel=1e-7)
    np.testing.assert_allclose(gradients[0], slope(lambda w: with_step(w, EMBEDDED), WEIGHTS.numpy()), atol=1e-6)
    np.testing.assert_allclose(gradients[1], slope(lambda e: with_step(WEIGHTS, e), EMBEDDED.numpy()), atol=1e-6)


def virtual(weights: Any, embedded: Any, *, size: float = 0.3, multi_label: bool = False, flags: Any = None) -> Any:
    return virtual_adversarial_loss(
        reader(weights, flags), embedded, MASK, keras.random.SeedGenerator(5), size=size, multi_label=multi_label
    )


def virtual_step(size: float, multi_label: bool) -> tuple[np.ndarray, np.ndarray]:
    """The network's answers and the perturbation: one round of the power method, by differences."""
    read = reader(WEIGHTS)
    answer = read(EMBEDDED, False).numpy()
    start = keras.random.normal(EMBEDDED.shape, dtype="float64", seed=keras.random.SeedGenerator(5)).numpy()
    place = EMBEDDED.numpy() + steps(start, 0.1 * size)
    gradient = slope(
        lambda place: float(tf.reduce_sum(divergence(answer, read(place, False), multi_label=multi_label))), place
    )
    return answer, steps(gradient, size)


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_gradient_of_the_virtual_loss_holds_answer_and_perturbation_constant(multi_label: bool) -> None:
    def total(weights: Any, embedded: Any) -> Any:
        return tf.reduce_sum(virtual(weights, embedded, multi_label=multi_label))

    value, gradients = differentiate(total, [WEIGHTS, EMBEDDED])
    answer, step = virtual_step(0.3, multi_label)

    def with_step(weights: Any, embedded: Any) -> float:
        moved = reader(weights)(embedded + step, True)
        return float(tf.reduce_sum(divergence(answer, moved, multi_label=multi_label)))

    assert value == pytest.approx(with_step(WEIGHTS, EMBEDDED), rel=1e-5)
    np.testing.assert_allclose(gradients[0], slope(lambda w: with_step(w, EMBEDDED), WEIGHTS.numpy()), atol=1e-6)
    np.testing.assert_allclose(gradients[1], slope(lambda e: with_step(WEIGHTS, e), EMBEDDED.numpy()), atol=1e-6)


def test_the_virtual_perturbation_moves_the_answers_more_than_a_random_one() -> None:
    found = virtual(WEIGHTS, EMBEDDED).numpy()
    read, random = reader(WEIGHTS), np.random.RandomState(1)
    answer = read(EMBEDDED, False)
    others = [
        divergence(answer, read(EMBEDDED + steps(random.normal(size=EMBEDDED.shape), 0.3), False)).numpy()
        for _ in range(50)
    ]
    assert (found > np.mean(others, axis=0)).all()


def test_directions_are_sought_without_dropout() -> None:
    flags: list[bool] = []
    adversarial_loss(reader(WEIGHTS, flags), EMBEDDED, MASK, loss_of, size=0.3)
    assert flags == [False, True]
    flags.clear()
    virtual(WEIGHTS, EMBEDDED, flags=flags)
    assert flags == [False, False, True]


def test_padding_changes_nothing() -> None:
    garbage = tf.where(PRESENT, EMBEDDED, 1e3 * tf.ones_like(EMBEDDED))
    one, other = (adversarial_loss(reader(WEIGHTS), place, MASK, loss_of, size=0.3) for place in (EMBEDDED, garbage))
    np.testing.assert_array_equal(one, other)


def test_deviation_counts_every_token_the_same() -> None:
    embeddings = np.random.RandomState(0).normal(size=(50, 3)) * 2 + np.array([1.0, -4.0, 9.0])
    tensor = tf.constant(embeddings)
    with tf.GradientTape() as tape:
        tape.watch(tensor)
        deviation = embedding_deviation(tensor)
    assert float(deviation) == pytest.approx(np.sqrt(embeddings.var(axis=0).mean()), rel=1e-12)
    assert tape.gradient(deviation, tensor) is None
