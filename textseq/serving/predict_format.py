"""TensorFlow Serving's JSON for requests: rows (`instances`) and columns (`inputs`).

What is accepted, what is refused and in which words follows TensorFlow Serving. Two things differ: its messages repeat
the whole value at fault, these the beginning; and `Inf` is no number here, `Infinity` and `NaN` are.

A string is any bytes: what is no UTF-8 is taken as it is, and {"b64": ...} stands for any bytes too.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from textseq.serving.native.messages import (
    DT_BOOL,
    DT_DOUBLE,
    DT_FLOAT,
    DT_INT32,
    DT_INT64,
    DT_STRING,
    data_type_name,
)
from textseq.serving.native.tensors import array_type
from textseq.serving.refusal import Refusal, invalid

_MOST_DIMENSIONS = 8
_SHOWN = 200
_INTEGERS = {DT_INT32: 31, DT_INT64: 63}
_DIGITS = {DT_FLOAT: 24, DT_DOUBLE: 53}
_LARGEST = {DT_FLOAT: float(np.finfo(np.float32).max), DT_DOUBLE: float(np.finfo(np.float64).max)}
_NAMES = {DT_FLOAT: "float", DT_DOUBLE: "double"}

# Escapes of a JSON text from left to right; the group is half of a surrogate pair without the other half.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")

# Python's words for what is wrong with a JSON text, and TensorFlow Serving's.
_PARSE_ERRORS = {
    "Expecting value": "Invalid value.",
    "Expecting property name": "Missing a name for object member.",
    "Illegal trailing comma before end of object": "Missing a name for object member.",
    "Illegal trailing comma before end of array": "Invalid value.",
    "Expecting ':'": "Missing a colon after a name of object member.",
    "Expecting ','": "Missing a comma or ] after an array element.",
    "Unterminated string": "Missing a closing quotation mark in string.",
    "Invalid control character": "Invalid encoding in string.",
    "Invalid \\uXXXX": "Incorrect hex digit after \\u escape in string.",
    "Invalid \\escape": "Invalid escape character in string.",
    "Extra data": "The document root must not be followed by other values.",
}


@dataclass(frozen=True)
class Inputs:
    """A request's tensors.

    Attributes:
        arrays: by the name of the input.
        columnar: whether they came as columns, so that the outputs go out as columns.
    """

    arrays: dict[str, np.ndarray]
    columnar: bool


def read_document(body: bytes) -> dict[str, Any]:
    """Reads a request's JSON.

    Returns:
        The object; its strings hold bytes that are no UTF-8 as Python's surrogate escapes.

    Raises:
        Refusal: INVALID_ARGUMENT, it is no JSON or no object.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    text = body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    lone = next((match for match in _ESCAPE.finditer(text) if match.group(1)), None) if "\\u" in text else None
    if lone is not None:
        _refuse_text("The surrogate pair in string is invalid.", text, lone.start())
    try:
        document = json.loads(text, parse_float=_parse_float)
    except json.JSONDecodeError as error:
        words = next((ours for words, ours in _PARSE_ERRORS.items() if error.msg.startswith(words)), "Invalid value.")
        _refuse_text(words if text.strip() else "The document is empty.", text, error.pos)
    except RecursionError:
        raise invalid("JSON Parse error: the values are nested too deeply") from None
    except ValueError as error:  # a number
        raise invalid(f"JSON Parse error: {error}") from None
    if not isinstance(document, dict):
        raise invalid(f"JSON Value: {_shown(document)} Is not object")
    return document


def _refuse_text(words: str, text: str, place: int) -> NoReturn:
    raise invalid(
        f"JSON Parse error: {words} at offset: {len(text[:place].encode('utf-8', 'surrogateescape'))}"
    ) from None


def _parse_float(token: str) -> float:
    number = float(token)
    if math.isinf(number):
        raise ValueError("Number too big to be stored in double.")
    return number


