"""Translations of a server, from answers of its signatures, and against the run that was exported."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from nmt.remote_translator import RemoteTranslator
from tests.textseq.serving.client_stand_in import ClientStandIn
from textseq.serving import remote_model
from textseq.serving.client import Client
from textseq.serving.client_errors import InvalidAnswer

LOWEST = float(np.finfo(np.float32).min)
ANSWERS: dict[str, dict[str, list[Any]]] = {
    "serving_default": {"translation": ["ein Hund", ""], "score": [-0.25, -1.5], "truncated": [False, False]},
    "align": {
        "translation": ["ein Hund", ""],
        "score": [-0.25, -1.5],
        "truncated": [False, True],
        "source_tokens": [["▁a", "▁dog", "</s>"], ["</s>", "", ""]],
        "target_tokens": [["▁ein", "▁Hund", "</s>"], ["</s>", "", ""]],
        "source_length": [3, 1],
        "target_length": [3, 1],
        "attention": [
            [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.0, 0.0, 1.0]],
            [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
        ],
    },
    "n_best": {
        "translations": [["ein Hund", "der Hund"], ["", ""]],
        "scores": [[-0.25, -0.75], [-1.5, LOWEST]],
        "count": [2, 1],
        "truncated": [False, False],
    },
}
LINES = ["a dog", ""]


def client_of(answers: Mapping[str, Mapping[str, list[Any]]] = ANSWERS) -> ClientStandIn:
    return ClientStandIn("nmt", answers)


def translator_of(client: ClientStandIn) -> RemoteTranslator:
    return RemoteTranslator(cast(Client, client))


def test_lines_become_translations() -> None:
    client = client_of()
    with translator_of(client) as translator:
        first, second = translator.translate(LINES)
    assert client.asked == [("serving_default", {"text": LINES})]
    assert client.closed
    assert (first.source, str(first), first.score, first.n_best) == ("a dog", "ein Hund", -0.25, ())
    assert math.isnan(first.log_probability) and first.to_dict()["log_probability"] is None
    assert (str(second), second.truncated) == ("", False)


def test_attention_is_cut_to_each_line() -> None:
    first, second = translator_of(client_of()).translate(LINES, attention=True)
    assert first.source_pieces == ("▁a", "▁dog", "</s>")
    assert first.alignment == [(0, 0), (1, 1)]
    assert first.attention is not None and first.attention.dtype == np.float32
    assert (second.source_pieces, second.target_pieces) == (("</s>",), ("</s>",))
    assert second.attention is not None and second.attention.tolist() == [[1.0]]
    assert second.alignment == []


def test_the_best_few_are_cut_to_their_count() -> None:
    client = client_of()
    first, second = translator_of(client).translate(LINES, n_best=2)
    assert client.asked[1] == ("n_best", {"text": LINES, "n": [2, 2]})
    assert [(each.text, each.score) for each in first.n_best] == [("ein Hund", -0.25), ("der Hund", -0.75)]
    assert [(each.text, each.score) for each in second.n_best] == [("", -1.5)]


def test_what_was_cut_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="nmt"):
        translations = translator_of(client_of()).translate(LINES, attention=True)
    assert [each.truncated for each in translations] == [False, True]
    assert "1 line is longer than the model reads; only the first part was translated" in caplog.text


def test_exports_without_attention_translate() -> None:
    answers = {"serving_default": ANSWERS["serving_default"]}
    translator = translator_of(client_of(answers))
    assert not translator.aligns and translator_of(client_of()).aligns
    assert [str(each) for each in translator.translate(LINES)] == ["ein Hund", ""]


def test_a_model_that_does_not_translate_is_named() -> None:
    answers = {"serving_default": {"label": ["good", "bad"], "probability": [0.9, 0.8]}}
    with pytest.raises(InvalidAnswer) as caught:
        translator_of(client_of(answers)).translate(LINES)
    assert str(caught.value) == (
        "http://there: model nmt gives label, probability, expected translation and truncated; is it a translator?"
    )


def test_the_names_that_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def connect(*arguments: Any, **options: Any) -> ClientStandIn:
        calls.append((arguments, options))
        return client_of()

    monkeypatch.setattr(remote_model, "connect", connect)
    RemoteTranslator.connect("http://h:1", timeout=3.0)
    RemoteTranslator.connect("http://h:1", "mine")
    assert calls == [(("http://h:1", ("nmt", "combined")), {"timeout": 3.0}), (("http://h:1", "mine"), {})]


@pytest.mark.slow
def test_a_served_export_says_what_the_run_says(tiny_run: Path, tiny_corpus: Path, tmp_path: Path) -> None:
    from nmt import Translator, export
    from textseq.serving.server import Server

    export(tiny_run, tmp_path / "exported")
    lines = [*(tiny_corpus / "test.en").read_text(encoding="utf-8").splitlines(), "", "größer ሰው", "nul \0 \t x"]
    here = Translator.load(tiny_run).translate(lines, n_best=2, attention=True)
    with Server(tmp_path / "exported", port=0, grpc_port=0) as server:
        for url in (server.url, f"grpc://127.0.0.1:{server.grpc_port}"):
            with RemoteTranslator.connect(url, timeout=60.0) as translator:
                there = translator.translate(lines, n_best=2, attention=True)
            for one, other in zip(here, there, strict=True):
                assert (one.text, one.truncated) == (other.text, other.truncated)
                assert (one.source_pieces, one.target_pieces) == (other.source_pieces, other.target_pieces)
                assert one.score == pytest.approx(other.score, abs=1e-4)
                np.testing.assert_allclose(np.asarray(one.attention), np.asarray(other.attention), atol=1e-4)
                assert [each.text for each in one.n_best] == [each.text for each in other.n_best]
