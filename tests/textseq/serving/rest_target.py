"""Requests to the REST surface as bytes, and what must hold of every answer.

Every request that HTTP allows is answered: 200, or a refusal with {"error": "..."}; no 5xx but a 503; no answer is
waited for in vain; and afterwards the server gives the right answer to a right question.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 60.0


class Fault(AssertionError):
    """The server did what it must not do."""


@dataclass(frozen=True)
class Target:
    """A server, and a question whose right answer is known.

    Attributes:
        instance: the question, one row.
        is_right: whether the outputs of the row are right.
        too_many: more connections than the server keeps.
    """

    host: str
    port: int
    model: str
    instance: Mapping[str, Any]
    is_right: Callable[[Mapping[str, Any]], bool]
    too_many: int = 600

    @property
    def predict(self) -> str:
        return f"/v1/models/{self.model}:predict"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Request:
    """A request as it goes over the wire; `in_order` is False where HTTP itself is broken."""

    method: str
    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = field(default=())
    in_order: bool = True

    def written(self) -> bytes:
        given = {name.lower() for name, _ in self.headers}
        host = [] if "host" in given else [("Host", "localhost")]
        headers = [*host, ("Connection", "close"), *self.headers]
        if (self.body or self.method == "POST") and not given & {"content-length", "transfer-encoding"}:
            headers.append(("Content-Length", str(len(self.body))))
        lines = [f"{self.method} {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + self.body


def connect(target: Target, seconds: float = PATIENCE) -> socket.socket:
    return socket.create_connection((target.host, target.port), seconds)


def exchange(target: Target, sent: bytes, method: str = "POST", *, half_close: bool = False) -> Answer | None:
    """Sends bytes and reads one answer; None where the server closed the connection without one."""
    with connect(target) as connection:
        # A server may refuse and close before everything was sent; its answer counts.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(sent)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        return read_answer(connection, method, sent)


def read_answer(connection: socket.socket, method: str, sent: bytes) -> Answer | None:
    answer = http.client.HTTPResponse(connection, method=method)
    try:
        answer.begin()
        return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    except TimeoutError:
        raise Fault(f"no answer within {PATIENCE:.0f} s to {sent[:500]!r}") from None
    except (http.client.HTTPException, ConnectionError):
        return None
    finally:
        answer.close()


def check(answer: Answer | None, sent: bytes, *, method: str = "POST", may_close: bool = False) -> None:
    """Checks that an answer is one that a server may give."""
    if answer is None:
        if may_close:
            return
        raise Fault(f"the connection was closed without an answer to {sent[:500]!r}")
    told = f"HTTP {answer.status} {answer.body[:300]!r} to {sent[:500]!r}"
    if answer.status >= 500 and answer.status != 503:
        raise Fault(told)
    if answer.status >= 400 and method != "HEAD" and not may_close:
        try:
            error = json.loads(answer.body.decode("utf-8", "replace"))["error"]
        except (ValueError, KeyError, TypeError):
            raise Fault(f"a refusal without an error in JSON: {told}") from None
        if not isinstance(error, str) or not error:
            raise Fault(f"a refusal that says nothing: {told}")
        if len(answer.body) > 20_000:
            raise Fault(f"a refusal of {len(answer.body)} bytes: {told}")


def send(target: Target, request: Request) -> Answer | None:
    """Sends a request and checks its answer."""
    sent = request.written()
    answer = exchange(target, sent, request.method)
    check(answer, sent, method=request.method, may_close=not request.in_order)
    return answer


def post(target: Target, body: bytes | str) -> Answer:
    request = Request(
        "POST", target.predict, body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
    )
    answer = send(target, request)
    if answer is None:
        raise Fault("no answer")
    return answer


def refused(target: Target, body: bytes | str) -> None:
    """Checks that a body is refused as wrong."""
    answer = post(target, body)
    if answer.status not in (400, 413):
        raise Fault(f"expected a refusal, received HTTP {answer.status} {answer.body[:200]!r} to {body[:200]!r}")


def check_alive(target: Target, seconds: float = PATIENCE) -> None:
    """Checks that the server gives the right answer to a right question, busy or not."""
    deadline = time.monotonic() + seconds
    while True:
        answer = post(target, json.dumps({"instances": [target.instance]}))
        if answer.status == 200:
            outputs = json.loads(answer.body)["predictions"][0]
            if not target.is_right(outputs):
                raise Fault(f"a wrong answer to {target.instance}: {outputs}")
            return
        if answer.status not in (429, 503) or time.monotonic() > deadline:
            raise Fault(f"no answer to a right question: HTTP {answer.status} {answer.body[:300]!r}")
        time.sleep(0.2)