def signature_name(document: Mapping[str, Any]) -> str:
    """Returns the signature that a request names, "" if none.

    Raises:
        Refusal: INVALID_ARGUMENT, it is no string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(
            f"JSON Value: {_shown(document)} not formatted correctly. 'signature_name' key must be a string value."
        )
    return name


def read_inputs(document: Mapping[str, Any], infos: Mapping[str, Any], most_rows: int | None = None) -> Inputs:
    """Reads a request's tensors.

    Args:
        document: what `read_document` gave.
        infos: the signature's inputs by name, with `dtype`.
        most_rows: more are refused before any is looked at: ten megabytes hold three millions, and take seconds.

    Raises:
        Refusal: INVALID_ARGUMENT, the values do not fit together or do not fit the inputs.
    """
    if "instances" in document and "inputs" in document:
        raise invalid(
            f"JSON Value: {_shown(document)} Not formatted correctly expecting only one of 'inputs' or 'instances' "
            f"keys to exist "
        )
    if "inputs" in document:
        columns = document["inputs"]
        for column in map(columns.get, infos) if isinstance(columns, dict) else [columns]:
            _check_rows(column, most_rows)
        return Inputs(_columns(columns, infos), columnar=True)
    if "instances" not in document:
        raise invalid("Missing 'inputs' or 'instances' key")
    rows = document["instances"]
    if not isinstance(rows, list):
        raise invalid(f"JSON Value: {_shown(document)} Excepting 'instances' to be an list/array")
    if not rows:
        raise invalid(f"JSON Value: {_shown(document)} No values in 'instances' array")
    _check_rows(rows, most_rows)
    return Inputs(_rows(rows, infos), columnar=False)


def _check_rows(rows: Any, most: int | None) -> None:
    if most is not None and isinstance(rows, list) and len(rows) > most:
        raise invalid(f"Task size {len(rows)} is larger than maximum input batch size {most}")


def _columns(value: Any, infos: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if not isinstance(value, dict) or _is_base64(value):
        if len(infos) != 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
                "tensorinfo_map"
            )
        return {name: read_array(value, info.dtype) for name, info in infos.items()}
    for name in infos:
        if name not in value:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: read_array(value[name], info.dtype) for name, info in infos.items()}


def read_array(value: Any, kind: int) -> np.ndarray:
    """Turns a JSON value, plain or nested lists, into an array.

    Args:
        value: with {"b64": ...} or text for a string.
        kind: TensorFlow's number of the type.

    Raises:
        Refusal: INVALID_ARGUMENT, lists of different lengths, or values of another type.
    """
    shape = _shape(value)
    return _array(list(_flat(value, shape, kind, 0)), shape, kind)


def _rows(rows: list[Any], infos: Mapping[str, Any]) -> dict[str, np.ndarray]:
    if not isinstance(rows[0], dict) and len(infos) != 1:
        raise invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map"
        )
    named = _is_named(rows[0])
    values: dict[str, list[Any]] = {name: [] for name in infos}
    shapes: dict[str, tuple[int, ...]] = {}
    for number, row in enumerate(rows):
        if named and not _is_named(row):
            raise invalid(f"Expecting object but got list at item {number} of input list")
        if not named and _is_named(row):
            raise invalid(f"Expecting value/list but got object at item {number} of input list")
        for name, value in row.items() if named else [(next(iter(infos)), row)]:
            try:
                _add_row(value, name, infos, values, shapes)
            except Refusal as refusal:
                key = f" key: {name}" if named else ""
                raise invalid(
                    f"Failed to process element: {number}{key} of 'instances' list. Error: {refusal}"
                ) from None
        if named and set(row) != set(infos):
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. JSON object: {_shown(row)} keys must be "
                f"equal to: {','.join(sorted(infos))}"
            )
    return {name: _array(values[name], (len(rows), *shapes[name]), info.dtype) for name, info in infos.items()}


def _add_row(
    value: Any,
    name: str,
    infos: Mapping[str, Any],
    values: dict[str, list[Any]],
    shapes: dict[str, tuple[int, ...]],
) -> None:
    if name not in infos:
        raise invalid(f"JSON object: does not have named input: {name}")
    shape = _shape(value)
    flat = list(_flat(value, shape, infos[name].dtype, 0))
    expected = shapes.setdefault(name, shape)
    if math.prod(expected) != len(flat):
        raise invalid(f"Expecting tensor size: {math.prod(expected)} but got: {len(flat)}")
    if expected != shape:
        raise invalid(f"Expecting shape {_listed(expected)} but got: {_listed(shape)}")
    values[name].extend(flat)


def _array(flat: list[Any], shape: tuple[int, ...], kind: int) -> np.ndarray:
    array = np.empty(len(flat), array_type(kind))
    array[:] = flat
    return array.reshape(shape)


def _shape(value: Any) -> tuple[int, ...]:
    """Returns the shape that the first values have."""
    shape: list[int] = []
    while isinstance(value, list):
        shape.append(len(value))
        if len(shape) > _MOST_DIMENSIONS:
            raise invalid(f"JSON Value: lists nested more than {_MOST_DIMENSIONS} deep")
        value = value[0] if value else None
    return tuple(shape)


def _flat(value: Any, shape: tuple[int, ...], kind: int, level: int) -> Iterator[Any]:
    if not isinstance(value, list):
        if level != len(shape):
            raise invalid(
                f"JSON Value: {_shown(value)} found at incorrect level: {level + 1} in the JSON DOM. "
                f"Expected at level: {len(shape)}"
            )
        yield _value(value, kind)
        return
    if level >= len(shape):
        raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(
            f"Encountered list at unexpected size: {len(value)} at level: {level} expected size: {shape[level]}"
        )
    for each in value:
        yield from _flat(each, shape, kind, level + 1)


def _value(value: Any, kind: int) -> Any:
    if kind == DT_STRING:
        if isinstance(value, dict):
            return _from_base64(value)
        if isinstance(value, str):
            return value.encode("utf-8", "surrogateescape")
    elif kind == DT_BOOL:
        if isinstance(value, bool):
            return value
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if kind in _DIGITS:
            return _decimal(value, kind)
        if kind in _INTEGERS and isinstance(value, int) and -(1 << _INTEGERS[kind]) <= value < 1 << _INTEGERS[kind]:
            return value
    raise invalid(f"JSON Value: {_shown(value)} Type: {_type(value)} is not of expected type: {type_name(kind)}")


def _decimal(value: int | float, kind: int) -> float:
    # An integer beyond 64 bits is read as a decimal number.
    whole = isinstance(value, int) and -(1 << 63) <= value < 1 << 64
    lossless = abs(value) < 1 << _DIGITS[kind] if whole else abs(value) <= _LARGEST[kind]
    if isinstance(value, float) and not math.isfinite(value):
        return value
    if not lossless:
        raise invalid(f"Cannot convert JSON value: {_shown(value)} to {_NAMES[kind]} without loss of precision.")
    return float(value)


def type_name(kind: int) -> str:
    """Returns TensorFlow's own name of a type, such as "string"."""
    return data_type_name(kind).removeprefix("DT_").lower()


