"""A server of an export in a process of its own, for as long as a block of Python runs.

The process is `nmt serve` without the terminal. It ends with the block, and also with the process that started it,
however that ends: it watches a pipe that the system closes then.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from textseq.errors import DragomanError, InputError
from textseq.serving.extras import needing

READY_SECONDS = 180.0
"""How long a server may take until it answers."""

STOP_SECONDS = 60.0
"""How long it may take to answer what has come, once it is asked to end."""


@dataclass(frozen=True)
class ServedExport:
    """A server that runs.

    Attributes:
        rest: its address for REST, and for the page in a browser.
        grpc: its address for gRPC.
        model: the model's name.
        process: that serves.
    """

    rest: str
    grpc: str
    model: str
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def served(
    folder: str | os.PathLike[str],
    *,
    log: IO[bytes] | None = None,
    ready_seconds: float = READY_SECONDS,
    **options: Any,
) -> Iterator[ServedExport]:
    """Serves an export from a process of its own while the block runs, at this machine's address.

    Args:
        folder: the export's folder, with numbered versions.
        log: takes what the server says; None drops it.
        ready_seconds: how long it may take until it answers.
        options: of `textseq.serving.server.serve`; the ports are free ones where they are not given.

    Yields:
        Where the server listens.

    Raises:
        InputError: nothing in the folder can be served, an option is out of range, a port cannot be had, or a package
            of the extra `serve` is missing.
        DragomanError: the server ended by itself, or was not ready in time.

    Example:
        >>> from textseq.serving.client import connect
        >>> with served("exports/en-de") as server:  # doctest: +SKIP
        ...     with connect(server.rest, server.model) as client:
        ...         print(client.predict({"text": ["A man is sleeping."]})["translation"])
        ['Ein Mann schläft.']
    """
    given = {"folder": str(Path(folder).absolute()), "port": 0, "grpc_port": 0, **options}
    command = [sys.executable, "-m", "textseq.serving.background", json.dumps(given)]
    error_output = subprocess.DEVNULL if log is None else log
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=error_output)
    try:
        yield ServedExport(**_answer_of(process, folder, ready_seconds), process=process)
    finally:
        _stop(process)


def _answer_of(process: subprocess.Popen[bytes], folder: str | os.PathLike[str], seconds: float) -> dict[str, str]:
    """What the process says once it serves, or why it cannot."""
    if process.stdout is None:
        raise ValueError("the server was started without a pipe to read from")
    late = threading.Event()

    def end() -> None:
        late.set()
        process.kill()

    timer = threading.Timer(seconds, end)
    timer.start()
    try:
        line = process.stdout.readline()
    finally:
        timer.cancel()
    if late.is_set():
        raise DragomanError(f"{os.fspath(folder)}: the server was not ready after {seconds:g} s; give it longer")
    if not line:
        raise DragomanError(f"{os.fspath(folder)}: the server ended with exit code {process.wait()}; its log says why")
    answer: dict[str, str] = json.loads(line)
    if "error" in answer:
        raise InputError(answer["error"])
    return answer


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Asks the process to end, and ends it where it does not."""
    with contextlib.suppress(OSError):
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def main(arguments: list[str]) -> int:
    """Serves until SIGTERM, or until nobody holds the other end of standard input any more.

    Args:
        arguments: one, JSON: the folder and the options of `serve`.

    Returns:
        The exit code: 0 done, 2 what was asked for cannot be served.
    """
    options = json.loads(arguments[0])
    try:
        with needing("serve", "a server"):
            from textseq.serving.server import Server, serve

        def ready(server: Server) -> None:
            grpc = f"grpc://{server.url.removeprefix('http://').rpartition(':')[0]}:{server.grpc_port}"
            _say(rest=server.url, grpc=grpc, model=server.name)
            threading.Thread(target=_end_with_the_parent, daemon=True).start()

        serve(options.pop("folder"), **options, ready=ready)
    except (InputError, TypeError) as error:
        _say(error=str(error))
        return 2
    return 0


def _say(**answer: str) -> None:
    print(json.dumps(answer), flush=True)


def _end_with_the_parent() -> None:
    # Of the system, not of sys.stdin: a buffered reader still holds its lock when the interpreter ends.
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
