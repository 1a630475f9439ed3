"""Attacks on the REST surface, each of one kind; each raises a `Fault` where the server does what it must not do."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.textseq.serving.rest_target import (
    Answer,
    Fault,
    Request,
    Target,
    check,
    check_alive,
    connect,
    exchange,
    post,
    refused,
    send,
)


def _quoted(text: str) -> str:
    return json.dumps({"instances": [{"text": text}]})


def large_bodies(target: Target) -> None:
    """Ten megabytes of every kind, and lengths that nobody sends."""
    size = 10_000_000
    filler = b"x" * size
    for body in (
        filler,
        b" " * size,
        b"[" * size,
        b'"' + filler,
        b'{"instances": ["' + filler + b'"]}',
        b'{"instances": [' + b'"a",' * (size // 4) + b'"a"]}',
        b'{"instances": [' + b"0," * (size // 2) + b"0]}",
        bytes(range(256)) * (size // 256),
    ):
        sent = Request("POST", target.predict, body).written()
        check(exchange(target, sent), sent, may_close=True)
    for length in ("10000000000", "99999999999999999999", "-1", "0x10", "1, 2", ""):
        sent = Request("POST", target.predict, b"{}", (("Content-Length", length),), in_order=False).written()
        check(exchange(target, sent, half_close=True), sent, may_close=True)


def long_texts(target: Target) -> None:
    """Texts of 100,000 characters: answered, or refused in words."""
    for text in ("a" * 100_000, "ab " * 33_334, "😀" * 100_000, "e\u0301" * 50_000, "\n" * 100_000, "مرحبا " * 16_667):
        for signature in ("serving_default", "align", "explain"):
            post(target, json.dumps({"signature_name": signature, "instances": [{"text": text}]}))
    post(target, json.dumps({"instances": [{"text": "word " * 20_000}] * 8}))


def deep_nesting(target: Target) -> None:
    """Lists and objects in one another, by the thousand: refused."""
    for depth in (50, 1_000, 100_000):
        refused(target, "[" * depth)
        refused(target, "[" * depth + "]" * depth)
        refused(target, '{"a":' * depth + "1" + "}" * depth)
        refused(target, '{"instances":' + "[" * depth + '"a"' + "]" * depth + "}")
        refused(target, '{"inputs":{"text":' + "[" * depth + "]" * depth + "}}")
        refused(target, '{"instances":[' + '{"text":' * depth + '"a"' + "}" * depth + "]}")


def odd_numbers(target: Target) -> None:
    """Numbers where text belongs, and numbers that no type holds: refused."""
    numbers = [
        "1",
        "-0",
        "1e999",
        "-1e999",
        "1e-999",
        "9" * 5_000,
        "0." + "3" * 5_000,
        "NaN",
        "Infinity",
        "01",
        "1.",
        "+1",
    ]
    for number in numbers:
        refused(target, f'{{"instances":[{number}]}}')
        refused(target, f'{{"instances":[{{"text":{number}}}]}}')
        refused(target, f'{{"signature_name":{number},"instances":[{{"text":"a"}}]}}')
        post(target, f'{{"signature_name":"n_best","instances":[{{"text":"a","n":{number}}}]}}')


def empty_batches(target: Target) -> None:
    """Batches of no text."""
    for body in (
        "",
        "{}",
        "[]",
        "null",
        '{"instances":[]}',
        '{"instances":{}}',
        '{"instances":[[]]}',
        '{"instances":[{}]}',
    ):
        refused(target, body)
    # TensorFlow Serving runs columns of no rows.
    for body in ('{"inputs":[]}', '{"inputs":{"text":[]}}', '{"inputs":{}}', '{"inputs":{"text":[[]]}}'):
        post(target, body)


def wrong_bytes(target: Target) -> None:
    """Text that is no UTF-8 is read with U+FFFD, base64 that is none is refused."""
    for raw in (b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88\x80\x80\x80", b"a\x80b", b"\xc0\x80"):
        post(target, b'{"instances":[{"text":"' + raw + b'"}]}')
        post(target, b'{"inputs":{"text":["' + raw + b'"]}}')
        wire = base64.b64encode(raw).decode()
        if post(target, f'{{"instances":[{{"text":{{"b64":"{wire}"}}}}]}}').status != 200:
            raise Fault(f"bytes in base64 were refused: {raw!r}")
    for wrong in ('"*"', '"YQ="', '"Y"', '"YQ==="', "1", "null", '["YQ=="]', '{"b64":"YQ=="}'):
        refused(target, f'{{"instances":[{{"text":{{"b64":{wrong}}}}}]}}')
    for escape in ("\\ud800", "\\udc00", "\\ud800x", "\\u12", "\\x41", "\\"):
        post(target, f'{{"instances":[{{"text":"{escape}"}}]}}')
    post(target, _quoted("\x00"))


def wrong_shapes(target: Target) -> None:
    """Keys that are missing, unknown or twice there, rows of different kinds, unknown signatures: refused."""
    for body in (
        '{"instances":[{"txt":"a"}]}',
        '{"instances":[{"text":"a"},{"txt":"b"}]}',
        '{"instances":[{"text":"a"},"b"]}',
        '{"instances":[{"text":"a"},{"text":["b"]}]}',
        '{"instances":[{"text":["a"]}]}',
        '{"instances":[{"text":null}]}',
        '{"instances":"a"}',
        '{"instances":[{"text":"a"}],"inputs":{"text":["a"]}}',
        '{"signature_name":"none","instances":[{"text":"a"}]}',
        '{"signature_name":["serving_default"],"instances":[{"text":"a"}]}',
        '{"inputs":{"txt":["a"]}}',
        '{"inputs":{"text":"a"}}',
        '{"instances":[{"text":"a"}]',
        '{"instances":[{"text":"a"}]}}',
        "{'instances':['a']}",
        '{"instances":[{"text":"a"},]}',
        '{"instances" [{"text":"a"}]}',
        "undefined",
    ):
        refused(target, body)
    for path, status in (
        (f"/v1/models/not-{target.model}:predict", 404),
        (f"/v1/models/{target.model}/versions/999:predict", 404),
    ):
        answer = send(target, Request("POST", path, _quoted("a").encode()))
        if answer is None or answer.status != status:
            raise Fault(f"{path}: expected HTTP {status}, received {answer}")


def broken_http(target: Target) -> None:
    """What is no HTTP is refused or cut off, never waited upon."""
    body = _quoted("a").encode()
    chunk = f"{len(body):x}".encode() + b"\r\n" + body + b"\r\n0\r\n\r\n"
    chunked = Request("POST", target.predict, chunk, (("Transfer-Encoding", "chunked"),))
    answer = send(target, chunked)
    if answer is None or answer.status not in (200, 411, 429):
        raise Fault(f"a body in chunks: {answer}")
    head = chunked.written().removesuffix(chunk)
    for sent in (
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET " + b"/" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\x00: \x01\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        head + b"zz\r\n",
        head + b"ffffffffffffffff\r\n",
        head + b"-1\r\n\r\n",
        head + b"5\r\nab",
        bytes(range(256)) * 100,
    ):
        check(exchange(target, sent, "GET", half_close=True), sent, may_close=True)


def half_closed(target: Target) -> None:
    """Clients that stop sending, that leave at once, or that never come to the end of what they send."""
    right = Request("POST", target.predict, _quoted("a").encode()).written()
    check(exchange(target, right, half_close=True), right, may_close=True)
    for end in (0, 1, 10, len(right) // 2, len(right) - 1):
        check(exchange(target, right[:end], half_close=True), right[:end], may_close=True)
    for number in range(60):
        with connect(target) as connection:
            if number % 3 == 0:  # a reset rather than an end
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            connection.sendall(right[: len(right) if number % 2 else number])


def pipelined(target: Target) -> None:
    """Requests that do not wait for the answers to those before: answered in their order."""
    bodies = [_quoted("a"), "{", _quoted("b"), "[]", '{"instances":[]}'] * 4
    plain = (("Connection", "keep-alive"),)
    sent = b"".join(_without_close(Request("POST", target.predict, body.encode(), plain)) for body in bodies)
    with connect(target) as connection:
        connection.sendall(sent)
        statuses = []
        file = connection.makefile("rb")
        for _ in bodies:
            answer = _next_answer(connection, file, sent)
            check(answer, sent)
            statuses.append(answer.status)
    expected = [200, 400, 200, 400, 400] * 4
    if [status if status not in (429, 503) else 200 for status in statuses] != expected:
        raise Fault(f"pipelined requests: received {statuses}, expected {expected}")


def _without_close(request: Request) -> bytes:
    return request.written().replace(b"Connection: close\r\n", b"", 1)


def _next_answer(connection: socket.socket, file: Any, sent: bytes) -> Answer:
    try:
        status = int(file.readline().split()[1])
        headers = {}
        while line := file.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return Answer(status, headers, file.read(int(headers["content-length"])))
    except (TimeoutError, ConnectionError, IndexError, KeyError, ValueError) as error:
        raise Fault(f"a pipelined request was not answered: {error!r} to {sent[:300]!r}") from error


@contextlib.contextmanager
def trickling(target: Target, connections: int = 40, pause: float = 0.2) -> Iterator[list[socket.socket]]:
    """Clients that send one byte after the other; yields their connections, of which a closed one is taken out."""
    request = Request("POST", target.predict, b" " * 100_000).written()
    stop = threading.Event()
    live = [connect(target) for _ in range(connections)]

    def trickle() -> None:
        place = 0
        while not stop.wait(pause):
            for each in list(live):
                try:
                    each.sendall(request[place : place + 1])
                except OSError:
                    live.remove(each)
                    each.close()
            place += 1

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        yield live
    finally:
        stop.set()
        thread.join()
        for each in live:
            each.close()


def slow_senders(target: Target, seconds: float = 1.5) -> None:
    """While many clients send byte by byte, others are answered at once."""
    with trickling(target):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            check_alive(target, 10.0)


def slow_readers(target: Target, seconds: float = 0.5) -> None:
    """Clients that ask and do not take their answers hold up nobody."""
    ask = _without_close(Request("POST", target.predict, json.dumps({"instances": [target.instance] * 64}).encode()))
    with contextlib.ExitStack() as stack:
        for _ in range(10):
            connection = stack.enter_context(connect(target, 0.05))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            with contextlib.suppress(TimeoutError, ConnectionError):
                connection.sendall(ask * 20)
        time.sleep(seconds)
        check_alive(target)


def crowd(target: Target) -> None:
    """More connections than a server keeps, all of them idle: refused or answered, and no harm is left when they go."""
    question = Request("POST", target.predict, json.dumps({"instances": [target.instance]}).encode()).written()
    with contextlib.ExitStack() as stack:
        for _ in range(target.too_many):
            with contextlib.suppress(OSError):
                stack.enter_context(connect(target)).sendall(question[:20])
        check(exchange(target, question), question, may_close=True)
    check_alive(target)


ATTACKS: tuple[Callable[[Target], None], ...] = (
    empty_batches,
    wrong_shapes,
    wrong_bytes,
    odd_numbers,
    deep_nesting,
    broken_http,
    half_closed,
    pipelined,
    slow_senders,
    slow_readers,
    crowd,
    long_texts,
    large_bodies,
)
