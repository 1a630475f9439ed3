"""The adding problem is what the paper says, and one of its answers is its target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq.errors import InputError
from textseq.memory_task import adding_problem, answered


@given(st.integers(1, 40), st.integers(2, 90), st.integers(0, 10**30))
def test_sequences_are_as_the_paper_says(count: int, length: int, seed: int) -> None:
    sequences, targets = adding_problem(count, length, seed=seed)
    assert sequences.shape == (count, length, 2) and targets.shape == (count, 1)
    assert sequences.dtype == targets.dtype == np.float32
    for (numbers, markers), target in zip(sequences.transpose(0, 2, 1), targets[:, 0], strict=True):
        marked = np.flatnonzero(markers)
        assert len(marked) == 2 and marked[0] < length // 2 <= marked[1]
        assert set(markers) <= {0, 1}
        assert numbers.min() >= 0 and numbers.max() <= 1
        assert target == pytest.approx(numbers[marked].sum(), abs=1e-6)


def test_draws_are_even() -> None:
    sequences, targets = adding_problem(20_000, 30)
    assert sequences[:, :, 0].mean() == pytest.approx(1 / 2, abs=0.003)
    assert sequences[:, :, 0].var() == pytest.approx(1 / 12, abs=0.001)
    np.testing.assert_allclose(sequences[:, :, 1].mean(axis=0), 1 / 15, atol=0.01)
    assert np.square(targets - 1).mean() == pytest.approx(1 / 6, abs=0.01)


def test_the_seed_alone_decides() -> None:
    np.testing.assert_array_equal(adding_problem(5, 20, seed=3)[0], adding_problem(5, 20, seed=3)[0])
    assert not np.array_equal(adding_problem(5, 20, seed=3)[0], adding_problem(5, 20, seed=4)[0])


def test_numbers_are_stretches_of_given_values() -> None:
    values = np.linspace(0, 1, 60)
    sequences, targets = adding_problem(50, 30, values=values)
    np.testing.assert_allclose(np.diff(sequences[:, :, 0], axis=1), 1 / 59, atol=1e-6)
    np.testing.assert_array_equal(sequences[:, :, 1], adding_problem(50, 30)[0][:, :, 1])
    np.testing.assert_allclose(targets[:, 0], sequences.prod(axis=-1).sum(axis=-1), rtol=1e-6)
    assert len(np.unique(sequences[:, 0, 0])) > 15
    np.testing.assert_allclose(adding_problem(1, 30, values=values[:30])[0][0, :, 0], values[:30], atol=1e-6)


def test_answers_are_right_within_the_tolerance() -> None:
    right = answered(np.array([[0.5], [0.5], [0.2]], "float32"), np.array([[0.421], [0.581], [0.2]], "float32"))
    np.testing.assert_array_equal(right, [1, 0, 1])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ((0, 20, 0), "received 0 sequences of 20 steps, seed 0; expected 1 or more of 2 or more, seed 0 or more"),
        ((1, 1, 0), "received 1 sequences of 1 steps"),
        ((1, 20, -1), "seed -1; expected"),
    ],
)
def test_wrong_calls_say_what_was_wrong(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        adding_problem(call[0], call[1], seed=call[2])


@pytest.mark.parametrize("values", [np.zeros(19), np.zeros((20, 1)), np.full(20, 1.1), np.full(20, np.nan)])
def test_wrong_values_are_told(values: Any) -> None:
    with pytest.raises(InputError, match=r"received values of shape \(.*\); expected 20 or more in a row, from 0 to 1"):
        adding_problem(1, 20, values=values)
