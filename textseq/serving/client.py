"""Asking a server of exported models: what its REST and its gRPC client share.

Both speak TensorFlow Serving's protocols, to TF Serving itself or to `textseq.serving.server`. They import neither
TensorFlow nor Keras.

Example:
    >>> with connect("http://localhost:8501", "nmt") as client:  # doctest: +SKIP
    ...     client.predict({"text": ["A man is sleeping."]})["translation"]
    ['Ein Mann schläft.']
"""

from __future__ import annotations

import abc
import contextlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from textseq.counted import counted
from textseq.errors import InputError
from textseq.serving.attempts import Attempts, TryAgain
from textseq.serving.client_errors import (
    InvalidAnswer,
    ModelNotFound,
    RequestRefused,
    ServerTooSlow,
    ServerUnavailable,
    ServingError,
    SignatureNotFound,
)
from textseq.serving.exported_signatures import DEFAULT_SIGNATURE
from textseq.serving.extras import needing
from textseq.serving.model_description import ModelMetadata, SignatureDescription, VersionStatus
from textseq.serving.request_rows import Columns, as_columns, join, pieces

if TYPE_CHECKING:
    from typing_extensions import Self

MODEL_NAMES = ("nmt", "classifiers", "combined")
"""What exports are called on a server where nobody says otherwise: a translator, a classifier, and both in one."""

LARGEST_BATCH = 64
"""Rows of a request."""

LARGEST_REQUEST = 2_000_000
"""Bytes of the values in a request of several rows; gRPC servers take 4 MB unless they are told otherwise."""

LARGEST_ANSWER = 256_000_000
"""Bytes that are read of an answer."""

_SERVERS_BATCH = re.compile(r"larger than maximum input batch size:? (\d+)(?P<these> for )?")
Answer = TypeVar("Answer")


