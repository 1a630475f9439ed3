"""Rows in pieces and joined again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq.errors import InputError
from textseq.serving.request_rows import as_columns, join, pieces

values = st.one_of(st.text(max_size=8), st.binary(max_size=8), st.integers(), st.booleans(), st.floats(allow_nan=False))


@given(
    rows=st.lists(st.tuples(values, values), min_size=1, max_size=30), most=st.integers(1, 9), size=st.integers(1, 99)
)
def test_pieces_hold_every_row_once_in_order(rows: list[tuple[Any, Any]], most: int, size: int) -> None:
    columns = {"a": [one for one, _ in rows], "b": [two for _, two in rows]}
    cut = list(pieces(columns, most, size))
    assert [row for piece in cut for row in zip(piece["a"], piece["b"], strict=True)] == rows
    assert all(1 <= len(piece["a"]) <= most for piece in cut)
    assert join(cut) == columns


def test_pieces_keep_to_the_bytes_except_for_one_large_row() -> None:
    columns = {"text": ["x" * size for size in (10, 10, 500, 10, 80)]}
    assert [list(map(len, piece["text"])) for piece in pieces(columns, 64, 100)] == [[10, 10], [500], [10], [80]]


def test_text_is_counted_in_bytes() -> None:
    assert [len(piece["text"]) for piece in pieces({"text": ["ü" * 40] * 4}, 64, 180)] == [2, 2]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([[["a"]], [["b", "c"]]], [["a", ""], ["b", "c"]]),
        ([[[1]], [[2, 3]]], [[1, 0], [2, 3]]),
        ([[[True]], [[False, True]]], [[True, False], [False, True]]),
        ([[[[0.5]]], [[[0.1, 0.2], [0.3, 0.4]]]], [[[0.5, 0.0], [0.0, 0.0]], [[0.1, 0.2], [0.3, 0.4]]]),
        ([[[]], [["b"]]], [[""], ["b"]]),
        ([[[], []], [[[0.5]]]], [[[0.0]], [[0.0]], [[0.5]]]),
        ([[[]], [[]]], [[], []]),
    ],
)
def test_rows_of_several_lengths_are_filled_up_at_their_ends(column: list[Any], expected: list[Any]) -> None:
    assert join([{"x": each} for each in column]) == {"x": expected}


def test_missing_scores_are_the_lowest() -> None:
    joined = join([{"scores": [[-1.0]]}, {"scores": [[-1.0, -2.0]]}])
    assert joined == {"scores": [[-1.0, float(np.finfo(np.float32).min)], [-1.0, -2.0]]}


def test_values_become_plain() -> None:
    columns = as_columns({"a": np.array([1, 2]), "b": [np.float32(0.5), np.array([True])], "c": ("x\udfff", b"\xff")})
    assert columns == {"a": [1, 2], "b": [0.5, [True]], "c": ["x\ufffd", b"\xff"]}


@pytest.mark.parametrize("value", [None, {}, object(), 1j, [None]])
def test_what_is_no_value_is_refused(value: Any) -> None:
    with pytest.raises(
        InputError, match=r"input a, row 1: received .*, expected text, bytes, a number or a truth value"
    ):
        as_columns({"a": ["x", value]})


@pytest.mark.parametrize("values", ["text", b"bytes", 3, None, {"x": 1}])
def test_one_value_is_no_list(values: Any) -> None:
    with pytest.raises(InputError, match=r"input a: received .*, expected a list with one value a row"):
        as_columns({"a": values})
