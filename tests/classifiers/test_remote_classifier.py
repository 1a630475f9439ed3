"""Predictions of a server, from answers of its signatures, and against the run that was exported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from classifiers.remote_classifier import RemoteClassifier
from tests.textseq.serving.client_stand_in import ClientStandIn
from textseq.serving import remote_model
from textseq.serving.client import Client
from textseq.serving.client_errors import InvalidAnswer

ANSWER = {
    "label": ["good", "bad"],
    "probability": [0.75, 0.5],
    "labels": [["bad", "good"], ["bad", "good"]],
    "probabilities": [[0.25, 0.75], [0.5, 0.5]],
    "truncated": [False, True],
}
TEXTS = ["fine", " "]


def client_of(answers: Mapping[str, Mapping[str, list[Any]]]) -> ClientStandIn:
    return ClientStandIn("classifiers", answers)


def classifier_of(client: ClientStandIn) -> RemoteClassifier:
    return RemoteClassifier(cast(Client, client))


def test_texts_become_predictions() -> None:
    client = client_of({"serving_default": ANSWER})
    with classifier_of(client) as classifier:
        first, second = classifier.predict(TEXTS)
    assert client.asked == [("serving_default", {"text": TEXTS})]
    assert client.closed
    assert first.to_dict() == {
        "text": "fine",
        "label": "good",
        "probability": 0.75,
        "probabilities": {"bad": 0.25, "good": 0.75},
    }
    assert (second.empty, second.truncated, str(second)) == (True, True, "bad")


def test_a_model_that_translates_too_is_asked_to_classify() -> None:
    client = client_of({"serving_default": {"translation": ["x", "y"]}, "classify": ANSWER})
    assert [str(each) for each in classifier_of(client).predict(TEXTS)] == ["good", "bad"]
    assert client.asked[0][0] == "classify"


def test_several_labels_or_none() -> None:
    several = {
        "label": ["bad | odd", "", "good"],
        "probability": [0.9, 0.3, 0.7],
        "labels": [["bad", "good", "odd"]] * 3,
        "probabilities": [[0.6, 0.1, 0.9], [0.2, 0.3, 0.1], [0.1, 0.7, 0.1]],
        "given": [[True, False, True], [False] * 3, [False, True, False]],
        "truncated": [False] * 3,
    }
    classifier = classifier_of(client_of({"serving_default": several}))
    assert classifier.separator == ", "
    found = classifier.predict(["x", "y", "z"])
    assert [each.labels for each in found] == [("bad", "odd"), (), ("good",)]
    assert [each.label for each in found] == ["odd", "good", "good"]
    assert [each.to_dict()["labels"] for each in found] == [["bad", "odd"], [], ["good"]]
    assert classifier.separator == " | "


def test_a_model_that_does_not_classify_is_named() -> None:
    client = client_of({"serving_default": {"translation": ["x"], "score": [0.5]}})
    with pytest.raises(
        InvalidAnswer, match=r"model classifiers gives score, translation, expected label.*a classifier\?"
    ):
        classifier_of(client).predict(["x"])


def test_the_names_that_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(remote_model, "connect", lambda *given, **options: calls.append((given, options)))
    RemoteClassifier.connect("http://h:1", timeout=3.0)
    RemoteClassifier.connect("http://h:1", "mine")
    assert calls == [(("http://h:1", ("classifiers", "combined")), {"timeout": 3.0}), (("http://h:1", "mine"), {})]


@pytest.mark.slow
def test_a_served_export_says_what_the_run_says(tiny_run: Path, tmp_path: Path) -> None:
    from classifiers import Classifier, export
    from textseq.serving.server import Server

    export(tiny_run, tmp_path / "exported")
    texts = ["a fine film", "", " ", "größer ሰው", "nul \0 \t x", "dull " * 30]
    here = Classifier.load(tiny_run).predict(texts)
    with Server(tmp_path / "exported", port=0, grpc_port=0) as server:
        for url in (server.url, f"grpc://127.0.0.1:{server.grpc_port}"):
            with RemoteClassifier.connect(url, timeout=60.0) as classifier:
                there = classifier.predict(texts)
            for one, other in zip(here, there, strict=True):
                assert (one.label, one.labels, one.empty, one.truncated) == (
                    *(other.label, other.labels, other.empty, other.truncated),
                )
                assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)
