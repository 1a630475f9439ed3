"""What is gRPC's own: types of numbers, sizes of messages, its codes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from tests.textseq.serving.stub_server import MODEL, Stub, grpc_server
from textseq.errors import InputError
from textseq.serving import grpc_client
from textseq.serving.client_errors import InvalidAnswer, RequestRefused, ServerTooSlow, ServingError
from textseq.serving.grpc_client import GrpcClient
from textseq.serving.native import messages
from textseq.serving.native.tensors import to_array, to_message


@pytest.fixture(scope="module")
def running() -> Iterator[Stub]:
    stub = Stub()
    with grpc_server(stub):
        yield stub


@pytest.fixture
def stub(running: Stub) -> Stub:
    vars(running).update(vars(Stub(grpc=running.grpc)))
    return running


@pytest.fixture
def client(stub: Stub) -> Iterator[GrpcClient]:
    with GrpcClient(stub.grpc.removeprefix("grpc://"), MODEL) as client:
        object.__setattr__(client._attempts, "first_pause", 0.01)
        yield client


def asked(client: GrpcClient, answer: dict[str, np.ndarray]) -> list[Any]:
    """The requests of a client whose every answer is this."""
    requests: list[Any] = []

    def keep(request: Any, timeout: float) -> Any:
        requests.append(request)
        return messages.PredictResponse(outputs={name: to_message(array) for name, array in answer.items()})

    client._methods["Predict"] = keep
    return requests


def test_strings_keep_their_last_zeros(client: GrpcClient) -> None:
    texts = np.array([b"a\0\0", b"\0"], object)
    requests = asked(client, {"x": texts})
    assert client.predict({"text": ["a\0\0", b"\0"]}) == {"x": ["a\0\0", "\0"]}
    assert to_array(requests[0].inputs["text"]).tolist() == texts.tolist()


def test_numbers_are_sent_in_the_type_that_the_model_has(client: GrpcClient) -> None:
    requests = asked(client, {"x": np.zeros(2, np.float32)})
    client.predict({"text": ["a", "b"], "n": [1, 2]}, "n_best")
    client.predict({"value": [1, 2.5]}, "numbers")
    kinds = [requests[0].inputs["n"].dtype, requests[1].inputs["value"].dtype]
    assert kinds == [messages.DT_INT32, messages.DT_FLOAT]


@pytest.mark.parametrize(
    ("signature", "inputs", "message"),
    [
        ("n_best", {"text": ["a"], "n": [1.0]}, r"input n: received float, expected whole numbers \(int32\)"),
        ("n_best", {"text": ["a"], "n": [2**40]}, r"input n: received values that make no array of int32"),
        ("serving_default", {"text": [1]}, r"input text: received int, expected string"),
        ("numbers", {"value": [[1.0], [1.0, 2.0]]}, r"input value: received values that make no array of float32"),
        ("serving_default", {"txt": [1]}, r"signature serving_default: received txt; expected text"),
    ],
)
def test_values_that_do_not_fit_are_refused(
    client: GrpcClient, signature: str, inputs: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        client.predict(inputs, signature)


def test_a_message_that_is_too_large_is_not_sent_again(client: GrpcClient, stub: Stub) -> None:
    with pytest.raises(RequestRefused, match=r"larger than max .*; ask for fewer rows at once") as caught:
        client.predict({"text": ["x" * 5_000_000]})
    assert caught.value.code == "RESOURCE_EXHAUSTED"
    assert stub.calls == 1  # the metadata, to see whether the names were wrong


def test_an_answer_that_is_too_large_is_not_read(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    options = [("grpc.max_receive_message_length", 1000)]
    monkeypatch.setattr(grpc_client, "_OPTIONS", tuple(options))
    with (
        GrpcClient(stub.grpc.removeprefix("grpc://"), MODEL, retries=0) as client,
        pytest.raises(RequestRefused, match=r"larger than max .*; ask for fewer rows at once"),
    ):
        client.predict({"text": ["x" * 5000]}, "single")


def test_a_service_of_another_kind(client: GrpcClient, stub: Stub) -> None:
    stub.failures = [("UNIMPLEMENTED", "Method not found!")]
    with pytest.raises(InvalidAnswer, match=r"this is not TF Serving's gRPC API: Method not found! \(UNIMPLEMENTED\)"):
        client.predict({"text": ["a"]})


def test_a_deadline_is_not_tried_again(client: GrpcClient, stub: Stub) -> None:
    stub.failures = [("DEADLINE_EXCEEDED", "too slow")]
    with pytest.raises(ServerTooSlow, match=r"too slow \(DEADLINE_EXCEEDED\); ask for fewer rows at once"):
        client.predict({"text": ["a"]})
    assert stub.calls == 1


def test_no_answer_in_the_time_allowed_here() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with (
            GrpcClient(address, MODEL, timeout=0.2) as client,
            pytest.raises(ServerTooSlow, match=r"no answer within 0.2 s; allow more time, or ask for fewer rows"),
        ):
            client.predict({"text": ["a"]})


def test_an_answer_whose_tensors_do_not_fit(client: GrpcClient) -> None:
    broken = messages.PredictResponse()
    broken.outputs["x"].CopyFrom(messages.TensorProto(dtype=messages.DT_FLOAT, tensor_content=b"123"))
    client._methods["Predict"] = lambda request, timeout: broken
    with pytest.raises(InvalidAnswer, match=r"in the answer of serving_default, received 3 bytes"):
        client.predict({"text": ["a"]})


def test_metadata_that_cannot_be_read(client: GrpcClient) -> None:
    broken = messages.GetModelMetadataResponse()
    broken.metadata["signature_def"].value = b"\xff\xff"
    client._methods["GetModelMetadata"] = lambda request, timeout: broken
    with pytest.raises(InvalidAnswer, match="metadata of model stub cannot be read"):
        client.metadata()


def test_long_errors_are_cut(client: GrpcClient, stub: Stub) -> None:
    stub.failures = [("INTERNAL", "x" * 5000)]
    with pytest.raises(ServingError) as caught:
        client.predict({"text": ["a"]})
    assert len(str(caught.value)) < 500


class Dropped(grpc.RpcError):
    """What gRPC says of a call that the server has dropped because too many came at once."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.CANCELLED

    def details(self) -> str:
        return "CANCELLED"


def test_a_call_that_the_server_drops_is_sent_again(client: GrpcClient) -> None:
    asked(client, {"x": np.zeros(1, np.float32)})
    answer, calls = client._methods["Predict"], []

    def drop_the_first(request: Any, timeout: float) -> Any:
        calls.append(request)
        if len(calls) == 1:
            raise Dropped
        return answer(request, timeout)

    client._methods["Predict"] = drop_the_first
    assert client.predict({"text": ["a"]}) == {"x": [0.0]}
    assert len(calls) == 2
