"""Requests in TensorFlow Serving's JSON, accepted and refused as it does, in its words."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq.serving.native.messages import DT_BOOL, DT_DOUBLE, DT_FLOAT, DT_INT32, DT_INT64, DT_STRING
from textseq.serving.predict_answer import write_outputs
from textseq.serving.predict_format import Inputs, read_array, read_document, read_inputs, signature_name
from textseq.serving.refusal import Code, Refusal


@dataclass(frozen=True)
class Info:
    dtype: int


TEXT = {"text": Info(DT_STRING)}
NUMBERS = {"x": Info(DT_INT32)}
TWO = {"text": Info(DT_STRING), "n": Info(DT_INT32)}


def read(body: str | bytes, infos: dict[str, Info]) -> Inputs:
    return read_inputs(read_document(body if isinstance(body, bytes) else body.encode()), infos)


def refused(body: str | bytes, infos: dict[str, Info]) -> str:
    with pytest.raises(Refusal) as caught:
        read(body, infos)
    assert caught.value.code == Code.INVALID_ARGUMENT
    return caught.value.message


# What is accepted.


def test_one_input_comes_as_plain_rows() -> None:
    inputs = read('{"instances": ["a", "größer", ""]}', TEXT)
    assert not inputs.columnar
    assert inputs.arrays["text"].tolist() == [b"a", "größer".encode(), b""]


def test_one_input_comes_as_rows_by_name() -> None:
    assert read('{"instances": [{"text": "a"}, {"text": "b"}]}', TEXT).arrays["text"].tolist() == [b"a", b"b"]


def test_one_input_comes_as_a_plain_column() -> None:
    inputs = read('{"inputs": ["a", "b"]}', TEXT)
    assert inputs.columnar
    assert inputs.arrays["text"].tolist() == [b"a", b"b"]


def test_one_input_comes_as_a_column_by_name_and_others_are_passed_over() -> None:
    assert read('{"inputs": {"text": ["a"], "more": 1}}', TEXT).arrays["text"].tolist() == [b"a"]


def test_several_inputs_come_as_rows_and_as_columns() -> None:
    rows = read('{"instances": [{"text": "a", "n": 1}, {"n": 2, "text": "b"}]}', TWO).arrays
    columns = read('{"inputs": {"text": ["a", "b"], "n": [1, 2]}}', TWO).arrays
    for arrays in (rows, columns):
        assert arrays["text"].tolist() == [b"a", b"b"]
        assert arrays["n"].tolist() == [1, 2]
        assert arrays["n"].dtype == np.int32


def test_rows_may_be_lists() -> None:
    array = read('{"instances": [[1, 2], [3, 4], [5, 6]]}', NUMBERS).arrays["x"]
    assert array.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_a_column_may_be_empty_and_a_plain_value() -> None:
    assert read('{"inputs": []}', TEXT).arrays["text"].shape == (0,)
    assert read('{"inputs": "a"}', TEXT).arrays["text"].shape == ()
    assert read('{"inputs": {"b64": "YQ=="}}', TEXT).arrays["text"].tolist() == b"a"


@pytest.mark.parametrize("encoded", ["/w==", "/w", " /\nw== "])
def test_bytes_come_in_base64(encoded: str) -> None:
    body = json.dumps({"instances": [{"b64": encoded}, "a", {"b64": ""}]})
    assert read(body, TEXT).arrays["text"].tolist() == [b"\xff", b"a", b""]


def test_named_values_may_be_base64() -> None:
    assert read('{"instances": [{"text": {"b64": "YQ=="}, "n": 0}]}', TWO).arrays["text"].tolist() == [b"a"]


def test_bytes_that_are_no_utf_8_are_taken_as_they_are() -> None:
    assert read(b'{"instances": ["a\xff\xe2\x82"]}', TEXT).arrays["text"].tolist() == [b"a\xff\xe2\x82"]


def test_escapes_are_read() -> None:
    body = r'{"instances": ["\ud83d\ude00 \u00e9 \\ud800 \" \u0000"]}'
    assert read(body, TEXT).arrays["text"].tolist() == ['😀 é \\ud800 " \0'.encode()]


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read(b'\xef\xbb\xbf{"instances": ["a"]}', TEXT).arrays["text"].tolist() == [b"a"]


def test_numbers_of_every_kind() -> None:
    assert read_array([1, 2.5, float("nan"), float("inf")], DT_FLOAT).dtype == np.float32
    assert read_array([1, -2.5], DT_DOUBLE).tolist() == [1.0, -2.5]
    assert read_array([2**31 - 1, -(2**31)], DT_INT32).tolist() == [2**31 - 1, -(2**31)]
    assert read_array([2**63 - 1, -(2**63)], DT_INT64).tolist() == [2**63 - 1, -(2**63)]
    assert read_array([[True], [False]], DT_BOOL).tolist() == [[True], [False]]


def test_numbers_that_are_none_are_read() -> None:
    array = read('{"instances": [NaN, Infinity, -Infinity, 1]}', {"x": Info(DT_FLOAT)}).arrays["x"]
    assert [str(value) for value in array] == ["nan", "inf", "-inf", "1.0"]


def test_the_signature_is_named() -> None:
    assert signature_name({"signature_name": "n_best"}) == "n_best"
    assert signature_name({}) == ""


# What is refused.


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"  ", "JSON Parse error: The document is empty. at offset: 2"),
        (b"instances = [1]", "JSON Parse error: Invalid value. at offset: 0"),
        (b'{"instances": [1, ]}', "JSON Parse error: Invalid value. at offset: "),
        (b'{"instances": [1 2]}', "JSON Parse error: Missing a comma or ] after an array element. at offset: 17"),
        (b"{instances: 1}", "JSON Parse error: Missing a name for object member. at offset: 1"),
        (b'{"instances" 1}', "JSON Parse error: Missing a colon after a name of object member. at offset: 13"),
        (b'{"instances": ["a', "JSON Parse error: Missing a closing quotation mark in string. at offset: "),
        (b'{"instances": ["\\x"]}', "JSON Parse error: Invalid escape character in string. at offset: "),
        (b'{"instances": ["\\u12"]}', "JSON Parse error: Incorrect hex digit after \\u escape in string. at offset: "),
        (b'{"instances": ["\n"]}', "JSON Parse error: Invalid encoding in string. at offset: 16"),
        (b'{"instances": ["\\ud800"]}', "JSON Parse error: The surrogate pair in string is invalid. at offset: 16"),
        (b'{"instances": ["\\udcff"]}', "JSON Parse error: The surrogate pair in string is invalid. at offset: 16"),
        (b'{"instances": [1e400]}', "JSON Parse error: Number too big to be stored in double."),
        (b"{} {}", "JSON Parse error: The document root must not be followed by other values. at offset: 3"),
        (b'{"\xc3\xa9" 1}', "JSON Parse error: Missing a colon after a name of object member. at offset: 6"),
        (b"[1]", "JSON Value: [\n    1\n] Is not object"),
        (b"[" * 100_000, "JSON Parse error: the values are nested too deeply"),
        (b'{"instances": [' + b"9" * 5000 + b"]}", "JSON Parse error: Exceeds the limit"),
    ],
)
def test_what_is_no_json_object(body: bytes, message: str) -> None:
    with pytest.raises(Refusal) as caught:
        read_document(body)
    assert caught.value.code == Code.INVALID_ARGUMENT
    assert caught.value.message.startswith(message)


def test_a_signature_that_is_no_string() -> None:
    with pytest.raises(Refusal, match="'signature_name' key must be a string value"):
        signature_name({"signature_name": 5})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{}", "Missing 'inputs' or 'instances' key"),
        ('{"instances": [1], "inputs": [1]}', "Not formatted correctly expecting only one of"),
        ('{"instances": 1}', "Excepting 'instances' to be an list/array"),
        ('{"instances": []}', "No values in 'instances' array"),
        ('{"instances": [[1, 2], [3]]}', "element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor "
         "size: 2 but got: 1"),
        ('{"instances": [[1, 2], [[5, 6]]]}', "Expecting shape [2] but got: [1,2]"),
        ('{"instances": [1, [1]]}', "Expecting shape [] but got: [1]"),
        ('{"instances": [[1, [2]]]}', "Encountered list at unexpected level: 1 expected < 1"),
        ('{"instances": [[[1], 2]]}', "found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ('{"instances": [[[1, 2], [3]]]}', "Encountered list at unexpected size: 1 at level: 1 expected size: 2"),
        ('{"instances": ["a"]}', 'JSON Value: "a" Type: String is not of expected type: int32'),
        ('{"instances": [1.0]}', "JSON Value: 1.0 Type: Number is not of expected type: int32"),
        ('{"instances": [true]}', "JSON Value: true Type: True is not of expected type: int32"),
        ('{"instances": [null]}', "JSON Value: null Type: Null is not of expected type: int32"),
        ('{"instances": [2147483648]}', "Type: Number is not of expected type: int32"),
        ('{"instances": [{"x": 1}, 2]}', "Expecting object but got list at item 1 of input list"),
        ('{"instances": [1, {"x": 2}]}', "Expecting value/list but got object at item 1 of input list"),
        ('{"instances": [{"y": 1}]}', "Failed to process element: 0 key: y of 'instances' list. Error: "
         "INVALID_ARGUMENT: JSON object: does not have named input: y"),
        ('{"inputs": {"y": [1]}}', "Missing named input: x in 'inputs' object."),
        ('{"inputs": {"x": {"y": 1}}}', "Type: Object is not of expected type: int32"),
        ('{"inputs": [[1], [2, 3]]}', "Encountered list at unexpected size: 2 at level: 1 expected size: 1"),
        ('{"inputs": ' + "[" * 20 + "]" * 20 + "}", "lists nested more than 8 deep"),
    ],
)  # fmt: skip
def test_values_that_do_not_fit(body: str, message: str) -> None:
    assert message in refused(body, NUMBERS)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"instances": ["a"]}', "instances is a plain list, but expecting list of objects"),
        ('{"inputs": ["a"]}', "inputs is a plain value/list, but expecting an object"),
        ('{"instances": [{"text": "a"}]}', "keys must be equal to: n,text"),
        ('{"inputs": {"text": ["a"]}}', "Missing named input: n in 'inputs' object."),
    ],
)
def test_several_inputs_need_their_names(body: str, message: str) -> None:
    assert message in refused(body, TWO)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("1", "JSON Value: 1 Type: Number is not of expected type: string"),
        ("null", "Type: Null is not of expected type: string"),
        ('{"b64": "!"}', "Unable to base64 decode"),
        ('{"b64": "YQ="}', "Unable to base64 decode"),
        ('{"b64": "Y"}', "Unable to base64 decode"),
        ('{"b64": "YQ\u00e9="}', "Unable to base64 decode"),
    ],
)
def test_strings_that_are_none(value: str, message: str) -> None:
    assert message in refused(f'{{"instances": [{value}]}}', TEXT)


def test_an_object_that_is_no_base64() -> None:
    message = refused('{"instances": [{"text": {"b64": 1}}]}', TEXT)
    assert "not formatted correctly for base64 data" in message


@pytest.mark.parametrize(("value", "kind"), [(16777217, DT_FLOAT), (1.7e308, DT_FLOAT), (9007199254740993, DT_DOUBLE)])
def test_numbers_that_would_lose_digits(value: float, kind: int) -> None:
    with pytest.raises(Refusal, match="without loss of precision"):
        read_array([value], kind)


def test_a_refusal_repeats_only_the_beginning() -> None:
    assert len(refused(json.dumps({"instances": ["x" * 100_000]}), NUMBERS)) < 500


@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5))
def test_any_bytes_survive_in_base64(values: list[bytes]) -> None:
    body = json.dumps({"instances": [{"b64": base64.b64encode(value).decode()} for value in values]})
    assert read(body, TEXT).arrays["text"].tolist() == values


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5), st.booleans())
def test_any_text_survives_both_ways(values: list[str], columnar: bool) -> None:
    body = json.dumps({"inputs" if columnar else "instances": values})
    inputs = read(body, TEXT)
    content = json.loads(write_outputs(inputs.arrays, columnar=inputs.columnar))
    assert content == {"outputs" if columnar else "predictions": values}


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["text", "n", "b64"]), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["instances", "inputs", "signature_name"]), _JSON), st.sampled_from([TEXT, TWO]))
def test_whatever_comes_is_read_or_refused(document: dict[str, Any], infos: dict[str, Info]) -> None:
    try:
        arrays = read(json.dumps(document), infos).arrays
    except Refusal as refusal:
        assert refusal.code == Code.INVALID_ARGUMENT
    else:
        assert set(arrays) == set(infos)


@given(st.binary(max_size=60))
def test_whatever_bytes_come_are_read_or_refused(body: bytes) -> None:
    try:
        read(body, TEXT)
    except Refusal as refusal:
        assert refusal.code == Code.INVALID_ARGUMENT


@pytest.mark.parametrize("body", ['{"instances": %s}', '{"inputs": %s}', '{"inputs": {"text": %s}}'])
def test_too_many_rows_are_refused_before_they_are_looked_at(body: str) -> None:
    document = read_document((body % json.dumps([1, 2, 3])).encode())
    with pytest.raises(Refusal, match="Task size 3 is larger than maximum input batch size 2"):
        read_inputs(document, TEXT, 2)
    with pytest.raises(Refusal, match="is not of expected type"):
        read_inputs(document, TEXT, 3)


def test_what_a_message_shows_of_a_request_is_all_that_is_written_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    body, written = json.dumps({"instances": [[]] * 100_000, "inputs": []}), []
    encode = json.JSONEncoder.iterencode

    def counted(self: json.JSONEncoder, value: Any, **options: Any) -> Any:
        for part in encode(self, value, **options):
            written.append(part)
            yield part

    monkeypatch.setattr(json.JSONEncoder, "iterencode", counted)
    message = refused(body, TEXT)
    assert "expecting only one of 'inputs' or 'instances'" in message
    assert sum(map(len, written)) < 1000
