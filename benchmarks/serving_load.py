"""Many clients at once against a server of an export: no error, no wrong answer; throughput, latency, memory.

Usage: python benchmarks/serving_load.py EXPORT [--protocol rest|grpc|both] [--clients N] [--seconds S] [--unbatched]

Every client has a connection of its own, sends one golden input after the other, in an order of its own, and compares
each answer with the golden one. A server that is busy (HTTP 429, RESOURCE_EXHAUSTED) is asked again after a pause; the
latency of such a request counts from its first attempt. The server is started here, or --url names one
(http://host:port or grpc://host:port) that serves the same export.

Clients and server share the machine, so the clients are frugal: HTTP over bare streams, requests written beforehand,
an answer that has been found right before is recognised by its bytes. Prints one JSON object a protocol; the exit code
is 1 after an error or a wrong answer.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import json
import os
import platform
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import grpc
import numpy as np
from served_export import NAME, GoldenRow, Server, golden_rows, started

from textseq.serving.native.messages import PredictRequest, PredictResponse
from textseq.serving.native.tensors import to_array, to_message

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
ANSWER_SECONDS = 120.0
KNOWN_ANSWERS = 64


class Busy(Exception):
    """The server asks to come back later."""


class Failed(Exception):
    """The server answered with an error, or not at all."""


class Connection(Protocol):
    """One client's way to the server."""

    async def ask(self, row: int) -> bytes:
        """The bytes of the answer to a row's request."""

    def read(self, answer: bytes) -> dict[str, Any]:
        """The outputs of one row that an answer holds."""

    async def close(self) -> None:
        """Ends the connection."""


class RestConnection:
    """HTTP/1.1 kept alive, over bare streams."""

    def __init__(self, server: Server, requests: list[bytes]) -> None:
        self.server = server
        self.requests = requests
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @staticmethod
    def written(server: Server, signature: str, rows: Sequence[GoldenRow]) -> list[bytes]:
        host = f"{server.rest[0]}:{server.rest[1]}"
        requests = []
        for row in rows:
            body = json.dumps({"signature_name": signature, "instances": [row.instance()]}).encode()
            head = f"POST /v1/models/{server.name}:predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json"
            requests.append(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        return requests

    async def ask(self, row: int) -> bytes:
        try:
            if self.streams is None:
                self.streams = await asyncio.open_connection(*self.server.rest)
            reader, writer = self.streams
            writer.write(self.requests[row])
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            await self.close()
            raise Failed(f"{type(error).__name__}: {error}") from error
        if b"\r\nconnection: close" in head:
            await self.close()
        status = int(head[9:12])
        if status == 429:
            raise Busy
        if status != 200:
            raise Failed(f"HTTP {status}: {body[:200].decode('utf-8', 'replace')}")
        return body

    def read(self, answer: bytes) -> dict[str, Any]:
        (outputs,) = json.loads(answer.decode("utf-8", "surrogateescape"))["predictions"]
        return outputs

    async def close(self) -> None:
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


class GrpcConnection:
    """A channel that shares no connection with the others."""

    def __init__(self, server: Server, requests: list[bytes]) -> None:
        self.requests = requests
        self.channel = grpc.aio.insecure_channel(server.grpc, options=[("grpc.use_local_subchannel_pool", 1)])
        self.predict = self.channel.unary_unary("/tensorflow.serving.PredictionService/Predict")

    @staticmethod
    def written(server: Server, signature: str, rows: Sequence[GoldenRow]) -> list[bytes]:
        requests = []
        for row in rows:
            request = PredictRequest(model_spec={"name": server.name, "signature_name": signature})
            for name, value in row.inputs.items():
                array = np.array([value], object if isinstance(value, bytes) else np.int32)
                request.inputs[name].CopyFrom(to_message(array))
            requests.append(request.SerializeToString())
        return requests

    async def ask(self, row: int) -> bytes:
        try:
            return bytes(await self.predict(self.requests[row], timeout=ANSWER_SECONDS))
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise Busy from error
            raise Failed(f"{error.code().name}: {str(error.details())[:200]}") from error

    def read(self, answer: bytes) -> dict[str, Any]:
        outputs = PredictResponse.FromString(answer).outputs
        return {name: to_array(outputs[name]).tolist()[0] for name in outputs}

    async def close(self) -> None:
        await self.channel.close()


@dataclass
class Tally:
    """What all clients have seen."""

    rows: Sequence[GoldenRow]
    tolerance: float
    latencies: list[float] = field(default_factory=list)
    busy: int = 0
    wrong: int = 0
    errors: collections.Counter[str] = field(default_factory=collections.Counter)
    samples: list[str] = field(default_factory=list)
    known: collections.defaultdict[int, set[bytes]] = field(default_factory=lambda: collections.defaultdict(set))

    def check(self, row: int, answer: bytes, connection: Connection) -> None:
        """Counts an answer that is not the golden one."""
        if answer in self.known[row]:
            return
        try:
            fault = self.rows[row].difference(connection.read(answer), self.tolerance)
        except (ValueError, KeyError, TypeError) as error:
            fault = f"cannot be read: {error!r}: {answer[:200]!r}"
        if fault is None:
            if len(self.known[row]) < KNOWN_ANSWERS:
                self.known[row].add(answer)
            return
        self.wrong += 1
        if len(self.samples) < 5:
            self.samples.append(f"row {row}: {fault}")


async def ask(connection: Connection, tally: Tally, row: int) -> None:
    """Asks until the server is not too busy, and counts what comes."""
    began = time.perf_counter()
    pause = FIRST_PAUSE
    while True:
        try:
            answer = await connection.ask(row)
        except Busy:
            tally.busy += 1
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)
        except Failed as error:
            tally.errors[str(error)[:300]] += 1
            await asyncio.sleep(FIRST_PAUSE)
            return
        else:
            tally.latencies.append(time.perf_counter() - began)
            tally.check(row, answer, connection)
            return


