"""The text side of an export: bytes to ids inside the graph, and the texts that an export is proved on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textseq.corpus import read_lines
from textseq.errors import RunDirectoryError

if TYPE_CHECKING:
    from textseq.graph_tokenization import GraphTokenizer

GOLDEN_LINES = 24
"""Validation lines that the proof reads, besides the longest and those below."""

# Nothing, white space, letters of many scripts, a character that is cut off, control characters.
_HARD_TEXTS = (
    b"",
    b" \t ",
    "Ein Mann, 一人の男, رجل, मनुष्य, ሰው, ᎠᏍᎦᏯ, мужчына, ọkùnrin 👩‍🚀 «1.000» €".encode(),
    b"A man \xff\xe2\x82 sleeps.",
    b"one\x00two\r\nthree",
)


def read_golden_texts(path: Path) -> list[bytes]:
    """`golden_texts` of a run's validation text.

    Raises:
        RunDirectoryError: it is missing or empty.
    """
    lines = list(read_lines(path)) if path.is_file() else []
    if not lines:
        raise RunDirectoryError(
            f"{path}: missing or empty; expected the validation lines that an export is proved on; "
            f"restore it, or train the run anew"
        )
    return golden_texts(lines)


def golden_texts(lines: Sequence[str]) -> list[bytes]:
    """Texts that an export and its run have to agree on: some of the lines, the longest, a word, and hard cases.

    Args:
        lines: one validation line or more.
    """
    places = [len(lines) * number // GOLDEN_LINES for number in range(GOLDEN_LINES + 1)]
    chosen = [lines[start] for start, end in pairwise(places) if start < end]
    chosen += [max(lines, key=len), lines[0].split()[0] if lines[0].split() else "a"]
    return list(dict.fromkeys([*(line.encode() for line in chosen), *_HARD_TEXTS]))


def serving_ids(encoder: GraphTokenizer, text: Any, ceiling: int, eos_id: int, pad_id: int) -> tuple[Any, Any, Any]:
    """Turns texts into what a model reads, inside a graph.

    Args:
        encoder: the tokenizer.
        text: string[batch], any bytes.
        ceiling: most tokens of a text, eos counted; of a longer text the first are read.
        eos_id: ends each row.
        pad_id: fills the shorter rows.

    Returns:
        int32[batch, length] ids, with one column at least; int64[batch] tokens of each text that are read, eos not
        counted, so 0 for an empty text; bool[batch], whether a text was cut.
    """
    import tensorflow as tf

    whole = encoder.encode(text)
    pieces = whole[:, : ceiling - 1]
    ends = tf.fill([tf.shape(text)[0], 1], eos_id)
    ids = tf.concat([pieces, ends], axis=1).to_tensor(pad_id)
    # A batch without texts has no length of its own; an encoder reads one column at least.
    ids = tf.pad(ids, [[0, 0], [0, tf.maximum(1 - tf.shape(ids)[1], 0)]], constant_values=pad_id)
    return ids, pieces.row_lengths(), whole.row_lengths() >= ceiling
