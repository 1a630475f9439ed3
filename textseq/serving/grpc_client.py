"""Asking a model server over gRPC, in TF Serving's messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import grpc
import numpy as np
from google.protobuf.message import DecodeError

from textseq.errors import InputError
from textseq.serving.attempts import TryAgain
from textseq.serving.client import LARGEST_ANSWER, Client
from textseq.serving.client_errors import (
    WORTH_ANOTHER_TRY,
    WRONG_REQUEST,
    InvalidAnswer,
    ModelNotFound,
    RequestRefused,
    ServerTooSlow,
    ServerUnavailable,
    ServingError,
)
from textseq.serving.model_description import (
    DTYPES,
    INTERNAL,
    ModelMetadata,
    SignatureDescription,
    TensorDescription,
    VersionStatus,
)
from textseq.serving.native import messages
from textseq.serving.native.tensors import TensorError, to_array, to_message
from textseq.serving.request_rows import Columns

_LONGEST_REASON = 300  # characters of what a server says: it may repeat the whole request
_OPTIONS = (
    ("grpc.max_receive_message_length", LARGEST_ANSWER),
    ("grpc.max_send_message_length", -1),  # the server says what it takes
    # The pauses are ours: within gRPC's own, of a second and more, every attempt would fail at once.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_retries", 0),
)
_METHODS = {
    "Predict": ("PredictionService", messages.PredictResponse),
    "GetModelMetadata": ("PredictionService", messages.GetModelMetadataResponse),
    "GetModelStatus": ("ModelService", messages.GetModelStatusResponse),
}


class GrpcClient(Client):
    """Asks one model of a server over gRPC.

    Args:
        address: of the server, such as `localhost:8500`.
        model: its name on the server.
        secure: with TLS, and the certificates that gRPC trusts.
        options: see `Client`.

    Example:
        >>> with GrpcClient("localhost:8500", "nmt") as client:  # doctest: +SKIP
        ...     client.predict({"text": ["A man is sleeping."]})["translation"]
        ['Ein Mann schläft.']
    """

    def __init__(self, address: str, model: str, *, secure: bool = False, **options: Any) -> None:
        super().__init__(address, model, **options)
        # gRPC's name for the time that an attempt to connect gets.
        options_ = [*_OPTIONS, ("grpc.min_reconnect_backoff_ms", int(1000 * self.connect_timeout))]
        self._channel = (
            grpc.secure_channel(address, grpc.ssl_channel_credentials(), options_)
            if secure
            else grpc.insecure_channel(address, options_)
        )
        self._methods: dict[str, Callable[..., Any]] = {
            name: self._channel.unary_unary(
                f"/tensorflow.serving.{service}/{name}",
                request_serializer=lambda request: request.SerializeToString(),
                response_deserializer=answer.FromString,
            )
            for name, (service, answer) in _METHODS.items()
        }

    def close(self) -> None:
        """Closes the connections."""
        self._channel.close()

    def _predict_once(self, columns: Columns, signature: str) -> Columns:
        request = messages.PredictRequest(model_spec=self._model_spec(signature_name=signature))
        for name, values in columns.items():
            request.inputs[name].CopyFrom(to_message(self._array(name, values, signature)))
        answer = self._ask("Predict", request)
        try:
            return {name: _plain(to_array(tensor, LARGEST_ANSWER)) for name, tensor in answer.outputs.items()}
        except TensorError as error:
            raise InvalidAnswer(f"{self.address}: in the answer of {signature}, {error}") from error

    def _array(self, name: str, values: list[Any], signature: str) -> np.ndarray:
        kinds = set(map(type, _leaves(values)))
        if kinds <= {str, bytes}:
            return _strings(name, values)
        if kinds == {bool}:
            return _numbers(name, values, "bool")
        # What is whole may be meant as any of four types: the model says which.
        described = self._signature(signature).inputs.get(name)
        if described is None:
            raise RequestRefused(f"{self.address}: signature {signature} has no input {name}")
        if described.dtype not in ("float32", "float64", "int32", "int64"):
            raise InputError(f"input {name}: received {_kinds(kinds)}, expected {described.dtype}")
        if float in kinds and described.dtype.startswith("int"):
            raise InputError(f"input {name}: received {_kinds(kinds)}, expected whole numbers ({described.dtype})")
        return _numbers(name, values, described.dtype)

    def _status_once(self, model: str | None = None) -> list[VersionStatus]:
        spec = self._model_spec() if model is None else messages.ModelSpec(name=model)
        answer = self._ask("GetModelStatus", messages.GetModelStatusRequest(model_spec=spec))
        states = messages.ModelVersionStatus.State
        versions = [
            VersionStatus(
                each.version,
                states.Name(each.state) if each.state in states.values() else str(each.state),
                each.status.error_message,
            )
            for each in answer.model_version_status
        ]
        return sorted(versions, key=lambda each: -each.version)

    def _metadata_once(self) -> ModelMetadata:
        request = messages.GetModelMetadataRequest(model_spec=self._model_spec(), metadata_field=["signature_def"])
        answer = self._ask("GetModelMetadata", request)
        try:
            signatures = messages.SignatureDefMap.FromString(answer.metadata["signature_def"].value).signature_def
        except DecodeError as error:
            raise InvalidAnswer(f"{self.address}: metadata of model {self.model} cannot be read: {error}") from error
        described = {
            name: SignatureDescription(_tensors(each.inputs), _tensors(each.outputs))
            for name, each in signatures.items()
            if not name.startswith(INTERNAL)
        }
        return ModelMetadata(self.model, answer.model_spec.version.value, described)

    def _model_spec(self, **fields: str) -> Any:
        spec = messages.ModelSpec(name=self.model, **fields)
        if self.version is not None:
            spec.version.value = self.version
        return spec

    def _ask(self, method: str, request: Any) -> Any:
        try:
            return self._methods[method](request, timeout=self.timeout)
        except grpc.RpcError as error:
            self._fail(error)

    def _fail(self, error: Any) -> NoReturn:
        code, details = error.code().name, error.details() or "no reason given"
        said = details[:_LONGEST_REASON]
        message = f"{self.address}: {said} ({code})"
        if code == "RESOURCE_EXHAUSTED" and "larger than max" in said:
            raise RequestRefused(f"{message}; ask for fewer rows at once", code) from error
        if code == "UNIMPLEMENTED":
            raise InvalidAnswer(f"{self.address}: this is not TF Serving's gRPC API: {said} ({code})", code) from error
        if code == "DEADLINE_EXCEEDED":
            # gRPC's own words where the time allowed here has run out; a server may have a limit of its own.
            ours = details == "Deadline Exceeded"
            reason = f"no answer within {self.timeout:g} s; allow more time, or" if ours else f"{said} ({code});"
            raise ServerTooSlow(f"{self.address}: {reason} ask for fewer rows at once") from error
        if code == "UNAVAILABLE" and ("Expected SETTINGS frame" in details or "http1" in details):
            raise InvalidAnswer(f"{message}; for a REST port write http://", code) from error
        # Nobody here cancels a call: a server drops those that come too many at once, without a word.
        dropped = code == "CANCELLED" and details == code
        if code in WORTH_ANOTHER_TRY or dropped:
            unavailable = ServerUnavailable(f"{message}; start the server, or correct its address", code)
            if code != "UNAVAILABLE" or "connect" not in said.lower():
                unavailable = ServerUnavailable(message, code)
            unavailable.__cause__ = error
            raise TryAgain(unavailable)
        if code == "NOT_FOUND":
            raise ModelNotFound(message) from error
        raise (RequestRefused if code in WRONG_REQUEST else ServingError)(message, code) from error


def _leaves(value: Any) -> list[Any]:
    return [leaf for each in value for leaf in _leaves(each)] if isinstance(value, list) else [value]


def _kinds(kinds: set[type]) -> str:
    return " and ".join(sorted(kind.__name__ for kind in kinds))


def _strings(name: str, values: list[Any]) -> np.ndarray:
    # Objects: NumPy's own strings would lose zeros at the end.
    return _numbers(name, values, "object")


def _numbers(name: str, values: list[Any], dtype: str) -> np.ndarray:
    try:
        return np.array(values, dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"input {name}: received values that make no array of {dtype}: {error}") from None


def _plain(array: np.ndarray) -> Any:
    values = array.tolist()
    return _decoded(values) if array.dtype == object else values


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(each) for each in value]
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _tensors(described: Any) -> dict[str, TensorDescription]:
    return {name: TensorDescription(_dtype(each.dtype), _shape(each.tensor_shape)) for name, each in described.items()}


def _dtype(kind: int) -> str:
    name = messages.data_type_name(kind)
    return DTYPES.get(name, name)


def _shape(shape: Any) -> tuple[int | None, ...] | None:
    if shape.unknown_rank:
        return None
    return tuple(None if dimension.size < 0 else dimension.size for dimension in shape.dim)
