"""The quickstart on a part of the phrasebook; the BLEU and the time of the whole are in benchmarks/README.md."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nmt import quickstart as run_quickstart
from nmt.phrasebook import Phrasebook, phrasebook

TINY = (
    "tokenization.vocabulary_size=700",
    "model.embedding_units=16",
    "model.encoder_units=16",
    "model.decoder_units=16",
    "model.attention_units=16",
    "training.epochs=1",
)


@pytest.fixture
def small_phrasebook(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module = sys.modules["nmt.quickstart"]
    whole = phrasebook()
    part = Phrasebook(train=whole.train[:300], valid=whole.valid[:20], test=whole.test[:20])
    monkeypatch.setattr(module, "phrasebook", lambda: part)
    monkeypatch.setattr(module, "SETTINGS", TINY)


@pytest.mark.slow
def test_it_makes_everything_that_it_names(small_phrasebook: None, tmp_path: Path) -> None:
    messages: list[str] = []
    report = run_quickstart(tmp_path / "qs", progress=lambda record: messages.append(str(record.get("message", ""))))
    for picture in (report.learning_curve, report.heat_map):
        assert picture.read_bytes().startswith(b"\x89PNG")
    assert (report.export / "saved_model.pb").is_file()
    assert len(report.rows()) == len(report.samples) == 8
    assert json.loads(json.dumps(report.to_dict()))["minutes"] > 0
    steps = report.next_steps()
    assert "nmt translate --run" in steps
    assert f"nmt serve {report.export.parent}" in steps
    assert str(report.heat_map) in steps
    assert any("phrasebook: 300" in message for message in messages)
