"""Arrays and tensors of messages say the same, to TensorFlow as well."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from textseq.serving.native.messages import DT_BOOL, DT_FLOAT, DT_INT32, DT_INT64, DT_STRING, TensorProto
from textseq.serving.native.tensors import LARGEST, TensorError, array_type, data_type, to_array, to_message

NUMBERS = [np.float32, np.float64, np.int32, np.int64, np.bool_]


def message(kind: int, shape: list[int], **values: Any) -> Any:
    return TensorProto(dtype=kind, tensor_shape={"dim": [{"size": size} for size in shape]}, **values)


@given(st.sampled_from(NUMBERS).flatmap(lambda kind: arrays(kind, array_shapes(min_dims=0, min_side=0, max_side=4))))
def test_numbers_come_back(array: np.ndarray) -> None:
    back = to_array(TensorProto.FromString(to_message(array).SerializeToString()))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()
    assert back.flags.writeable


@given(arrays(object, array_shapes(min_dims=0, min_side=0, max_side=4), elements=st.binary(max_size=40)))
def test_strings_come_back(array: np.ndarray) -> None:
    back = to_array(TensorProto.FromString(to_message(array).SerializeToString()))
    assert back.shape == array.shape
    assert back.tolist() == array.tolist()


def test_text_is_written_as_utf8() -> None:
    for texts in (np.array(["größer", ""]), np.array(["größer", b""], object), np.array(["größer".encode(), b""])):
        assert list(to_message(texts).string_val) == ["größer".encode(), b""]
    assert list(to_message(np.array(["\ud800"], object)).string_val) == [b"?"]
    with pytest.raises(TensorError, match="received NoneType among strings, expected str or bytes"):
        to_message(np.array([None], object))


@settings(deadline=None, max_examples=30)
@given(st.sampled_from([*NUMBERS, object]), array_shapes(min_dims=0, min_side=0, max_side=3), st.booleans())
def test_tensorflow_reads_and_writes_the_same(values_of: Any, shape: tuple[int, ...], content: bool) -> None:
    tf = pytest.importorskip("tensorflow")
    from tensorflow.core.framework import tensor_pb2

    values = np.arange(math.prod(shape)) % 3
    array = (
        values.astype(values_of)
        if values_of is not object
        else np.array([b"x" * value + b"\0" for value in values], object)
    )
    array = array.reshape(shape)
    theirs = tensor_pb2.TensorProto.FromString(to_message(array).SerializeToString())
    kind = tf.as_dtype(theirs.dtype)
    parsed = tf.io.parse_tensor(theirs.SerializeToString(), kind).numpy()
    assert (parsed if isinstance(parsed, bytes) else parsed.tolist()) == array.tolist()
    # Written value by value, by TensorFlow's Python, or in one piece, by its C++.
    written = tf.io.serialize_tensor(tf.constant(array, kind)).numpy() if content else tf.make_tensor_proto(array, kind)
    back = to_array(TensorProto.FromString(written if content else written.SerializeToString()))
    assert back.tolist() == array.tolist()
    assert back.shape == shape


@pytest.mark.parametrize("values", [{}, {"int_val": [7]}, {"int_val": [7, 8]}])
def test_the_last_value_stands_for_the_rest(values: dict[str, list[int]]) -> None:
    tf = pytest.importorskip("tensorflow")
    short = message(DT_INT32, [2, 2], **values)
    given = values.get("int_val", [0])
    assert to_array(short).tolist() == np.reshape([*given, *[given[-1]] * (4 - len(given))], [2, 2]).tolist()
    assert to_array(short).tolist() == tf.io.parse_tensor(short.SerializeToString(), tf.int32).numpy().tolist()


def test_no_strings_are_empty_strings() -> None:
    assert to_array(message(DT_STRING, [2])).tolist() == [b"", b""]


def test_packed_strings() -> None:
    long = b"x" * 300
    content = b"\x00\xac\x02\x02" + long + b"a\0"
    assert to_array(message(DT_STRING, [3], tensor_content=content)).tolist() == [b"", long, b"a\0"]


def test_bytes_that_are_no_truth_value() -> None:
    truths = to_array(message(DT_BOOL, [3], tensor_content=b"\0\x01\xff"))
    assert truths.tolist() == [False, True, True]
    assert truths.tobytes() == b"\0\x01\x01"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (message(99, []), "received values of type DT_99, expected one of DT_FLOAT, DT_DOUBLE, DT_INT32, DT_INT64"),
        (message(0, []), "received values of type DT_INVALID"),
        (TensorProto(dtype=DT_FLOAT, tensor_shape={"unknown_rank": True}), "whose shape is not known"),
        (message(DT_FLOAT, [-1]), "whose shape is not known"),
        (message(DT_FLOAT, [1] * 9), "received a tensor of 9 dimensions, expected at most 8"),
        (message(DT_FLOAT, [LARGEST, 2], float_val=[1]), f"expected at most {LARGEST} values"),
        (message(DT_FLOAT, [2**62, 2**62, 0]), f"expected at most {LARGEST} values"),
        (message(DT_FLOAT, [2], float_val=[1, 2, 3]), "received 3 values, expected the 2 that the shape has"),
        (message(DT_STRING, [], string_val=[b"", b""]), "received 2 values, expected the 1 that the shape has"),
        (message(DT_INT64, [2], tensor_content=b"1234567"), "received 7 bytes of content, expected 16 for 2 values"),
        (message(DT_STRING, [2**20], tensor_content=b"\1a"), "expected the lengths of 1048576 strings"),
        (message(DT_STRING, [1], tensor_content=b"\xff"), "cut off, expected the lengths of its strings"),
        (message(DT_STRING, [1], tensor_content=b"\xff" * 9), "cut off, expected the lengths of its strings"),
        (message(DT_STRING, [1], tensor_content=b"\3ab"), "received 2 bytes of strings, expected the 3 announced"),
    ],
)
def test_what_does_not_fit_is_refused(wrong: Any, words: str) -> None:
    with pytest.raises(TensorError, match=words):
        to_array(TensorProto.FromString(wrong.SerializeToString()))


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        to_array(TensorProto.FromString(content), largest=1000)
    except (TensorError, ValueError) as error:  # protobuf's DecodeError is one
        assert str(error)
    except Exception as error:
        assert type(error).__name__ == "DecodeError"


def test_a_lower_limit() -> None:
    fits = message(DT_FLOAT, [10], float_val=[1])
    assert to_array(fits, largest=10).shape == (10,)
    with pytest.raises(TensorError, match="expected at most 9 values"):
        to_array(fits, largest=9)


def test_types() -> None:
    for kind in (DT_FLOAT, DT_INT32, DT_INT64, DT_BOOL, DT_STRING):
        assert data_type(np.zeros(1, array_type(kind))) == kind
    assert data_type(np.zeros(1, ">f4").astype("=f4")) == DT_FLOAT
    with pytest.raises(TensorError, match="received an array of uint8, expected DT_FLOAT"):
        data_type(np.zeros(1, np.uint8))
