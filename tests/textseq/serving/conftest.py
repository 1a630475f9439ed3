"""A stand-in for a loaded model, and servers around it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textseq.serving.limits import Limits
from textseq.serving.native.messages import DT_FLOAT, DT_INT32, DT_STRING
from textseq.serving.server import Server


@dataclass(frozen=True)
class Info:
    name: str
    dtype: int
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class StandInSignature:
    inputs: Mapping[str, Info]
    outputs: Mapping[str, Info]


def _infos(**kinds: tuple[int, tuple[int | None, ...] | None]) -> dict[str, Info]:
    return {name: Info(f"{name}:0", kind, shape) for name, (kind, shape) in kinds.items()}


TEXT = (DT_STRING, (None,))
SIGNATURES = {
    "serving_default": StandInSignature(
        _infos(text=TEXT), _infos(translation=TEXT, score=(DT_FLOAT, (None,)), size=(DT_INT32, (None,)))
    ),
    "echo": StandInSignature(_infos(text=TEXT), _infos(text=TEXT)),
    "words": StandInSignature(_infos(text=TEXT), _infos(words=(DT_STRING, (None, None)), count=(DT_INT32, (None,)))),
    "numbers": StandInSignature(
        _infos(x=(DT_FLOAT, (None, 2)), n=(DT_INT32, (None,))), _infos(y=(DT_FLOAT, (None, 2)))
    ),
}


class ModelFault(Exception):
    """As TensorFlow's errors come: with a code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass
class StandIn:
    """Answers with the text in upper case; a text with "bad" in it fails, and its batch with it.

    Runs wait while `gate` is closed.
    """

    seconds: float = 0.0
    version: int = 1
    signatures: Mapping[str, StandInSignature] = field(default_factory=lambda: SIGNATURES)
    runs: list[tuple[str, list[bytes]]] = field(default_factory=list)
    closed: bool = False
    gate: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert not self.closed
        texts = list(inputs["text"]) if "text" in inputs else []
        self.runs.append((signature, texts))
        assert self.gate.wait(20)
        time.sleep(self.seconds)
        assert not self.closed
        if any(b"bad" in text for text in texts):
            raise ModelFault(3, "bad text")
        if any(b"crash" in text for text in texts):
            raise RuntimeError("the model crashed")
        if signature == "numbers":
            return {"y": inputs["x"] * inputs["n"][:, None]}
        if signature == "echo":
            return {"text": _strings(texts)}
        if signature == "words":
            rows = [text.split() for text in texts]
            widest = max(map(len, rows), default=0)
            words = _strings([word for row in rows for word in row + [b""] * (widest - len(row))])
            return {"words": words.reshape(len(rows), widest), "count": np.array([len(row) for row in rows], np.int32)}
        return {
            "translation": _strings([text.upper() for text in texts]),
            "score": np.array([-len(text) / 8 for text in texts], np.float32),
            "size": np.array([self.version] * len(texts), np.int32),
        }

    def close(self) -> None:
        self.closed = True


def _strings(values: list[bytes]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


FAST = Limits(batch_delay=0.002, workers=2, poll_seconds=0.05, drain_seconds=5.0, stalled_seconds=5.0)


@pytest.fixture
def stand_in() -> StandIn:
    """A model without TensorFlow."""
    return StandIn()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers on free ports, and stops them after the test."""
    servers: list[Server] = []

    def start_server(model: StandIn, limits: Limits = FAST, **options: Any) -> Server:
        folder = tmp_path / "exported"
        (folder / "1").mkdir(parents=True, exist_ok=True)
        (folder / "export.json").write_text('{"format": "dragoman-export", "version": 1, "task": "nmt"}')
        server = Server(folder, port=0, grpc_port=0, limits=limits, open_model=lambda path: model, **options)
        servers.append(server)
        server.start()
        return server

    yield start_server
    for server in servers:
        server.stop()


@pytest.fixture
def server(start: Callable[..., Server], stand_in: StandIn) -> Server:
    """A server around `stand_in`."""
    return start(stand_in)


@pytest.fixture(scope="session")
def stand_in_kind() -> type[StandIn]:
    """The class of `stand_in`."""
    return StandIn


@pytest.fixture(scope="session")
def limits() -> Limits:
    """Limits that keep a test short."""
    return FAST
