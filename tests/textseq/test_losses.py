"""The loss against its definition, and its backward pass against autodiff and numerical differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.numpy_oracle import log_softmax
from tests.textseq.layers.gradients import check_against_differences, check_same_gradients, values
from textseq.losses import perplexity, smoothed_cross_entropy

BATCH, TIME, VOCABULARY = 2, 3, 7
LABELS = np.array([[0, 6, 3], [3, 3, 1]], "int32")


def cross_entropy_by_definition(logits: np.ndarray, smoothing: float) -> np.ndarray:
    """`-sum_k q_k log p_k` with `q = (1 - e) one_hot(y) + e / V`."""
    target = (1 - smoothing) * np.eye(VOCABULARY)[LABELS] + smoothing / VOCABULARY
    return -(target * log_softmax(logits)).sum(-1)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_loss_follows_its_definition(smoothing: float) -> None:
    logits = values(BATCH, TIME, VOCABULARY)
    smoothed, plain = smoothed_cross_entropy(logits, LABELS, smoothing)
    np.testing.assert_allclose(smoothed, cross_entropy_by_definition(logits.numpy(), smoothing), rtol=1e-12)
    np.testing.assert_allclose(plain, cross_entropy_by_definition(logits.numpy(), 0.0), rtol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_backward_pass_is_the_gradient(smoothing: float) -> None:
    logits, weights = values(BATCH, TIME, VOCABULARY), values(BATCH, TIME, seed=5)

    def loss(logits: Any) -> Any:
        return tf.reduce_sum(smoothed_cross_entropy(logits, LABELS, smoothing)[0] * weights)

    def by_autodiff(logits: Any) -> Any:
        target = (1 - smoothing) * tf.one_hot(LABELS, VOCABULARY, dtype="float64") + smoothing / VOCABULARY
        return tf.reduce_sum(weights * -tf.reduce_sum(target * tf.nn.log_softmax(logits), axis=-1))

    check_against_differences(loss, [logits])
    check_same_gradients(loss, by_autodiff, [logits])


def test_no_gradient_flows_through_the_plain_loss() -> None:
    logits = values(BATCH, TIME, VOCABULARY)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        smoothed, plain = smoothed_cross_entropy(logits, LABELS, 0.1)
        both = tf.reduce_sum(smoothed) + tf.reduce_sum(plain)
    with tf.GradientTape() as alone:
        alone.watch(logits)
        one = tf.reduce_sum(smoothed_cross_entropy(logits, LABELS, 0.1)[0])
    np.testing.assert_array_equal(tape.gradient(both, logits), alone.gradient(one, logits))


def test_large_logits_stay_finite() -> None:
    logits = 1e4 * values(BATCH, TIME, VOCABULARY)
    smoothed, plain = smoothed_cross_entropy(tf.cast(logits, "float32"), LABELS, 0.1)
    np.testing.assert_allclose(smoothed, cross_entropy_by_definition(logits.numpy(), 0.1), rtol=1e-5)
    assert np.isfinite(plain).all()


def test_perplexity_stays_finite() -> None:
    assert perplexity(0.0) == 1.0
    assert perplexity(2.5) == pytest.approx(np.exp(2.5))
    assert perplexity(float("inf")) == perplexity(50.0) < 1e22
