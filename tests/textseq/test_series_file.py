"""A series from a file: numbers, headings, dates before them, and what cannot be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from textseq.errors import CorpusError
from textseq.series_file import read_series


def written(folder: Path, text: str) -> Path:
    path = folder / "series.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    ["1.5\n-2\n3e2\n", "load\n1.5\n\n-2\n3e2", "date,load\r\n2024-01-01 00:00,1.5\r\na,b, -2 \r\nx,3e2\r\n"],
)
def test_numbers_are_read(tmp_path: Path, text: str) -> None:
    values = read_series(written(tmp_path, text))
    assert values.dtype == np.float64
    assert values.tolist() == [1.5, -2, 300]


def test_the_last_ones_are_kept(tmp_path: Path) -> None:
    assert read_series(written(tmp_path, "1\n2\n3\n"), most=2).tolist() == [2, 3]
    assert read_series(written(tmp_path, "1\n2\n3\n"), most=9).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1\nx\n", r"series\.csv:2: received 'x'; expected one finite number a line"),
        ("head\n1\n2,nan\n", r"series\.csv:3: received 'nan'"),
        ("head\nmore\n", r"series\.csv:2: received 'more'"),
        ("head\n", r"series\.csv: received no number; expected one a line"),
        ("", "received no number"),
    ],
)
def test_what_is_no_number_is_named(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(CorpusError, match=words):
        read_series(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="missing"):
        read_series(tmp_path / "missing.csv")