def _is_named(row: Any) -> bool:
    return isinstance(row, dict) and not _is_base64(row)


def _is_base64(value: dict[str, Any]) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _from_base64(value: dict[str, Any]) -> bytes:
    if not _is_base64(value):
        raise invalid(f"JSON Value: {_shown(value)} not formatted correctly for base64 data")
    text = "".join(value["b64"].split())
    digits = text.rstrip("=")
    try:
        if not _BASE64.fullmatch(text) or (digits != text and len(text) % 4):
            raise binascii.Error
        return base64.b64decode(digits + "=" * (-len(digits) % 4))
    except binascii.Error:
        raise invalid("Unable to base64 decode") from None


def _type(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "True", False: "False", None: "Null"}[value]
    return next(
        (name for kind, name in ((str, "String"), (dict, "Object"), (list, "Array")) if isinstance(value, kind)),
        "Number",
    )


def _shown(value: Any) -> str:
    text = ""
    try:
        # Part by part: the value may be a whole request.
        for part in json.JSONEncoder(ensure_ascii=False, indent=4).iterencode(value):
            text += part
            if len(text) > _SHOWN:
                return f"{text[:_SHOWN]}..."
    except RecursionError:
        return "(nested deeply)"
    return text


def _listed(shape: tuple[int, ...]) -> str:
    return f"[{','.join(map(str, shape))}]"
