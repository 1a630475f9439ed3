"""The words of texts as TensorFlow operations, for models that explain what they read."""

from __future__ import annotations

import functools
import sys
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from textseq.graph_tokenization import PlacedPieces
from textseq.tokenization import Tokenizer
from textseq.words import LONGEST_WORD, SPACE_MARK, UNSPACED, is_blank

_JOINER = 0x200D


class GraphWords(NamedTuple):
    """The words of a batch of texts, one text after the other."""

    words: tf.RaggedTensor
    """string[batch, (words)]."""
    word_of_piece: tf.Tensor
    """int64[all pieces], the word of each, counted over the batch; -1 in a text without words."""

    def sums(self, weights: tf.Tensor) -> tf.RaggedTensor:
        """Sums float[all pieces] up to float[batch, (words)]."""
        return self.words.with_values(
            tf.math.unsorted_segment_sum(weights, self.word_of_piece, tf.shape(self.words.values)[0])
        )


class _Characters(NamedTuple):
    """The characters of all texts; of a count, `count[end] - count[start]` is that of a range of them."""

    codes: tf.Tensor
    """int32[characters]."""
    starts_text: tf.Tensor
    """bool[characters]."""
    piece: tf.Tensor
    """int64[characters], the piece that stands for it; the number of pieces where none does."""
    blank: tf.Tensor
    """bool[characters]."""
    mark: tf.Tensor
    """bool[characters], a combining mark."""
    spoken: tf.Tensor
    """int64[characters + 1], the letters and digits before."""
    letters: tf.Tensor
    """int64[characters + 1], the letters before."""
    unspaced: tf.Tensor
    """int64[characters + 1], the letters before whose script has no spaces between words."""


class _Ranges(NamedTuple):
    """Ranges of characters, in their order."""

    row: tf.Tensor
    """int64[ranges], the text of each."""
    start: tf.Tensor
    """int64[ranges], the first character."""
    end: tf.Tensor
    """int64[ranges], beyond the last character."""
    after_space: tf.Tensor
    """bool[ranges], whether a space stands before it."""

    def joined(self, first: tf.Tensor) -> tuple[_Ranges, tf.Tensor]:
        """Joins each range that is not marked as a first to the one before; returns also int64[ranges], whither."""
        into = tf.cumsum(tf.cast(first, tf.int64)) - 1
        row, start, after_space = (tf.boolean_mask(each, first) for each in (self.row, self.start, self.after_space))
        return _Ranges(row, start, tf.math.segment_max(self.end, into), after_space), into


def graph_words(tokenizer: Tokenizer, pieces: PlacedPieces) -> GraphWords:
    """Finds the words of texts inside a graph: those that `textseq.words.words_of` finds, in the same steps.

    What a character is, is read from a table made by this Python, so both go by one version of Unicode.

    Args:
        tokenizer: the one that the pieces come from.
        pieces: of `GraphTokenizer.encode_with_places`, whole or only the first of each text.
    """
    characters = _characters(pieces)
    parts, part_of_piece = _parts(tokenizer, pieces, characters)
    letters, letter_of_part = parts.joined(
        _first_in_row(parts.row) | parts.after_space | ~_continues(parts, characters)
    )
    words, word_of_letter = letters.joined(_starts_word(letters, characters))
    spelled = tf.gather(characters.codes, tf.ragged.range(words.start, words.end))
    # One more for pieces of texts without words.
    word_of_part = tf.concat([tf.gather(word_of_letter, letter_of_part), [-1]], axis=0)
    return GraphWords(
        tf.RaggedTensor.from_value_rowids(
            tf.strings.unicode_encode(spelled, "UTF-8"), words.row, nrows=pieces.ids.nrows(), validate=False
        ),
        tf.gather(word_of_part, part_of_piece),
    )


def _characters(pieces: PlacedPieces) -> _Characters:
    # What lies beyond the last piece may be megabytes.
    last = _last(pieces.ends)
    read = tf.strings.substr(pieces.text, tf.zeros_like(last), last)
    codes, offsets = tf.strings.unicode_decode_with_offsets(read, "UTF-8")
    # Places in all texts, one after the other.
    before = tf.cumsum(tf.cast(tf.strings.length(read), tf.int64), exclusive=True)
    places = offsets.values + tf.gather(before, offsets.value_rowids())
    starts, ends = (
        tf.cast(each.values, tf.int64) + tf.gather(before, each.value_rowids()) for each in (pieces.starts, pieces.ends)
    )
    piece = tf.searchsorted(ends, places, side="right", out_type=tf.int64)
    begun = tf.gather(tf.concat([starts, [tf.int64.max]], axis=0), piece) <= places
    blank, mark, spoken, letters, unspaced = (_is_of(kind, codes.values) for kind in _KINDS)
    counts = (tf.pad(tf.cumsum(tf.cast(each, tf.int64)), [[1, 0]]) for each in (spoken, letters, unspaced))
    count = tf.cast(tf.shape(ends)[0], tf.int64)
    return _Characters(codes.values, offsets.values == 0, tf.where(begun, piece, count), blank, mark, *counts)


