"""Connections that begin nothing, or take nothing, come to an end; what is no HTTP harms nobody."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.textseq.serving.raw_http import exchange, wait_for
from textseq.serving.server import Server

PREDICT = "/v1/models/nmt:predict"


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=10) as made:
        yield made


@pytest.mark.parametrize("sent", [b"", b"POST /v1/models/nmt:pre", b"GET / HTTP/1.1\r\nHost: "])
def test_a_connection_without_a_request_is_closed(
    start: Callable[..., Server], stand_in: Any, limits: Any, sent: bytes
) -> None:
    server = start(stand_in, replace(limits, stalled_seconds=0.2))
    begin = time.monotonic()
    assert exchange(server, sent) == b""
    assert time.monotonic() - begin < 4


def test_a_half_closed_connection_harms_nobody(server: Server, client: httpx.Client) -> None:
    exchange(server, f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{{".encode(),
             half_closed=True)  # fmt: skip
    assert client.post(PREDICT, json={"instances": ["a"]}).status_code == 200


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_client_that_has_sent_all_and_ends_its_side_is_answered(
    start: Callable[..., Server], stand_in: Any, limits: Any, version: str
) -> None:
    server = start(stand_in, replace(limits, stalled_seconds=0.5))
    stand_in.seconds = 0.3
    body = b'{"instances": ["a dog"]}'
    head = f"POST {PREDICT} HTTP/{version}\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with socket.create_connection((server.host, server.port), timeout=5) as connection:
        connection.sendall(head + body)
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):  # until the server closes
            received += part
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" if version == "1.1" else b""
    assert received.startswith(interim + b"HTTP/1.1 200 OK\r\n")
    assert b'"translation": "A DOG"' in received


def test_a_client_that_is_gone_is_not_worked_for(start: Callable[..., Server], stand_in: Any, limits: Any) -> None:
    server = start(stand_in, replace(limits, workers=1))
    stand_in.gate.clear()
    for _ in range(2):
        connection = socket.create_connection((server.host, server.port))
        body = b'{"instances": ["a dog"], "signature_name": "words"}'
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        connection.sendall(head + body)
        wait_for(lambda: server.store.current.leases > 0)  # type: ignore[union-attr]
        time.sleep(0.1)
        connection.close()
    wait_for(lambda: server.store.current.leases == 0)  # type: ignore[union-attr]
    stand_in.gate.set()
    assert len(stand_in.runs) == 1


@pytest.mark.parametrize("sent", [b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"A" * 100_000])
def test_what_is_no_http_is_refused(server: Server, client: httpx.Client, sent: bytes) -> None:
    assert exchange(server, sent).startswith(b"HTTP/1.1 400 ")
    assert client.get("/v1/models/nmt").status_code == 200


def test_an_answer_that_nobody_takes_is_given_up(start: Callable[..., Server], stand_in: Any, limits: Any) -> None:
    server = start(stand_in, replace(limits, stalled_seconds=0.3))
    body = json.dumps({"signature_name": "echo", "instances": ["x" * 8_000_000]}).encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((server.host, server.port))
        head = f"POST {PREDICT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        wait_for(lambda: bool(stand_in.runs))
        rest = server._rest
        assert rest is not None
        wait_for(lambda: not rest.server_state.connections)


def test_one_connection_too_many_is_refused(start: Callable[..., Server], stand_in: Any, limits: Any) -> None:
    server = start(stand_in, replace(limits, connections=2))
    rest = server._rest
    assert rest is not None
    with socket.create_connection((server.host, server.port)), socket.create_connection((server.host, server.port)):
        wait_for(lambda: len(rest.server_state.connections) == 2)
        answer = httpx.get(f"{server.url}/v1/models/nmt")
        assert answer.status_code == 503
        assert "as many connections as it keeps" in answer.json()["error"]
    wait_for(lambda: not rest.server_state.connections)
    assert httpx.get(f"{server.url}/v1/models/nmt").status_code == 200
