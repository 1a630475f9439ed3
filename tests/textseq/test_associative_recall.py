"""Associative recall: the answer is the value that stood beside the key."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from textseq.associative_recall import associative_recall
from textseq.errors import InputError


def test_the_answer_stands_beside_the_key() -> None:
    task = associative_recall(300, pairs=5, keys=9, values=4, seed=2)
    assert task.pairs.shape == (300, 6, 2)
    assert task.pairs.dtype == task.answers.dtype == np.int32
    for (*told, (asked, blank)), answer in zip(task.pairs.tolist(), task.answers.tolist(), strict=True):
        assert blank == 4
        assert dict(told)[asked] == answer
        assert len({key for key, _ in told}) == 5
        assert all(0 <= key < 9 and 0 <= value < 4 for key, value in told)
    assert set(task.answers.tolist()) == {0, 1, 2, 3}


def test_seeds_draw_apart() -> None:
    first, same, other = (associative_recall(20, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.pairs, same.pairs)
    assert (first.pairs != other.pairs).any()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"examples": 0}, "received 0 examples of 16 pairs, 64 keys and 16 values; expected 1 or more of each"),
        ({"examples": 1, "pairs": 0}, "of 0 pairs"),
        ({"examples": 1, "pairs": 5, "keys": 4}, "5 pairs, 4 keys and 16 values; .* no more pairs than keys"),
        ({"examples": 1, "values": 0}, "0 values"),
    ],
)
def test_wrong_calls_say_what_was_wrong(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        associative_recall(**arguments)
