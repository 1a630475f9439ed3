"""What both clients do, against a server that speaks TF Serving's protocols and fails when told to."""

from __future__ import annotations

import math
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.textseq.serving.stub_server import LOWEST, MODEL, SIGNATURES, Stub, grpc_server, rest_server
from textseq.errors import DragomanError, InputError
from textseq.serving.client import Client, connect
from textseq.serving.client_errors import (
    InvalidAnswer,
    ModelNotFound,
    RequestRefused,
    ServerTooSlow,
    ServerUnavailable,
    ServingError,
    SignatureNotFound,
)

ROOT = Path(__file__).resolve().parents[3]
PROTOCOLS = ("rest", "grpc")


@pytest.fixture(scope="module")
def running() -> Iterator[Stub]:
    stub = Stub()
    with rest_server(stub), grpc_server(stub):
        yield stub


@pytest.fixture
def stub(running: Stub) -> Stub:
    fresh = Stub(rest=running.rest, grpc=running.grpc)
    vars(running).update(vars(fresh))
    return running


Connect = Callable[..., Client]


@pytest.fixture(params=PROTOCOLS)
def client_of(stub: Stub, request: pytest.FixtureRequest) -> Iterator[Connect]:
    clients = []

    def made(model: Any = MODEL, **options: Any) -> Client:
        client = connect(getattr(stub, request.param), model, **options)
        object.__setattr__(client._attempts, "first_pause", 0.01)
        clients.append(client)
        return client

    yield made
    for client in clients:
        client.close()


@pytest.fixture
def client(client_of: Connect) -> Client:
    return client_of()


# Answers ------------------------------------------------------------------------------------------------------------


def test_predict_answers_row_by_row(client: Client) -> None:
    answer = client.predict({"text": ["a dog", "", "grün"]})
    assert answer["translation"] == ["A DOG", "", "GRüN"]
    assert answer["score"] == pytest.approx([-0.5, 0.0, -0.5])
    assert answer["truncated"] == [False, False, False]


def test_bytes_come_back_as_text_where_they_are_utf8_and_else_as_bytes(client: Client) -> None:
    texts = ["nul \0", b"text", b"\xff\xfe", "😀 ", "line\u2028\n", '{"b64": "x"}', b"\xed\xa0\x80"]
    echo = client.predict({"text": texts}, "single")["echo"]
    assert echo == ["nul \0", "text", b"\xff\xfe", "😀 ", "line\u2028\n", '{"b64": "x"}', b"\xed\xa0\x80"]


def test_a_lone_surrogate_is_sent_as_the_replacement_character(client: Client) -> None:
    assert client.predict({"text": ["a\ud800b"]}, "single")["echo"] == ["a\ufffdb"]


def test_numbers_that_are_not_finite_come_through(client: Client) -> None:
    values = [1.5, math.inf, -math.inf, math.nan, 3]
    answer = client.predict({"value": values}, "numbers")
    for name in ("same", "double"):
        assert answer[name][:3] == [1.5, math.inf, -math.inf]
        assert math.isnan(answer[name][3])
        assert answer[name][4] == 3.0


def test_arrays_of_numpy_are_values(client: Client) -> None:
    answer = client.predict({"text": np.array(["a", "bc"]), "n": np.array([1, 2], np.int32)}, "n_best")
    assert answer["count"] == [1, 2]
    assert answer["translations"] == [["a0", ""], ["bc0", "bc1"]]


def test_no_rows_are_answered_with_no_rows(client: Client, stub: Stub) -> None:
    assert client.predict({"text": []}) == {"translation": [], "score": [], "truncated": []}
    assert stub.asked == []


def test_rows_are_sent_in_batches_and_joined_in_order(client_of: Connect, stub: Stub) -> None:
    texts = [f"text {number}" for number in range(150)]
    answer = client_of().predict({"text": texts})
    assert answer["translation"] == [text.upper() for text in texts]
    assert [rows for _, rows in stub.asked] == [64, 64, 22]
    assert client_of(largest_batch=200).predict({"text": texts}) == answer


def test_a_batch_of_many_bytes_is_sent_in_several(client: Client, stub: Stub) -> None:
    texts = ["x" * 900_000] * 5
    answer = client.predict({"text": texts})
    assert answer["truncated"] == [True] * 5
    assert [rows for _, rows in stub.asked] == [2, 2, 1]


