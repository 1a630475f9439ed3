"""TensorFlow Serving's gRPC: predictions, a model's status and metadata, and gRPC's own health check.

The services are made from names and from textseq.serving.native.messages; nothing is generated.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import grpc
import grpc.aio
import numpy as np
from google.protobuf.message import DecodeError

from textseq.serving.native import messages
from textseq.serving.native.tensors import TensorError, to_array, to_message
from textseq.serving.predictor import (
    PREDICT_METHOD,
    Answer,
    Asked,
    Predictor,
    apart,
    check_names,
    check_types,
)
from textseq.serving.refusal import Code, Refusal, invalid

logger = logging.getLogger("textseq.serving")

_SIGNATURES = "signature_def"
_HEALTH_SECONDS = 1.0
_MOST_VALUES = 1 << 20
_MOST_CALLS = 256  # each may hold a message of the largest size before anything here sees it
_MOST_WATCHERS = 32  # of the health, beside the calls: they stay for as long as they like
_ANSWERS_FRAME = 1 << 16  # what stands around an answer's values: names, shapes, lengths
_STATUS_CODES = {code.value[0]: code for code in grpc.StatusCode}
_SERVICES = ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")

_Call = Callable[[Any, Any], Awaitable[Any]]


class GrpcService:
    """The handlers of one server.

    Args:
        predictor: answers.
    """

    def __init__(self, predictor: Predictor) -> None:
        self._predictor = predictor
        self._watchers = 0

    def server(self, address: str) -> tuple[grpc.aio.Server, int]:
        """Makes a server that listens on an address.

        Returns:
            The server, not started, and its port.

        Raises:
            RuntimeError: the address cannot be had.
        """
        limits = self._predictor.limits
        server = grpc.aio.server(
            handlers=self.handlers(),
            options=[
                ("grpc.max_receive_message_length", limits.largest_body),
                ("grpc.max_send_message_length", 2 * limits.largest_answer + _ANSWERS_FRAME),
                ("grpc.so_reuseport", 0),  # two servers on one port would share its calls
                ("grpc.keepalive_time_ms", 60_000),
                ("grpc.keepalive_timeout_ms", 20_000),
            ],
            maximum_concurrent_rpcs=min(limits.connections, _MOST_CALLS) + _MOST_WATCHERS,
        )
        return server, server.add_insecure_port(address)

    def handlers(self) -> list[grpc.GenericRpcHandler]:
        """Returns the handlers of every service."""
        prediction = {
            "Predict": self._unary(messages.PredictRequest, self._predict),
            "GetModelMetadata": self._unary(messages.GetModelMetadataRequest, self._metadata),
            # Their requests begin as the one for the status does.
            "Classify": self._unary(messages.GetModelStatusRequest, self._refuse("classify")),
            "Regress": self._unary(messages.GetModelStatusRequest, self._refuse("regress")),
        }
        model = {"GetModelStatus": self._unary(messages.GetModelStatusRequest, self._status)}
        health = {
            "Check": self._unary(messages.HealthCheckRequest, self._check),
            "Watch": grpc.unary_stream_rpc_method_handler(
                self._watch,
                request_deserializer=messages.HealthCheckRequest.FromString,
                response_serializer=messages.HealthCheckResponse.SerializeToString,
            ),
        }
        return [
            grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", prediction),
            grpc.method_handlers_generic_handler("tensorflow.serving.ModelService", model),
            grpc.method_handlers_generic_handler("grpc.health.v1.Health", health),
        ]

    def _unary(self, kind: Any, call: _Call) -> grpc.RpcMethodHandler:
        """Makes a handler that turns refusals into gRPC's statuses; requests and answers are bytes to gRPC."""

        async def handle(body: bytes, context: Any) -> bytes:
            try:
                with self._predictor.hold(len(body)) as held:
                    answer = await call(await apart(len(body), _read, kind, body), context)
                    content: bytes = answer if isinstance(answer, bytes) else answer.SerializeToString()
                    held(len(content))
                    return content
            except Refusal as refusal:
                code, message = refusal.code, refusal.message
            except Exception:
                logger.exception("gRPC: a request failed")
                code, message = Code.INTERNAL, "The server failed; its log says how"
            await context.abort(_STATUS_CODES[int(code)], message)
            raise AssertionError("context.abort returned")

        return grpc.unary_unary_rpc_method_handler(handle)

    async def _predict(self, request: Any, context: Any) -> bytes:
        with self._predictor.counted("gRPC") as signature:
            signature.append(request.model_spec.signature_name)
            answer = await self._predictor.predict(
                _asked(request),
                request.model_spec.signature_name,
                lambda each: _inputs(request, each),
                size=request.ByteSize(),
                seconds=context.time_remaining(),
                missing_signature=_missing_signature,
            )
            size = sum(array.nbytes for array in answer.outputs.values())
            return await apart(size, _response, request, answer)

    async def _status(self, request: Any, context: Any) -> Any:
        response = messages.GetModelStatusResponse()
        for status in self._predictor.statuses(_asked(request)):
            response.model_version_status.add(
                version=status.version,
                state=int(status.state),
                status={"error_code": int(status.code), "error_message": status.message},
            )
        return response

    async def _metadata(self, request: Any, context: Any) -> Any:
        asked = _asked(request)
        if not request.metadata_field:
            raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != _SIGNATURES:
                raise invalid(f"Metadata field {field} is not supported")
        response = messages.GetModelMetadataResponse()
        with self._predictor.lease(asked) as served:
            response.model_spec.name = asked.name
            response.model_spec.version.value = served.version
            definitions = signature_definitions(served.model.signatures)
        response.metadata[_SIGNATURES].Pack(definitions)
        return response

    def _refuse(self, kind: str) -> _Call:
        async def refuse(request: Any, context: Any) -> Any:
            self._predictor.refuse_method(_asked(request), request.model_spec.signature_name, kind)

        return refuse

    async def _check(self, request: Any, context: Any) -> Any:
        if not self._knows(request.service):
            raise Refusal(Code.NOT_FOUND, f"Unknown service: {request.service}")
        return self._health(request.service)

    async def _watch(self, request: Any, context: Any) -> AsyncIterator[Any]:
        if self._watchers >= _MOST_WATCHERS:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{_MOST_WATCHERS} watch already; try again later")
        self._watchers += 1
        try:
            async for health in self._changes(request):
                yield health
        finally:
            self._watchers -= 1

    async def _changes(self, request: Any) -> AsyncIterator[Any]:
        before = None
        while not self._predictor.stopping or before is None or before.status == 1:
            now = self._health(request.service)
            if now != before:
                yield now
            before = now
            await asyncio.sleep(_HEALTH_SECONDS)

    def _knows(self, service: str) -> bool:
        return service in (*_SERVICES, self._predictor.store.name)

    def _health(self, service: str) -> Any:
        if not self._knows(service):
            return messages.HealthCheckResponse(status="SERVICE_UNKNOWN")
        return messages.HealthCheckResponse(status="SERVING" if self._predictor.ready else "NOT_SERVING")


