"""The server as a whole: ports, names, shutdown, what it imports, and a real model."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from textseq.errors import DragomanError, InputError
from textseq.serving.server import Server, serve

ROOT = Path(__file__).parents[3]


def predict(url: str, *texts: str, name: str = "nmt", signature: str = "serving_default") -> Any:
    body = {"signature_name": signature, "instances": list(texts)}
    return httpx.post(f"{url}/v1/models/{name}:predict", json=body, timeout=20).json()


def exported(tmp_path: Path, marker: str | None = None) -> Path:
    folder = tmp_path / "exported"
    (folder / "1").mkdir(parents=True)
    if marker is not None:
        (folder / "export.json").write_text(marker)
    return folder


def test_the_models_name_is_the_task(server: Server) -> None:
    assert (server.name, server.task) == ("nmt", "nmt")


@pytest.mark.parametrize(
    ("marker", "name"),
    [
        (None, "exported"),
        ("{", "exported"),
        ('{"task": "combined"}', "exported"),
        ('{"format": "dragoman-export", "version": 1, "task": "combined"}', "combined"),
    ],
)
def test_the_models_name_without_a_mark(tmp_path: Path, marker: str | None, name: str) -> None:
    assert Server(exported(tmp_path, marker)).name == name


def test_the_models_name_may_be_chosen(start: Callable[..., Server], stand_in: Any) -> None:
    server = start(stand_in, name="en-de")
    assert predict(server.url, "a", name="en-de", signature="echo") == {"predictions": ["a"]}


@pytest.mark.parametrize("name", ["a/b", "a:b", "a\n"])
def test_a_name_that_no_address_can_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="as the model's name, expected one without / and :; choose it with --name"):
        Server(exported(tmp_path), name=name)


def test_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder; expected an export, as `nmt export` makes it"):
        Server(tmp_path / "none")


def test_a_folder_without_a_version(tmp_path: Path, limits: Any) -> None:
    server = Server(tmp_path, port=0, grpc_port=0, limits=limits)
    with pytest.raises(InputError, match="holds no version that can be served"):
        server.start()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threads": 0}, "threads: received 0, expected 1 to"),
        ({"batch_delay": -1.0}, "received batch_delay -1.0, largest_batch 64 and queue 1024, expected 0 to 10 seconds"),
        ({"largest_batch": 0}, "largest_batch 0"),
        ({"timeout": 0.0}, "timeout: received 0, expected more than 0 and at most 86400 seconds"),
        ({"timeout": float("nan")}, "timeout: received nan, expected more than 0"),
    ],
)
def test_arguments_out_of_range(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        serve(tmp_path, **arguments)


def test_a_port_that_is_taken(tmp_path: Path, stand_in: Any, limits: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        folder = exported(tmp_path)
        for rest_port, grpc_port, option in ((port, 0, "--port"), (0, port, "--grpc-port")):
            server = Server(
                folder, port=rest_port, grpc_port=grpc_port, limits=limits, open_model=lambda path: stand_in
            )
            message = f"port {port} of 127.0.0.1 cannot be had.*; choose another with {option}"
            with pytest.raises(InputError, match=message):
                server.start()


def test_a_server_that_does_not_come_to_listen(
    tmp_path: Path, stand_in: Any, limits: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = exported(tmp_path)
    server = Server(folder, port=0, grpc_port=0, limits=limits, open_model=lambda path: stand_in)
    monkeypatch.setattr("textseq.serving.server._START_SECONDS", 0.5)
    monkeypatch.setattr(server, "_run", lambda listener, started, faults: listener.close())
    with pytest.raises(DragomanError, match=r"http://127.0.0.1:\d+: nothing listens after 0.5 s"):
        server.start()


def test_an_address_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not an address to listen on"):
        Server(exported(tmp_path), host="999.1.1.1", port=0).start()


def test_the_greeting_says_where_to_go(server: Server) -> None:
    text = server.greeting()
    assert f"In a browser: {server.url}/" in text
    assert f"""curl -d '{{"instances": ["A dog runs."]}}' {server.url}/v1/models/nmt:predict""" in text
    assert f"gRPC:         127.0.0.1:{server.grpc_port}" in text


def test_the_greeting_for_a_name_that_an_address_has_to_quote(start: Callable[..., Server], stand_in: Any) -> None:
    server = start(stand_in, name="my reviews?")
    assert f"{server.url}/v1/models/my%20reviews%3F:predict\n" in server.greeting()
    assert httpx.get(f"{server.url}/v1/models/my%20reviews%3F").status_code == 200


def test_many_clients_at_once_get_their_own_answers(server: Server, stand_in: Any) -> None:
    def ask(number: int) -> bool:
        return predict(server.url, f"text {number}", signature="echo") == {"predictions": [f"text {number}"]}

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(ask, range(200)))


def test_stopping_answers_what_has_come(start: Callable[..., Server], stand_in: Any) -> None:
    server = start(stand_in)
    stand_in.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(predict, server.url, "a", signature="echo")
        end = time.monotonic() + 10
        while not stand_in.runs and time.monotonic() < end:
            time.sleep(0.005)
        threading.Timer(0.2, stand_in.gate.set).start()
        server.stop()
        assert waiting.result(10) == {"predictions": ["a"]}
    assert stand_in.closed
    with pytest.raises(httpx.ConnectError):
        predict(server.url, "a")


def test_stopping_does_not_wait_for_ever(start: Callable[..., Server], stand_in: Any, limits: Any) -> None:
    server = start(stand_in, replace(limits, drain_seconds=0.3))
    stand_in.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: httpx.post(f"{server.url}/v1/models/nmt:predict", json={"instances": ["a"]}, timeout=20))
        end = time.monotonic() + 10
        while not stand_in.runs and time.monotonic() < end:
            time.sleep(0.005)
        begin = time.monotonic()
        server.stop()
        assert time.monotonic() - begin < 8
        assert not stand_in.closed  # it still runs
        stand_in.gate.set()


def test_stopping_twice_is_no_fault(server: Server) -> None:
    server.stop()
    server.stop()


def test_a_new_version_is_served_without_a_pause(stand_in_kind: type, limits: Any, tmp_path: Path) -> None:
    folder = exported(tmp_path)
    server = Server(folder, port=0, grpc_port=0, name="nmt", limits=limits,
                    open_model=lambda path: stand_in_kind(version=int(path.name)))  # fmt: skip
    seen = set()
    with server, httpx.Client() as client:
        end = time.monotonic() + 20
        while 2 not in seen and time.monotonic() < end:
            response = client.post(f"{server.url}/v1/models/nmt:predict", json={"instances": ["a"]})
            assert response.status_code == 200
            seen.add(response.json()["predictions"][0]["size"])
            (folder / "2").mkdir(exist_ok=True)
    assert seen == {1, 2}


_SERVED = """
import sys
sys.path[:0] = [%(root)r, %(tests)r]
from textseq.serving import server
%(patch)s
server.serve(%(folder)r, name="m", port=%(port)d, grpc_port=0)
for name in ("tensorflow", "keras", "tensorflow_text", "jax"):
    assert name not in sys.modules, name
