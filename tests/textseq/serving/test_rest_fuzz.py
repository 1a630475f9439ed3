"""Hostile requests to the server's REST, with a model that costs nothing; benchmarks/serving_fuzz.py goes on longer."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from tests.textseq.serving import rest_attacks
from tests.textseq.serving.rest_requests import requests
from tests.textseq.serving.rest_target import Answer, Fault, Request, Target, check, check_alive, exchange, post, send

pytest.importorskip("starlette", reason="the extra `serve` is not installed")
pytest.importorskip("uvicorn", reason="the extra `serve` is not installed")
pytest.importorskip("grpc", reason="the extra `serve` is not installed")

STALLED_SECONDS = 3.0
MOST_CONNECTIONS = 100
STRING, INT32, FLOAT = 7, 3, 1


def info(kind: int, *shape: int | None) -> SimpleNamespace:
    return SimpleNamespace(name="tensor:0", dtype=kind, shape=list(shape))


class Louder:
    """A model that answers in capitals, and refuses to translate what holds no character."""

    signatures: Mapping[str, Any] = {
        "serving_default": SimpleNamespace(
            inputs={"text": info(STRING, None)},
            outputs={"translation": info(STRING, None), "score": info(FLOAT, None)},
        ),
        "n_best": SimpleNamespace(
            inputs={"text": info(STRING, None), "n": info(INT32, None)},
            outputs={"translations": info(STRING, None, None), "count": info(INT32, None)},
        ),
    }

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        texts = [text.upper() for text in inputs["text"]]
        loud = np.empty(len(texts), object)
        loud[:] = texts
        if signature == "serving_default":
            return {"translation": loud, "score": np.array([len(text) for text in texts], np.float32)}
        return {"translations": np.stack([loud, loud], 1), "count": np.minimum(inputs["n"], 2)}

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    from textseq.serving.limits import Limits
    from textseq.serving.server import Server

    folder = tmp_path_factory.mktemp("export")
    (folder / "1").mkdir()
    (folder / "1" / "saved_model.pb").write_bytes(b"")
    limits = Limits(
        poll_seconds=0.1, stalled_seconds=STALLED_SECONDS, body_seconds=STALLED_SECONDS, connections=MOST_CONNECTIONS
    )
    with Server(folder, name="loud", port=0, grpc_port=0, limits=limits, open_model=lambda path: Louder()) as server:
        yield Target(
            "127.0.0.1",
            server.port,
            "loud",
            {"text": "dogs"},
            lambda row: row["translation"] == "DOGS",
            too_many=MOST_CONNECTIONS + 20,
        )


@pytest.mark.parametrize("attack", rest_attacks.ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack(target: Target, attack: Callable[[Target], None]) -> None:
    attack(target)
    check_alive(target)


def test_any_request_is_answered(target: Target) -> None:
    @settings(max_examples=250, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(requests(target.model))
    def sent(request: Request) -> None:
        send(target, request)

    sent()
    check_alive(target)


def test_connections_that_trickle_are_cut_off(target: Target) -> None:
    with rest_attacks.trickling(target, connections=10) as live:
        deadline = time.monotonic() + 3 * STALLED_SECONDS
        while live and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not live


def test_memory_stays_bounded(target: Target) -> None:
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("there is no /proc here")

    def held() -> int:
        return next(
            int(line.split()[1]) // 1024 for line in status.read_text().splitlines() if line.startswith("VmRSS")
        )

    rest_attacks.large_bodies(target)
    before = held()
    for _ in range(3):
        rest_attacks.large_bodies(target)
        rest_attacks.deep_nesting(target)
    assert held() - before < 200


def described() -> dict[str, Any]:
    path = Path(__file__).with_name("rest_openapi.json")
    return json.loads(path.read_text("utf-8"))  # type: ignore[no-any-return]


def test_every_path_of_the_description_is_there(target: Target) -> None:
    for path, operations in described()["paths"].items():
        for method, operation in operations.items():
            place = path.replace("{model}", target.model).replace("{version}", "1")
            body = json.dumps({"instances": [target.instance]}).encode() if method == "post" else b""
            answer = send(target, Request(method.upper(), place, body))
            assert answer is not None
            assert str(answer.status) in operation["responses"]
            assert answer.status == (400 if place.endswith((":classify", ":regress")) else 200), place


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "closed without an answer"),
        (Answer(500, {}, b'{"error": "x"}'), "HTTP 500"),
        (Answer(400, {}, b"<html>"), "without an error in JSON"),
        (Answer(404, {}, b'{"error": ""}'), "says nothing"),
        (Answer(400, {}, b'{"error": "' + b"x" * 30_000 + b'"}'), "a refusal of 30013 bytes"),
    ],
)
def test_a_wrong_answer_is_seen(answer: Answer | None, words: str) -> None:
    with pytest.raises(Fault, match=words):
        check(answer, b"sent")


def test_a_wrong_translation_is_seen(target: Target) -> None:
    never_right = Target(target.host, target.port, target.model, target.instance, lambda row: False)
    with pytest.raises(Fault, match="a wrong answer to"):
        check_alive(never_right)


def test_what_is_right_is_not_refused(target: Target) -> None:
    with pytest.raises(Fault, match="expected a refusal, received HTTP 200"):
        rest_attacks.refused(target, json.dumps({"instances": ["a"]}))
    assert post(target, json.dumps({"inputs": ["a", "b"]})).status == 200
    sent = Request("GET", f"/v1/models/{target.model}").written()
    assert exchange(target, sent, "GET") is not None
