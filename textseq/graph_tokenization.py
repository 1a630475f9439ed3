"""The tokenizer as TensorFlow operations, for models that take text in and give text out.

The only file that imports tensorflow_text.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
import tensorflow_text

from textseq.tokenization import Tokenizer


class PlacedPieces(NamedTuple):
    """The pieces of a batch of texts, and what each stands for: `text[start:end]`, counted in bytes."""

    text: tf.Tensor
    """string[batch], with U+FFFD where the bytes were no UTF-8."""
    ids: tf.RaggedTensor
    """int32[batch, (pieces)]."""
    starts: tf.RaggedTensor
    """int32[batch, (pieces)]."""
    ends: tf.RaggedTensor
    """int32[batch, (pieces)]."""


class GraphTokenizer(tf.Module):
    """A SentencePiece model inside a graph; gives the ids and the text that `Tokenizer` gives.

    It is a `tf.Module`, so a SavedModel carries the model's bytes with it.

    Args:
        model_bytes: `Tokenizer.model_bytes`.

    Raises:
        InputError: the bytes are no SentencePiece model, or a special piece is missing.
    """

    def __init__(self, model_bytes: bytes) -> None:
        super().__init__(name="graph_tokenizer")
        tokenizer = Tokenizer(model_bytes)
        self.vocabulary_size = tokenizer.vocabulary_size
        self._dropped = (tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id)
        self._sentencepiece = tensorflow_text.SentencepieceTokenizer(model_bytes, out_type=tf.int32)

    def encode(self, text: tf.Tensor) -> tf.RaggedTensor:
        """Cuts texts into ids, without bos and eos.

        Args:
            text: string[batch], meant as UTF-8; bytes that are not are read as U+FFFD, as Python's
                `errors="replace"` does.

        Returns:
            int32[batch, (pieces)].
        """
        return self._sentencepiece.tokenize(_well_formed(text))

    def encode_with_places(self, text: tf.Tensor) -> PlacedPieces:
        """Cuts texts into ids, as `encode` does, each with the bytes that it stands for.

        Args:
            text: string[batch], as for `encode`.
        """
        well_formed = _well_formed(text)
        return PlacedPieces(well_formed, *self._sentencepiece.tokenize_with_offsets(well_formed))

    def decode(self, ids: tf.Tensor | tf.RaggedTensor, lengths: tf.Tensor | None = None) -> tf.Tensor:
        """Joins ids to text; pad, bos and eos are dropped, bytes that form no character become U+FFFD.

        Args:
            ids: int32[batch, (pieces)], ragged, or int32[batch, length], padded.
            lengths: int32[batch], the ids to read of each padded row; all of them where it is None.

        Returns:
            string[batch], UTF-8.
        """
        if not isinstance(ids, tf.RaggedTensor):
            ids = tf.RaggedTensor.from_tensor(ids, lengths=lengths)
        ordinary = tf.reduce_all(ids.values[:, tf.newaxis] != tf.constant([self._dropped], ids.dtype), axis=1)
        kept = tf.ragged.boolean_mask(ids, ids.with_values(ordinary))
        return self._sentencepiece.detokenize(tf.cast(kept, tf.int32))


def text_starts(text: tf.Tensor, most_bytes: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The first characters of each text, as `textseq.text_start.text_start` gives them.

    Args:
        text: string[batch], meant as UTF-8; what is not is read as U+FFFD first, so that the place of the cut is that
            of the text as Python reads it.
        most_bytes: of a start.

    Returns:
        string[batch], UTF-8; bool[batch], which are shorter than their text.
    """
    # U+FFFD has three bytes and stands for three at most: no text gets shorter. What is undecided in the last three
    # bytes of the first cut begins beyond the second.
    first = _well_formed(_bytes_of(text, most_bytes + 4))
    start = tf.strings.unicode_transcode(_bytes_of(first, most_bytes), "UTF-8", "UTF-8", errors="ignore")
    return start, tf.strings.length(first) > most_bytes


def _bytes_of(text: tf.Tensor, most: int) -> tf.Tensor:
    return tf.strings.substr(text, 0, most)


def _well_formed(text: tf.Tensor) -> tf.Tensor:
    return tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace", replacement_char=0xFFFD)