def _read(kind: Any, body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError:
        raise invalid(f"Not a {kind.DESCRIPTOR.full_name}") from None


def _asked(request: Any) -> Asked:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    spec = request.model_spec
    return Asked(
        spec.name,
        spec.version.value if spec.HasField("version") else None,
        spec.version_label if spec.HasField("version_label") else None,
    )


def _missing_signature(name: str) -> Refusal:
    return Refusal(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')


def _inputs(request: Any, signature: Any) -> Mapping[str, np.ndarray]:
    _check_filter(request.output_filter, signature.outputs)
    check_names(signature, request.inputs.keys())  # before their values: a request may hold a million
    check_types(signature, {name: tensor.dtype for name, tensor in request.inputs.items()})
    try:
        return {name: to_array(tensor, _MOST_VALUES) for name, tensor in request.inputs.items()}
    except TensorError as error:
        raise invalid(f"tensor parsing error: {error}") from None


def _check_filter(wanted: Any, outputs: Mapping[str, Any]) -> None:
    for name in wanted:
        if name not in outputs:
            raise invalid(
                f"output tensor alias not found in signature: {name} Outputs expected to be in the set "
                f"{{{','.join(sorted(outputs))}}}."
            )
        if list(wanted).count(name) > 1:
            raise invalid(f"duplicate output tensor alias: {name}")


def _response(request: Any, answer: Answer) -> bytes:
    response = messages.PredictResponse()
    response.model_spec.name = request.model_spec.name
    response.model_spec.signature_name = answer.signature
    response.model_spec.version.value = answer.version
    for name, array in answer.outputs.items():
        if not request.output_filter or name in request.output_filter:
            response.outputs[name].CopyFrom(to_message(array))
    return response.SerializeToString()


def signature_definitions(signatures: Mapping[str, Any]) -> Any:
    """Returns signatures as TensorFlow Serving's `SignatureDefMap`."""
    definitions = messages.SignatureDefMap()
    for name, signature in signatures.items():
        definition = definitions.signature_def[name]
        definition.method_name = PREDICT_METHOD
        for infos, entries in ((signature.inputs, definition.inputs), (signature.outputs, definition.outputs)):
            for key, info in infos.items():
                entries[key].name = info.name
                entries[key].dtype = info.dtype
                if info.shape is None:
                    entries[key].tensor_shape.unknown_rank = True
                    continue
                entries[key].tensor_shape.SetInParent()
                for size in info.shape:
                    entries[key].tensor_shape.dim.add(size=-1 if size is None else size)
    return definitions
