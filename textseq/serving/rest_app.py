"""TensorFlow Serving's REST as an ASGI application, with Prometheus' metrics and a page for the browser.

POST /v1/models/NAME[/versions/V|/labels/L]:predict    predictions, by rows or by columns
GET  /v1/models/NAME[/versions/V|/labels/L][/metadata] the versions' states, or the signatures
GET  /monitoring/prometheus/metrics
GET  /                                                 the page; what it loads stands under /page/

An error is {"error": "..."} with the status that TensorFlow Serving gives. Beyond it: 413 for a body that is too large,
408 for one that does not arrive, 429 where the queue is full.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from textseq.serving import metrics, predict_answer, predict_format
from textseq.serving.native.messages import data_type_name
from textseq.serving.predictor import PREDICT_METHOD, QUICK_BYTES, Asked, Predictor, apart, read_version
from textseq.serving.refusal import HTTP_STATUS, Code, Refusal, invalid

logger = logging.getLogger("textseq.serving")

METRICS_PATH = "/monitoring/prometheus/metrics"
PAGE = Path(__file__).parent / "page"

_PREDICTION = re.compile(
    r"/v1/models/([^/:]+)(?:/versions/([0-9]+)|/labels/([^/:]+))?:(classify|regress|predict)", re.IGNORECASE
)
_STATUS = re.compile(r"/v1/models(?:/([^/:]+))?(?:/versions/([0-9]+)|/labels/([^/:]+))?(?:/(metadata))?", re.IGNORECASE)
_SAFE = [(b"x-content-type-options", b"nosniff")]
_PAGE_SAFE = [
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
# A body is read on to its end, and thrown away, so that a client that is still sending sees why it is refused: this
# many times the largest body.
_READ_ON = 3


class _HttpRefusal(Refusal):
    """A refusal with a status of HTTP's own."""

    def __init__(self, status: int, code: Code, message: str) -> None:
        super().__init__(code, message)
        self.status = status


class _Disconnected(Exception):
    """Whoever asked has gone."""


