from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from textseq.corpus import read_lines
from textseq.text_file import TextFile


@pytest.mark.parametrize("lines", [[], [""], ["eins", "", "日本 é"]])
def test_the_hash_is_that_of_the_plain_file(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "text"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    described = TextFile.of(path, list(read_lines(path)))
    assert described == TextFile(str(path), len(lines), hashlib.sha256(path.read_bytes()).hexdigest())
