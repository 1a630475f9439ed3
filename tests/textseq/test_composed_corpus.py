"""How the files of a composed corpus are written."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from textseq.composed_corpus import read_words, run_writer, split_of, with_capitals, write_texts
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


def test_words_stand_beside_the_modules_of_a_package() -> None:
    assert read_words("nmt.phrasebook", "templates.toml")["template"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("élan? yes. no! a.b", "Élan? Yes. No! A.b"),
        ("we ate. 3 times", "We ate. 3 times"),
        ("", ""),
    ],
)
def test_sentences_begin_with_a_capital(text: str, shown: str) -> None:
    assert with_capitals(text) == shown


@pytest.mark.parametrize(
    ("lots", "split"),
    [([], "train"), ([999, 70], "train"), ([70, 69], "valid"), ([45], "valid"), ([44, 50], "test"), ([999, 0], "test")],
)
def test_one_combination_that_is_held_out_decides_the_split(lots: list[int], split: str) -> None:
    assert split_of(lots, 45, 25) == split


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