class RestApp:
    """The application.

    Args:
        predictor: answers.
        describe: gives what the page wants to know: the model's name and its task.
        hosts: names by which the server may be called, so that no page from elsewhere can have a browser read from
            it under a name of its own; any where None.
    """

    def __init__(
        self, predictor: Predictor, describe: Callable[[], dict[str, Any]], hosts: frozenset[str] | None = None
    ) -> None:
        self._predictor = predictor
        self._describe = describe
        self._hosts = hosts
        self._reading = asyncio.Lock()
        self._site: ASGIApp = Starlette(
            routes=[
                Route("/", self._index),
                Route(METRICS_PATH, self._metrics),
                Route("/page/model.json", self._model),
                Mount("/page", StaticFiles(directory=PAGE, check_dir=False)),
            ],
            exception_handlers={HTTPException: _refuse_page},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            return
        api = scope["path"][:4].lower() == "/v1/"
        headers = _SAFE if api else _SAFE + _PAGE_SAFE

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *headers]}
            await send(message)

        if not self._host_allowed(scope):
            await JSONResponse({"error": "The server is not called by this name"}, 400)(scope, receive, send_safely)
        elif api:
            await self._answer(scope, receive, send_safely)
        else:
            await self._site(scope, receive, send_safely)

    def _host_allowed(self, scope: Scope) -> bool:
        if self._hosts is None:
            return True
        host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1").lower()
        return not host or host.rstrip("0123456789").removesuffix(":") in self._hosts or host in self._hosts

    # The API.

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        closing = False
        try:
            with self._predictor.hold(0) as held:
                response = await self._dispatch(scope, receive, held)
                await response(scope, receive, send)
            return
        except _Disconnected:
            return
        except _HttpRefusal as refusal:
            status, text, closing = refusal.status, refusal.message, True
        except Refusal as refusal:
            status, text = HTTP_STATUS[refusal.code], refusal.message
        except Exception:
            logger.exception("REST: a request failed")
            status, text = 500, "The server failed; its log says how"
        body = json.dumps({"error": text}, indent=4, ensure_ascii=False).encode("utf-8", "replace")
        response = Response(body, status, {"connection": "close"} if closing else None, "application/json")
        await response(scope, receive, send)

    async def _dispatch(self, scope: Scope, receive: Receive, held: Callable[[int], None]) -> Response:
        method, path = scope["method"], (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
        if method == "POST" and (matched := _PREDICTION.fullmatch(path)):
            return await self._ask(_asked(matched), matched.group(4).lower(), scope, receive, held)
        if method == "GET" and (matched := _STATUS.fullmatch(path)):
            if matched.group(1) is None:
                raise invalid("Missing model name in request.")
            asked = _asked(matched)
            return _json(self._metadata(asked) if matched.group(4) else self._statuses(asked))
        raise invalid(f"Malformed request: {method} {path}")

    async def _ask(
        self, asked: Asked, method: str, scope: Scope, receive: Receive, held: Callable[[int], None]
    ) -> Response:
        body = await self._body(scope, receive, held)
        if method == "predict":
            answering = asyncio.ensure_future(self._predict(asked, body, held))
        else:
            answering = asyncio.ensure_future(self._other(asked, method, body))
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait({answering, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                raise _Disconnected
            return answering.result()
        finally:
            for task in (answering, gone):
                task.cancel()

    async def _predict(self, asked: Asked, body: bytes, held: Callable[[int], None]) -> Response:
        with self._predictor.counted("REST") as signature, _emptied(await self._document(body)) as document:
            signature.append(predict_format.signature_name(document))
            columnar = False

            def read(definition: Any) -> Any:
                nonlocal columnar
                with _emptied(document):  # the request may have to wait
                    inputs = predict_format.read_inputs(
                        document, definition.inputs, self._predictor.limits.largest_request
                    )
                columnar = inputs.columnar
                return inputs.arrays

            answer = await self._predictor.predict(asked, signature[0], read, size=len(body))
            size = sum(array.nbytes for array in answer.outputs.values())
            content = await apart(size, lambda: predict_answer.write_outputs(answer.outputs, columnar=columnar))
            held(len(content))
        return Response(content, media_type="application/json")

    async def _document(self, body: bytes) -> dict[str, Any]:
        """Reads JSON, the large ones one by one: values may take twenty times the bytes that they are written in."""
        async with self._reading if len(body) > QUICK_BYTES else nullcontext():
            return await apart(len(body), predict_format.read_document, body)

    async def _other(self, asked: Asked, method: str, body: bytes) -> Response:
        with self._predictor.counted("REST") as signature:
            document = await self._document(body)
            signature.append(predict_format.signature_name(document))
            examples = document.get("examples")
            if examples is None:
                raise invalid("When method is classify, key 'examples' is expected and was not found")
            if not isinstance(examples, list):
                raise invalid("Expecting 'examples' value to be an list/array")
            if not examples:
                raise invalid("'examples' value is an empty array")
            self._predictor.refuse_method(asked, signature[0], method)

    def _statuses(self, asked: Asked) -> dict[str, Any]:
        return {
            "model_version_status": [
                {
                    "version": str(status.version),
                    "state": status.state.name,
                    "status": {"error_code": status.code.name, "error_message": status.message},
                }
                for status in self._predictor.statuses(asked)
            ]
        }

    def _metadata(self, asked: Asked) -> dict[str, Any]:
        with self._predictor.lease(asked) as served:
            definitions = {
                name: {
                    "inputs": {key: _described(info) for key, info in signature.inputs.items()},
                    "outputs": {key: _described(info) for key, info in signature.outputs.items()},
                    "method_name": PREDICT_METHOD,
                }
                for name, signature in served.model.signatures.items()
            }
            spec = {"name": asked.name, "signature_name": "", "version": str(served.version)}
        return {"model_spec": spec, "metadata": {"signature_def": {"signature_def": definitions}}}

    # The body of a request.

    async def _body(self, scope: Scope, receive: Receive, held: Callable[[int], None]) -> bytes:
        headers = dict(scope["headers"])
        largest = self._predictor.limits.largest_body
        declared = headers.get(b"content-length", b"0")
        too_large = _HttpRefusal(413, Code.INVALID_ARGUMENT, f"The request has more than {largest} bytes")
        if declared.isdigit() and int(declared) > largest:
            # Who waits for a sign before sending gets the refusal instead.
            if b"expect" not in headers and int(declared) <= _READ_ON * largest:
                await self._throw_away(receive, int(declared))
            raise too_large
        encoding = headers.get(b"content-encoding", b"identity").lower()
        if encoding not in (b"identity", b"", b"gzip"):
            raise _HttpRefusal(415, Code.INVALID_ARGUMENT, "Expected a body that is plain or in gzip")
        try:
            body = await asyncio.wait_for(_read(receive, largest, too_large, held), self._predictor.limits.body_seconds)
        except (TimeoutError, asyncio.TimeoutError):
            raise _HttpRefusal(408, Code.DEADLINE_EXCEEDED, "The request did not arrive in time") from None
        if encoding != b"gzip":
            return body
        body = await apart(len(body), _decompressed, body, largest, too_large)
        held(len(body))
        return body

    async def _throw_away(self, receive: Receive, size: int) -> None:
        end = time.monotonic() + self._predictor.limits.body_seconds
        while size > 0 and time.monotonic() < end:
            try:
                message = await asyncio.wait_for(receive(), max(end - time.monotonic(), 0))
            except (TimeoutError, asyncio.TimeoutError):
                return
            if message["type"] != "http.request" or not message.get("more_body"):
                return
            size -= len(message.get("body", b""))

    # The page.

    async def _index(self, request: Request) -> Response:
        return FileResponse(PAGE / "index.html", headers={"cache-control": "no-cache"})

    async def _metrics(self, request: Request) -> Response:
        return Response(self._predictor.metrics.text(), headers={"content-type": metrics.CONTENT_TYPE})

    async def _model(self, request: Request) -> Response:
        return JSONResponse(self._describe(), headers={"cache-control": "no-store"})


def _asked(matched: re.Match[str]) -> Asked:
    name, version, label = matched.group(1), matched.group(2), matched.group(3)
    return Asked(
        unquote(name, errors="replace"),
        None if version is None else read_version(version),
        None if label is None else unquote(label, errors="replace"),
    )


def _described(info: Any) -> dict[str, Any]:
    shape = [] if info.shape is None else info.shape
    sizes = [{"size": str(-1 if size is None else size), "name": ""} for size in shape]
    return {
        "dtype": data_type_name(info.dtype),
        "tensor_shape": {"dim": sizes, "unknown_rank": info.shape is None},
        "name": info.name,
    }


def _json(content: dict[str, Any]) -> Response:
    return Response(json.dumps(content, indent=1, ensure_ascii=False), media_type="application/json")


@contextmanager
def _emptied(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Gives the memory of a document back after the block, whoever still knows it: a refusal knows its stack."""
    try:
        yield document
    finally:
        document.clear()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _read(receive: Receive, largest: int, too_large: Refusal, held: Callable[[int], None]) -> bytes:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Disconnected
        part = message.get("body", b"")
        if len(body) + len(part) > largest:
            raise too_large
        held(len(part))
        body += part
        more = message.get("more_body", False)
    return bytes(body)


def _decompressed(body: bytes, largest: int, too_large: Refusal) -> bytes:
    reader = zlib.decompressobj(wbits=31)
    try:
        content = reader.decompress(body, largest + 1)
    except zlib.error:
        raise invalid("The body is not in gzip") from None
    if len(content) > largest:
        raise too_large
    if not reader.eof:
        raise invalid("The body in gzip is cut off")
    return content


async def _refuse_page(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = error.headers if isinstance(error, HTTPException) else None
    return JSONResponse({"error": getattr(error, "detail", "") or "failed"}, status, headers)