def test_rows_of_several_lengths_are_filled_up(client_of: Connect) -> None:
    answer = client_of(largest_batch=1).predict({"text": ["a", "b", "c"], "n": [1, 3, 2]}, "n_best")
    assert answer["translations"] == [["a0", "", ""], ["b0", "b1", "b2"], ["c0", "c1", ""]]
    assert answer["count"] == [1, 3, 2]
    assert answer["scores"] == [[0.0, LOWEST, LOWEST], [0.0, -1.0, -2.0], [0.0, -1.0, LOWEST]]


def test_a_server_that_takes_fewer_rows_gets_fewer(client: Client, stub: Stub) -> None:
    stub.largest_batch = 20
    texts = [str(number) for number in range(100)]
    assert client.predict({"text": texts})["translation"] == texts
    assert [rows for _, rows in stub.asked] == [64, 20, 20, 20, 4, 20, 16]
    client.predict({"text": texts[:30]})
    assert [rows for _, rows in stub.asked][7:] == [20, 10]


def test_a_version_is_asked_by_its_number(client_of: Connect, stub: Stub) -> None:
    stub.versions = [(7, "AVAILABLE", ""), (3, "AVAILABLE", "")]
    assert client_of().metadata().version == 7
    old = client_of(version=3)
    assert old.metadata().version == 3
    assert [each.version for each in old.status()] == [3]
    assert old.predict({"text": ["a"]})["translation"] == ["A"]


def test_status_names_versions_the_newest_first(client: Client, stub: Stub) -> None:
    stub.versions = [(1, "END", ""), (3, "LOADING", ""), (2, "END", "Could not 'read' \u201cx\u201d")]
    assert list(map(str, client.status())) == ["3 LOADING", "2 END (Could not 'read' \u201cx\u201d)", "1 END"]


def test_metadata_describe_the_signatures(client: Client) -> None:
    metadata = client.metadata()
    assert (metadata.name, metadata.version) == (MODEL, 2)
    n_best = metadata.signatures["n_best"]
    assert {name: (each.dtype, each.shape) for name, each in n_best.inputs.items()} == {
        "text": ("string", (None,)),
        "n": ("int32", (None,)),
    }
    assert set(metadata.signatures) == set(SIGNATURES)
    assert n_best.outputs["scores"].dtype == "float32"
    assert n_best.outputs["translations"].shape == (None, None)


def test_threads_share_a_client(client: Client) -> None:
    texts = [[f"{thread} {number}" for number in range(30)] for thread in range(8)]
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda lines: client.predict({"text": lines}, "single")["echo"], texts))
    assert answers == texts


# Attempts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED"])
def test_a_busy_server_is_asked_again(client: Client, stub: Stub, code: str) -> None:
    stub.failures = [(code, "busy")] * 3
    assert client.predict({"text": ["a"]})["translation"] == ["A"]
    assert stub.calls == 4


def test_a_server_that_stays_busy_is_given_up(client: Client, stub: Stub) -> None:
    stub.failures = [("RESOURCE_EXHAUSTED", "the queue is full")] * 9
    with pytest.raises(ServerUnavailable, match=r"the queue is full \(.*\) \(after 4 attempts\)") as caught:
        client.predict({"text": ["a"]})
    assert (caught.value.code, caught.value.exit_code) == ("RESOURCE_EXHAUSTED", 1)
    assert stub.calls == 4


def test_retries_can_be_turned_off(client_of: Connect, stub: Stub) -> None:
    stub.failures = [("UNAVAILABLE", "loading")]
    with pytest.raises(ServerUnavailable, match=r"loading \([^)]*\)$"):
        client_of(retries=0).predict({"text": ["a"]})
    assert stub.calls == 1


@pytest.mark.parametrize("code", ["INVALID_ARGUMENT", "INTERNAL"])
def test_what_is_refused_is_not_sent_again(client: Client, stub: Stub, code: str) -> None:
    stub.failures = [(code, 'it\'s "no" gööd')]
    with pytest.raises(ServingError, match='it\'s "no" gööd') as caught:
        client.predict({"text": ["a"]})
    assert stub.asked == []
    assert caught.value.code == code
    assert isinstance(caught.value, RequestRefused) == isinstance(caught.value, InputError) == (code != "INTERNAL")
    assert caught.value.exit_code == (1 if code == "INTERNAL" else 2)


