"""Asking a model server over REST, in TF Serving's JSON."""

from __future__ import annotations

import base64
import email.utils
import json
import re
import time
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import quote

import httpx

from textseq.errors import InputError
from textseq.serving.attempts import TryAgain
from textseq.serving.client import LARGEST_ANSWER, Client
from textseq.serving.client_errors import (
    HTTP_CODES,
    WORTH_ANOTHER_TRY,
    WRONG_REQUEST,
    InvalidAnswer,
    ModelNotFound,
    RequestRefused,
    ServerTooSlow,
    ServerUnavailable,
    ServingError,
)
from textseq.serving.exported_signatures import DEFAULT_SIGNATURE
from textseq.serving.model_description import (
    DTYPES,
    INTERNAL,
    ModelMetadata,
    SignatureDescription,
    TensorDescription,
    VersionStatus,
)
from textseq.serving.request_rows import Columns

_LONGEST_REASON = 300  # characters of what a server says: it may repeat the whole request
_ERROR = re.compile(rb'"error"\s*:\s*"(.*)"\s*\}?\s*$', re.DOTALL)
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)


class RestClient(Client):
    """Asks one model of a server over REST.

    Args:
        url: of the server, such as `http://localhost:8501`.
        model: its name on the server.
        options: see `Client`.

    Example:
        >>> with RestClient("http://localhost:8501", "nmt") as client:  # doctest: +SKIP
        ...     client.predict({"text": ["A man is sleeping."]})["translation"]
        ['Ein Mann schläft.']
    """

    def __init__(self, url: str, model: str, **options: Any) -> None:
        super().__init__(url.rstrip("/"), model, **options)
        seconds = httpx.Timeout(self.timeout, connect=self.connect_timeout)
        try:
            self._http = httpx.Client(base_url=self.address, timeout=seconds)
        except httpx.InvalidURL as error:
            raise InputError(f"received {url!r} as the address of a server: {error}; correct it") from error

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def _predict_once(self, columns: Columns, signature: str) -> Columns:
        request: dict[str, Any] = {"inputs": {name: _as_json(values) for name, values in columns.items()}}
        if signature != DEFAULT_SIGNATURE:
            request["signature_name"] = signature
        body = json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode()
        answer = self._ask("POST", f"{self._path()}:predict", body)
        outputs = answer.get("outputs") if isinstance(answer, dict) else None
        if isinstance(outputs, list):  # the name of a single output is left out
            (name,) = list(self._signature(signature).outputs) or [""]
            outputs = {name: outputs}
        if not isinstance(outputs, dict) or not all(isinstance(values, list) for values in outputs.values()):
            raise self._not_tf_serving(f'received {_short(answer)}, expected "outputs" with a list for each')
        return outputs

    def _status_once(self, model: str | None = None) -> list[VersionStatus]:
        answer = self._ask("GET", self._path(model))
        try:
            versions = [
                VersionStatus(
                    int(each["version"]), str(each["state"]), str(each.get("status", {}).get("error_message", ""))
                )
                for each in answer["model_version_status"]
            ]
        except (TypeError, KeyError, ValueError, AttributeError):
            raise self._not_tf_serving(f"received {_short(answer)}, expected the status of versions") from None
        return sorted(versions, key=lambda each: -each.version)

    def _metadata_once(self) -> ModelMetadata:
        answer = self._ask("GET", f"{self._path()}/metadata")
        try:
            signatures = answer["metadata"]["signature_def"]["signature_def"]
            described = {
                name: SignatureDescription(_tensors(each.get("inputs", {})), _tensors(each.get("outputs", {})))
                for name, each in signatures.items()
                if not name.startswith(INTERNAL)
            }
            version = int(answer["model_spec"]["version"])
        except (TypeError, KeyError, ValueError, AttributeError):
            raise self._not_tf_serving(f"received {_short(answer)}, expected metadata with signatures") from None
        return ModelMetadata(self.model, version, described)

    def _path(self, model: str | None = None) -> str:
        path = f"/v1/models/{quote(self.model if model is None else model, safe='')}"
        return path if self.version is None or model is not None else f"{path}/versions/{self.version}"

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        """Sends one request; the JSON of its answer."""
        until = time.monotonic() + self.timeout + self.connect_timeout
        headers = None if body is None else {"Content-Type": "application/json"}
        try:
            with self._http.stream(method, path, content=body, headers=headers) as response:
                content = self._read(response, until)
        except httpx.TransportError as error:
            self._fail(error)
        if response.status_code != 200:
            self._refuse(response, content)
        return self._parsed(content)

    def _read(self, response: httpx.Response, until: float) -> bytes:
        parts, size = [], 0
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > LARGEST_ANSWER:
                raise InvalidAnswer(f"{self.address}: the answer is larger than {LARGEST_ANSWER:,} bytes; ask for less")
            if time.monotonic() > until:  # httpx counts the time to the next byte only
                raise self._too_slow()
        return b"".join(parts)

    def _fail(self, error: httpx.TransportError) -> NoReturn:
        if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
            raise self._too_slow() from error
        reason = str(error) or type(error).__name__
        if isinstance(error, httpx.RemoteProtocolError) and "disconnected" not in reason:
            raise self._not_tf_serving(f"{reason[:_LONGEST_REASON]}; for a gRPC port write grpc://") from error
        if isinstance(error, httpx.ConnectTimeout):
            reason = f"no answer within {self.connect_timeout:g} s"
        unavailable = ServerUnavailable(
            f"{self.address}: no connection: {reason}; start the server, or correct its address"
            if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
            else f"{self.address}: the connection broke: {reason}"
        )
        unavailable.__cause__ = error
        raise TryAgain(unavailable)

    def _refuse(self, response: httpx.Response, content: bytes) -> NoReturn:
        status = response.status_code
        code = HTTP_CODES.get(status, "UNKNOWN")
        said = _error_message(content)
        if said is None and status not in (429, 502, 503, 504):
            raise self._not_tf_serving(f"received status {status} and {_short(content.decode('utf-8', 'replace'))}")
        message = f"{self.address}: {(said or response.reason_phrase)[:_LONGEST_REASON]} (status {status})"
        if code in WORTH_ANOTHER_TRY:
            raise TryAgain(ServerUnavailable(message, code), _retry_after(response.headers))
        if code == "DEADLINE_EXCEEDED":
            raise ServerTooSlow(message, code)
        if code == "NOT_FOUND":
            raise ModelNotFound(message)
        raise (RequestRefused if code in WRONG_REQUEST else ServingError)(message, code)

    def _parsed(self, content: bytes) -> Any:
        try:
            # TF Serving writes strings as they are, UTF-8 or not.
            answer = json.loads(content.decode("utf-8", "surrogateescape"))
            plain = b'"b64"' not in content and (content.isascii() or _is_utf8(content))
            return answer if plain else _decoded(answer)
        except (ValueError, RecursionError):
            received = _short(content.decode("utf-8", "replace"))
            raise self._not_tf_serving(f"received {received}, expected JSON") from None

    def _too_slow(self) -> ServerTooSlow:
        return ServerTooSlow(
            f"{self.address}: no answer within {self.timeout:g} s; allow more time, or ask for fewer rows at once"
        )

    def _not_tf_serving(self, reason: str) -> InvalidAnswer:
        return InvalidAnswer(f"{self.address}: this is not TF Serving's REST API: {reason}")


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    return [_as_json(each) for each in value] if isinstance(value, list) else value


