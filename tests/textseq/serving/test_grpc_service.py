"""gRPC as TensorFlow Serving answers it, over a real connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import grpc
import numpy as np
import pytest

from textseq.serving.grpc_service import signature_definitions
from textseq.serving.native import messages
from textseq.serving.native.tensors import to_array, to_message
from textseq.serving.server import Server

PREDICTION = "/tensorflow.serving.PredictionService/"
MODEL = "/tensorflow.serving.ModelService/"
HEALTH = "/grpc.health.v1.Health/"


@pytest.fixture
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as made:
        yield made


def call(channel: grpc.Channel, method: str, request: Any, kind: Any, seconds: float = 10) -> Any:
    body = request if isinstance(request, bytes) else request.SerializeToString()
    return kind.FromString(channel.unary_unary(method)(body, timeout=seconds))


def refused(channel: grpc.Channel, method: str, request: Any, seconds: float = 10) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, method, request, messages.PredictResponse, seconds)
    return caught.value.code(), caught.value.details()


def asked(*texts: bytes, signature: str = "", name: str = "nmt", **inputs: np.ndarray) -> Any:
    request = messages.PredictRequest(model_spec={"name": name, "signature_name": signature})
    if texts:
        array = np.empty(len(texts), object)
        array[:] = texts
        inputs = {"text": array, **inputs}
    for key, array in inputs.items():
        request.inputs[key].CopyFrom(to_message(array))
    return request


def test_a_prediction(channel: grpc.Channel) -> None:
    response = call(channel, PREDICTION + "Predict", asked(b"a", b"\xff"), messages.PredictResponse)
    assert (response.model_spec.name, response.model_spec.signature_name) == ("nmt", "serving_default")
    assert response.model_spec.version.value == 1
    arrays = {name: to_array(tensor).tolist() for name, tensor in response.outputs.items()}
    assert arrays == {"translation": [b"A", b"\xff"], "score": [-0.125, -0.125], "size": [1, 1]}


def test_a_prediction_by_version_and_with_chosen_outputs(channel: grpc.Channel) -> None:
    request = asked(b"a")
    request.model_spec.version.value = 1
    request.output_filter.append("score")
    assert list(call(channel, PREDICTION + "Predict", request, messages.PredictResponse).outputs) == ["score"]


def test_a_prediction_from_numbers(channel: grpc.Channel) -> None:
    request = asked(signature="numbers", x=np.ones((2, 2), np.float32), n=np.array([2, 3], np.int32))
    response = call(channel, PREDICTION + "Predict", request, messages.PredictResponse)
    assert to_array(response.outputs["y"]).tolist() == [[2.0, 2.0], [3.0, 3.0]]


def test_no_texts_give_no_rows(channel: grpc.Channel) -> None:
    request = asked(signature="echo", text=np.empty(0, object))
    response = call(channel, PREDICTION + "Predict", request, messages.PredictResponse)
    assert to_array(response.outputs["text"]).shape == (0,)


def _with(request: Any, change: Callable[[Any], object]) -> Any:
    change(request)
    return request


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (messages.PredictRequest(), "INVALID_ARGUMENT", "Missing ModelSpec"),
        (asked(b"a", name=""), "INVALID_ARGUMENT", "ModelSpec has no name specified."),
        (asked(b"a", name="foo"), "NOT_FOUND", "Servable not found for request: Latest(foo)"),
        (_with(asked(b"a"), lambda each: setattr(each.model_spec.version, "value", 7)), "NOT_FOUND",
         "Servable not found for request: Specific(nmt, 7)"),
        (_with(asked(b"a"), lambda each: setattr(each.model_spec, "version_label", "canary")), "INVALID_ARGUMENT",
         "Unrecognized servable version label: canary"),
        (asked(b"a", signature="x"), "FAILED_PRECONDITION", 'Serving signature key "x" not found.'),
        (asked(), "INVALID_ARGUMENT", "input size does not match signature: 0!=1 len({}) != len({text}). Sent extra: "
         "{}. Missing but required: {text}."),
        (asked(b"a", n=np.ones(1, np.int32)), "INVALID_ARGUMENT", "Sent extra: {n}."),
        (asked(text=np.ones(1, np.int32), **{f"x{number:03}": np.ones(1, np.int32) for number in range(200)}),
         "INVALID_ARGUMENT", f"Sent extra: {{{','.join(f'x{number:03}' for number in range(100))}}}."),
        (asked(text=np.ones(1, np.int32)), "INVALID_ARGUMENT", "Expects text to be string but int32 is provided"),
        (asked(text=np.array(b"a", object)), "INVALID_ARGUMENT", "must have at least one dimension"),
        (asked(text=np.array([[b"a"]], object)), "INVALID_ARGUMENT", "Input text has the shape [1,1], expected [?]"),
        (_with(asked(b"a"), lambda each: each.output_filter.append("x")), "INVALID_ARGUMENT",
         "output tensor alias not found in signature: x Outputs expected to be in the set {score,size,translation}."),
        (_with(asked(b"a"), lambda each: each.output_filter.extend(["score", "score"])), "INVALID_ARGUMENT",
         "duplicate output tensor alias: score"),
        (_with(asked(b"a"), lambda each: each.inputs["text"].tensor_shape.dim.add(size=1 << 40)), "INVALID_ARGUMENT",
         "tensor parsing error: "),
        (asked(b"bad"), "INVALID_ARGUMENT", "bad text"),
        (b"\xff\xff", "INVALID_ARGUMENT", "Not a tensorflow.serving.PredictRequest"),
    ],
)  # fmt: skip
def test_wrong_requests(channel: grpc.Channel, request_: Any, code: str, message: str) -> None:
    received, details = refused(channel, PREDICTION + "Predict", request_)
    assert (received.name, message in details) == (code, True), details
    assert call(channel, PREDICTION + "Predict", asked(b"a"), messages.PredictResponse).outputs


def test_other_methods(channel: grpc.Channel) -> None:
    request = messages.GetModelStatusRequest(model_spec={"name": "nmt"})
    code, details = refused(channel, PREDICTION + "Classify", request)
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith("Expected classification signature method_name to be tensorflow/serving/classify.")
    assert refused(channel, PREDICTION + "Regress", request)[1].startswith("Expected regression signature")
    assert refused(channel, PREDICTION + "MultiInference", request)[0] == grpc.StatusCode.UNIMPLEMENTED


def test_a_message_that_is_too_large(channel: grpc.Channel) -> None:
    code, _ = refused(channel, PREDICTION + "Predict", asked(b"x" * 11_000_000))
    assert code == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert call(channel, PREDICTION + "Predict", asked(b"a"), messages.PredictResponse).outputs


def test_a_long_text_is_answered(channel: grpc.Channel) -> None:
    request = asked(b"x" * 100_000, signature="echo")
    response = call(channel, PREDICTION + "Predict", request, messages.PredictResponse)
    assert to_array(response.outputs["text"])[0] == b"x" * 100_000


def test_the_callers_deadline_is_kept(channel: grpc.Channel, stand_in: Any, server: Server) -> None:
    stand_in.gate.clear()
    begin = time.monotonic()
    assert refused(channel, PREDICTION + "Predict", asked(b"a"), 0.2)[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - begin < 5
    current = server.store.current
    assert current is not None
    wait_for(lambda: current.leases == 0)
    stand_in.gate.set()


def test_a_cancelled_call_is_dropped(start: Callable[..., Server], stand_in: Any, limits: Any) -> None:
    server = start(stand_in, replace(limits, workers=1))
    current = server.store.current
    assert current is not None
    stand_in.gate.clear()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        method = channel.unary_unary(PREDICTION + "Predict")
        first = method.future(asked(b"a").SerializeToString(), timeout=10)
        wait_for(lambda: bool(stand_in.runs))
        second = method.future(asked(b"b").SerializeToString(), timeout=10)
        wait_for(lambda: current.batcher.texts == 1)
        second.cancel()
        wait_for(lambda: current.batcher.texts == 0)
        stand_in.gate.set()
        first.result(10)


def test_a_full_queue_is_said(start: Callable[..., Server], stand_in: Any, limits: Any) -> None:
    server = start(stand_in, replace(limits, workers=1, queue=1))
    current = server.store.current
    assert current is not None
    stand_in.gate.clear()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        method = channel.unary_unary(PREDICTION + "Predict")
        sent = [method.future(asked(b"a").SerializeToString(), timeout=10)]
        wait_for(lambda: bool(stand_in.runs))
        sent.append(method.future(asked(b"a").SerializeToString(), timeout=10))
        wait_for(lambda: current.batcher.texts == 1)
        code, details = refused(channel, PREDICTION + "Predict", asked(b"a"))
        assert (code, "is full" in details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, True)
        stand_in.gate.set()
        for future in sent:
            future.result(10)


def test_shutting_down_is_said(channel: grpc.Channel, server: Server) -> None:
    server.predictor.stopping = True
    assert refused(channel, PREDICTION + "Predict", asked(b"a")) == (
        grpc.StatusCode.UNAVAILABLE,
        "The server is shutting down",
    )


def test_status(channel: grpc.Channel) -> None:
    request = messages.GetModelStatusRequest(model_spec={"name": "nmt"})
    response = call(channel, MODEL + "GetModelStatus", request, messages.GetModelStatusResponse)
    assert [(each.version, each.state, each.status.error_code) for each in response.model_version_status] == [
        (1, 30, 0)
    ]
    request.model_spec.name = "foo"
    assert refused(channel, MODEL + "GetModelStatus", request) == (
        grpc.StatusCode.NOT_FOUND,
        "Could not find any versions of model foo",
    )


def test_metadata(channel: grpc.Channel, stand_in: Any) -> None:
    request = messages.GetModelMetadataRequest(model_spec={"name": "nmt"}, metadata_field=["signature_def"])
    response = call(channel, PREDICTION + "GetModelMetadata", request, messages.GetModelMetadataResponse)
    assert (response.model_spec.name, response.model_spec.version.value) == ("nmt", 1)
    definitions = messages.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(definitions)
    assert definitions == signature_definitions(stand_in.signatures)
    assert definitions.signature_def["numbers"].inputs["x"].tensor_shape.dim[0].size == -1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([], "GetModelMetadataRequest must specify at least one metadata_field"),
        (["x"], "Metadata field x is not supported"),
    ],
)
def test_metadata_that_there_is_not(channel: grpc.Channel, fields: list[str], message: str) -> None:
    request = messages.GetModelMetadataRequest(model_spec={"name": "nmt"}, metadata_field=fields)
    assert refused(channel, PREDICTION + "GetModelMetadata", request) == (grpc.StatusCode.INVALID_ARGUMENT, message)


def test_health(channel: grpc.Channel, server: Server) -> None:
    def health(service: str) -> int:
        request = messages.HealthCheckRequest(service=service)
        return call(channel, HEALTH + "Check", request, messages.HealthCheckResponse).status

    assert [health(service) for service in ("", "nmt", "tensorflow.serving.PredictionService")] == [1, 1, 1]
    assert refused(channel, HEALTH + "Check", messages.HealthCheckRequest(service="x"))[0].name == "NOT_FOUND"
    server.predictor.stopping = True
    assert health("") == 2


def test_those_who_watch_leave_room_for_calls(start: Callable[..., Server], stand_in: Any, limits: Any) -> None:
    server = start(stand_in, replace(limits, connections=2))
    with grpc.insecure_channel(f"{server.host}:{server.grpc_port}") as channel:
        watch = channel.unary_stream(HEALTH + "Watch")
        request = messages.HealthCheckRequest().SerializeToString()
        streams = [watch(request, timeout=20) for _ in range(32)]
        for stream in streams:
            assert messages.HealthCheckResponse.FromString(next(stream)).status == 1
        with pytest.raises(grpc.RpcError) as caught:
            next(watch(request, timeout=20))
        assert (caught.value.code().name, caught.value.details()) == (
            "RESOURCE_EXHAUSTED",
            "32 watch already; try again later",
        )
        check = channel.unary_unary(HEALTH + "Check")
        assert messages.HealthCheckResponse.FromString(check(request, timeout=10)).status == 1
        streams[0].cancel()

        def watched_again() -> bool:
            try:
                return bool(next(watch(request, timeout=20)))
            except grpc.RpcError:
                return False

        wait_for(watched_again)


def test_health_is_watched(channel: grpc.Channel, server: Server) -> None:
    stream = channel.unary_stream(HEALTH + "Watch")(messages.HealthCheckRequest().SerializeToString(), timeout=10)
    assert messages.HealthCheckResponse.FromString(next(stream)).status == 1
    threading.Timer(0.05, lambda: setattr(server.predictor, "stopping", True)).start()
    assert [messages.HealthCheckResponse.FromString(each).status for each in stream] == [2]


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)
