"""The words of a text, each with its place in the text and the pieces that spell it.

A tokenizer cuts text into pieces; people read words. Pieces are joined at SentencePiece's mark for a space, and each
word is named as it stands in the text, not as the tokenizer's normalisation has it.
"""

from __future__ import annotations

import functools
import itertools
import operator
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import sentencepiece

from textseq.tokenization import Tokenizer, well_formed

SPACE_MARK = "\u2581"
"""How SentencePiece writes a space."""

LONGEST_WORD = 24
"""Pieces without a space in between that may be one word; a web address, say, has more."""

# Scripts whose words stand without spaces between them: Thai and Lao, Tibetan, Burmese, Khmer, New Tai Lue, Tai Tham,
# Balinese, Javanese, kana, Chinese characters.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u1980-\u19df\u1a20-\u1aaf\u1b00-\u1b7f\u3040-\u30ff"
    "\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua980-\ua9ff\uaa60-\uaa7f\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff]"
)
"""A character of them."""


class Word(NamedTuple):
    """A word of a text: `text[start:end]`, spelled by some consecutive pieces."""

    text: str
    start: int
    end: int
    pieces: range
    """Which of the text's pieces, counted from 0."""


class _Part(NamedTuple):
    """Some pieces that spell one or more whole characters."""

    start: int
    end: int
    pieces: range
    after_space: bool


def words_of(tokenizer: Tokenizer, text: str, pieces: int | None = None) -> list[Word]:
    """Finds the words of a text.

    Words stand between spaces; punctuation and other signs before and after a word are words of their own, those
    inside it belong to it: `(can't!)` is `(`, `can't` and `!)`. Longer runs than `LONGEST_WORD` are cut at every sign.
    In scripts without spaces between words, and where even that leaves too long a run, each piece is a word; bytes are
    joined to characters, and marks to their letters.

    Args:
        tokenizer: whose pieces to join.
        text: any text.
        pieces: only so many pieces, the first, of a text that is cut there.

    Returns:
        The words in the text's order. Together they hold every character of the pieces that is not blank, and they
        share out all pieces; where a text has no word, pieces of nothing but blanks are left over.

    Example:
        >>> from textseq.tokenization import TokenizationConfig
        >>> from textseq.tokenizer_training import train_tokenizer
        >>> tokenizer = train_tokenizer(["a good film"] * 9, TokenizationConfig(), vocabulary_size=290, seed=1)
        >>> [(word.text, word.start, word.end) for word in words_of(tokenizer, "good  films!")]
        [('good', 0, 4), ('films', 6, 11), ('!', 11, 12)]
    """
    parts = _whole_letters(text, _parts(text, piece_spans(tokenizer, text)[:pieces]))
    groups = [group for run in _runs(parts) for group in _split(text, run)]
    return [
        Word(text[group[0].start : group[-1].end], group[0].start, group[-1].end, _joined(group)) for group in groups
    ]


def piece_spans(tokenizer: Tokenizer, text: str) -> list[tuple[str, int, int]]:
    """The pieces of a text, and the characters of the text that each stands for.

    Args:
        tokenizer: which cuts the text.
        text: any text.

    Returns:
        (piece, start, end), by the order of the ids. A space belongs to the piece that begins with its mark. Where
        several pieces, such as bytes, spell one character, the last of them has it, and the others have nothing.
    """
    from sentencepiece import sentencepiece_pb2

    text = well_formed(text)
    # The message counts bytes; what counts characters has another name in each release of SentencePiece.
    serialized = _processor(tokenizer).encode(text, out_type="serialized_proto")
    found = sentencepiece_pb2.SentencePieceText.FromString(serialized).pieces
    if text.isascii():
        return [(piece.piece, piece.begin, piece.end) for piece in found]
    place_of_byte = [place for place, character in enumerate(text) for _ in character.encode()] + [len(text)]
    return [(piece.piece, place_of_byte[piece.begin], place_of_byte[piece.end]) for piece in found]


@functools.lru_cache(maxsize=8)
def _processor(tokenizer: Tokenizer) -> Any:
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(tokenizer.model_bytes)
    return processor


def _parts(text: str, spans: Sequence[tuple[str, int, int]]) -> list[_Part]:
    """Puts pieces of nothing, such as a mark or the first bytes of a character, with what they begin."""
    parts: list[_Part] = []
    first, after_space = 0, False
    for number, (piece, start, end) in enumerate(spans):
        after_space = after_space or piece.startswith(SPACE_MARK)
        while start < end and is_blank(text[start]):
            start += 1
        while start < end and is_blank(text[end - 1]):
            end -= 1
        if start < end:
            parts.append(_Part(start, end, range(first, number + 1), after_space))
            first, after_space = number + 1, False
    if parts and first < len(spans):
        parts[-1] = parts[-1]._replace(pieces=range(parts[-1].pieces.start, len(spans)))
    return parts


def _whole_letters(text: str, parts: Iterable[_Part]) -> list[_Part]:
    """Puts combining marks, and what a joiner joins, with what stands before them."""
    whole: list[_Part] = []
    for part in parts:
        before = whole[-1] if whole else None
        if before is not None and not part.after_space and _continues(text, part.start):
            whole[-1] = before._replace(end=part.end, pieces=range(before.pieces.start, part.pieces.stop))
        else:
            whole.append(part)
    return whole


def _continues(text: str, place: int) -> bool:
    return unicodedata.category(text[place]).startswith("M") or text[place - 1 : place] == "\u200d"


def _runs(parts: Iterable[_Part]) -> Iterator[list[_Part]]:
    run: list[_Part] = []
    for part in parts:
        if part.after_space and run:
            yield run
            run = []
        run.append(part)
    if run:
        yield run


def _split(text: str, run: list[_Part]) -> Iterator[list[_Part]]:
    """Yields the words of what stands between two spaces."""
    letters = [character for character in text[run[0].start : run[-1].end] if character.isalpha()]
    unspaced = sum(UNSPACED.match(character) is not None for character in letters)
    if 2 * unspaced > len(letters):
        yield from ([part] for part in run)
        return
    signs = [_is_sign(text[part.start : part.end]) for part in run]
    if len(run) > LONGEST_WORD:
        for _, group in itertools.groupby(zip(signs, run, strict=True), key=operator.itemgetter(0)):
            parts = [part for _, part in group]
            yield from ([part] for part in parts) if len(parts) > LONGEST_WORD else [parts]
        return
    inner = [place for place, sign in enumerate(signs) if not sign]
    first, last = (inner[0], inner[-1] + 1) if inner else (0, len(run))
    yield from (group for group in (run[:first], run[first:last], run[last:]) if group)


def _joined(group: list[_Part]) -> range:
    return range(group[0].pieces.start, group[-1].pieces.stop)


def _is_sign(text: str) -> bool:
    """Whether there is neither letter nor digit in the text; marks and joiners count as what they stand with."""
    return not any(unicodedata.category(character)[0] in "LN" for character in text)


def is_blank(character: str) -> bool:
    """Whether the character shows nothing: a space, a control or format character, SentencePiece's own space."""
    return character.isspace() or character == SPACE_MARK or unicodedata.category(character) in ("Cc", "Cf")