def _decoded(value: Any) -> Any:
    """The value with each string that is no UTF-8 as bytes, and each `{"b64": ...}` as what it holds."""
    if isinstance(value, list):
        return [_decoded(each) for each in value]
    if isinstance(value, dict):
        if set(value) == {"b64"} and isinstance(value["b64"], str):
            return _text(base64.b64decode(value["b64"], validate=True))
        return {name: _decoded(each) for name, each in value.items()}
    if isinstance(value, str) and not value.isascii():
        return _text(value.encode("utf-8", "surrogateescape"))
    return value


def _text(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _is_utf8(content: bytes) -> bool:
    return isinstance(_text(content), str)


def _error_message(content: bytes) -> str | None:
    """What TF Serving says in `{"error": ...}`, or None. Its own escapes, as of C, are not always those of JSON."""
    try:
        answer = json.loads(content)
        said = answer.get("error") if isinstance(answer, dict) else None
        return said if isinstance(said, str) else None
    except (ValueError, RecursionError):
        found = _ERROR.search(content)
        return _ESCAPE.sub(_unescaped, found.group(1)).decode("utf-8", "replace") if found else None


def _unescaped(escape: re.Match[bytes]) -> bytes:
    said = escape.group(1)
    return bytes([int(said, 8) & 0xFF]) if len(said) == 3 else {b"n": b"\n", b"t": b"\t", b"r": b"\r"}.get(said, said)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, of which HTTP has two forms."""
    value = headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _tensors(described: Mapping[str, Any]) -> dict[str, TensorDescription]:
    return {
        name: TensorDescription(_dtype(each), _shape(each.get("tensor_shape", {}))) for name, each in described.items()
    }


def _dtype(tensor: Mapping[str, Any]) -> str:
    return DTYPES.get(tensor["dtype"], tensor["dtype"])


def _shape(shape: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    if shape.get("unknown_rank"):
        return None
    sizes = [int(each.get("size", 0)) for each in shape.get("dim", [])]
    return tuple(None if size < 0 else size for size in sizes)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
