"""Streams of lines and pairs."""

from __future__ import annotations

import errno
import gzip
import io
import logging
import lzma
import os
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq.corpus import (
    Pair,
    hash_texts,
    open_bytes,
    read_lines,
    read_lines_tolerant,
    read_pairs,
    require_files,
    sentence_key,
)
from textseq.errors import CorpusError

WRITERS: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}
# Everything that str.splitlines() takes for a line end, or that other tools stumble over.
ODD = "a\x0bb\x0cc\x1cd\x1de\x1ef\x85g\u2028h\u2029i\x00j\rk\tl"


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def give(data: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", WRITERS)
def test_only_a_newline_ends_a_line(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"x.txt{suffix}", WRITERS[suffix](f"{ODD}\nsecond\n\nfourth".encode()))
    assert list(read_lines(path)) == [ODD, "second", "", "fourth"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n")), min_size=1))
def test_lines_come_back_as_they_were_written(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    path = tmp_path_factory.mktemp("lines") / "x.txt"
    path.write_bytes(b"".join(line.encode() + b"\n" for line in lines))
    expected = [line.removesuffix("\r") for line in lines]
    expected[0] = lines[0].removeprefix("\ufeff").removesuffix("\r")
    assert list(read_lines(path)) == expected


def test_mixed_line_ends_and_byte_order_mark(tmp_path: Path) -> None:
    path = write(tmp_path / "x.txt", b"\xef\xbb\xbfone\r\ntwo\nthree\r\r\n\r\nfour\r")
    assert list(read_lines(path)) == ["one", "two", "three\r", "", "four"]


@pytest.mark.parametrize("suffix", WRITERS)
def test_an_empty_file_has_no_lines(tmp_path: Path, suffix: str) -> None:
    assert list(read_lines(write(tmp_path / f"x{suffix}", WRITERS[suffix](b"")))) == []


def test_compression_is_told_by_content(tmp_path: Path) -> None:
    assert list(read_lines(write(tmp_path / "x.en", gzip.compress(b"a\n") + gzip.compress(b"b\n")))) == ["a", "b"]


def test_standard_input(standard_input: Callable[[bytes], None]) -> None:
    standard_input(b"eins\r\nzwei")
    assert list(read_lines("-")) == ["eins", "zwei"]
    standard_input(b"Hi.\tHallo!\n")
    assert list(read_pairs("-")) == [Pair("Hi.", "Hallo!", 1)]


def test_a_pipe_is_read(tmp_path: Path) -> None:
    code = "import sys; from textseq.corpus import read_lines; print(list(read_lines(sys.argv[1])))"
    command = [sys.executable, "-c", code, "/dev/stdin"]
    if not os.path.exists("/dev/stdin"):
        pytest.skip("this system has no /dev/stdin")
    done = subprocess.run(command, input=gzip.compress(b"a\nb\n"), capture_output=True, check=True)
    assert done.stdout.strip() == b"['a', 'b']"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"fine\nna\xefve\n", "x.txt:2: is not UTF-8: byte 3 of the line is 0xef; convert the file, for example with"),
        (b"\xed\xa0\x80\n", "x.txt:1: is not UTF-8: byte 1 of the line is 0xed"),
        ("a\n".encode("utf-16"), "x.txt:1: is UTF-16 text; expected UTF-8 text, plain, .gz or .xz; convert it with"),
        (b"BZh91AY&SY\xff\n", "x.txt:1: is bzip2 data; expected UTF-8 text, plain, .gz or .xz; unpack it first"),
    ],
)
def test_invalid_utf8_names_file_and_line(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(CorpusError, match=re.escape(words)) as caught:
        list(read_lines(write(tmp_path / "x.txt", data)))
    assert "\n" not in str(caught.value)


def test_places_that_are_no_text_files(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"missing.en: no such file; expected a text file, plain, .gz or .xz"):
        list(read_lines(tmp_path / "missing.en"))
    with pytest.raises(CorpusError, match=r": is a directory; expected a text file"):
        list(read_lines(tmp_path))
    with pytest.raises(CorpusError, match=r"x.gz: its name ends in .gz, but its content is not; make it again"):
        list(read_lines(write(tmp_path / "x.gz", b"plain\n")))


def test_require_files_looks_before_work_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = write(tmp_path / "x.en", b"a\n")
    require_files(whole, "-")
    with pytest.raises(CorpusError, match="no such file"):
        require_files(whole, tmp_path / "x.de")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may read every file
    with pytest.raises(CorpusError, match=r"x.en: cannot be read: no permission; allow it with `chmod \+r`"):
        require_files(whole)


def test_a_device_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*_: object) -> Iterator[bytes]:
        yield b"first\n"
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=fail()))
    with pytest.raises(CorpusError, match="<stdin>:1: cannot be read further: Input/output error"):
        list(read_lines("-"))
    path = write(tmp_path / "x.en", b"a\n")
    monkeypatch.setattr(Path, "open", lambda *_: _raise(OSError(errno.EIO, "Input/output error")))
    with pytest.raises(CorpusError, match=r"x.en: cannot be read: Input/output error"):
        list(read_lines(path))


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_truncated_compressed_file(tmp_path: Path, suffix: str) -> None:
    noise = b"".join(hash_texts(str(i)).to_bytes(8, "little").hex().encode() + b"\n" for i in range(20_000))
    data = WRITERS[suffix](noise)
    with pytest.raises(CorpusError, match=rf"x{suffix}:[1-9]\d*: the compressed file is truncated") as caught:
        list(read_lines(write(tmp_path / f"x{suffix}", data[: len(data) // 2])))
    assert caught.value.line is not None


@pytest.mark.parametrize("suffix", [".gz", ".xz"])
def test_damaged_compressed_file(tmp_path: Path, suffix: str) -> None:
    data = bytearray(WRITERS[suffix](b"one line\n" * 1000))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(CorpusError, match="the compressed data are damaged after this line"):
        list(read_lines(write(tmp_path / f"x{suffix}", bytes(data))))


def test_pairs_of_two_files(tmp_path: Path) -> None:
    source = write(tmp_path / "x.en", b"Hi.\na\tb\n")
    target = write(tmp_path / "x.de.gz", gzip.compress("Grüß Gott!\r\nc".encode()))
    assert list(read_pairs(source, target)) == [Pair("Hi.", "Grüß Gott!", 1), Pair("a\tb", "c", 2)]


@pytest.mark.parametrize(("sources", "targets"), [(3, 5), (5, 3), (0, 2), (2, 0)])
def test_files_of_different_length(tmp_path: Path, sources: int, targets: int) -> None:
    source = write(tmp_path / "x.en", b"a\n" * sources)
    target = write(tmp_path / "x.de", b"b\n" * targets)
    words = rf"x.en: has {sources} lines, but .*x.de has {targets}; expected line n of one to be the translation"
    with pytest.raises(CorpusError, match=words):
        list(read_pairs(source, target))


def test_pairs_in_one_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tmp_path / "x.tsv", b"Hi.\tHallo!\nRun!\tLauf!\tCC-BY 2.0\nGo.\tGeh.\tCC-BY\n")
    with caplog.at_level(logging.WARNING):
        pairs = list(read_pairs(path))
    assert pairs == [Pair("Hi.", "Hallo!", 1), Pair("Run!", "Lauf!", 2), Pair("Go.", "Geh.", 3)]
    assert [record.getMessage() for record in caplog.records] == [f"{path}:2: columns after the second are ignored"]


def test_a_line_without_tab(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", b"Hi.\tHallo!\nRun! Lauf!\n")
    words = "x.tsv:2: has no TAB: 'Run! Lauf!'; expected \"source TAB target\", or two files, one for each side"
    with pytest.raises(CorpusError, match=re.escape(words)):
        list(read_pairs(path))


def test_an_empty_corpus(tmp_path: Path) -> None:
    empty = write(tmp_path / "x.en", b"")
    for target in (None, empty):
        with pytest.raises(CorpusError, match=r"x.en: is empty; expected one sentence a line"):
            list(read_pairs(empty, target))


def test_standard_input_for_both_sides() -> None:
    with pytest.raises(CorpusError, match="<stdin>: named for both sides, but it can be read once; pipe TAB separated"):
        list(read_pairs("-", "-"))


@given(st.lists(st.binary().map(lambda raw: raw.replace(b"\n", b""))))
def test_tolerant_reading_gives_one_string_a_line(lines: list[bytes]) -> None:
    read = list(read_lines_tolerant(io.BytesIO(b"".join(line + b"\n" for line in lines))))
    assert len(read) == len(lines)
    for text in read:
        assert "\n" not in text
        text.encode("utf-8")  # no lone surrogate is left


def test_tolerant_reading_keeps_what_is_legal() -> None:
    data = f"\ufeff{ODD}\r\n\n".encode() + b"\xed\xa0\x80|\xff\n" + b"x" * 100_000
    assert list(read_lines_tolerant(io.BytesIO(data))) == [ODD, "", "\ufffd\ufffd\ufffd|\ufffd", "x" * 100_000]


@pytest.mark.parametrize(("name", "pack"), [("x", bytes), ("x.gz", gzip.compress), ("x.xz", lzma.compress)])
def test_open_bytes_unpacks(tmp_path: Path, name: str, pack: Callable[[bytes], bytes]) -> None:
    with open_bytes(write(tmp_path / name, pack(b"\xff\r\nb"))) as stream:
        assert stream.read() == b"\xff\r\nb"


def test_open_bytes_says_what_is_wrong(tmp_path: Path) -> None:
    truncated = write(tmp_path / "x.gz", gzip.compress(b"a\n" * 9)[:-9])
    message = "the compressed file is truncated: its data end too early"
    with pytest.raises(CorpusError, match=message), open_bytes(truncated) as stream:
        stream.read()
    damaged = write(tmp_path / "y.xz", lzma.compress(b"a\n" * 9)[:30] + bytes(40))
    with pytest.raises(CorpusError, match=r"y\.xz: the compressed data are damaged \("), open_bytes(damaged) as stream:
        stream.read()
    with pytest.raises(CorpusError, match="is a directory; expected a text file"), open_bytes(tmp_path):
        pass


def test_sentence_key_and_hash() -> None:
    assert sentence_key("\uff28\uff49 \u00a0 THERE ") == sentence_key("hi there")
    assert sentence_key("hi there") != sentence_key("hi there.")
    assert hash_texts("a", "b") == hash_texts("a", "b", seed=0) != hash_texts("a", "b", seed=1)
    assert hash_texts("a", "bc") != hash_texts("ab", "c")
    hash_texts("\ud800")
    code = "from textseq.corpus import hash_texts; print(hash_texts('Straße', seed=-3))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert int(other.stdout) == hash_texts("Straße", seed=-3)


def test_reading_keeps_no_more_than_a_line(tmp_path: Path) -> None:
    path = write(tmp_path / "x.gz", gzip.compress(b"A man is sleeping on a bench.\tb\n" * 200_000))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_pairs(path)) == 200_000
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_real_corpora_are_aligned(corpora: Path) -> None:
    folder = corpora / "small_parallel_enja"
    pairs = list(read_pairs(folder / "train.ja", folder / "train.en"))
    assert len(pairs) == 50_000 and pairs[-1].line == 50_000
