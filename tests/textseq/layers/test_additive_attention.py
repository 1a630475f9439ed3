"""Additive attention against the equation, and its backward pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests import numpy_oracle
from tests.textseq.layers.gradients import check_against_differences, differentiate, values, weighted_sum
from textseq.layers.additive_attention import Memory, attend, attend_backward, split_heads, values_gradient

BATCH, BEAM, LENGTH, ATTENTION, MEMORY = 3, 2, 5, 6, 8
LENGTHS = np.array([5, 3, 1])
MASK = tf.constant(np.arange(LENGTH) < LENGTHS[:, None])


def head_rows(heads: int) -> np.ndarray:
    """1 where a unit of the hidden layer belongs to a head, float64[attention_units, heads]."""
    return np.repeat(np.eye(heads), ATTENTION // heads, axis=0)


def arguments_of(heads: int, beam: int = BEAM) -> tuple[Any, Any, Any, Any]:
    """Query, `v`, projected memory, memory."""
    energy = tf.constant(values(ATTENTION, 1, seed=2).numpy() * head_rows(heads))
    return (
        values(BATCH, beam, ATTENTION, seed=1),
        energy,
        values(BATCH, LENGTH, ATTENTION, seed=3),
        values(BATCH, LENGTH, MEMORY, seed=4),
    )


@pytest.mark.parametrize("heads", [1, 2])
def test_attend_follows_the_equation(heads: int) -> None:
    query, energy, projected, memory = arguments_of(heads)
    context, weights, _ = attend(query, energy, Memory.of(projected, split_heads(memory, heads), MASK))
    assert context.shape == (BATCH, BEAM, MEMORY)
    assert weights.shape == (BATCH, heads, BEAM, LENGTH)
    for row, length in enumerate(LENGTHS):
        for hypothesis in range(BEAM):
            expected, expected_weights = numpy_oracle.attend(
                query.numpy()[row, hypothesis],
                projected.numpy()[row, :length],
                energy.numpy().sum(1),
                memory.numpy()[row, :length],
                heads,
            )
            np.testing.assert_allclose(context[row, hypothesis], expected, rtol=1e-10)
            np.testing.assert_allclose(weights[row, :, hypothesis, :length], expected_weights, rtol=1e-10)
            np.testing.assert_array_equal(weights[row, :, hypothesis, length:], 0)


@pytest.mark.parametrize("heads", [1, 2])
def test_backward_is_the_gradient_of_attend(heads: int) -> None:
    def function(query: Any, energy: Any, projected: Any, memory: Any) -> Any:
        return weighted_sum(attend(query, energy, Memory.of(projected, split_heads(memory, heads), MASK))[:2])

    arguments = arguments_of(heads)
    query, energy, projected, memory = arguments
    check_against_differences(function, arguments)
    _, expected = differentiate(function, arguments)
    prepared = Memory.of(projected, split_heads(memory, heads), MASK)
    _, weights, hidden = attend(query, energy, prepared)
    d_context = values(BATCH, BEAM, MEMORY, seed=99)
    d_weights = values(BATCH, heads, BEAM, LENGTH, seed=100)
    gradients = attend_backward(hidden, weights, energy, prepared, d_context, d_weights)
    for gradient, by_autodiff in zip(gradients, expected, strict=False):
        np.testing.assert_allclose(gradient, by_autodiff, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("heads", [1, 2])
def test_values_gradient_sums_over_time(heads: int) -> None:
    time = 4
    queries = [values(BATCH, 1, ATTENTION, seed=20 + step) for step in range(time)]
    _, energy, projected, memory = arguments_of(heads)
    upstream = [values(BATCH, 1, MEMORY, seed=30 + step) for step in range(time)]

    def contexts(memory_values: Any) -> Any:
        prepared = Memory.of(projected, memory_values, MASK)
        return sum(
            tf.reduce_sum(attend(query, energy, prepared)[0] * weight)
            for query, weight in zip(queries, upstream, strict=True)
        )

    split = split_heads(memory, heads)
    expected = differentiate(contexts, [split])[1][0]
    weights = [attend(query, energy, Memory.of(projected, split, MASK))[1] for query in queries]
    gradient = values_gradient(tf.stack(weights), tf.stack([array[:, 0] for array in upstream]))
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)


def test_split_heads_cuts_the_columns() -> None:
    array = values(2, 3, 8)
    split = split_heads(array, 4)
    assert split.shape == (2, 4, 3, 2)
    for head in range(4):
        np.testing.assert_array_equal(split[:, head], array[:, :, 2 * head : 2 * head + 2])
