"""What an export reads, inside its graph, and what it is proved on."""

from __future__ import annotations

import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from textseq import export_texts
from textseq.errors import RunDirectoryError
from textseq.export_texts import (
    GOLDEN_LINES,
    PIECES_OF_A_SCRIPT,
    golden_texts,
    read_golden_texts,
    serving_ids,
    text_beyond,
)
from textseq.text_start import text_start
from textseq.tokenization import TokenizationConfig
from textseq.tokenizer_training import train_tokenizer


def test_few_lines_are_all_there() -> None:
    lines = [f"line {number} {'x' * (number % 7)}" for number in range(GOLDEN_LINES)]
    texts = golden_texts(lines)
    assert {line.encode() for line in lines} <= set(texts)
    assert b"" in texts
    assert any(b"\xff" in text for text in texts)
    assert any(len(text.split()) == 1 for text in texts)
    assert len(texts) == len(set(texts))


def test_many_lines_are_spread() -> None:
    lines = [f"line {number} {'x' * (number == 7777)}" for number in range(10_000)]
    numbers = [int(text.split()[1]) for text in golden_texts(lines) if text.startswith(b"line ")]
    assert len(numbers) == GOLDEN_LINES + 1
    assert numbers[0] == 0
    assert numbers[-1] == 7777
    assert max(np.diff(numbers[:-1])) < 10_000 / GOLDEN_LINES + 1


def test_every_script_of_the_vocabulary_has_a_text() -> None:
    pieces = [
        "<pad>",
        "<0x41>",
        "<s>",
        "▁",
        "▁a",
        "b",
        "▁ሰ",
        "ው",
        "日本",
        "の",
        "ノ",
        "1",
        ".",
        "▁мужa",
        "e\u0301",
        "👩",
    ]
    added = [text.decode() for text in golden_texts(["a line"], pieces) if text not in golden_texts(["a line"])]
    assert added == ["ab мужae\u0301", "ሰው", "日本", "の", "ノ", "мужa"]
    many = golden_texts(["a line"], [f"▁word{number}" for number in range(100)])
    assert b" ".join(b"word%d" % number for number in range(PIECES_OF_A_SCRIPT)) in many
    # Letters that have no name, and pieces that are spaces.
    assert golden_texts(["a line"], ["▁", "▁▁"]) == golden_texts(["a line"])


def test_scripts_are_told_apart() -> None:
    """Two scripts never share a text; one script may have several, such as letters of full width."""
    true_scripts = pytest.importorskip("fontTools.unicodedata")
    found: dict[str, set[str]] = {}
    for letter in map(chr, range(sys.maxunicode + 1)):
        if (
            export_texts._is_letter(letter)
            and unicodedata.name(letter, "")
            and true_scripts.script(letter) not in ("Zyyy", "Zinh")
        ):
            found.setdefault(export_texts._script(letter), set()).add(true_scripts.script(letter))
    assert {name: scripts for name, scripts in found.items() if len(scripts) > 1} == {}
    assert len(set().union(*found.values())) > 100


def test_a_line_without_words() -> None:
    assert b"a" in golden_texts([" "])


@pytest.mark.parametrize("content", [None, ""])
def test_no_validation_text(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "valid.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RunDirectoryError, match=r"valid.txt: missing or empty; expected the validation lines that an"):
        read_golden_texts(path)
    path.write_text("eins\n\nzwei\n")
    assert read_golden_texts(path) == golden_texts(["eins", "", "zwei"])
    assert read_golden_texts(path, ["ሰ"]) == golden_texts(["eins", "", "zwei"], ["ሰ"]) != read_golden_texts(path)


def test_ids_of_a_graph_are_those_of_the_run() -> None:
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("tensorflow_text")
    from textseq.graph_tokenization import GraphTokenizer

    tokenizer = train_tokenizer(["the dog sleeps", "a man"], TokenizationConfig(), vocabulary_size=300, seed=1)
    encoder = GraphTokenizer(tokenizer.model_bytes)
    ceiling = len(tokenizer.encode(["the dog sleeps"])[0])
    texts = ["the dog sleeps", "", "a man", " ", "the dog sleeps the dog"]
    ends = (tokenizer.eos_id, tokenizer.pad_id)
    ids, lengths, truncated = serving_ids(encoder, tf.constant(texts), ceiling, 99, *ends)
    pieces = tokenizer.encode(texts)
    assert ids.dtype == tf.int32
    assert lengths.numpy().tolist() == [min(len(one), ceiling - 1) for one in pieces]
    assert truncated.numpy().tolist() == [True, False, False, False, True]
    for row, one in zip(ids.numpy().tolist(), pieces, strict=True):
        read = [*one[: ceiling - 1], tokenizer.eos_id]
        assert row == read + [tokenizer.pad_id] * (ceiling - len(read))
    none = serving_ids(encoder, tf.constant([], tf.string), ceiling, 99, *ends)
    assert [array.shape.as_list() for array in none] == [[0, 1], [0], [0]]


def test_a_graph_reads_what_the_run_reads_around_both_ceilings() -> None:
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("tensorflow_text")
    from textseq.graph_tokenization import GraphTokenizer
    from textseq.inference import encode_cut

    lines = ["the dog sleeps", "a man", "größer 語 e\u0301 😀"]
    tokenizer = train_tokenizer(lines, TokenizationConfig(), vocabulary_size=300, seed=1)
    encoder = GraphTokenizer(tokenizer.model_bytes)
    parts = [b"a", b" ", b"dog", "ö".encode(), "語".encode(), b"e\xcc\x81", b"\xf0\x9f\x98\x80", b"\xff", b"\xe2"]

    @settings(deadline=None)
    @given(st.lists(st.sampled_from(parts), max_size=30).map(b"".join), st.integers(4, 30), st.integers(2, 20))
    @example(b"a" + b" " * 40, 20, 9)
    @example("語".encode() * 9, 17, 30)
    def same(text: bytes, most_bytes: int, ceiling: int) -> None:
        ids, cut = encode_cut(
            tokenizer, [text.decode("utf-8", "replace")], ceiling, most_bytes, noun="texts", advice="divide them"
        )
        found, lengths, truncated = serving_ids(
            encoder, tf.constant([text]), ceiling, most_bytes, tokenizer.eos_id, tokenizer.pad_id
        )
        assert found.numpy().tolist() == ids
        assert lengths.numpy().tolist() == [len(ids[0]) - 1]
        assert truncated.numpy().tolist() == [bool(cut)]

    same()


def test_a_text_beyond_a_ceiling_reads_as_the_text_alone() -> None:
    for most in (10, 11, 4096):
        text = text_beyond("ein Hü".encode(), most)
        assert len(text) > most
        assert text_start(text.decode(), most).rstrip(" ") == "ein Hü"
        assert text[:most].decode("utf-8", "replace").endswith("\ufffd")