print("ended")
"""

_STAND_IN = """
import conftest, pathlib
class Slow(conftest.StandIn):
    def run(self, signature, inputs):
        pathlib.Path(%(started)r).touch()
        return super().run(signature, inputs)
server.open_checked = lambda path, threads: Slow(seconds=0.5)
"""


def served(folder: Path, patch: str = "") -> tuple[subprocess.Popen[str], str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = _SERVED % {
        "root": str(ROOT), "tests": str(Path(__file__).parent), "patch": patch, "folder": str(folder), "port": port,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    url = f"http://127.0.0.1:{port}"
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        try:
            httpx.get(f"{url}/v1/models/m", timeout=5)
            return process, url
        except httpx.TransportError:
            time.sleep(0.05)
    process.kill()
    raise AssertionError(process.communicate())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_process_after_the_last_answer(tmp_path: Path, number: int) -> None:
    started = tmp_path / "started"
    process, url = served(exported(tmp_path), _STAND_IN % {"started": str(started)})
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(predict, url, "a", name="m", signature="echo")
        end = time.monotonic() + 60
        while not started.exists() and time.monotonic() < end:
            time.sleep(0.005)
        process.send_signal(number)
        output, said = process.communicate(timeout=60)
        assert waiting.result(10) == {"predictions": ["a"]}
    assert (process.returncode, output) == (0, "ended\n"), said
    assert "Serving m, version 1, from" in said
    assert "model m: version 1 is served (echo, numbers, serving_default, words; loaded in" in said
    assert "stopped after" in said


@pytest.mark.slow
def test_a_real_model_is_served_without_tensorflows_python(tmp_path: Path) -> None:
    """A SavedModel that another process has made, with strings in and out, and refusals of its own."""
    folder = exported(tmp_path)
    program = """
        import sys, tensorflow as tf
        class Model(tf.Module):
            @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
            def serve(self, text):
                with tf.control_dependencies([tf.debugging.assert_none_equal(text, "bad", message="a bad text")]):
                    return {"upper": tf.strings.upper(text, "utf-8"), "size": tf.strings.length(text)}
        model = Model()
        tf.saved_model.save(model, sys.argv[1], signatures={"serving_default": model.serve})
    """
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, "-c", textwrap.dedent(program), str(folder / "1")]
    subprocess.run(command, check=True, capture_output=True, env=environment, timeout=300)
    process, url = served(folder)
    try:
        assert predict(url, "grün", "", name="m") == {
            "predictions": [{"size": 5, "upper": "GRÜN"}, {"size": 0, "upper": ""}]
        }
        assert "a bad text" in predict(url, "bad", name="m")["error"]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda number: predict(url, f"t{number}", name="m"), range(40)))
        assert [each["predictions"][0]["upper"] for each in answers] == [f"T{number}" for number in range(40)]
        # A version that is broken is refused, and said.
        (folder / "2").mkdir()
        (folder / "2" / "saved_model.pb").write_bytes(b"no graph")
        end = time.monotonic() + 30
        while time.monotonic() < end:
            status = httpx.get(f"{url}/v1/models/m", timeout=10).json()["model_version_status"]
            if status[0]["version"] == "2" and status[0]["state"] == "END":
                break
            time.sleep(0.2)
        assert status[0]["status"]["error_code"] != "OK"
        assert status[1]["state"] == "AVAILABLE"
        assert predict(url, "a", name="m")["predictions"][0]["upper"] == "A"
    finally:
        process.send_signal(signal.SIGTERM)
        output, said = process.communicate(timeout=60)
    assert (process.returncode, output) == (0, "ended\n"), said