class Client(abc.ABC):
    """Asks one model of a server. Threads may share it; close it, or use it in a `with` block.

    Args:
        address: of the server, as messages name it.
        model: its name on the server.
        version: of the model; None is the newest that the server has.
        timeout: seconds for the server to answer one request.
        connect_timeout: seconds for the connection.
        retries: attempts after the first, where another may help: no connection, or a server that is too busy.
        largest_batch: rows of a request; more are sent in several. A server that says that it takes fewer gets fewer.

    Raises:
        InputError: an option is out of range.
    """

    def __init__(
        self,
        address: str,
        model: str,
        *,
        version: int | None = None,
        timeout: float = 10.0,
        connect_timeout: float = 3.0,
        retries: int = 3,
        largest_batch: int = LARGEST_BATCH,
    ) -> None:
        for name, value, allowed in (
            ("timeout", timeout, timeout > 0),
            ("connect_timeout", connect_timeout, connect_timeout > 0),
            ("retries", retries, retries >= 0),
            ("largest_batch", largest_batch, largest_batch >= 1),
        ):
            if not allowed:
                expected = "0 or more" if name == "retries" else "more than 0"
                raise InputError(f"{name}: received {value}, expected {expected}")
        self.address = address
        self.model = model
        self.version = version
        self.timeout = timeout
        self.connect_timeout = connect_timeout
        self._attempts = Attempts(retries)
        self._largest_batch = largest_batch
        self._described: ModelMetadata | None = None

    def predict(self, inputs: Mapping[str, Sequence[Any]], signature: str = DEFAULT_SIGNATURE) -> dict[str, list[Any]]:
        """Asks a signature of the model, in as many requests as the server needs.

        Args:
            inputs: by name, one value a row: text, bytes, numbers, truth values. No rows are answered with none.
            signature: its name.

        Returns:
            The outputs by name, one value a row, in the order of the inputs. Strings are str, or bytes where they are
            no UTF-8. Where rows are lists, of several requests too, they have one length (see `request_rows.join`).

        Raises:
            InputError: the inputs are not lists of values of one length.
            RequestRefused: the server knows no such model or signature, or refuses the inputs.
            ServerUnavailable: no connection, or the server is too busy, after every attempt.
            ServerTooSlow: no answer in time.
            InvalidAnswer: what answers is no TF Serving.
        """
        columns = as_columns(inputs)
        if not len(next(iter(columns.values()))):
            self._check_request(columns, signature)
            return {name: [] for name in self._signature(signature).outputs}
        return join(self._answers(columns, signature))

    def status(self) -> list[VersionStatus]:
        """How each version of the model does, the newest first.

        Raises:
            ModelNotFound: the server has no model of this name.
            ServingError: as for `predict`.
        """
        return self._attempts.call(self._status_once)

    def metadata(self) -> ModelMetadata:
        """The signatures of the version that is served.

        Raises:
            ModelNotFound: the server has no model of this name, or no version of it is ready.
            ServingError: as for `predict`.
        """
        try:
            self._described = self._attempts.call(self._metadata_once)
        except ModelNotFound as error:
            raise self._without_model(error) from error
        return self._described

    def has(self, model: str) -> bool:
        """Whether the server has a model of this name, ready or not.

        Raises:
            ServingError: as for `predict`.
        """
        try:
            self._attempts.call(lambda: self._status_once(model))
        except ModelNotFound:
            return False
        return True

    def wait_until_ready(self, seconds: float = 60.0) -> None:
        """Waits until the model can be asked.

        Args:
            seconds: at most.

        Raises:
            ServerUnavailable: it cannot after that time; the message says what stood in the way last.
        """
        until = time.monotonic() + seconds
        pause = 0.05
        while True:
            try:
                versions = self._status_once()
                if any(each.state == "AVAILABLE" for each in versions):
                    return
                reason = f"versions: {', '.join(map(str, versions)) or 'none'}"
            except (ServingError, TryAgain) as error:
                reason = str(error)
            if time.monotonic() + pause > until:
                raise ServerUnavailable(
                    f"{self.address}: model {self.model} is not ready after {seconds:g} s: {reason}"
                )
            time.sleep(pause)
            pause = min(1.0, 2 * pause)

    @abc.abstractmethod
    def close(self) -> None:
        """Closes the connections."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @abc.abstractmethod
    def _predict_once(self, columns: Columns, signature: str) -> Columns:
        """Sends one request. Raises `TryAgain` or a `ServingError`."""

    @abc.abstractmethod
    def _status_once(self, model: str | None = None) -> list[VersionStatus]:
        """Asks for the versions of this model or another, the newest first. Raises `TryAgain` or a `ServingError`."""

    @abc.abstractmethod
    def _metadata_once(self) -> ModelMetadata:
        """Asks for the signatures. Raises `TryAgain` or a `ServingError`."""

    def _answers(self, columns: Columns, signature: str, most: int | None = None) -> list[Columns]:
        """The answers to pieces of the rows, in order.

        Args:
            columns: the rows.
            signature: that is asked.
            most: rows of a piece, where the server takes fewer of rows such as these.
        """
        largest = self._largest_batch if most is None else min(most, self._largest_batch)
        parts = list(pieces(columns, largest, LARGEST_REQUEST))
        if len(parts) > 1:
            # Each is looked at again: an answer may have said that the server takes fewer rows.
            return [answer for part in parts for answer in self._answers(part, signature, most)]
        rows = len(next(iter(columns.values())))
        try:
            answer = self._attempts.call(lambda: self._predict_once(columns, signature))
        except ModelNotFound as error:
            raise self._without_model(error) from error
        except RequestRefused as error:
            said = _SERVERS_BATCH.search(str(error))
            most = int(said.group(1)) if said else 0
            if said is None or not 1 <= most < rows:
                with contextlib.suppress(ServerUnavailable, ServerTooSlow, InvalidAnswer):
                    self._check_request(columns, signature)
                raise
            if not said["these"]:
                self._largest_batch = most
            return self._answers(columns, signature, most)
        wrong = {name: len(values) for name, values in answer.items() if len(values) != rows}
        if wrong or not answer:
            received = ", ".join(f"{length} of {name}" for name, length in wrong.items()) or "no output"
            raise InvalidAnswer(
                f"{self.address}: received {received} for {counted(rows, 'row')} of {signature}, expected one a row; "
                f"the batch must be the first dimension of each output"
            )
        return [answer]

    def _signature(self, name: str) -> SignatureDescription:
        metadata = self._described or self.metadata()
        if name not in metadata.signatures:
            metadata = self.metadata()  # a newer version may have it
        try:
            return metadata.signatures[name]
        except KeyError:
            known = ", ".join(sorted(metadata.signatures))
            raise SignatureNotFound(
                f"{self.address}: model {self.model}, version {metadata.version}, has no signature {name}; "
                f"it has {known or 'none'}"
            ) from None

    def _check_request(self, columns: Columns, signature: str) -> None:
        """Finds out whether a request was refused for the names in it.

        Raises:
            RequestRefused: it was; nothing is raised where the names are right.
        """
        inputs = self._signature(signature).inputs
        if set(columns) != set(inputs):
            raise RequestRefused(
                f"{self.address}: model {self.model}, signature {signature}: received {', '.join(sorted(columns))}; "
                f"expected {', '.join(sorted(inputs))}"
            )

    def _without_model(self, error: ModelNotFound) -> ModelNotFound:
        """The error with what the server does have."""
        try:
            versions = self._attempts.call(lambda: self._status_once(self.model))
        except ModelNotFound:
            known = [name for name in MODEL_NAMES if name != self.model]
            found = [name for name in known if self.has(name)]
            has = (
                f"it has {', '.join(found)}"
                if found
                else f"it has neither {' nor '.join(known)}; give the name of the one it has"
            )
            return ModelNotFound(f"{self.address}: no model {self.model} on this server; {has}")
        except ServingError:
            return error
        wanted = "no version" if self.version is None else f"version {self.version}"
        state = "is ready" if self.version is None else "is not ready"
        has = ", ".join(map(str, versions)) or "none"
        return ModelNotFound(f"{self.address}: model {self.model}: {wanted} {state}; its versions: {has}")


def connect(url: str, model: str | Sequence[str] | None = None, **options: Any) -> Client:
    """A client by the scheme of an address.

    Args:
        url: `http://HOST:PORT` or `https://` for REST, `grpc://HOST:PORT` or, with TLS, `grpcs://` for gRPC.
        model: its name on the server; or several, of which the first that the server has is taken; None: the only one
            of `MODEL_NAMES` that it has.
        options: see `Client`.

    Raises:
        InputError: no such address.
        ModelNotFound: none of the names is on the server; or, with None, more than one.
        ServingError: the server had to be asked for its models, and did not answer.
    """
    make = _maker(url, options)
    if isinstance(model, str):
        return make(model)
    names = tuple(MODEL_NAMES if model is None else model)
    found: list[str] = []
    with make(names[0]) as client:
        for name in names:
            if client.has(name):
                found.append(name)
                if model is not None:
                    break
    if len(found) == 1:
        return make(found[0])
    if found:
        raise ModelNotFound(f"{url}: this server has {' and '.join(found)}; say which one to ask")
    raise ModelNotFound(f"{url}: no model {' or '.join(names)} on this server; give the name of the one it has")


def _maker(url: str, options: dict[str, Any]) -> Callable[[str], Client]:
    expected = "expected http://HOST:8501 for REST or grpc://HOST:8500 for gRPC"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")  # as the system will when it looks for the host
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.scheme not in ("http", "https", "grpc", "grpcs") or not host:
        raise InputError(f"received {url!r} as the address of a server; {expected}")
    if "/v1" in parts.path or parts.query or parts.fragment or (parts.path.strip("/") and "grpc" in parts.scheme):
        raise InputError(f"received {url!r} as the address of a server; {expected}, and the model by its name")
    if parts.scheme.startswith("http"):
        with needing("client", "asking a server over REST"):
            from textseq.serving.rest_client import RestClient
        return lambda model: RestClient(url, model, **options)
    with needing("client", "asking a server over gRPC"):
        from textseq.serving.grpc_client import GrpcClient
    target = f"[{host}]:{port or 8500}" if ":" in host else f"{host}:{port or 8500}"
    return lambda model: GrpcClient(target, model, secure=parts.scheme == "grpcs", **options)
