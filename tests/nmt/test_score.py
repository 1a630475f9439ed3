"""Scoring given translations from files."""

from __future__ import annotations

import gzip
import importlib
import os
import threading
from itertools import islice
from pathlib import Path

import pytest

from nmt.score import score
from nmt.translator import Translator
from textseq.errors import CorpusError, RunDirectoryError


def texts(corpus: Path) -> tuple[list[str], list[str]]:
    return tuple((corpus / f"test.{side}").read_text("utf-8").splitlines() for side in ("en", "de"))  # type: ignore[return-value]


def test_one_number_for_each_line(tiny_run: Path, tiny_corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = Translator.load(tiny_run).score(*texts(tiny_corpus))
    assert list(score(tiny_run, tiny_corpus / "test.en", tiny_corpus / "test.de")) == pytest.approx(expected, abs=1e-4)
    monkeypatch.setattr(importlib.import_module("nmt.score"), "LINES_AT_ONCE", 3)
    assert list(score(tiny_run, tiny_corpus / "test.en", tiny_corpus / "test.de")) == pytest.approx(expected, abs=1e-3)


def test_the_true_translation_scores_above_another(tiny_run: Path, tiny_corpus: Path) -> None:
    """Not by what a random network knows, but by length: the longer of two has the lower probability."""
    sources, targets = texts(tiny_corpus)
    one, twice = Translator.load(tiny_run).score(sources[:1] * 2, [targets[0], targets[0] + " " + targets[0]])
    assert one > twice


@pytest.mark.parametrize(("source_lines", "target_lines"), [(3, 2), (2, 3)])
def test_files_of_different_length_are_found_before_the_network_is_loaded(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source_lines: int, target_lines: int
) -> None:
    monkeypatch.setattr(Translator, "load", None)
    source, target = tmp_path / "a.gz", tmp_path / "b"
    source.write_bytes(gzip.compress(b"x\n" * source_lines))
    target.write_bytes(b"x\n" * target_lines)
    with pytest.raises(CorpusError, match=rf"a\.gz: has {source_lines} lines, but .*b has {target_lines}; expected"):
        score(tiny_run, source, target)


def test_what_is_wrong_is_said_at_once(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x\n\xff\n")
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(RunDirectoryError, match="no run here"):
        score(tmp_path / "none", tmp_path / "a", tmp_path / "a")
    with pytest.raises(CorpusError, match=r"a:2: is not UTF-8"):
        score(tiny_run, tmp_path / "a", tmp_path / "a")
    with pytest.raises(CorpusError, match="is empty; expected one sentence a line"):
        score(tiny_run, tmp_path / "empty", tmp_path / "empty")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_read_once_and_streamed(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("nmt.score"), "LINES_AT_ONCE", 2)
    pipe, target = tmp_path / "pipe", tmp_path / "target"
    os.mkfifo(pipe)
    target.write_text("b\n" * 5)

    def write() -> None:
        with pipe.open("w") as file:
            file.write("a\n" * 4)

    writer = threading.Thread(target=write)
    writer.start()
    scores = score(tiny_run, pipe, target)
    first = list(islice(scores, 4))
    assert len(first) == 4 and len({round(value, 4) for value in first}) == 1
    with pytest.raises(CorpusError, match=r"pipe: has 4 lines, but .*target has 5"):
        next(scores)
    writer.join()
