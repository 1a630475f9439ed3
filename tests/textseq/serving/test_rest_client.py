"""What is REST's own: JSON of every kind, HTTP's statuses, broken connections."""

from __future__ import annotations

import email.utils
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.textseq.serving.stub_server import MODEL, Stub, rest_server
from textseq.errors import InputError
from textseq.serving import rest_client
from textseq.serving.client_errors import (
    InvalidAnswer,
    ModelNotFound,
    RequestRefused,
    ServerTooSlow,
    ServerUnavailable,
    ServingError,
)
from textseq.serving.rest_client import RestClient


@pytest.fixture
def stub() -> Iterator[Stub]:
    stub = Stub()
    with rest_server(stub):
        yield stub


@pytest.fixture
def client(stub: Stub) -> Iterator[RestClient]:
    with RestClient(stub.rest, MODEL) as client:
        object.__setattr__(client._attempts, "first_pause", 0.01)
        yield client


def sent(client: RestClient, inputs: dict[str, list[Any]]) -> Any:
    bodies: list[bytes] = []

    def keep(method: str, path: str, body: bytes | None = None) -> Any:
        bodies.append(body or b"")
        return {"outputs": {"x": next(iter(inputs.values()))}}

    client._ask = keep  # type: ignore[method-assign]
    client.predict(inputs)
    return json.loads(bodies[0])


def test_bytes_that_are_no_utf8_are_sent_in_base_64(client: RestClient) -> None:
    assert sent(client, {"text": ["ü", b"\xc3\xbc", b"\xff\x00"]}) == {"inputs": {"text": ["ü", "ü", {"b64": "/wA="}]}}


def test_strings_come_in_three_forms(client: RestClient, stub: Stub) -> None:
    stub.raw = b'{"outputs": {"x": ["gr\xc3\xbcn", "\xff\xc3\xbc", {"b64": "/wA="}, {"b64": "w7w="}, "\\u00fc"]}}'
    assert client.predict({"text": [""] * 5}) == {"x": ["grün", b"\xff\xc3\xbc", b"\xff\x00", "ü", "ü"]}


def test_numbers_that_json_does_not_have(client: RestClient, stub: Stub) -> None:
    stub.raw = b'{"outputs": {"x": [[NaN, Infinity], [-Infinity, 1e-3]]}}'
    assert str(client.predict({"text": ["", ""]})) == "{'x': [[nan, inf], [-inf, 0.001]]}"


@pytest.mark.parametrize("broken", ["close", (503, {}, b"<html>"), (502, {}, b""), (429, {"Retry-After": "0"}, b"{}")])
def test_a_broken_connection_or_a_busy_proxy_is_tried_again(client: RestClient, stub: Stub, broken: Any) -> None:
    stub.failures = [broken]
    assert client.predict({"text": ["a"]})["translation"] == ["A"]
    assert stub.calls == 2


def test_what_was_too_slow_is_not_computed_again(client: RestClient, stub: Stub) -> None:
    stub.failures = [(504, {}, b'{"error": "not answered within 60 seconds"}')]
    with pytest.raises(ServerTooSlow, match=r"not answered within 60 seconds \(status 504\)$"):
        client.predict({"text": ["a"]})
    assert stub.calls == 1


def test_a_connection_that_always_breaks_is_given_up(client: RestClient, stub: Stub) -> None:
    stub.failures = ["close"] * 4
    with pytest.raises(ServerUnavailable, match=r"the connection broke: .* \(after 4 attempts\)"):
        client.predict({"text": ["a"]})


@pytest.mark.parametrize("after", ["0.5 hours", "", "-3", email.utils.formatdate(1e9, usegmt=True), "0", "nan"])
def test_when_to_come_back_may_be_said_badly(client: RestClient, stub: Stub, after: str) -> None:
    stub.failures = [(503, {"Retry-After": after}, b"")]
    assert client.predict({"text": ["a"]})["translation"] == ["A"]


