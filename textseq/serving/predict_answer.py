"""TensorFlow Serving's JSON for answers: rows (`predictions`) and columns (`outputs`).

A string is any bytes: what is no UTF-8 goes out as it is. NaN and Infinity are written as such.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping

import numpy as np

from textseq.serving.refusal import invalid

_VALUES_AT_ONCE = 1 << 14


def write_outputs(outputs: Mapping[str, np.ndarray], *, columnar: bool) -> bytes:
    """Writes the answer to a request.

    Args:
        outputs: arrays by name, the batch first; a name that ends in `_bytes` has its strings written as base64.
        columnar: columns rather than rows.

    Raises:
        Refusal: INVALID_ARGUMENT where the outputs are no rows, as TensorFlow Serving has it.
    """
    if not outputs:
        raise invalid("Cannot convert empty tensor map to JSON")
    if columnar:
        kind, parts = "outputs", _columns(outputs)
    else:
        kind, parts = "predictions", _rows(outputs)
    content = bytearray(f'{{"{kind}": '.encode())
    for part in parts:
        content += part.encode("utf-8", "surrogateescape")
    content += b"}"
    return bytes(content)


def _columns(outputs: Mapping[str, np.ndarray]) -> Iterator[str]:
    if len(outputs) == 1:
        yield from _column(*next(iter(outputs.items())))
        return
    before = "{"
    for name, array in outputs.items():
        yield f"{before}{json.dumps(name)}: "
        yield from _column(name, array)
        before = ", "
    yield "}"


def _column(name: str, array: np.ndarray) -> Iterator[str]:
    if array.ndim == 0:
        yield _tokens(name, array)[0]
        return
    yield "["
    before = ""
    for text in _row_texts(name, array):
        yield before + text
        before = ", "
    yield "]"


def _rows(outputs: Mapping[str, np.ndarray]) -> Iterator[str]:
    _batch_size(outputs)
    yield "["
    before = ""
    for texts in zip(*(_row_texts(name, array) for name, array in outputs.items()), strict=True):
        yield before
        yield texts[0] if len(texts) == 1 else _object(dict(zip(outputs, texts, strict=True)))
        before = ", " if len(texts) == 1 else ",\n"
    yield "]"


def _row_texts(name: str, array: np.ndarray) -> Iterator[str]:
    """Yields the JSON of each row. Some rows are written at once, not all: a number takes ten times its size there."""
    at_once = max(1, _VALUES_AT_ONCE // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array), at_once):
        rows = array[start : start + at_once]
        yield from _nested(_tokens(name, rows), rows.shape[1:], len(rows))


def _batch_size(outputs: Mapping[str, np.ndarray]) -> int:
    """Returns the rows that all outputs have.

    Raises:
        Refusal: INVALID_ARGUMENT, they do not.
    """
    size = -1
    for name, array in outputs.items():
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information ")
        if size >= 0 and size != len(array):
            raise invalid(f"Tensor name: {name} has inconsistent batch size: {len(array)} expecting: {size}")
        size = len(array)
    return size


def _object(texts: Mapping[str, str]) -> str:
    return f"{{{', '.join(f'{json.dumps(name)}: {text}' for name, text in texts.items())}}}"


def _nested(tokens: list[str], shape: tuple[int, ...], outer: int = 1) -> list[str]:
    """Puts the brackets of a shape around tokens; returns `outer` texts."""
    for place in range(len(shape) - 1, -1, -1):
        size, count = shape[place], outer * math.prod(shape[:place])
        tokens = [f"[{', '.join(tokens[start * size : (start + 1) * size])}]" for start in range(count)]
    return tokens


def _tokens(name: str, array: np.ndarray) -> list[str]:
    flat = array.ravel()
    if array.dtype == object:
        if name.endswith("_bytes"):
            return [f'{{"b64": "{base64.b64encode(value).decode()}"}}' for value in flat]
        return [json.dumps(value.decode("utf-8", "surrogateescape"), ensure_ascii=False) for value in flat]
    if array.dtype == bool:
        return ["true" if value else "false" for value in flat]
    if np.issubdtype(array.dtype, np.integer):
        return list(map(str, flat.tolist()))
    if array.dtype not in (np.float32, np.float64):
        raise invalid(f"Failed to write JSON value for tensor type: {array.dtype}")
    return _decimals(flat)


def _decimals(flat: np.ndarray) -> list[str]:
    """Writes decimal numbers with six digits where these say it all, else with as many as it takes."""
    values = flat.tolist()
    tokens = [f"{value:.6g}" for value in values]
    digits = 9 if flat.dtype == np.float32 else 17
    with np.errstate(over="ignore"):
        exact = np.array(tokens, np.float64).astype(flat.dtype) == flat
    for place in np.flatnonzero(~exact):
        tokens[place] = f"{values[place]:.{digits}g}"
    special = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    return [special.get(token) or (token if "." in token or "e" in token else f"{token}.0") for token in tokens]
