"""Bytes over a connection, and waiting for what comes of them."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from textseq.serving.server import Server


def exchange(server: Server, sent: bytes, seconds: float = 5.0, *, half_closed: bool = False) -> bytes:
    """Sends bytes and returns what comes until the server closes or pauses."""
    with socket.create_connection((server.host, server.port), timeout=seconds) as connection:
        connection.sendall(sent)
        if half_closed:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while part := connection.recv(65536):
            received += part
            head, _, body = received.partition(b"\r\n\r\n")
            if b"content-length: %d" % len(body) in head.lower():
                break
        return received


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
