"""How the files of a composed corpus are written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from textseq.composed_corpus import run_writer, write_texts
from textseq.errors import OutputError


def test_files_are_written_and_written_again(tmp_path: Path) -> None:
    texts = {"train.tsv": "a\tÄ\n", "test.tsv": "b\tc\n"}
    for _ in range(2):
        write_texts(tmp_path / "new" / "data", texts, "the book's")
    assert {file.name: file.read_text(encoding="utf-8") for file in (tmp_path / "new" / "data").iterdir()} == texts


def test_another_text_is_not_written_over(tmp_path: Path) -> None:
    mine = tmp_path / "test.tsv"
    mine.write_text("mine")
    with pytest.raises(
        OutputError, match=r"test\.tsv: holds another text than the book's; choose another folder"
    ) as caught:
        write_texts(tmp_path, {"train.tsv": "a", "test.tsv": "b"}, "the book's")
    assert str(caught.value).startswith(str(tmp_path))
    assert [file.name for file in tmp_path.iterdir()] == ["test.tsv"]
    assert mine.read_text() == "mine"


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(OutputError, match="taken: a file stands where a folder is expected; move it or choose another"):
        write_texts(tmp_path / "taken", {"a": "b"}, "the book's")


def test_the_command_hands_over_seed_and_directory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[int, str]] = []
    monkeypatch.setattr(sys, "argv", ["x", "there", "--seed", "3"])
    run_writer("python -m x", "the book", "a and b", lambda seed, directory: calls.append((seed, directory)))
    assert calls == [(3, "there")]

    def refuse(seed: int, directory: str) -> None:
        raise OutputError("there: no")

    monkeypatch.setattr(sys, "argv", ["x", "there"])
    with pytest.raises(SystemExit) as stopped:
        run_writer("python -m x", "the book", "a and b", refuse)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.endswith("python -m x: error: there: no\n")
