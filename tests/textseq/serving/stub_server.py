"""A server that speaks TF Serving's two protocols without a model, fails when told to, and keeps what it was asked.

Its answers are written from TF Serving's documentation and sources, its gRPC from tensorflow-serving-api's own
servicer, so that the clients are tested against something that shares no code with them.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "stub"
LOWEST = -3.4028234663852886e38
# name: (inputs, outputs), each name: (dtype, dimensions)
SIGNATURES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "serving_default": (
        {"text": ("DT_STRING", [-1])},
        {
            "translation": ("DT_STRING", [-1]),
            "score": ("DT_FLOAT", [-1]),
            "truncated": ("DT_BOOL", [-1]),
        },
    ),
    "n_best": (
        {"text": ("DT_STRING", [-1]), "n": ("DT_INT32", [-1])},
        {
            "translations": ("DT_STRING", [-1, -1]),
            "scores": ("DT_FLOAT", [-1, -1]),
            "count": ("DT_INT32", [-1]),
            "truncated": ("DT_BOOL", [-1]),
        },
    ),
    "single": ({"text": ("DT_STRING", [-1])}, {"echo": ("DT_STRING", [-1])}),
    "numbers": ({"value": ("DT_FLOAT", [-1])}, {"same": ("DT_FLOAT", [-1]), "double": ("DT_DOUBLE", [-1])}),
}


class Refused(Exception):
    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass
class Stub:
    """What both protocols share.

    Attributes:
        failures: what the next requests are answered, in order, before anything works: ("UNAVAILABLE", "text"), for
            REST also (status, headers, body) and "close".
        asked: the predictions that were asked: signature and rows.
        largest_batch: rows of a request, as a server with batching has it.
        versions: number, state, error of each.
    """

    rest: str = ""
    grpc: str = ""
    failures: list[Any] = field(default_factory=list)
    asked: list[tuple[str, int]] = field(default_factory=list)
    calls: int = 0
    largest_batch: int | None = None
    versions: list[tuple[int, str, str]] = field(default_factory=lambda: [(2, "AVAILABLE", ""), (1, "END", "")])
    models: tuple[str, ...] = (MODEL,)
    raw: bytes | None = None  # sent in place of every answer of REST

    def failure(self) -> Any:
        self.calls += 1
        return self.failures.pop(0) if self.failures else None

    def status(self, name: str, version: int | None) -> list[tuple[int, str, str]]:
        found = [each for each in self.versions if version in (None, each[0])]
        if name not in self.models or not found:
            raise Refused("NOT_FOUND", f"Could not find any versions of model {name}")
        return found

    def serving(self, name: str, version: int | None) -> int:
        ready = [number for number, state, _ in self.versions if state == "AVAILABLE" and version in (None, number)]
        if name not in self.models or not ready:
            which = "Latest" if version is None else f"Specific({version})"
            raise Refused("NOT_FOUND", f"Servable not found for request: {which}({name})")
        return max(ready)

    def predict(self, signature: str, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        rows = len(next(iter(columns.values())))
        self.asked.append((signature, rows))
        if self.largest_batch is not None and rows > self.largest_batch:
            raise Refused(
                "INVALID_ARGUMENT", f"Task size {rows} is larger than maximum input batch size {self.largest_batch}"
            )
        if signature == "numbers":
            return {"same": columns["value"], "double": columns["value"]}
        texts = columns["text"]
        if signature == "single":
            return {"echo": texts}
        if signature == "n_best":
            counts = [min(max(n, 1), 5) for n in columns["n"]]
            widest = max(counts)
            return {
                "translations": [
                    [text + b"%d" % rank if rank < count else b"" for rank in range(widest)]
                    for text, count in zip(texts, counts, strict=True)
                ],
                "scores": [[-float(rank) if rank < count else LOWEST for rank in range(widest)] for count in counts],
                "count": counts,
                "truncated": [False] * rows,
            }
        return {
            "translation": [text.upper() for text in texts],
            "score": [-0.1 * len(text) for text in texts],
            "truncated": [len(text) > 1000 for text in texts],
        }


def c_escaped(text: str) -> str:
    """As Abseil's CEscape, with which TF Serving writes its errors into what should be JSON."""
    special = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "'": "\\'", "\\": "\\\\"}
    escaped = (special.get(chr(byte), chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in text.encode())
    return "".join(escaped)


HTTP = {"INVALID_ARGUMENT": 400, "NOT_FOUND": 404, "UNAVAILABLE": 503, "RESOURCE_EXHAUSTED": 429, "INTERNAL": 500}
PREDICT = re.compile(r"(?i)/v1/models/([^/:]+)(?:/versions/(\d+))?:predict")
STATUS = re.compile(r"(?i)/v1/models/([^/:]+)(?:/versions/(\d+))?(/metadata)?")


class RestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: Stub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def answer(self, body: bytes) -> None:
        failure = self.stub.failure()
        if failure == "close":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if failure is not None and isinstance(failure[0], int):
            self.send(*failure)
            return
        try:
            if failure is not None:
                raise Refused(*failure)
            if self.stub.raw is not None:
                self.send(200, {}, self.stub.raw)
            else:
                self.send(200, {}, self.found(body))
        except Refused as error:
            self.send(HTTP[error.code], {}, f'{{ "error": "{c_escaped(str(error))}" }}'.encode())

    def send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def found(self, body: bytes) -> bytes:
        if matched := PREDICT.fullmatch(self.path):
            self.stub.serving(matched[1], matched[2] and int(matched[2]))
            return self.predicted(body)
        matched = STATUS.fullmatch(self.path)
        if matched is None:
            raise Refused("INVALID_ARGUMENT", f"Malformed request: {self.command} {self.path}")
        version = matched[2] and int(matched[2])
        return json.dumps(
            self.metadata(matched[1], version) if matched[3] else self.versions(matched[1], version), indent=1
        ).encode()

    def versions(self, name: str, version: int | None) -> dict[str, Any]:
        return {
            "model_version_status": [
                {
                    "version": str(number),
                    "state": state,
                    "status": {"error_code": "INTERNAL" if error else "OK", "error_message": error},
                }
                for number, state, error in self.stub.status(name, version)
            ]
        }

    def metadata(self, name: str, version: int | None) -> dict[str, Any]:
        def tensor(described: tuple[str, list[int]]) -> dict[str, Any]:
            dims = [{"size": str(size), "name": ""} for size in described[1]]
            shape = {"dim": dims, "unknown_rank": False}
            return {"dtype": described[0], "tensor_shape": shape, "name": "some:0"}

        number = self.stub.serving(name, version)
        signatures = {
            name: {
                "inputs": {key: tensor(each) for key, each in inputs.items()},
                "outputs": {key: tensor(each) for key, each in outputs.items()},
                "method_name": "tensorflow/serving/predict",
            }
            for name, (inputs, outputs) in SIGNATURES.items()
        }
        signatures["__saved_model_init_op"] = {"inputs": {}, "outputs": {}, "method_name": ""}
        return {
            "model_spec": {"name": name, "signature_name": "", "version": str(number)},
            "metadata": {"signature_def": {"signature_def": signatures}},
        }

    def predicted(self, body: bytes) -> bytes:
        try:
            request = json.loads(body.decode())
        except ValueError:
            raise Refused("INVALID_ARGUMENT", "JSON Parse error: Invalid value. at offset: 0") from None
        name = request.get("signature_name", "serving_default")
        if name not in SIGNATURES:
            raise Refused("INVALID_ARGUMENT", f'Serving signature name: "{name}" not found in signature def')
        inputs = SIGNATURES[name][0]
        columns = {}
        for key, (dtype, _) in inputs.items():
            if key not in request["inputs"]:
                raise Refused("INVALID_ARGUMENT", f"Missing named input: {key} in 'inputs' object.")
            columns[key] = [json_value(value, dtype) for value in request["inputs"][key]]
        outputs = self.stub.predict(name, columns)
        # Strings go out as they are, UTF-8 or not: surrogates stand for the bytes.
        plain = {key: strings_of(values) for key, values in outputs.items()}
        text = json.dumps({"outputs": plain if len(plain) > 1 else next(iter(plain.values()))}, ensure_ascii=False)
        return text.encode("utf-8", "surrogateescape")


def json_value(value: Any, dtype: str) -> Any:
    if dtype == "DT_STRING":
        if isinstance(value, dict):
            return base64.b64decode(value["b64"], validate=True)
        if isinstance(value, str):
            return value.encode()
    elif dtype == "DT_INT32" and isinstance(value, int) and not isinstance(value, bool):
        return value
    elif dtype == "DT_FLOAT" and isinstance(value, (int, float)):
        return float(value)
    raise Refused("INVALID_ARGUMENT", f"JSON Value: {json.dumps(value)} is not of expected type: {dtype[3:].lower()}")


def strings_of(value: Any) -> Any:
    if isinstance(value, list):
        return [strings_of(each) for each in value]
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


@contextlib.contextmanager
def rest_server(stub: Stub, port: int = 0) -> Iterator[None]:
    handler = type("Handler", (RestHandler,), {"stub": stub})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    stub.rest = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def grpc_server(stub: Stub, port: int = 0) -> Iterator[None]:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    def answering(function: Any) -> Any:
        def answer(self: Any, request: Any, context: Any) -> Any:
            spec = request.model_spec
            version = spec.version.value if spec.HasField("version") else None
            try:
                if (failure := stub.failure()) is not None:
                    raise Refused(*failure)
                return function(request, spec.name, version)
            except Refused as error:
                context.abort(grpc.StatusCode[error.code], str(error))

        return answer

    def predict(request: Any, name: str, version: int | None) -> Any:
        stub.serving(name, version)
        signature = request.model_spec.signature_name or "serving_default"
        if signature not in SIGNATURES:
            raise Refused("INVALID_ARGUMENT", f'Serving signature key "{signature}" not found.')
        inputs, outputs = SIGNATURES[signature]
        if set(request.inputs) != set(inputs):
            raise Refused("INVALID_ARGUMENT", "input size does not match signature")
        for key, (dtype, _) in inputs.items():
            if request.inputs[key].dtype != tf.as_dtype(dtype[3:].lower()).as_datatype_enum:
                raise Refused("INVALID_ARGUMENT", f"input {key} is not of expected type: {dtype[3:].lower()}")
        columns = {key: tf.make_ndarray(tensor).tolist() for key, tensor in request.inputs.items()}
        response = predict_pb2.PredictResponse()
        for key, values in stub.predict(signature, columns).items():
            dtype, dims = outputs[key]
            shape = [len(values), *([len(values[0])] if len(dims) == 2 else [])]
            proto = tf.make_tensor_proto(values, tf.as_dtype(dtype[3:].lower()), shape)
            response.outputs[key].CopyFrom(proto)
        return response

    def metadata(request: Any, name: str, version: int | None) -> Any:
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = name
        response.model_spec.version.value = stub.serving(name, version)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for key, sides in SIGNATURES.items():
            signature = signatures.signature_def[key]
            for described, side in zip(sides, (signature.inputs, signature.outputs), strict=True):
                for tensor, (dtype, dims) in described.items():
                    side[tensor].dtype = tf.as_dtype(dtype[3:].lower()).as_datatype_enum
                    for size in dims:
                        side[tensor].tensor_shape.dim.add(size=size)
        response.metadata["signature_def"].Pack(signatures)
        return response

    def status(request: Any, name: str, version: int | None) -> Any:
        response = get_model_status_pb2.GetModelStatusResponse()
        for number, state, error in stub.status(name, version):
            each = response.model_version_status.add(version=number)
            each.state = get_model_status_pb2.ModelVersionStatus.State.Value(state)
            each.status.error_message = error
        return response

    service = type(
        "Service",
        (prediction_service_pb2_grpc.PredictionServiceServicer, model_service_pb2_grpc.ModelServiceServicer),
        {"Predict": answering(predict), "GetModelMetadata": answering(metadata), "GetModelStatus": answering(status)},
    )()
    server = grpc.server(ThreadPoolExecutor(8))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(service, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    stub.grpc = f"grpc://127.0.0.1:{port}"
    try:
        yield
    finally:
        server.stop(None).wait()
