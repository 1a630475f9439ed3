"""NumPy arrays as tensors of TensorFlow's messages, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .messages import (
    DT_BOOL,
    DT_DOUBLE,
    DT_FLOAT,
    DT_INT32,
    DT_INT64,
    DT_STRING,
    TensorProto,
    data_type_name,
)

LARGEST = 1 << 24
"""Most values of a tensor; a few bytes can claim any shape."""

_MOST_DIMENSIONS = 8

_ARRAY_TYPES: dict[int, np.dtype[Any]] = {
    DT_FLOAT: np.dtype("<f4"),
    DT_DOUBLE: np.dtype("<f8"),
    DT_INT32: np.dtype("<i4"),
    DT_INT64: np.dtype("<i8"),
    DT_BOOL: np.dtype("?"),
    DT_STRING: np.dtype("O"),
}
_VALUE_FIELDS = {
    DT_FLOAT: "float_val",
    DT_DOUBLE: "double_val",
    DT_INT32: "int_val",
    DT_INT64: "int64_val",
    DT_BOOL: "bool_val",
    DT_STRING: "string_val",
}


class TensorError(ValueError):
    """A tensor's kind, shape and content do not fit together, or it is too large."""


def array_type(kind: int) -> np.dtype[Any]:
    """Returns the array's type for a kind of values, such as `DT_STRING`; strings are objects: bytes.

    Raises:
        TensorError: a kind that is not used here.
    """
    try:
        return _ARRAY_TYPES[kind]
    except KeyError:
        raise TensorError(
            f"received values of type {data_type_name(kind)}, expected one of {', '.join(map(data_type_name, _KINDS))}"
        ) from None


_KINDS = tuple(_ARRAY_TYPES)


def data_type(array: np.ndarray) -> int:
    """Returns the kind of an array's values, such as `DT_FLOAT`; text and objects are strings.

    Raises:
        TensorError: a type that no tensor here has.
    """
    if array.dtype.kind in "OSU":
        return DT_STRING
    for kind, known in _ARRAY_TYPES.items():
        if array.dtype == known:
            return kind
    raise TensorError(f"received an array of {array.dtype}, expected {', '.join(map(data_type_name, _KINDS))}")


def to_message(array: np.ndarray) -> Any:
    """Turns an array into a `TensorProto`.

    Args:
        array: float32, float64, int32, int64, bool, or strings: bytes, or str that is written as UTF-8.

    Raises:
        TensorError: another type.

    Example:
        >>> to_message(np.array(["A dog.", "A cat."])).string_val[1]
        b'A cat.'
    """
    kind = data_type(array)
    message = TensorProto(dtype=kind, tensor_shape={"dim": [{"size": size} for size in array.shape]})
    if kind == DT_STRING:
        message.string_val.extend(bytes_of(value) for value in array.ravel())
    else:
        message.tensor_content = np.ascontiguousarray(array, _ARRAY_TYPES[kind]).tobytes()
    return message


def bytes_of(value: Any) -> bytes:
    """Returns a string's bytes: UTF-8 for text; a lone surrogate, which has none, becomes "?".

    Raises:
        TensorError: neither text nor bytes.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    raise TensorError(f"received {type(value).__name__} among strings, expected str or bytes")


def to_array(message: Any, largest: int = LARGEST) -> np.ndarray:
    """Turns a `TensorProto` into an array.

    As in TensorFlow, values that are written one by one may be fewer than the shape has: the last stands for the rest,
    and no value at all for zeros or empty strings.

    Args:
        message: with its values in the field for its type or in `tensor_content`.
        largest: most values.

    Returns:
        The array; bytes in objects for strings.

    Raises:
        TensorError: the type is not used here, the shape is unknown or too large, or the content does not fit it.
    """
    array_type(message.dtype)
    shape = _shape(message.tensor_shape, largest)
    count = math.prod(shape)
    read = _read_content if message.tensor_content else _read_values
    return read(message, count).reshape(shape)


def _shape(message: Any, largest: int) -> tuple[int, ...]:
    shape = tuple(dimension.size for dimension in message.dim)
    if message.unknown_rank or any(size < 0 for size in shape):
        raise TensorError("received a tensor whose shape is not known, expected the size of every dimension")
    if len(shape) > _MOST_DIMENSIONS:
        raise TensorError(f"received a tensor of {len(shape)} dimensions, expected at most {_MOST_DIMENSIONS}")
    # A zero among them makes the product small, but not the others plausible.
    if math.prod(shape) > largest or any(size > largest for size in shape):
        raise TensorError(f"received a tensor of shape {list(shape)}, expected at most {largest} values")
    return shape


def _read_values(message: Any, count: int) -> np.ndarray:
    values: Sequence[Any] = getattr(message, _VALUE_FIELDS[message.dtype])
    if len(values) > count:
        raise TensorError(f"received {len(values)} values, expected the {count} that the shape has")
    array = np.empty(count, _ARRAY_TYPES[message.dtype])
    array[: len(values)] = values
    array[len(values) :] = values[-1] if values else b"" if message.dtype == DT_STRING else 0
    return array


def _read_content(message: Any, count: int) -> np.ndarray:
    content = message.tensor_content
    if message.dtype == DT_STRING:
        return _read_strings(content, count)
    kind = _ARRAY_TYPES[message.dtype]
    if len(content) != count * kind.itemsize:
        raise TensorError(
            f"received {len(content)} bytes of content, expected {count * kind.itemsize} for {count} values"
        )
    if message.dtype == DT_BOOL:
        return np.frombuffer(content, np.uint8) != 0
    return np.frombuffer(content, kind).copy()


def _read_strings(content: bytes, count: int) -> np.ndarray:
    """Reads strings as TensorFlow packs them: every length as a varint, then the bytes of all of them."""
    lengths, place = [], 0
    if count > len(content):
        raise TensorError(f"received {len(content)} bytes of content, expected the lengths of {count} strings")
    for _ in range(count):
        length = shift = 0
        while True:
            if place >= len(content) or shift > 28:
                raise TensorError("received content that is cut off, expected the lengths of its strings")
            length |= (content[place] & 0x7F) << shift
            shift += 7
            place += 1
            if content[place - 1] < 0x80:
                break
        lengths.append(length)
    if sum(lengths) != len(content) - place:
        raise TensorError(f"received {len(content) - place} bytes of strings, expected the {sum(lengths)} announced")
    array = np.empty(count, object)
    for index, length in enumerate(lengths):
        array[index] = content[place : place + length]
        place += length
    return array