def test_a_server_that_does_not_describe_itself_is_believed(client: Client, stub: Stub) -> None:
    stub.failures = [("INVALID_ARGUMENT", "too long a text"), ("INTERNAL", "no metadata"), ("UNAVAILABLE", "x")]
    with pytest.raises(ServingError) as caught:
        client.predict({"text": ["a"]})
    assert "no metadata" in str(caught.value)
    stub.failures = [("INVALID_ARGUMENT", "too long a text"), *[("UNAVAILABLE", "no metadata")] * 4]
    with pytest.raises(RequestRefused, match="too long a text"):
        client.predict({"text": ["a"]})


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nobody_at_the_address(protocol: str) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else gets the port, and connections are refused
        taken.bind(("127.0.0.1", 0))
        scheme = {"rest": "http", "grpc": "grpc"}[protocol]
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with connect(f"{scheme}://{address}", "nmt", retries=1) as client, pytest.raises(ServerUnavailable) as caught:
            client.predict({"text": ["a"]})
    message = str(caught.value)
    assert address in message
    assert message.endswith("start the server, or correct its address (after 2 attempts)")
    assert "\n" not in message


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_that_comes_up_is_found(protocol: str) -> None:
    stub = Stub()
    scheme, serving = {"rest": ("http", rest_server), "grpc": ("grpc", grpc_server)}[protocol]
    with serving(stub):
        pass
    port = getattr(stub, protocol).rpartition(":")[2]

    def come_up() -> None:
        time.sleep(0.3)
        with serving(stub, int(port)):
            done.wait(20)

    done = threading.Event()
    thread = threading.Thread(target=come_up)
    thread.start()
    try:
        with connect(f"{scheme}://127.0.0.1:{port}", MODEL) as client:
            client.wait_until_ready(10)
            assert client.predict({"text": ["a"]})["translation"] == ["A"]
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_silent_server_is_not_waited_for_any_longer(protocol: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        scheme = {"rest": "http", "grpc": "grpc"}[protocol]
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}"
        start = time.monotonic()
        with connect(url, MODEL, timeout=0.3, retries=0) as client, pytest.raises(ServingError, match=r"within 0\.3 s"):
            client.predict({"text": ["a"]})
        assert time.monotonic() - start < 3


def test_waiting_says_what_stood_in_the_way(client_of: Connect, stub: Stub) -> None:
    client_of().wait_until_ready(5)
    stub.versions = [(2, "LOADING", ""), (1, "END", "broken")]
    with pytest.raises(
        ServerUnavailable, match=r"stub is not ready after 0.2 s: versions: 2 LOADING, 1 END \(broken\)"
    ):
        client_of().wait_until_ready(0.2)
    with pytest.raises(ServerUnavailable, match="Could not find any versions of model none"):
        client_of("none").wait_until_ready(0.1)


# Wrong requests -----------------------------------------------------------------------------------------------------


def test_an_unknown_signature_is_answered_with_the_known(client: Client) -> None:
    with pytest.raises(SignatureNotFound) as caught:
        client.predict({"text": ["a"]}, "align")
    expected = "model stub, version 2, has no signature align; it has n_best, numbers, serving_default, single"
    assert str(caught.value).endswith(expected)


def test_wrong_names_are_answered_with_the_right(client: Client) -> None:
    for names in (["txt"], ["text", "n", "m"]):
        with pytest.raises(RequestRefused, match=r"signature n_best: received .*; expected n, text"):
            client.predict({name: ["a"] for name in names}, "n_best")


def test_a_wrong_type_is_refused(client: Client) -> None:
    with pytest.raises(InputError, match=r"expected.* int32|int32.*expected|whole numbers"):
        client.predict({"text": ["a"], "n": ["one"]}, "n_best")
    with pytest.raises(InputError, match=r"expected type: int32|whole numbers \(int32\)"):
        client.predict({"text": ["a"], "n": [1.5]}, "n_best")


def test_an_unknown_model_is_answered_with_the_known(client_of: Connect, stub: Stub) -> None:
    stub.models = (MODEL, "nmt", "combined")
    for ask in (lambda: client_of("nnt").predict({"text": ["a"]}), lambda: client_of("nnt").metadata()):
        with pytest.raises(ModelNotFound, match=r"no model nnt on this server; it has nmt, combined$"):
            ask()
    stub.models = ()
    with pytest.raises(
        ModelNotFound, match=r"no model nmt on this server; it has neither .*; give the name of the one"
    ):
        client_of("nmt").predict({"text": ["a"]})


