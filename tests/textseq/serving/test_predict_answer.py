"""Answers in TensorFlow Serving's JSON."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq.serving.predict_answer import write_outputs
from textseq.serving.refusal import Refusal


def strings(*values: bytes) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def test_several_outputs_go_out_as_rows_of_objects() -> None:
    outputs = {"a": strings(b"x", b"y"), "b": np.array([[1, 2], [3, 4]], np.int32)}
    assert json.loads(write_outputs(outputs, columnar=False)) == {
        "predictions": [{"a": "x", "b": [1, 2]}, {"a": "y", "b": [3, 4]}]
    }


def test_one_output_goes_out_as_plain_rows_and_plain_columns() -> None:
    outputs = {"a": np.arange(12, dtype=np.int64).reshape(2, 3, 2)}
    rows = [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, 9], [10, 11]]]
    assert json.loads(write_outputs(outputs, columnar=False)) == {"predictions": rows}
    assert json.loads(write_outputs(outputs, columnar=True)) == {"outputs": rows}


def test_several_outputs_go_out_as_columns() -> None:
    outputs = {"a": strings(b"x"), "b": np.array([True])}
    assert json.loads(write_outputs(outputs, columnar=True)) == {"outputs": {"a": ["x"], "b": [True]}}


@pytest.mark.parametrize("shape", [(0,), (0, 3), (2, 0), (2, 0, 3)])
def test_empty_outputs(shape: tuple[int, ...]) -> None:
    array = np.zeros(shape, np.float32)
    for columnar, key in ((False, "predictions"), (True, "outputs")):
        assert json.loads(write_outputs({"a": array}, columnar=columnar)) == {key: array.tolist()}


def test_decimals_are_written_as_tensorflow_serving_writes_them() -> None:
    values = np.array([9000000, 999999, 0.5, 0.0003, 0.00003, 555557.5, 3, 0.1, 1 / 3], np.float32)
    assert write_outputs({"a": values}, columnar=False) == (
        b'{"predictions": [9e+06, 999999.0, 0.5, 0.0003, 3e-05, 555557.5, 3.0, 0.1, 0.333333343]}'
    )
    assert write_outputs({"a": np.array([1 / 3, 0.1])}, columnar=True) == b'{"outputs": [0.33333333333333331, 0.1]}'


def test_decimals_that_are_no_numbers() -> None:
    values = np.array([np.nan, np.inf, -np.inf], np.float32)
    assert write_outputs({"a": values}, columnar=False) == b'{"predictions": [NaN, Infinity, -Infinity]}'


def test_a_name_in_bytes_goes_out_in_base64() -> None:
    assert json.loads(write_outputs({"a_bytes": strings(b"hello")}, columnar=False)) == {
        "predictions": [{"b64": "aGVsbG8="}]
    }


def test_bytes_that_are_no_utf_8_go_out_as_they_are() -> None:
    assert write_outputs({"a": strings(b'\xff"\n')}, columnar=False) == b'{"predictions": ["\xff\\"\\n"]}'


def test_outputs_that_are_no_rows() -> None:
    with pytest.raises(Refusal, match="empty tensor map"):
        write_outputs({}, columnar=False)
    with pytest.raises(Refusal, match="has no shape information"):
        write_outputs({"a": np.ones(())}, columnar=False)
    with pytest.raises(Refusal, match="has inconsistent batch size: 1 expecting: 2"):
        write_outputs({"a": np.ones(2), "b": np.ones(1)}, columnar=False)
    with pytest.raises(Refusal, match="Failed to write JSON value for tensor type: complex64"):
        write_outputs({"a": np.ones(2, np.complex64)}, columnar=False)


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=8))
def test_every_float_survives(values: list[float]) -> None:
    array = np.array(values, np.float32)
    written = json.loads(write_outputs({"a": array}, columnar=False))["predictions"]
    assert np.array_equal(np.array(written, np.float32), array)


@pytest.mark.parametrize("columnar", [False, True])
@pytest.mark.parametrize("rows", [0, 1, 5])
def test_what_is_written_some_rows_at_a_time_reads_the_same(
    monkeypatch: pytest.MonkeyPatch, columnar: bool, rows: int
) -> None:
    numbers = np.linspace(-1, 1, rows * 6, dtype=np.float32).reshape(rows, 2, 3)
    outputs = {"a": numbers, "b": strings(*[b"x%d" % row for row in range(rows)]), "c": np.zeros((rows, 0), np.int32)}
    for chosen in (outputs, {"a": numbers}):
        whole = write_outputs(chosen, columnar=columnar)
        for at_once in (1, 7, 12):
            monkeypatch.setattr("textseq.serving.predict_answer._VALUES_AT_ONCE", at_once)
            assert write_outputs(chosen, columnar=columnar) == whole
        monkeypatch.undo()
        json.loads(whole)


@pytest.mark.parametrize("columnar", [False, True])
def test_a_large_answer_takes_little_more_memory_than_its_text(columnar: bool) -> None:
    outputs = {"attention": np.full((64, 100, 100), 1 / 3, np.float32), "score": np.zeros(64, np.float32)}
    tracemalloc.start()
    content = write_outputs(outputs, columnar=columnar)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * len(content) + 5_000_000  # a text for each number would be 45 MB more
    assert len(content) < 14 * outputs["attention"].size
