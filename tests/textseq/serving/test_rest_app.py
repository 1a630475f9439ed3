"""REST as TensorFlow Serving answers it, over a real connection."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.textseq.serving.raw_http import exchange, wait_for
from textseq.serving import predict_format
from textseq.serving.predict_format import read_document
from textseq.serving.rest_client import RestClient
from textseq.serving.server import Server

PREDICT = "/v1/models/nmt:predict"


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=10) as made:
        yield made


def error(response: httpx.Response) -> str:
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["error"]
    return response.json()["error"]


# Predictions.


def test_rows(client: httpx.Client) -> None:
    response = client.post(PREDICT, json={"instances": ["a", "ß"]})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json() == {
        "predictions": [
            {"translation": "A", "score": -0.125, "size": 1},
            {"translation": "ß", "score": -0.25, "size": 1},
        ]
    }


def test_columns(client: httpx.Client) -> None:
    response = client.post(PREDICT, json={"inputs": {"text": ["a", "b"]}})
    assert response.json() == {"outputs": {"translation": ["A", "B"], "score": [-0.125, -0.125], "size": [1, 1]}}


def test_one_output_comes_plain(client: httpx.Client) -> None:
    assert client.post(PREDICT, json={"signature_name": "echo", "instances": ["a"]}).json() == {"predictions": ["a"]}
    assert client.post(PREDICT, json={"signature_name": "echo", "inputs": []}).json() == {"outputs": []}


def test_several_inputs_and_ragged_outputs(client: httpx.Client) -> None:
    body = {"signature_name": "numbers", "instances": [{"x": [1, 2], "n": 3}, {"x": [0.5, 1], "n": -1}]}
    assert client.post(PREDICT, json=body).json() == {"predictions": [[3.0, 6.0], [-0.5, -1.0]]}
    body = {"signature_name": "words", "instances": ["a b", "c"]}
    assert client.post(PREDICT, json=body).json()["predictions"][1] == {"words": ["c", ""], "count": 1}


@pytest.mark.parametrize(
    "path",
    ["/v1/models/nmt/versions/1:predict", "/V1/Models/nmt:PREDICT", "/v1/models/%6Emt:predict", PREDICT + "?a=b"],
)
def test_other_ways_to_write_the_address(client: httpx.Client, path: str) -> None:
    assert client.post(path, json={"instances": ["a"]}).status_code == 200


def test_bytes_come_and_go(client: httpx.Client) -> None:
    body = {"signature_name": "echo", "instances": [{"b64": "/w=="}]}
    assert client.post(PREDICT, json=body).content == b'{"predictions": ["\xff"]}'
    response = client.post(PREDICT, content=b'{"signature_name": "echo", "instances": ["\xe2\x82"]}')
    assert response.content == b'{"predictions": ["\xe2\x82"]}'


def test_a_long_text_is_answered(client: httpx.Client) -> None:
    text = "x" * 100_000
    assert client.post(PREDICT, json={"signature_name": "echo", "instances": [text]}).json() == {"predictions": [text]}


def test_many_texts_are_split_and_stay_in_order(client: httpx.Client) -> None:
    texts = [str(number) for number in range(1000)]
    assert client.post(PREDICT, json={"signature_name": "echo", "instances": texts}).json() == {"predictions": texts}


def test_a_body_in_gzip(client: httpx.Client) -> None:
    body = gzip.compress(b'{"signature_name": "echo", "instances": ["a"]}')
    headers = {"content-encoding": "gzip"}
    assert client.post(PREDICT, content=body, headers=headers).json() == {"predictions": ["a"]}
    assert "not in gzip" in error(client.post(PREDICT, content=b"xxxx", headers=headers))
    assert "is cut off" in error(client.post(PREDICT, content=body[:-9], headers=headers))
    bomb = client.post(PREDICT, content=gzip.compress(b" " * 20_000_000), headers=headers)
    assert (bomb.status_code, error(bomb)) == (413, "The request has more than 10000000 bytes")
    assert client.post(PREDICT, content=b"", headers={"content-encoding": "br"}).status_code == 415


# Refusals.


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "JSON Parse error: The document is empty"),
        (b"{", "JSON Parse error: "),
        (b"{}", "Missing 'inputs' or 'instances' key"),
        (b'{"instances": []}', "No values in 'instances' array"),
        (b'{"instances": [1]}', "is not of expected type: string"),
        (b'{"instances": [["a"]]}', "Input text has the shape [1,1], expected [?]"),
        (b'{"inputs": "a"}', "input tensors must have at least one dimension"),
        (b'{"signature_name": 1, "instances": ["a"]}', "'signature_name' key must be a string value."),
        (b'{"signature_name": "x", "instances": ["a"]}', 'Serving signature name: "x" not found in signature def'),
        (b'{"signature_name": "numbers", "inputs": {"x": [[1, 2]], "n": []}}', "must have equal 0th-dimension size"),
        (b'{"instances": ["bad"]}', "bad text"),
    ],
)
def test_wrong_requests(client: httpx.Client, body: bytes, message: str) -> None:
    response = client.post(PREDICT, content=body)
    assert response.status_code == 400
    assert message in error(response)
    assert client.post(PREDICT, json={"instances": ["a"]}).status_code == 200


def test_too_many_texts(client: httpx.Client) -> None:
    response = client.post(PREDICT, json={"instances": ["x"] * 1025})
    assert (response.status_code, error(response)) == (
        400,
        "Task size 1025 is larger than maximum input batch size 1024",
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/v1/models/foo:predict", 404, "Servable not found for request: Latest(foo)"),
        ("POST", "/v1/models/nmt/versions/9:predict", 404, "Servable not found for request: Specific(nmt, 9)"),
        ("POST", "/v1/models/nmt/labels/stable:predict", 400, "Unrecognized servable version label: stable"),
        ("POST", f"/v1/models/nmt/versions/{2**64}:predict", 400, f"Failed to convert version: {2**64} to numeric."),
        ("GET", "/v1/models/foo", 404, "Could not find any versions of model foo"),
        ("GET", "/v1/models/nmt/versions/9", 404, "Could not find version 9 of model nmt"),
        ("GET", "/v1/models/foo/metadata", 404, "Servable not found for request: Latest(foo)"),
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/foo", 400, "Malformed request: GET /v1/foo"),
        ("POST", "/v1/models", 400, "Malformed request: POST /v1/models"),
        ("GET", "/v1/models/nmt:predict", 400, "Malformed request: GET /v1/models/nmt:predict"),
        ("PUT", PREDICT, 400, "Malformed request: PUT /v1/models/nmt:predict"),
        ("DELETE", "/v1/models/nmt", 400, "Malformed request: DELETE /v1/models/nmt"),
        ("POST", "/v1/models/nmt/versions/x:predict", 400, "Malformed request: POST /v1/models/nmt/versions/x:predict"),
    ],
)
def test_what_there_is_not(client: httpx.Client, method: str, path: str, status: int, message: str) -> None:
    content = b'{"instances": ["a"]}' if method == "POST" else None
    response = client.request(method, path, content=content)
    assert (response.status_code, error(response)) == (status, message)


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        ("classify", {"examples": [{}]}, "Expected classification signature method_name to be "
         "tensorflow/serving/classify. Was: tensorflow/serving/predict"),
        ("regress", {"examples": [{}]}, "Expected regression signature method_name to be tensorflow/serving/regress. "
         "Was: tensorflow/serving/predict"),
        ("classify", {"examples": [{}], "signature_name": "x"}, "No signature was found with the name: x"),
        ("classify", {}, "When method is classify, key 'examples' is expected and was not found"),
        ("classify", {"examples": 1}, "Expecting 'examples' value to be an list/array"),
        ("classify", {"examples": []}, "'examples' value is an empty array"),
    ],
)  # fmt: skip
def test_other_methods(client: httpx.Client, kind: str, body: dict[str, Any], message: str) -> None:
    response = client.post(f"/v1/models/nmt:{kind}", json=body)
    assert (response.status_code, error(response)) == (400, message)


def test_a_model_that_crashes_is_said_and_survived(client: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    response = client.post(PREDICT, json={"instances": ["crash"]})
    assert (response.status_code, error(response)) == (500, "RuntimeError: the model crashed")
    assert "the model crashed" in caplog.text
    assert client.post(PREDICT, json={"instances": ["a"]}).status_code == 200


# Status and metadata.


@pytest.mark.parametrize("path", ["/v1/models/nmt", "/v1/models/nmt/versions/1"])
def test_status(client: httpx.Client, path: str) -> None:
    assert client.get(path).json() == {
        "model_version_status": [
            {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }


@pytest.mark.parametrize("path", ["/v1/models/nmt/metadata", "/v1/models/nmt/versions/1/metadata"])
def test_metadata(client: httpx.Client, path: str) -> None:
    content = client.get(path).json()
    assert content["model_spec"] == {"name": "nmt", "signature_name": "", "version": "1"}
    signatures = content["metadata"]["signature_def"]["signature_def"]
    assert set(signatures) == {"serving_default", "echo", "words", "numbers"}
    assert signatures["numbers"] == {
        "inputs": {
            "x": {
                "dtype": "DT_FLOAT",
                "tensor_shape": {
                    "dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}],
                    "unknown_rank": False,
                },
                "name": "x:0",
            },
            "n": {
                "dtype": "DT_INT32",
                "tensor_shape": {"dim": [{"size": "-1", "name": ""}], "unknown_rank": False},
                "name": "n:0",
            },
        },
        "outputs": {
            "y": {
                "dtype": "DT_FLOAT",
                "tensor_shape": {
                    "dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}],
                    "unknown_rank": False,
                },
                "name": "y:0",
            }
        },
        "method_name": "tensorflow/serving/predict",
    }


# Metrics and the page.


def test_metrics(client: httpx.Client) -> None:
    client.post(PREDICT, json={"instances": ["a"]})
    client.post(PREDICT, json={"signature_name": "no such", "instances": ["a"]})
    text = client.get("/monitoring/prometheus/metrics").text
    labels = 'entrypoint="REST",model="nmt",signature='
    assert f'dragoman_requests_total{{code="OK",{labels}"serving_default"}} 1.0' in text
    assert f'dragoman_requests_total{{code="INVALID_ARGUMENT",{labels}""}} 1.0' in text
    assert 'dragoman_version{model="nmt"} 1.0' in text


def test_the_page_is_served_with_a_strict_policy(client: httpx.Client) -> None:
    response = client.get("/")
    assert response.headers["content-type"].startswith("text/html")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    for path in ("/", "/page/page.js", "/page/model.json", PREDICT, "/v1/models/nmt", "/nothing"):
        assert client.get(path).headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in client.get(path).headers


def test_what_the_page_asks(client: httpx.Client, server: Server) -> None:
    assert client.get("/page/model.json").json() == {"name": "nmt", "task": "nmt"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("POST", "/", 405), ("GET", "/page/../server.py", 404), ("GET", "/page/none", 404)],
)
def test_other_places(client: httpx.Client, method: str, path: str, status: int) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert error(response)


@pytest.mark.parametrize("path", ["/page/..%2fserver.py", "/page/%2e%2e/server.py", "/page//etc/passwd"])
def test_the_page_is_no_way_out(server: Server, path: str) -> None:
    assert b" 404 " in exchange(server, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()).split(b"\r\n")[0]


@pytest.mark.parametrize(("host", "status"), [("localhost", 200), ("127.0.0.1:8501", 200), ("evil.example", 400)])
def test_the_server_is_called_by_its_own_names_only(client: httpx.Client, host: str, status: int) -> None:
    assert client.get("/v1/models/nmt", headers={"host": host}).status_code == status


# Limits.


def test_a_body_that_is_too_large_is_refused_and_the_next_is_answered(client: httpx.Client) -> None:
    response = client.post(PREDICT, content=b"x" * 11_000_000)
    assert (response.status_code, error(response)) == (413, "The request has more than 10000000 bytes")
    assert client.post(PREDICT, json={"instances": ["a"]}).status_code == 200


def test_a_body_that_says_it_is_huge_is_refused_before_it_is_sent(server: Server) -> None:
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000000\r\n\r\n"
    assert exchange(server, head.encode()).startswith(b"HTTP/1.1 413 ")


def test_who_asks_before_sending_too_much_gets_the_refusal(server: Server) -> None:
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 11000000\r\n\r\n"
    assert exchange(server, head.encode()).startswith(b"HTTP/1.1 413 ")


def test_a_body_of_unknown_length_is_read_to_the_limit_only(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(200):
            yield b"x" * 100_000

    # It may be closed while the client is still sending.
    with contextlib.suppress(httpx.WriteError, httpx.ReadError):
        assert client.post(PREDICT, content=endless()).status_code == 413
    assert client.post(PREDICT, json={"instances": ["a"]}).status_code == 200


def test_many_large_bodies_at_once_are_refused(start: Callable[..., Server], stand_in: Any, limits: Any) -> None:
    server = start(stand_in, replace(limits, largest_held=1000))
    response = httpx.post(server.url + PREDICT, content=b" " * 2000, timeout=10)
    assert (response.status_code, error(response)) == (429, "The server holds too many large requests; try again later")
    assert httpx.post(server.url + PREDICT, json={"instances": ["a"]}, timeout=10).status_code == 200


def test_an_answer_that_is_too_large_is_refused(start: Callable[..., Server], stand_in: Any, limits: Any) -> None:
    server = start(stand_in, replace(limits, largest_answer=1000))
    with httpx.Client(base_url=server.url) as client:
        answer = client.post(PREDICT, json={"signature_name": "echo", "instances": ["x" * 300] * 4})
        assert answer.status_code == 400
        assert answer.json()["error"] == (
            "Task size 4 is larger than maximum input batch size 3 for such texts: the answer has 1232 bytes of "
            "values, and 1000 are written at once"
        )
        answer = client.post(PREDICT, json={"signature_name": "echo", "instances": ["x" * 1300]})
        assert answer.json()["error"] == "the answer has 1308 bytes of values, and 1000 are written at once"
        answer = client.post(PREDICT, json={"signature_name": "echo", "instances": ["x" * 300] * 3})
        assert answer.json()["predictions"] == ["x" * 300] * 3
        with RestClient(server.url, "nmt") as asking:  # divides what it asks
            assert asking.predict({"text": ["x" * 300] * 10}, "echo")["text"] == ["x" * 300] * 10
            stand_in.runs.clear()
            assert asking.predict({"text": ["x"] * 10}, "echo")["text"] == ["x"] * 10
            assert len(stand_in.runs) == 1  # short texts still go together


def test_answers_are_held_until_they_are_taken(start: Callable[..., Server], stand_in: Any, limits: Any) -> None:
    server = start(stand_in, replace(limits, largest_held=1000))
    with httpx.Client(base_url=server.url) as client:
        answer = client.post(PREDICT, json={"signature_name": "echo", "instances": ["x" * 600]})
        assert answer.status_code == 429
        assert answer.json()["error"] == "The server holds too many large requests; try again later"
        assert client.post(PREDICT, json={"instances": ["x"]}).status_code == 200


def test_a_request_that_waits_keeps_what_the_model_takes_alone(
    start: Callable[..., Server], stand_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = []

    def read(body: bytes) -> dict[str, Any]:
        documents.append(read_document(body))
        return documents[-1]

    monkeypatch.setattr(predict_format, "read_document", read)
    server = start(stand_in)
    stand_in.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        body = {"instances": ["a"], "more": [[]] * 100}
        answer = pool.submit(httpx.post, server.url + PREDICT, json=body, timeout=10)
        wait_for(lambda: stand_in.runs)
        assert documents == [{}]
        stand_in.gate.set()
        assert answer.result().status_code == 200
    assert httpx.post(f"{server.url}/v1/models/x:predict", json=body, timeout=10).status_code == 404
    assert documents == [{}, {}]


def test_a_full_queue_is_said(start: Callable[..., Server], stand_in: Any, limits: Any) -> None:
    server = start(stand_in, replace(limits, queue=1, workers=1, request_seconds=0.5))
    stand_in.gate.clear()
    with httpx.Client(base_url=server.url, timeout=10) as client:
        sent = _one_runs_one_waits(server, stand_in)
        response = client.post(PREDICT, json={"signature_name": "words", "instances": ["a"]})
        assert response.status_code == 429
        assert "queue to which this task was submitted is full" in error(response)
        stand_in.gate.set()
        for connection in sent:
            connection.close()


def test_a_request_that_takes_too_long_is_given_up(start: Callable[..., Server], stand_in: Any, limits: Any) -> None:
    server = start(stand_in, replace(limits, request_seconds=0.1))
    stand_in.gate.clear()
    response = httpx.post(server.url + PREDICT, json={"instances": ["a"]}, timeout=10)
    stand_in.gate.set()
    assert (response.status_code, error(response)) == (504, "The request was not answered within 0.1 seconds")


def test_who_goes_away_is_not_waited_for(start: Callable[..., Server], stand_in: Any, limits: Any) -> None:
    server = start(stand_in, replace(limits, workers=1))
    stand_in.gate.clear()
    sent = _one_runs_one_waits(server, stand_in)
    current = server.store.current
    assert current is not None
    for connection in sent:
        connection.close()
    wait_for(lambda: current.batcher.texts == 0)
    stand_in.gate.set()
    wait_for(lambda: current.leases == 0)
    assert len(stand_in.runs) == 1


def test_a_body_that_does_not_arrive_is_refused(start: Callable[..., Server], stand_in: Any, limits: Any) -> None:
    server = start(stand_in, replace(limits, body_seconds=0.1))
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{"
    assert exchange(server, head.encode()).startswith(b"HTTP/1.1 408 ")


def test_shutting_down_is_said(server: Server, client: httpx.Client) -> None:
    server.predictor.stopping = True
    for response in (client.post(PREDICT, json={"instances": ["a"]}), client.get("/v1/models/nmt")):
        assert (response.status_code, error(response)) == (503, "The server is shutting down")


def _send(server: Server, signature: str) -> socket.socket:
    body = json.dumps({"signature_name": signature, "instances": ["a"]})
    connection = socket.create_connection((server.host, server.port), timeout=10)
    head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.sendall((head + body).encode())
    return connection


def _one_runs_one_waits(server: Server, model: Any) -> list[socket.socket]:
    current = server.store.current
    assert current is not None
    running = _send(server, "echo")
    wait_for(lambda: bool(model.runs))
    waiting = _send(server, "echo")
    wait_for(lambda: current.batcher.texts == 1)
    return [running, waiting]
