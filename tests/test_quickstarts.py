"""What every quickstart promises of its folder: nothing of the user's is written over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import classifiers
import nmt
from textseq.errors import OutputError, RunDirectoryError

QUICKSTARTS = pytest.mark.parametrize(
    ("quickstart", "corpus", "last", "owner"),
    [
        (nmt.quickstart, "train.en", "test.de", "the phrasebook's"),
        (classifiers.quickstart, "train.tsv", "test.tsv", "the corpus of reviews"),
    ],
    ids=["nmt", "classifiers"],
)


@QUICKSTARTS
def test_nothing_of_the_user_is_written_over(
    quickstart: Callable[[Path], Any], corpus: str, last: str, owner: str, tmp_path: Path
) -> None:
    mine = tmp_path / "data" / corpus
    mine.parent.mkdir()
    mine.write_text("my own text\n")
    with pytest.raises(OutputError, match=rf"{corpus}: holds another text than {owner}; choose another folder"):
        quickstart(tmp_path)
    assert mine.read_text() == "my own text\n"
    assert not (tmp_path / "data" / last).exists()


@QUICKSTARTS
def test_a_folder_of_something_else_is_refused(
    quickstart: Callable[[Path], Any], corpus: str, last: str, owner: str, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("...")
    with pytest.raises(RunDirectoryError, match="holds something else"):
        quickstart(tmp_path)
    assert not (tmp_path / "data").exists()