def test_a_model_without_a_ready_version_says_how_its_versions_do(client_of: Connect, stub: Stub) -> None:
    stub.versions = [(4, "END", "no such op"), (3, "LOADING", "")]
    with pytest.raises(
        ModelNotFound, match=r"stub: no version is ready; its versions: 4 END \(no such op\), 3 LOADING"
    ):
        client_of().predict({"text": ["a"]})
    with pytest.raises(ModelNotFound, match=r"stub: version 3 is not ready; its versions: 4 END .*, 3 LOADING"):
        client_of(version=3).predict({"text": ["a"]})


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "inputs: received none; expected values by the name of each input"),
        ({"text": "a dog"}, "input text: received 'a dog', expected a list with one value a row"),
        ({"text": ["a"], "n": [1, 2]}, "inputs: received text of 1, n of 2; expected as many values of each"),
        ({"text": ["a", None]}, "input text, row 1: received NoneType None, expected text, bytes, a number"),
    ],
)
def test_inputs_that_are_no_rows_are_refused_unsent(
    client: Client, stub: Stub, inputs: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        client.predict(inputs)
    assert str(caught.value).startswith(message)
    assert stub.calls == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": 0}, "timeout: received 0, expected more than 0"),
        ({"retries": -1}, "retries: received -1, expected 0 or more"),
        ({"largest_batch": 0}, "largest_batch: received 0, expected more than 0"),
    ],
)
def test_options_out_of_range_are_refused(client_of: Connect, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        client_of(**options)


# Addresses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:8501",
        "localhost",
        "ftp://localhost",
        "http://",
        "http://h:port",
        "http://h:99999",
        "grpc://h:1/x",
        "http://a..b:1",
        f"grpc://{'a' * 70}:1",
    ],
)
def test_no_address_of_a_server(url: str) -> None:
    with pytest.raises(InputError) as caught:
        connect(url, "nmt")
    assert str(caught.value).startswith(f"received {url!r} as the address of a server; expected http://HOST:8501")
    assert caught.value.exit_code == 2


def test_the_address_of_a_model_is_not_that_of_a_server() -> None:
    with pytest.raises(InputError, match="and the model by its name"):
        connect("http://localhost:8501/v1/models/nmt:predict", "nmt")


def test_a_port_for_the_other_protocol(stub: Stub) -> None:
    with connect(stub.rest.replace("http:", "grpc:"), MODEL, retries=0) as client, pytest.raises(ServingError) as over:
        client.predict({"text": ["a"]})
    assert "for a REST port write http://" in str(over.value)
    with connect(stub.grpc.replace("grpc:", "http:"), MODEL, retries=0) as client, pytest.raises(InvalidAnswer) as over:
        client.predict({"text": ["a"]})
    assert "for a gRPC port write grpc://" in str(over.value)


def test_the_first_of_several_names_is_asked(client_of: Connect, stub: Stub) -> None:
    stub.models = ("combined",)
    assert client_of(("nmt", "combined")).model == "combined"
    assert client_of(None).model == "combined"
    stub.models = ("combined", "nmt")
    assert client_of(("nmt", "combined")).model == "nmt"
    with pytest.raises(ModelNotFound, match="this server has nmt and combined; say which one to ask"):
        client_of(None)
    stub.models = ("other",)
    with pytest.raises(ModelNotFound, match="no model nmt or combined on this server; give the name of the one it has"):
        client_of(("nmt", "combined"))


# Imports ------------------------------------------------------------------------------------------------------------

WITHOUT_TENSORFLOW = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "keras", "tensorflow_text", "tensorflow_serving", "jax"):
            raise ImportError(f"{name} may not be imported")

sys.meta_path.insert(0, Refuse())
from textseq.serving.client import connect

for url in sys.argv[1:]:
    with connect(url, "stub") as client:
        client.wait_until_ready(5)
        answer = client.predict({"text": ["a dog", b"\\xff"], "n": [1, 2]}, "n_best")
        print(answer["translations"][0][0], answer["count"], client.metadata().version)
"""


def test_the_clients_work_where_tensorflow_and_keras_cannot_be_imported(stub: Stub) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, stub.rest, stub.grpc],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "a dog0 [1, 2] 2\n" * 2


def test_every_error_is_one_of_the_projects() -> None:
    for kind in (ServerUnavailable, ServerTooSlow, InvalidAnswer, ModelNotFound, SignatureNotFound):
        assert issubclass(kind, ServingError) and issubclass(kind, DragomanError)
