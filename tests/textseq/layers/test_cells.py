"""Cells against the equations, and their backward passes against autodiff and numerical differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import numpy_oracle
from tests.textseq.layers.gradients import check_against_differences, differentiate, values, weighted_sum
from textseq.layers.cells import CELLS

BATCH, UNITS = 3, 4


def arguments_of(name: str) -> list[Any]:
    columns = CELLS[name].gates * UNITS
    states = [values(BATCH, UNITS, seed=10 + number) for number in range(CELLS[name].states)]
    return [values(BATCH, columns, seed=1), values(BATCH, columns, seed=2), *states]


@pytest.mark.parametrize("name", CELLS)
def test_one_step_follows_the_equations(name: str) -> None:
    x, h, *states = arguments_of(name)
    after, _ = CELLS[name].forward(x, h, tuple(states))
    assert len(after) == CELLS[name].states
    for row in range(BATCH):
        expected = numpy_oracle.cell(name, x.numpy()[row], h.numpy()[row], [state.numpy()[row] for state in states])
        for array, state in zip(after, expected, strict=True):
            np.testing.assert_allclose(array[row], state, rtol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_backward_is_the_gradient_of_forward(name: str) -> None:
    cell, arguments = CELLS[name], arguments_of(name)

    def function(x: Any, h: Any, *states: Any) -> Any:
        return weighted_sum(cell.forward(x, h, states)[0])

    check_against_differences(function, arguments)
    _, expected = differentiate(function, arguments)
    upstream = tuple(values(BATCH, UNITS, seed=99 + number) for number in range(cell.states))
    states = tuple(arguments[2:])
    d_input, d_state, d_states = cell.backward(cell.forward(*arguments[:2], states)[1], states, upstream)
    for gradient, by_autodiff in zip((d_input, d_state, *d_states), expected, strict=True):
        np.testing.assert_allclose(gradient, by_autodiff, rtol=1e-9, atol=1e-12)
