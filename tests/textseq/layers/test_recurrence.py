"""The recurrence: its hand-written backward pass, its mask, its state dropout."""

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
from textseq.layers.cells import CELLS
from textseq.layers.recurrence import RecurrentWeights, recurrence

TIME, UNITS = 5, 4
LENGTHS = np.array([5, 3, 1])
BATCH = len(LENGTHS)
MASK = tf.constant((np.arange(TIME)[:, None] < LENGTHS)[..., None].astype("float64"))  # [time, batch, 1]


def arguments_of(name: str, layer_norm: bool) -> list[Any]:
    """Projection, kernel, bias, the gain if there is one, states."""
    cell = CELLS[name]
    columns = cell.gates * UNITS
    return [
        values(TIME, BATCH, columns, seed=1),
        values(UNITS, columns, seed=2),
        values(columns, seed=3),
        *([values(columns, seed=4)] if layer_norm else []),
        *(values(BATCH, UNITS, seed=5 + number) for number in range(cell.states)),
    ]


def loss_of(name: str, layer_norm: bool, mask: Any = MASK, scale: Any = None, **options: Any) -> Callable[..., Any]:
    """A number that depends on all outputs and all last states, as a function of `arguments_of`."""

    def loss(projection: Any, kernel: Any, bias: Any, *rest: Any) -> Any:
        weights = RecurrentWeights(kernel, bias, rest[0] if layer_norm else None)
        states = tuple(rest[1:] if layer_norm else rest)
        outputs, last = recurrence(CELLS[name], weights, projection, mask, states, scale, **options)
        return weighted_sum([outputs, *last])

    return loss


EVERY_KIND = list(itertools.product(CELLS, (False, True), (False, True)))


@pytest.mark.parametrize("way", ["loop", "unroll", "compiled"])
@pytest.mark.parametrize(("name", "layer_norm", "reverse"), EVERY_KIND)
def test_hand_written_backward_pass_is_autodiff(name: str, layer_norm: bool, reverse: bool, way: str) -> None:
    options: dict[str, Any] = {"scale": values(BATCH, UNITS, seed=9), "reverse": reverse}
    check_same_gradients(
        loss_of(name, layer_norm, **options, **({way: True} if way != "loop" else {})),
        loss_of(name, layer_norm, fused=False, **options),
        arguments_of(name, layer_norm),
    )


@pytest.mark.parametrize(("name", "layer_norm", "reverse"), EVERY_KIND)
def test_backward_pass_is_numerical_difference(name: str, layer_norm: bool, reverse: bool) -> None:
    loss = loss_of(name, layer_norm, scale=values(BATCH, UNITS, seed=9), reverse=reverse)
    check_against_differences(loss, arguments_of(name, layer_norm))


@pytest.mark.parametrize("reverse", [False, True])
def test_graph_gives_what_eager_gives(reverse: bool) -> None:
    arguments = arguments_of("lstm", True)
    value, gradients = differentiate(loss_of("lstm", True, reverse=reverse), arguments)
    in_graph, graph_gradients = differentiate(loss_of("lstm", True, reverse=reverse), arguments, graph=True)
    np.testing.assert_allclose(in_graph, value, rtol=1e-12)
    for gradient, expected in zip(graph_gradients, gradients, strict=True):
        np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_a_sentence_alone_is_the_sentence_in_the_batch(name: str, reverse: bool) -> None:
    projection, kernel, bias, *states = arguments_of(name, False)
    weights = RecurrentWeights(kernel, bias)
    outputs, last = recurrence(CELLS[name], weights, projection, MASK, tuple(states), reverse=reverse)
    for row, length in enumerate(LENGTHS):
        alone, last_alone = recurrence(
            CELLS[name],
            weights,
            projection[:length, row : row + 1],
            MASK[:length, row : row + 1],
            tuple(state[row : row + 1] for state in states),
            reverse=reverse,
        )
        np.testing.assert_allclose(outputs[:length, row], alone[:, 0], rtol=1e-12)
        for array, array_alone in zip(last, last_alone, strict=True):
            np.testing.assert_allclose(array[row], array_alone[0], rtol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_padding_gets_no_gradient(name: str) -> None:
    arguments = arguments_of(name, True)
    d_projection = differentiate(loss_of(name, True), arguments)[1][0]
    padded = MASK.numpy()[..., 0] == 0
    assert (d_projection[padded] == 0).all()
    assert (d_projection[~padded] != 0).all()


def test_a_scale_of_ones_is_no_dropout() -> None:
    arguments = arguments_of("gru", False)
    ones = tf.ones((BATCH, UNITS), "float64")
    check_same_gradients(loss_of("gru", False, scale=ones), loss_of("gru", False), arguments)


def test_a_scale_of_zeros_cuts_the_recurrent_product() -> None:
    arguments = arguments_of("simple_rnn", False)
    weights = RecurrentWeights(*arguments[1:3])
    zeros = tf.zeros((BATCH, UNITS), "float64")
    outputs, _ = recurrence(CELLS["simple_rnn"], weights, arguments[0], tf.ones_like(MASK), (arguments[3],), zeros)
    np.testing.assert_allclose(outputs, np.tanh(arguments[0].numpy() + arguments[2].numpy()), rtol=1e-12)
