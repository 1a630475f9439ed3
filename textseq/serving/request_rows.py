"""The rows of a prediction: what a caller gives as columns, in pieces that a server takes, and joined again."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from textseq.errors import InputError

Columns = dict[str, list[Any]]
"""Values by the name of their input or output, one a row."""

_LONE_SURROGATES = re.compile("[\ud800-\udfff]")
_LOWEST_FLOAT32 = -3.4028234663852886e38
# What stands in the places of the translations that a row does not have; see the signature `n_best`.
_PADS = {"scores": _LOWEST_FLOAT32}


def as_columns(inputs: Mapping[str, Sequence[Any]]) -> Columns:
    """The inputs as plain lists of one length.

    Args:
        inputs: by name, one value a row: text, bytes, numbers or truth values, also as NumPy arrays.

    Raises:
        InputError: no inputs, one value in place of a list, lists of several lengths, or something that is no value.
    """
    if not inputs:
        raise InputError("inputs: received none; expected values by the name of each input")
    columns = {name: _as_column(name, values) for name, values in inputs.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        received = ", ".join(f"{name} of {length}" for name, length in lengths.items())
        raise InputError(f"inputs: received {received}; expected as many values of each")
    return columns


def _as_column(name: str, values: Any) -> list[Any]:
    if hasattr(values, "tolist"):  # NumPy, without importing it
        values = values.tolist()
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        raise InputError(f"input {name}: received {_short(values)}, expected a list with one value a row")
    return [_as_value(name, row, value) for row, value in enumerate(values)]


def _as_value(name: str, row: int, value: Any) -> Any:
    if isinstance(value, str):
        # No encoding holds them; U+FFFD is what a model reads in their place.
        return value if value.isascii() else _LONE_SURROGATES.sub("\ufffd", value)
    if isinstance(value, (bool, int, float, bytes)):
        return value
    if hasattr(value, "tolist"):
        return _as_value(name, row, value.tolist())
    if isinstance(value, (list, tuple)):
        return [_as_value(name, row, each) for each in value]
    received = f"{type(value).__name__} {_short(value)}"
    raise InputError(f"input {name}, row {row}: received {received}, expected text, bytes, a number or a truth value")


def pieces(columns: Columns, most_rows: int, most_bytes: int) -> Iterator[Columns]:
    """Cuts rows into pieces that a server takes, in order.

    Args:
        columns: from `as_columns`.
        most_rows: of a piece.
        most_bytes: of the values of a piece; one row that is larger goes alone.
    """
    rows = len(next(iter(columns.values())))
    sizes = [sum(_size(column[row]) for column in columns.values()) for row in range(rows)]
    start = 0
    while start < rows:
        end, size = start + 1, sizes[start]
        while end < rows and end - start < most_rows and size + sizes[end] <= most_bytes:
            size += sizes[end]
            end += 1
        yield {name: column[start:end] for name, column in columns.items()}
        start = end


def _size(value: Any) -> int:
    """About the bytes that a value takes in a request."""
    if isinstance(value, str):
        return 8 + (len(value) if value.isascii() else len(value.encode()))
    if isinstance(value, bytes):
        return 16 + len(value) * 4 // 3
    if isinstance(value, list):
        return sum(map(_size, value))
    return 8


def join(answers: Sequence[Columns]) -> Columns:
    """Joins the answers to several pieces, in order.

    Where pieces have rows of several lengths, as a matrix of attention has, the shorter are filled up at their ends:
    with "", 0 or False, and `scores` with float32's lowest, as the models do within one answer.

    Args:
        answers: of one signature; at least one.
    """
    if len(answers) == 1:
        return answers[0]
    return {name: _joined(name, [answer[name] for answer in answers]) for name in answers[0]}


def _joined(name: str, columns: list[list[Any]]) -> list[Any]:
    shapes = [_shape(column[0]) for column in columns if column]
    rows = [row for column in columns for row in column]
    if len(set(shapes)) <= 1:
        return rows
    longest = tuple(max(sizes) for sizes in zip(*_of_one_rank(shapes), strict=True))
    pad = _PADS.get(name, _blank(rows))
    return [_filled(row, longest, pad) for row in rows]


def _shape(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        return ()
    return (len(value), *(_shape(value[0]) if value else ()))


def _of_one_rank(shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    rank = max(map(len, shapes))
    return [shape + (0,) * (rank - len(shape)) for shape in shapes]


def _blank(value: Any) -> Any:
    """Nothing, of the kind of the values inside: "", 0, 0.0 or False; None where there are none."""
    if not isinstance(value, list):
        return type(value)()
    return next((blank for blank in map(_blank, value) if blank is not None), None)


def _filled(value: Any, shape: tuple[int, ...], pad: Any) -> Any:
    if not shape:
        return value
    missing = shape[0] - len(value)
    rows = [_filled(each, shape[1:], pad) for each in value]
    return rows + [_filled_blank(shape[1:], pad) for _ in range(missing)]


def _filled_blank(shape: tuple[int, ...], pad: Any) -> Any:
    return [_filled_blank(shape[1:], pad) for _ in range(shape[0])] if shape else pad


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
