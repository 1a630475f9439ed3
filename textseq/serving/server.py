"""A server for the laptop: one exported model, through TensorFlow Serving's REST and gRPC, and a page to try it.

It needs the exported folder, the `serve` extra and the libraries of the tensorflow and tensorflow-text wheels, and
imports neither TensorFlow's Python nor Keras. It is for development and small use; production is TensorFlow Serving,
which the same folder and the same clients work with.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any
from urllib.parse import quote

import grpc.aio
import uvicorn

from textseq.errors import DragomanError, InputError, OutputError
from textseq.serving.batcher import Model
from textseq.serving.checked_model import open_checked
from textseq.serving.exported_signatures import DEFAULT_SIGNATURE
from textseq.serving.grpc_service import GrpcService
from textseq.serving.http_protocol import TimedProtocol
from textseq.serving.limits import Limits, cores
from textseq.serving.listening import LOCAL_NAMES, bound, bracketed, is_local
from textseq.serving.metrics import Metrics
from textseq.serving.model_store import ModelStore, State
from textseq.serving.predictor import Predictor
from textseq.serving.refusal import Code, Refusal
from textseq.serving.rest_app import RestApp
from textseq.serving.versions import exported_task

logger = logging.getLogger("textseq.serving")

_START_SECONDS = 60.0
_LONGEST_SECONDS = 86_400.0


class Server:
    """Serves an export from threads of its own.

    Args:
        folder: the export's folder, with numbered versions.
        name: the model's name; by default the task that the export is for, else the folder's name.
        host: the address to listen on.
        port: for REST and the page; 0 for a free one.
        grpc_port: for gRPC; 0 for a free one.
        version: serve this version and no other.
        limits: see `Limits`.
        open_model: loads a version's folder; by default through TensorFlow's C API, after checks that it can do no
            harm.

    Raises:
        InputError: the folder is missing.

    Example:
        >>> with Server("serving/nmt", port=0, grpc_port=0) as server:  # doctest: +SKIP
        ...     print(server.url)
        http://127.0.0.1:43817
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        name: str | None = None,
        host: str = "127.0.0.1",
        port: int = 8501,
        grpc_port: int = 8500,
        version: int | None = None,
        limits: Limits | None = None,
        open_model: Callable[[Path], Model] | None = None,
    ) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise InputError(f"{self.folder}: no such folder; expected an export, as `nmt export` makes it")
        self.task = _task(self.folder)
        self.name = _checked_name(name or self.task or self.folder.resolve().name)
        self.host, self.port, self.grpc_port = host, port, grpc_port
        self.limits = limits or Limits()
        self.metrics = Metrics(self.name)
        self.store = ModelStore(
            self.folder,
            self.name,
            open_model or (lambda path: open_checked(path, self.limits.workers)),
            self.limits,
            pinned=version,
            observe=self.metrics.observe_batch,
        )
        self.predictor = Predictor(self.store, self.limits, self.metrics)
        self._watch()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._rest: uvicorn.Server | None = None
        self._grpc: grpc.aio.Server | None = None
        self._running: asyncio.Future[None] | None = None

    @property
    def url(self) -> str:
        """Where REST and the page are."""
        return f"http://{bracketed(self.host)}:{self.port}"

    def start(self) -> None:
        """Loads the newest version and listens; returns when requests are answered.

        Raises:
            InputError: no version can be served, or a port cannot be had.
            DragomanError: it took too long to listen.
        """
        listener = bound(self.host, self.port)
        try:
            self.port = listener.getsockname()[1]
            self.store.start(_START_SECONDS)
        except Refusal as refusal:
            listener.close()
            raise InputError(refusal.message) from None
        except BaseException:
            listener.close()
            raise
        started = threading.Event()
        faults: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(listener, started, faults), name="server", daemon=True)
        self._thread.start()
        in_time = started.wait(_START_SECONDS)
        if faults or not in_time:
            self.stop()
            raise faults[0] if faults else DragomanError(f"{self.url}: nothing listens after {_START_SECONDS:g} s")

    def stop(self) -> None:
        """Refuses what comes, answers what has come within the limit, and closes the model."""
        self.predictor.stopping = True
        if self._thread is not None and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._leave)
            self._thread.join(self.limits.drain_seconds + 10)
        self.store.close(self.limits.drain_seconds)

    def __enter__(self) -> Server:
        """Starts."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops."""
        self.stop()

    def _watch(self) -> None:
        def of_batcher(attribute: str) -> Callable[[], float]:
            def read() -> float:
                current = self.store.current
                return 0.0 if current is None else float(getattr(current.batcher, attribute))

            return read

        self.metrics.watch("queue_texts", of_batcher("texts"))
        self.metrics.watch("queue_bytes", of_batcher("bytes"))
        self.metrics.watch("version", lambda: self.store.current.version if self.store.current else 0)
        self.metrics.watch(
            "refused_versions",
            lambda: sum(each.state == State.END and each.code != Code.OK for each in self.store.statuses()),
        )

    def _run(self, listener: socket.socket, started: threading.Event, faults: list[BaseException]) -> None:
        self._loop = loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._serve(listener, started))
        except BaseException as error:
            faults.append(error)
        finally:
            listener.close()
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            asyncio.set_event_loop(None)
            loop.close()
            started.set()

    async def _serve(self, listener: socket.socket, started: threading.Event) -> None:
        self._running = asyncio.get_running_loop().create_future()
        try:
            server, self.grpc_port = GrpcService(self.predictor).server(f"{bracketed(self.host)}:{self.grpc_port}")
        except RuntimeError:
            raise InputError(
                f"port {self.grpc_port} of {self.host} cannot be had for gRPC; choose another with --grpc-port"
            ) from None
        self._grpc = server
        await server.start()
        hosts = LOCAL_NAMES | {bracketed(self.host)} if is_local(self.host) else None
        self._rest = uvicorn.Server(self._configuration(RestApp(self.predictor, self.describe, hosts)))
        serving = asyncio.ensure_future(self._rest.serve(sockets=[listener]))
        while not self._rest.started and not serving.done():
            await asyncio.sleep(0.01)
        started.set()
        await asyncio.wait({serving, self._running}, return_when=asyncio.FIRST_COMPLETED)
        self._rest.should_exit = True
        await asyncio.gather(serving, server.stop(self.limits.drain_seconds))

    def _configuration(self, app: RestApp) -> uvicorn.Config:
        limits = {"seconds": self.limits.stalled_seconds, "most": self.limits.connections}
        protocol = type("ServerProtocol", (TimedProtocol,), limits)
        return uvicorn.Config(
            app,
            http=protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=10,
            timeout_graceful_shutdown=max(int(self.limits.drain_seconds), 1),
        )

    def _leave(self) -> None:
        if self._running is not None and not self._running.done():
            self._running.set_result(None)

    def describe(self) -> dict[str, Any]:
        """Returns what the page wants to know: the model's name and its task."""
        return {"name": self.name, "task": self.task or self.name}

    def greeting(self) -> str:
        """Returns what to tell the person who has started it."""
        model = self.store.current
        signature = model.model.signatures.get(DEFAULT_SIGNATURE) if model else None
        inputs = list(signature.inputs) if signature else []
        row = '"A dog runs."' if len(inputs) == 1 else json.dumps(dict.fromkeys(inputs, "A dog runs."))
        body = shlex.quote(f'{{"instances": [{row}]}}')
        address = f"{self.url}/v1/models/{quote(self.name, safe='')}:predict"
        command = f"curl -d {body} {shlex.quote(address)}"
        return (
            f"Serving {self.name}, version {model.version if model else '?'}, from {self.folder}.\n"
            f"  In a browser: {self.url}/\n"
            f"  REST:         {command}\n"
            f"  gRPC:         {bracketed(self.host)}:{self.grpc_port}\n"
            f"This server is for development and small use. Stop it with Ctrl+C."
        )


