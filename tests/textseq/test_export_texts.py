"""What an export reads, inside its graph, and what it is proved on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from textseq.errors import RunDirectoryError
from textseq.export_texts import GOLDEN_LINES, golden_texts, read_golden_texts, serving_ids
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


def test_ids_of_a_graph_are_those_of_the_run() -> None:
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("tensorflow_text")
    from textseq.graph_tokenization import GraphTokenizer

    tokenizer = train_tokenizer(["the dog sleeps", "a man"], TokenizationConfig(), vocabulary_size=300, seed=1)
    encoder = GraphTokenizer(tokenizer.model_bytes)
    ceiling = len(tokenizer.encode(["the dog sleeps"])[0])
    texts = ["the dog sleeps", "", "a man", " ", "the dog sleeps the dog"]
    ids, lengths, truncated = serving_ids(encoder, tf.constant(texts), ceiling, tokenizer.eos_id, tokenizer.pad_id)
    pieces = tokenizer.encode(texts)
    assert ids.dtype == tf.int32
    assert lengths.numpy().tolist() == [min(len(one), ceiling - 1) for one in pieces]
    assert truncated.numpy().tolist() == [True, False, False, False, True]
    for row, one in zip(ids.numpy().tolist(), pieces, strict=True):
        read = [*one[: ceiling - 1], tokenizer.eos_id]
        assert row == read + [tokenizer.pad_id] * (ceiling - len(read))
    none = serving_ids(encoder, tf.constant([], tf.string), ceiling, tokenizer.eos_id, tokenizer.pad_id)
    assert [array.shape.as_list() for array in none] == [[0, 1], [0], [0]]