def _last(ends: tf.RaggedTensor) -> tf.Tensor:
    """int64[batch]: where the last piece of each text ends, 0 without one."""
    return tf.maximum(tf.cast(tf.reduce_max(ends, axis=1), tf.int64), 0)


def _parts(tokenizer: Tokenizer, pieces: PlacedPieces, characters: _Characters) -> tuple[_Ranges, tf.Tensor]:
    """Puts pieces of nothing with what they begin, those at the end of a text with what they end.

    Returns:
        The parts, and int64[pieces] the part of each; their number in a text without any.
    """
    rows, count = pieces.ids.value_rowids(), tf.shape(pieces.ids.values)[0]
    shown = tf.where(characters.blank, tf.cast(count, tf.int64), characters.piece)
    place = tf.range(tf.cast(tf.shape(shown)[0], tf.int64))
    start = tf.math.unsorted_segment_min(place, shown, count + 1)[:-1]
    end = tf.math.unsorted_segment_max(place, shown, count + 1)[:-1] + 1
    holds = start < end
    number = tf.cumsum(tf.cast(holds, tf.int64), exclusive=True)
    held = tf.math.unsorted_segment_sum(tf.cast(holds, tf.int64), rows, pieces.ids.nrows())
    beyond, total = tf.gather(tf.cumsum(held), rows), tf.reduce_sum(held)
    spaces = tf.constant([tokenizer.piece(each).startswith(SPACE_MARK) for each in range(tokenizer.vocabulary_size)])
    after_space = tf.gather(spaces, pieces.ids.values) & (number < beyond)
    after_spaces = tf.math.unsorted_segment_sum(tf.cast(after_space, tf.int32), number, total + 1)[:-1] > 0
    rows_of_parts, start, end = (tf.boolean_mask(each, holds) for each in (rows, start, end))
    parts = _Ranges(rows_of_parts, start, end, after_spaces)
    return parts, tf.where(tf.gather(held, rows) > 0, tf.minimum(number, beyond - 1), total)


def _first_in_row(row: tf.Tensor) -> tf.Tensor:
    return row != tf.concat([[-1], row[:-1]], axis=0)


def _continues(parts: _Ranges, characters: _Characters) -> tf.Tensor:
    """bool[parts]: which begin with a mark, or stand behind a joiner."""
    joiner = tf.concat([[False], characters.codes == _JOINER], axis=0)
    joined = tf.gather(joiner, parts.start) & ~tf.gather(characters.starts_text, parts.start)
    return tf.gather(characters.mark, parts.start) | joined


def _starts_word(letters: _Ranges, characters: _Characters) -> tf.Tensor:
    """bool[letters]: where a word begins, by what stands between two spaces."""

    def counted(count: tf.Tensor, ranges: _Ranges) -> tf.Tensor:
        return tf.gather(count, ranges.end) - tf.gather(count, ranges.start)

    def length_of(group: tf.Tensor) -> tf.Tensor:
        return tf.gather(tf.math.segment_sum(tf.ones_like(group), group), group)

    starts_run = _first_in_row(letters.row) | letters.after_space
    runs, run = letters.joined(starts_run)
    unspaced = 2 * counted(characters.unspaced, runs) > counted(characters.letters, runs)
    is_sign = counted(characters.spoken, letters) == 0
    # In a run of usual length, signs at its two ends are words of their own.
    place = tf.range(tf.cast(tf.shape(run)[0], tf.int64))
    first = tf.math.segment_min(tf.where(is_sign, tf.constant(tf.int64.max, tf.int64), place), run)
    last = tf.math.segment_max(tf.where(is_sign, tf.constant(-1, tf.int64), place), run)
    at_signs = (place == tf.gather(first, run)) | (place == tf.gather(last, run) + 1)
    # In a longer one, all signs are, and what is too long even so falls apart.
    changes = starts_run | tf.concat([[True], is_sign[1:] != is_sign[:-1]], axis=0)[: tf.shape(run)[0]]
    falls = changes | (length_of(tf.cumsum(tf.cast(changes, tf.int64)) - 1) > LONGEST_WORD)
    return starts_run | tf.gather(unspaced, run) | tf.where(length_of(run) > LONGEST_WORD, falls, at_signs)


_KINDS: tuple[Callable[[str], bool], ...] = (
    is_blank,
    lambda character: unicodedata.category(character)[0] == "M",
    lambda character: unicodedata.category(character)[0] in "LN",
    str.isalpha,
    lambda character: character.isalpha() and UNSPACED.match(character) is not None,
)


@functools.cache
def _borders(kind: Callable[[str], bool]) -> list[int]:
    """The code points, ascending, where characters of a kind begin and end, in turn."""
    known = [kind(chr(code)) for code in range(sys.maxunicode + 1)]
    return [code for code, (before, now) in enumerate(zip([False, *known], known, strict=False)) if before != now]


def _is_of(kind: Callable[[str], bool], codes: tf.Tensor) -> tf.Tensor:
    """bool[characters]: which of the code points int32[characters] are of a kind."""
    return tf.searchsorted(tf.constant(_borders(kind), tf.int32), codes, side="right") % 2 == 1
