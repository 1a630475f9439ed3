"""Predictions of a server, from answers of its signatures, and against the run that was exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from classifiers import remote_classifier
from classifiers.remote_classifier import RemoteClassifier
from textseq.serving.client import Client
from textseq.serving.client_errors import InvalidAnswer
from textseq.serving.model_description import ModelMetadata, SignatureDescription

ANSWER = {
    "label": ["good", "bad"],
    "probability": [0.75, 0.5],
    "probabilities": [[0.25, 0.75], [0.5, 0.5]],
    "truncated": [False, True],
}
TEXTS = ["fine", " "]


class FakeClient:
    address = "http://there"
    model = "classifiers"

    def __init__(self, answers: Mapping[str, Mapping[str, list[Any]]]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.closed = False

    def predict(self, inputs: Mapping[str, Sequence[Any]], signature: str) -> dict[str, list[Any]]:
        self.asked.append((signature, dict(inputs)))
        return dict(self.answers[signature])

    def metadata(self) -> ModelMetadata:
        return ModelMetadata(self.model, 1, {name: SignatureDescription({}, {}) for name in self.answers})

    def close(self) -> None:
        self.closed = True


def classifier_of(client: FakeClient, labels: Sequence[str] | None = None) -> RemoteClassifier:
    return RemoteClassifier(cast(Client, client), labels)


def test_texts_become_predictions() -> None:
    client = FakeClient({"serving_default": ANSWER})
    with classifier_of(client, ["bad", "good"]) as classifier:
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


def test_without_labels_probabilities_have_numbers() -> None:
    first, _ = classifier_of(FakeClient({"serving_default": ANSWER})).predict(TEXTS)
    assert first.probabilities == {"0": 0.25, "1": 0.75}


def test_a_model_that_translates_too_is_asked_to_classify() -> None:
    client = FakeClient({"serving_default": {"translation": ["x", "y"]}, "classify": ANSWER})
    assert [str(each) for each in classifier_of(client).predict(TEXTS)] == ["good", "bad"]
    assert client.asked[0][0] == "classify"


def test_several_labels_or_none_stay_as_the_export_joins_them() -> None:
    answer = {**ANSWER, "label": ["bad;good", ""]}
    first, second = classifier_of(FakeClient({"serving_default": answer})).predict(TEXTS)
    assert (first.labels, second.labels, str(second)) == (("bad;good",), (), "")


def test_labels_of_another_export_are_refused() -> None:
    with pytest.raises(
        InvalidAnswer, match=r"model classifiers has 2 labels, and 3 were given; give those of its export"
    ):
        classifier_of(FakeClient({"serving_default": ANSWER}), ["a", "b", "c"]).predict(TEXTS)


def test_a_model_that_does_not_classify_is_named() -> None:
    client = FakeClient({"serving_default": {"translation": ["x"], "score": [0.5]}})
    with pytest.raises(
        InvalidAnswer, match=r"model classifiers gives score, translation, expected label.*a classifier\?"
    ):
        classifier_of(client).predict(["x"])


def test_the_names_that_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(remote_classifier, "connect", lambda *given, **options: calls.append((given, options)))
    RemoteClassifier.connect("http://h:1", timeout=3.0)
    RemoteClassifier.connect("http://h:1", "mine", labels=["a"])
    assert calls == [(("http://h:1", ("classifiers", "combined")), {"timeout": 3.0}), (("http://h:1", "mine"), {})]


@pytest.mark.slow
def test_a_served_export_says_what_the_run_says(tiny_run: Path, tmp_path: Path) -> None:
    from classifiers import Classifier, export
    from textseq.serving.server import Server

    version = export(tiny_run, tmp_path / "exported")
    labels = (version / "assets.extra" / "labels.txt").read_text(encoding="utf-8").splitlines()
    texts = ["a fine film", "", " ", "größer ሰው", "nul \0 \t x", "dull " * 30]
    here = Classifier.load(tiny_run).predict(texts)
    with Server(tmp_path / "exported", port=0, grpc_port=0) as server:
        for url in (server.url, f"grpc://127.0.0.1:{server.grpc_port}"):
            with RemoteClassifier.connect(url, labels=labels, timeout=60.0) as classifier:
                there = classifier.predict(texts)
            for one, other in zip(here, there, strict=True):
                assert (one.label, one.labels, one.empty, one.truncated) == (
                    *(other.label, other.labels, other.empty, other.truncated),
                )
                assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)