async def client(connection: Connection, tally: Tally, number: int, deadline: float) -> None:
    """Asks one row after the other until the deadline."""
    order = random.Random(number)
    while time.perf_counter() < deadline:
        await ask(connection, tally, order.randrange(len(tally.rows)))


async def load(server: Server, protocol: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Warms the server up with every row once, then lets all clients at it."""
    rows, tolerance = golden_rows(arguments.export, arguments.signature)
    kind: type[RestConnection] | type[GrpcConnection] = RestConnection if protocol == "rest" else GrpcConnection
    requests = kind.written(server, arguments.signature, rows)
    tally = Tally(rows, tolerance)
    connections: list[Connection] = [kind(server, requests) for _ in range(arguments.clients)]
    for row in range(len(rows)):
        await ask(connections[0], tally, row)
    tally.latencies.clear()
    tally.busy = 0
    before, used, own = server.memory(), server.processor_seconds(), time.process_time()
    began = time.perf_counter()
    deadline = began + arguments.seconds
    clients = [asyncio.ensure_future(client(each, tally, number, deadline)) for number, each in enumerate(connections)]
    done, waiting = await asyncio.wait(clients, timeout=arguments.seconds + ANSWER_SECONDS)
    for task in waiting:
        task.cancel()
        tally.errors[f"no answer within {ANSWER_SECONDS:.0f} s"] += 1
    for task in done:
        task.result()
    seconds = time.perf_counter() - began
    own, used = time.process_time() - own, None if used is None else (server.processor_seconds() or 0.0) - used
    for each in connections:
        await each.close()
    return {
        "protocol": protocol,
        "signature": arguments.signature,
        "batched": not arguments.unbatched,
        "clients": arguments.clients,
        "seconds": round(seconds, 2),
        "requests": len(tally.latencies),
        "errors": dict(tally.errors),
        "wrong_answers": tally.wrong,
        "wrong_samples": tally.samples,
        "refused_as_busy_and_sent_again": tally.busy,
        "requests_per_second": round(len(tally.latencies) / seconds, 1),
        "latency_ms": percentiles(tally.latencies),
        "processor_seconds": {"server": used and round(used, 1), "clients": round(own, 1)},
        "server_memory_mib": {"before": before.get("now"), **server.memory()},
        "golden_rows": len(rows),
        "longest_row_bytes": max(
            len(value) for row in rows for value in row.inputs.values() if isinstance(value, bytes)
        ),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "date": time.strftime("%Y-%m-%d"),
    }


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Milliseconds at the usual places of the distribution."""
    if not seconds:
        return {}
    values = np.percentile(np.array(seconds) * 1000.0, [50, 90, 99, 100])
    return dict(zip(("p50", "p90", "p99", "most"), (round(float(value), 1) for value in values), strict=True))


def measure(protocol: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One load, against a fresh server unless one is named."""
    with contextlib.ExitStack() as stack:
        if arguments.url:
            parts = urlsplit(arguments.url)
            place = (parts.hostname or "127.0.0.1", parts.port or (8501 if protocol == "rest" else 8500))
            server = Server(place, f"{place[0]}:{place[1]}", arguments.name)
        else:
            options = {"largest_batch": 1} if arguments.unbatched else {}
            server = stack.enter_context(started(arguments.export, **options))
        return asyncio.run(load(server, protocol, arguments))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export", type=Path, help="the exported folder, whose versions are numbered")
    parser.add_argument("--protocol", choices=("rest", "grpc", "both"), default="both")
    parser.add_argument("--signature", default="serving_default")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--unbatched", action="store_true", help="the server's largest batch is 1")
    parser.add_argument("--url", help="a server that runs already: http://host:port or grpc://host:port")
    parser.add_argument("--name", default=NAME, help="the model's name on the server of --url")
    arguments = parser.parse_args()
    protocols = ["rest", "grpc"] if arguments.protocol == "both" else [arguments.protocol]
    if arguments.url:
        protocols = ["grpc" if arguments.url.startswith("grpc:") else "rest"]
    failed = False
    for protocol in protocols:
        result = measure(protocol, arguments)
        print(json.dumps(result, ensure_ascii=False), flush=True)
        failed = failed or bool(result["errors"] or result["wrong_answers"])
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
