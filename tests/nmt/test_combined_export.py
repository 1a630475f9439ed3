"""A run and an exported classifier become one export: what is called, and what is left where."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from nmt.combined_export import combined_export
from textseq.errors import OutputError


def test_the_translator_is_exported_aside_and_combined(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    importlib.import_module("nmt.export")  # `nmt.export` itself is the function
    from textseq.serving import combination

    places: list[Path] = []

    def export(run: Any, out: Path) -> Path:
        assert run == "runs/x"
        places.append(out)
        (out / "1").mkdir(parents=True)
        return out / "1"

    def combine(translator: Path, classifier: Any, out: Any) -> Path:
        assert translator == places[0] / "1" and translator.is_dir()
        assert (classifier, out) == ("exported", tmp_path / "both")
        return tmp_path / "both" / "1"

    monkeypatch.setattr(sys.modules["nmt.export"], "export", export)
    monkeypatch.setattr(combination, "combine", combine)
    monkeypatch.setattr(combination, "check_classifier", lambda place: None)
    assert combined_export("runs/x", "exported", tmp_path / "both") == tmp_path / "both" / "1"
    hidden = places[0].parent
    assert hidden.parent == tmp_path / "both" and hidden.name.startswith(".hidden-")
    assert list((tmp_path / "both").iterdir()) == []


def test_a_failure_leaves_nothing_and_remainders_are_swept_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    importlib.import_module("nmt.export")
    from textseq.serving import combination

    def export(run: Any, out: Path) -> Path:
        raise OutputError("no more room")

    monkeypatch.setattr(sys.modules["nmt.export"], "export", export)
    monkeypatch.setattr(combination, "check_classifier", lambda place: None)
    with pytest.raises(OutputError, match="no more room"):
        combined_export("runs/x", "exported", tmp_path / "both")
    assert not (tmp_path / "both").exists()
    (tmp_path / "there" / ".hidden-00000000-999999999.partial").mkdir(parents=True)  # of a killed process
    with pytest.raises(OutputError, match="no more room"):
        combined_export("runs/x", "exported", tmp_path / "there")
    assert list((tmp_path / "there").iterdir()) == []


def test_a_folder_of_something_else_is_refused_first(tmp_path: Path) -> None:
    mark = {"format": "dragoman-export", "version": 1, "task": "nmt"}
    (tmp_path / "export.json").write_text(json.dumps(mark))
    with pytest.raises(OutputError):
        combined_export("no-run", "exported", tmp_path)


def test_what_is_no_classifier_is_refused_before_the_translator_is_exported(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"exported: no export here"):
        combined_export("no-run", tmp_path / "exported", tmp_path / "out")
    assert not (tmp_path / "out").exists()
