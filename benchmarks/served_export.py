"""A server of an exported folder in a process of its own, and the answers that it must give.

The golden inputs of the newest version (assets.extra/golden.json) are the questions; what the run gave for them when it
was exported are the right answers.
"""

from __future__ import annotations

import base64
import contextlib
import json
import math
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from textseq.serving.background import served

NAME = "measured"


@dataclass(frozen=True)
class GoldenRow:
    """One input of a signature, and what it must give: bytes for strings, else numbers, or lists of these."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]

    def instance(self) -> dict[str, Any]:
        """The inputs as TensorFlow Serving's JSON has them: text where it is UTF-8, else base64."""
        return {name: _json_value(value) for name, value in self.inputs.items()}

    def difference(self, received: Mapping[str, Any], tolerance: float) -> str | None:
        """What is wrong with an answer, or None."""
        for name, expected in self.outputs.items():
            if name not in received:
                return f"{name}: missing"
            if not same(expected, received[name], tolerance):
                return f"{name}: received {received[name]!r}, expected {expected!r}"[:500]
        return None


def same(expected: Any, received: Any, tolerance: float) -> bool:
    """Whether a value of an answer is right; a batch's mates may have padded a list with "", 0 or the lowest number."""
    if isinstance(expected, list):
        if not isinstance(received, list) or len(received) < len(expected):
            return False
        rest = received[len(expected) :]
        return all(map(_padding, rest)) and all(
            same(one, other, tolerance) for one, other in zip(expected, received[: len(expected)], strict=True)
        )
    if isinstance(expected, bytes):
        return _as_bytes(received) == expected
    if isinstance(expected, bool) or isinstance(received, bool):
        return expected is received
    if not isinstance(received, (int, float)):
        return False
    return math.isclose(expected, received, rel_tol=0.0, abs_tol=tolerance) or expected == received


def _padding(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_padding, value))
    return value in ("", b"", 0) or (isinstance(value, float) and value < -1e30)


def _as_bytes(value: Any) -> bytes | None:
    if isinstance(value, dict):
        value = base64.b64decode(value.get("b64", ""))
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def _json_value(value: Any) -> Any:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}


def _from_golden(value: Any) -> Any:
    if isinstance(value, dict):
        return base64.b64decode(value["b64"])
    return [_from_golden(each) for each in value] if isinstance(value, list) else value


LARGEST_TEXT = 1 << 14
"""Bytes of a golden input that is asked."""


def newest_version(folder: Path) -> Path:
    """The version that a server of the folder serves."""
    versions = [each for each in folder.iterdir() if each.name.isascii() and each.name.isdigit()]
    if not versions:
        raise SystemExit(f"{folder}: no version of an export here")
    return max(versions, key=lambda each: int(each.name))


def golden_rows(folder: Path, signature: str) -> tuple[list[GoldenRow], float]:
    """The golden inputs of a signature with their outputs, and how far a number may be off.

    Those that prove a ceiling of bytes are left out: to send them would be most of the work.
    """
    content = json.loads((newest_version(folder) / "assets.extra" / "golden.json").read_text("utf-8"))
    if signature not in content["signatures"]:
        raise SystemExit(f"{folder}: no signature {signature}; expected one of {', '.join(content['signatures'])}")
    examples = content["signatures"][signature]
    inputs, outputs = (
        {name: _from_golden(values) for name, values in examples[side].items()} for side in ("inputs", "outputs")
    )
    rows = [
        GoldenRow(*({name: values[row] for name, values in side.items()} for side in (inputs, outputs)))
        for row in range(len(next(iter(inputs.values()))))
        if all(len(values[row]) <= LARGEST_TEXT for values in inputs.values() if isinstance(values[row], bytes))
    ]
    return rows, content["tolerance"]


@dataclass(frozen=True)
class Server:
    """A server that runs: where it listens, and its process where we started it."""

    rest: tuple[str, int]
    grpc: str
    name: str
    process: subprocess.Popen[bytes] | None = None

    def memory(self) -> dict[str, float]:
        """MiB that the process holds now, and at most has held; nothing for a server that others started."""
        if self.process is None or not os.path.isdir("/proc/self"):
            return {}
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = {name: int(value) / 1024 for name, value in re.findall(r"^(VmRSS|VmHWM):\s+(\d+)", status, re.M)}
        return {"now": round(found["VmRSS"], 1), "peak": round(found["VmHWM"], 1)}

    def processor_seconds(self) -> float | None:
        """Seconds of processor time that the process has used."""
        if self.process is None or not os.path.isdir("/proc/self"):
            return None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def alive(self) -> bool:
        """Whether the process still runs; always, for a server that others started."""
        return self.process is None or self.process.poll() is None


@contextlib.contextmanager
def started(folder: Path, log: IO[bytes] | None = None, **options: Any) -> Iterator[Server]:
    """Serves an export from a process of its own while the block runs.

    Args:
        folder: of the export.
        log: takes what the server says.
        options: of `textseq.serving.server.serve`.
    """
    with served(folder, log=log, name=NAME, **options) as server:
        rest = urlsplit(server.rest)
        place = (rest.hostname or "", rest.port or 0)
        yield Server(place, server.grpc.removeprefix("grpc://"), server.model, server.process)
