"""The quickstart on a part of the reviews; the F1 and the time of the whole are in benchmarks/README.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from classifiers import quickstart as run_quickstart
from classifiers.reviews import Reviews, reviews

TINY = (
    "tokenization.vocabulary_size=700",
    "model.embedding_units=16",
    "model.encoder_units=16",
    "batching.shapes=1",
    "training.epochs=1",
)


@pytest.fixture
def small_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module = sys.modules["classifiers.quickstart"]
    whole = reviews()
    part = Reviews(train=whole.train[:300], valid=whole.valid[:60], test=whole.test[:60])
    monkeypatch.setattr(module, "reviews", lambda: part)
    monkeypatch.setattr(module, "SETTINGS", TINY)


@pytest.mark.slow
def test_it_makes_everything_that_it_names(small_corpus: None, tmp_path: Path) -> None:
    messages: list[str] = []
    report = run_quickstart(tmp_path / "qs", progress=lambda record: messages.append(str(record.get("message", ""))))
    for picture in (report.learning_curve, report.confusion_matrix):
        assert picture.read_bytes().startswith(b"\x89PNG")
    page = report.explanations.read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert (report.export / "saved_model.pb").is_file()
    assert len(report.rows()) == len(report.samples) == 9
    assert all(0 < row[2] <= 1 for row in report.rows())
    values = json.loads(json.dumps(report.to_dict()))
    assert values["minutes"] > 0
    assert values["samples"][0]["reference"] in ("negative", "neutral", "positive")
    steps = report.next_steps()
    assert "classifiers predict --run" in steps
    assert str(report.confusion_matrix) in steps and str(report.explanations) in steps
    assert any("reviews: 300" in message for message in messages)
