"""The decoder's recurrence: its hand-written backward pass, and that it is its step, repeated."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.textseq.layers.gradients import (
    check_against_differences,
    check_same_gradients,
    differentiate,
    values,
    weighted_sum,
)
from textseq.layers.additive_attention import Memory, split_heads
from textseq.layers.attention_recurrence import AttentionWeights, attention_recurrence, attention_step
from textseq.layers.cells import CELLS

TIME, UNITS, LENGTH, ATTENTION, MEMORY = 3, 4, 5, 6, 8
LENGTHS = np.array([5, 3, 1])
BATCH = len(LENGTHS)
MASK = tf.constant(np.arange(LENGTH) < LENGTHS[:, None])


def arguments_of(name: str, layer_norm: bool, heads: int) -> list[Any]:
    """Input projection, memory, projected memory, states, weights."""
    cell = CELLS[name]
    columns = cell.gates * UNITS
    return [
        values(TIME, BATCH, columns, seed=1),
        values(BATCH, LENGTH, MEMORY, seed=2),
        values(BATCH, LENGTH, ATTENTION, seed=3),
        *(values(BATCH, UNITS, seed=4 + number) for number in range(cell.states)),
        values(UNITS, ATTENTION + columns, seed=6),
        values(columns, seed=7),
        values(MEMORY, columns, seed=8),
        values(columns, seed=9),
        values(ATTENTION, heads, seed=10),
        *([values(columns, seed=11), values(columns, seed=12)] if layer_norm else []),
    ]


def taken_apart(
    name: str, heads: int, projection: Any, memory: Any, projected: Any, *rest: Any
) -> tuple[AttentionWeights, Memory, Any, tuple[Any, ...]]:
    """The arguments of `attention_recurrence` from those of `arguments_of`."""
    count = CELLS[name].states
    prepared = Memory.of(projected, split_heads(memory, heads), MASK)
    return AttentionWeights(*rest[count:]), prepared, projection, tuple(rest[:count])


def loss_of(name: str, heads: int, scale: Any = None, **options: Any) -> Callable[..., Any]:
    """A number that depends on all states, contexts and attention weights, as a function of `arguments_of`."""

    def loss(*arguments: Any) -> Any:
        apart = taken_apart(name, heads, *arguments)
        return weighted_sum(attention_recurrence(CELLS[name], *apart, scale, **options))

    return loss


EVERY_KIND = list(itertools.product(CELLS, (False, True), (1, 2)))


@pytest.mark.parametrize("unroll", [False, True])
@pytest.mark.parametrize(("name", "layer_norm", "heads"), EVERY_KIND)
def test_hand_written_backward_pass_is_autodiff(name: str, layer_norm: bool, heads: int, unroll: bool) -> None:
    options: dict[str, Any] = {"scale": values(BATCH, UNITS, seed=13), "unroll": unroll}
    check_same_gradients(
        loss_of(name, heads, **options),
        loss_of(name, heads, fused=False, **options),
        arguments_of(name, layer_norm, heads),
    )


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_backward_pass_is_numerical_difference(name: str, layer_norm: bool) -> None:
    loss = loss_of(name, 2, scale=values(BATCH, UNITS, seed=13))
    check_against_differences(loss, arguments_of(name, layer_norm, 2))


def test_graph_gives_what_eager_gives() -> None:
    arguments = arguments_of("gru", True, 2)
    value, gradients = differentiate(loss_of("gru", 2), arguments)
    in_graph, graph_gradients = differentiate(loss_of("gru", 2), arguments, graph=True)
    np.testing.assert_allclose(in_graph, value, rtol=1e-12)
    for gradient, expected in zip(graph_gradients, gradients, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("name", "layer_norm", "heads"), EVERY_KIND)
def test_the_recurrence_is_its_step_repeated(name: str, layer_norm: bool, heads: int) -> None:
    weights, memory, projection, states = taken_apart(name, heads, *arguments_of(name, layer_norm, heads))
    scale = values(BATCH, UNITS, seed=13)
    outputs, contexts, attention = attention_recurrence(CELLS[name], weights, memory, projection, states, scale)
    for time in range(TIME):
        result = attention_step(CELLS[name], weights, memory, states, projection[time], scale)
        states = result.states
        np.testing.assert_allclose(outputs[time], states[0], rtol=1e-12)
        np.testing.assert_allclose(contexts[time], result.context[:, 0], rtol=1e-12)
        np.testing.assert_allclose(attention[time], result.attention_weights, rtol=1e-12)


def test_hypotheses_of_a_beam_do_not_see_each_other() -> None:
    weights, memory, _, states = taken_apart("lstm", 2, *arguments_of("lstm", True, 2))
    beam = 3
    # [batch, ...] -> [batch * beam, ...], each hypothesis with a state of its own
    wide = tuple(values(BATCH * beam, UNITS, seed=20 + number) for number in range(len(states)))
    inputs = values(BATCH * beam, 4 * UNITS, seed=22)
    together = attention_step(CELLS["lstm"], weights, memory, wide, inputs)
    assert together.context.shape == (BATCH, beam, MEMORY)
    for hypothesis in range(beam):
        rows = np.arange(BATCH) * beam + hypothesis
        alone = attention_step(
            CELLS["lstm"], weights, memory, tuple(state.numpy()[rows] for state in wide), inputs.numpy()[rows]
        )
        np.testing.assert_allclose(together.states[0].numpy()[rows], alone.states[0], rtol=1e-12)
        np.testing.assert_allclose(together.context[:, hypothesis], alone.context[:, 0], rtol=1e-12)
