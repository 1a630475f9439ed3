"""Costs of recurrent layers: parameters by the formula, times that are positive and take turns."""

from __future__ import annotations

from typing import Any

import pytest

from textseq import recurrent_cost
from textseq.errors import InputError
from textseq.layers.cells import CELLS
from textseq.recurrent_cost import recurrent_costs

SMALL: dict[str, Any] = {"units": 4, "columns": 3, "batch": 2, "length": 5}


def test_parameters_follow_the_formula() -> None:
    costs = recurrent_costs(tuple(CELLS), **SMALL, repeats=1)
    # Each gate has a weight for every column and every state, and two biases for every unit.
    assert {cell: cost.parameters for cell, cost in costs.items()} == {
        cell: gates * 4 * (3 + 4 + 2) for cell, gates in (("gru", 3), ("lstm", 4), ("simple_rnn", 1))
    }
    assert all(cost.reading_seconds > 0 and cost.training_seconds > 0 for cost in costs.values())


def test_the_time_is_the_median_of_the_repeats_for_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of each turn, reading and training of the two cells; the first turn, in which graphs are made, does not count.
    times = iter([900, 900, 900, 900, 5, 50, 10, 100, 500, 20, 30, 70, 15, 5000, 20, 85])
    monkeypatch.setattr(recurrent_cost, "_seconds", lambda run: float(next(times)))
    costs = recurrent_costs(["gru", "lstm"], **SMALL, repeats=3)
    assert (costs["gru"].reading_seconds, costs["gru"].training_seconds) == (3, 10)
    assert (costs["lstm"].reading_seconds, costs["lstm"].training_seconds) == (4, 17)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: recurrent_costs(["gur"], **SMALL),
            "cell: received 'gur'; expected one of 'gru', 'lstm', 'simple_rnn'",
        ),
        (lambda: recurrent_costs(**{**SMALL, "units": 0}), "units: received 0; expected 1 or more"),
        (lambda: recurrent_costs(**SMALL, repeats=0), "repeats: received 0; expected 1 or more"),
    ],
)
def test_wrong_calls_say_what_was_wrong(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()
