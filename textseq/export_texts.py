"""The text side of an export: bytes to ids inside the graph, and the texts that an export is proved on."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textseq.corpus import read_lines
from textseq.errors import RunDirectoryError

if TYPE_CHECKING:
    from textseq.graph_tokenization import GraphTokenizer

GOLDEN_LINES = 24
"""Validation lines that the proof reads, besides the longest and those below."""

PIECES_OF_A_SCRIPT = 12
"""Pieces of the vocabulary that are put together to a text, for each script."""

# A character's name begins with its script: LATIN SMALL LETTER A. Some scripts share their first word.
_SHARED_WORDS = frozenset({"TAI", "HALFWIDTH", "LINEAR", "OLD", "MEROITIC", "INSCRIPTIONAL"})
_SPECIAL_PIECE = re.compile(r"<.*>")

# Nothing, white space, letters of many scripts, a character that is cut off, control characters.
_HARD_TEXTS = (
    b"",
    b" \t ",
    "Ein Mann, 一人の男, رجل, मनुष्य, ሰው, ᎠᏍᎦᏯ, мужчына, ọkùnrin 👩‍🚀 «1.000» €".encode(),
    b"A man \xff\xe2\x82 sleeps.",
    b"one\x00two\r\nthree",
)


def read_golden_texts(path: Path, pieces: Iterable[str] = ()) -> list[bytes]:
    """`golden_texts` of a run's validation text.

    Args:
        path: one text a line.
        pieces: of the vocabulary that reads it.

    Raises:
        RunDirectoryError: it is missing or empty.
    """
    lines = list(read_lines(path)) if path.is_file() else []
    if not lines:
        raise RunDirectoryError(
            f"{path}: missing or empty; expected the validation lines that an export is proved on; "
            f"restore it, or train the run anew"
        )
    return golden_texts(lines, pieces)


def golden_texts(lines: Sequence[str], pieces: Iterable[str] = ()) -> list[bytes]:
    """Texts that an export and its run have to agree on.

    Some of the lines, the longest, one word, one text for each script of the vocabulary, and hard cases: nothing, white
    space, scripts that nobody trained on, bytes that are no UTF-8.

    Args:
        lines: one validation line or more.
        pieces: of the vocabulary, as `Tokenizer.piece` gives them.
    """
    places = [len(lines) * number // GOLDEN_LINES for number in range(GOLDEN_LINES + 1)]
    chosen = [lines[start] for start, end in pairwise(places) if start < end]
    chosen += [max(lines, key=len), lines[0].split()[0] if lines[0].split() else "a"]
    chosen += _texts_of_scripts(pieces)
    return list(dict.fromkeys([*(line.encode() for line in chosen), *_HARD_TEXTS]))


def _texts_of_scripts(pieces: Iterable[str]) -> list[str]:
    """Puts pieces together, one text for each script that occurs among them."""
    found: dict[str, list[str]] = {}
    for piece in pieces:
        if _SPECIAL_PIECE.fullmatch(piece) is None:
            for script in dict.fromkeys(_script(character) for character in piece if _is_letter(character)):
                found.setdefault(script, []).append(piece)
    texts = ("".join(some[:PIECES_OF_A_SCRIPT]) for some in found.values())
    return [text.replace("\u2581", " ").strip() for text in texts]


def _is_letter(character: str) -> bool:
    return unicodedata.category(character) in ("Lu", "Ll", "Lt", "Lo")  # Lm, modifier letters, belongs to many scripts


def _script(letter: str) -> str:
    words = unicodedata.name(letter, "").split()
    return " ".join(words[: 2 if words[:1] and words[0] in _SHARED_WORDS else 1])


def serving_ids(
    encoder: GraphTokenizer, text: Any, ceiling: int, most_bytes: int, eos_id: int, pad_id: int
) -> tuple[Any, Any, Any]:
    """Turns texts into what a model reads, inside a graph: the ids that `textseq.inference.encode_cut` gives.

    Args:
        encoder: the tokenizer.
        text: string[batch], any bytes.
        ceiling: most tokens of a text, eos counted; of a longer text the first are read.
        most_bytes: most bytes of a text in UTF-8; of a larger text the first characters are tokenized.
        eos_id: ends each row.
        pad_id: fills the shorter rows.

    Returns:
        int32[batch, length] ids, with one column at least; int64[batch] tokens of each text that are read, eos not
        counted, so 0 for an empty text; bool[batch], whether a text was cut.
    """
    from textseq.graph_tokenization import text_starts

    start, larger = text_starts(text, most_bytes)
    ids, lengths, longer = ended_ids(encoder.encode(start), ceiling, eos_id, pad_id)
    return ids, lengths, longer | larger


def text_beyond(text: bytes, most_bytes: int) -> bytes:
    r"""A text beyond a ceiling of bytes, of which no more than the given one is ever read.

    Blanks reach up to the ceiling, which cuts a character of several bytes.

    Args:
        text: UTF-8.
        most_bytes: the ceiling.

    Example:
        >>> text_beyond(b"A dog.", 10)
        b'A dog.   \xe8\xaa\x9e and more'
    """
    return text + b" " * (most_bytes - 1 - len(text)) + "\u8a9e and more".encode()


def ended_ids(whole: Any, ceiling: int, eos_id: int, pad_id: int) -> tuple[Any, Any, Any]:
    """Turns pieces into what a model reads; see `serving_ids`.

    Args:
        whole: int32[batch, (pieces)].
        ceiling: most tokens of a text, eos counted.
        eos_id: ends each row.
        pad_id: fills the shorter rows.
    """
    import tensorflow as tf

    pieces = whole[:, : ceiling - 1]
    ends = tf.fill([whole.nrows(tf.int32), 1], eos_id)
    ids = tf.concat([pieces, ends], axis=1).to_tensor(pad_id)
    # A batch without texts has no length of its own; an encoder reads one column at least.
    ids = tf.pad(ids, [[0, 0], [0, tf.maximum(1 - tf.shape(ids)[1], 0)]], constant_values=pad_id)
    return ids, pieces.row_lengths(), whole.row_lengths() >= ceiling