def test_when_to_come_back_may_be_a_date(client: RestClient, stub: Stub) -> None:
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    stub.failures = [(503, {"Retry-After": date}, b'{"error": "loading"}')]
    with pytest.raises(ServerUnavailable, match=r"loading \(status 503\); it asks to come back in \d+ s"):
        client.predict({"text": ["a"]})


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (rb'{ "error": "it\'s \303\244 \"b\\64\"\n" }', 'it\'s ä "b\\64"'),
        (b'{"error": "plain \\u00e4"}', "plain ä"),
    ],
)
def test_errors_are_read_whatever_their_escapes(client: RestClient, stub: Stub, said: bytes, message: str) -> None:
    stub.failures = [(400, {}, said)]
    with pytest.raises(RequestRefused) as caught:
        client.predict({"text": ["a"]})
    assert message in str(caught.value)


def test_long_errors_are_cut(client: RestClient, stub: Stub) -> None:
    stub.failures = [(400, {}, json.dumps({"error": "x" * 100_000}).encode())]
    with pytest.raises(RequestRefused) as caught:
        client.predict({"text": ["a"]})
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"<html>hello</html>", "expected JSON"),
        (b"", "expected JSON"),
        (b"[" * 100_000, "expected JSON"),
        (b"{}", 'expected "outputs"'),
        (b"[1]", 'expected "outputs"'),
        (b'{"outputs": {"x": "one"}}', 'expected "outputs" with a list for each'),
        (b'{"outputs": {"x": {"b64": "!"}}}', "expected JSON"),
        (b'{"outputs": {"x": [1, 2]}}', "received 2 of x for 1 row of serving_default, expected one a row"),
        (b'{"outputs": {}}', "received no output for 1 row"),
    ],
)
def test_answers_that_no_tf_serving_gives(client: RestClient, stub: Stub, raw: bytes, message: str) -> None:
    stub.raw = raw
    with pytest.raises(InvalidAnswer) as caught:
        client.predict({"text": ["a"]})
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "raw", [b"[]", b"{}", b'{"model_version_status": [{}]}', b'{"metadata": {"signature_def": 3}}']
)
def test_descriptions_that_no_tf_serving_gives(client: RestClient, stub: Stub, raw: bytes) -> None:
    stub.raw = raw
    with pytest.raises(InvalidAnswer, match=r"not TF Serving's REST API: .*expected the status of versions"):
        client.status()
    with pytest.raises(InvalidAnswer, match=r"not TF Serving's REST API: .*expected metadata with signatures"):
        client.metadata()


@pytest.mark.parametrize("status", [301, 404, 405, 418])
def test_a_server_of_another_kind(client: RestClient, stub: Stub, status: int) -> None:
    stub.failures = [(status, {}, b"<html>no</html>")]
    with pytest.raises(InvalidAnswer, match=f"received status {status}") as caught:
        client.predict({"text": ["a"]})
    assert not isinstance(caught.value, ModelNotFound)


def test_an_answer_that_is_too_large_is_not_read(
    client: RestClient, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rest_client, "LARGEST_ANSWER", 1000)
    with pytest.raises(InvalidAnswer, match="larger than 1,000 bytes"):
        client.predict({"text": ["x" * 2000]}, "single")


def test_a_model_may_have_any_name(stub: Stub) -> None:
    stub.models = ("a%20b ä?/",)
    with RestClient(stub.rest, "x y/z") as client, pytest.raises(ServingError, match="model x y/z"):
        client.predict({"text": ["a"]})


def test_a_prefix_stays_in_the_address(stub: Stub) -> None:
    with (
        RestClient(f"{stub.rest}/behind/", MODEL) as client,
        pytest.raises(ServingError, match="/behind/v1/models/stub"),
    ):
        client.status()


def test_a_host_that_has_no_name_in_ascii() -> None:
    with pytest.raises(InputError, match=r"received 'http://\u2603:1' as the address of a server: Invalid IDNA"):
        RestClient("http://\u2603:1", MODEL)