def serve(
    folder: str | os.PathLike[str],
    *,
    name: str | None = None,
    host: str = "127.0.0.1",
    port: int = 8501,
    grpc_port: int = 8500,
    version: int | None = None,
    threads: int | None = None,
    batch_delay: float = Limits.batch_delay,
    largest_batch: int = Limits.largest_batch,
    queue: int = Limits.queue,
    timeout: float = Limits.request_seconds,
    ready: Callable[[Server], None] | None = None,
) -> None:
    """Serves an export until the process is asked to end (SIGINT, SIGTERM); then answers what has come, and returns.

    Args:
        folder: the export's folder, with numbered versions.
        name: the model's name; by default the task that the export is for.
        host: the address to listen on; the default is reached from this machine alone.
        port: for REST and the page.
        grpc_port: for gRPC.
        version: serve this version and no other; by default the newest that loads, and newer ones as they come.
        threads: batches that run at the same time, 1 to the number of cores, which is the default.
        batch_delay: seconds that a request waits for others to share its batch.
        largest_batch: most texts of a batch.
        queue: most texts that wait; beyond, requests are refused.
        timeout: seconds that a request may take; it is given up then.
        ready: told of the server once requests are answered.

    Raises:
        InputError: nothing in the folder can be served, a port cannot be had, or an argument is out of range.
        DragomanError: the server ended by itself.
    """
    most = cores()
    if threads is not None and not 1 <= threads <= most:
        raise InputError(f"threads: received {threads}, expected 1 to {most}, the cores that it may use")
    if not 0 <= batch_delay <= 10 or largest_batch < 1 or queue < 1:
        raise InputError(
            f"received batch_delay {batch_delay}, largest_batch {largest_batch} and queue {queue}, expected 0 to 10 "
            f"seconds, 1 or more and 1 or more"
        )
    if not 0 < timeout <= _LONGEST_SECONDS:
        raise InputError(
            f"timeout: received {timeout:g}, expected more than 0 and at most {_LONGEST_SECONDS:g} seconds"
        )
    limits = Limits(
        batch_delay=batch_delay,
        largest_batch=largest_batch,
        queue=queue,
        workers=threads or most,
        request_seconds=timeout,
    )
    server = Server(folder, name=name, host=host, port=port, grpc_port=grpc_port, version=version, limits=limits)
    with _logging(), _signals() as asked_to_end:
        server.start()
        try:
            print(server.greeting(), file=sys.stderr, flush=True)
            if ready is not None:
                ready(server)
            while not asked_to_end.wait(0.5):
                if server._thread is None or not server._thread.is_alive():
                    raise DragomanError("the server has ended by itself; its log says why")
            logger.info("stopping: answering what has come, for %g seconds at most", limits.drain_seconds)
        finally:
            start = time.monotonic()
            server.stop()
        logger.info("stopped after %.1f s", time.monotonic() - start)


@contextlib.contextmanager
def _signals() -> Any:
    """Yields an event that is set by the first SIGINT or SIGTERM; a second one ends the process at once."""
    event = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if event.is_set():
            os._exit(128 + number)
        event.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, handle) for number in numbers]
    try:
        yield event
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextlib.contextmanager
def _logging() -> Any:
    """Writes what the server says to standard error, one line each, while the block runs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _task(folder: Path) -> str | None:
    try:
        return exported_task(folder)
    except OutputError:
        return None


def _checked_name(name: str) -> str:
    if not name or any(character in "/:" or not character.isprintable() for character in name):
        raise InputError(f"received {name!r} as the model's name, expected one without / and :; choose it with --name")
    return name
