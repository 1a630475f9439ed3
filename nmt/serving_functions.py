"""What an exported translator can be asked: one function a signature, text in and text out.

All of them read text with the same tokenizers and decode with the same step, `TranslationModel.step`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from nmt.ceilings import LONGEST_SOURCE, LONGEST_SOURCE_BYTES, LONGEST_TARGET, LONGEST_TARGET_BYTES
from nmt.search import SearchResult, beam_search, score
from nmt.translator import Translator
from textseq.export_texts import serving_ids
from textseq.graph_tokenization import GraphTokenizer
from textseq.tokenization import Tokenizer

Tensors = dict[str, tf.Tensor]

_TEXT = tf.TensorSpec([None], tf.string, name="text")
_TRANSLATION = tf.TensorSpec([None], tf.string, name="translation")
_COUNT = tf.TensorSpec([None], tf.int32, name="n")


class ServingFunctions:
    """A translator inside a TensorFlow graph.

    Every input and output leads with the batch, and a row's answer does not depend on its batch mates, except for the
    columns that pad it. The work for a row is bounded: at most `LONGEST_SOURCE_BYTES` bytes are tokenized, at most
    `LONGEST_SOURCE` source tokens are encoded, and search takes at most `search.maximum_length_factor` times as many
    steps, and `maximum_length_extra` more, of `search.beam` hypotheses each. What was not read is said in `truncated`.

    Args:
        translator: its search settings hold: beam, normalization, limits.

    Attributes:
        module: keeps the weights and the tokenizers that all signatures share.
    """

    def __init__(self, translator: Translator) -> None:
        self._model = translator.model
        self._source, self._target = translator.source_tokenizer, translator.target_tokenizer
        self._search = translator.config.with_overrides(["search.n_best=1"]).search
        self._search_all = self._search.model_copy(update={"n_best": self._search.beam})
        self._encoder = GraphTokenizer(self._source.model_bytes)
        joint = self._target is self._source
        self._decoder = self._encoder if joint else GraphTokenizer(self._target.model_bytes)
        self._source_pieces = _pieces(self._source)
        self._target_pieces = self._source_pieces if joint else _pieces(self._target)
        self.module = tf.Module(name="translator")
        # The weights alone, not the model: dropout's random state stays out, and loading needs no Keras.
        self.module.weights = [variable.value for variable in self._model.trainable_variables]
        self.module.tokenizers = [self._encoder, self._decoder]

    def signatures(self) -> dict[str, Callable[..., Tensors]]:
        """Traces each function; what comes back are concrete functions by the name of their signature."""
        inputs: dict[str, tuple[Callable[..., Tensors], list[tf.TensorSpec]]] = {
            "serving_default": (self._translate, [_TEXT]),
            "n_best": (self._n_best, [_TEXT, _COUNT]),
            "score": (self._score, [_TEXT, _TRANSLATION]),
        }
        if self._model.attends:
            inputs["align"] = (self._align, [_TEXT])
        return {
            name: tf.function(function, input_signature=specs, autograph=False).get_concrete_function()
            for name, (function, specs) in inputs.items()
        }

    def _translate(self, text: tf.Tensor) -> Tensors:
        source_ids, lengths, truncated = self._source_ids(text)
        return self._best(beam_search(self._model, source_ids, self._search, self._target), lengths, truncated)

    def _n_best(self, text: tf.Tensor, n: tf.Tensor) -> Tensors:
        """Searches for as many as the beam holds, whatever was asked for: so rows of one batch may ask differently."""
        with tf.control_dependencies([_as_many("n", n, text)]):
            wanted = tf.clip_by_value(n, 1, self._search.beam)
        source_ids, lengths, truncated = self._source_ids(text)
        found = beam_search(self._model, source_ids, self._search_all, self._target)
        count = tf.minimum(wanted, tf.math.count_nonzero(found.lengths, axis=1, dtype=tf.int32))
        columns = tf.reduce_max(tf.concat([count, [0]], axis=0))
        given = tf.sequence_mask(count, columns)
        # [batch, columns, length] -> [batch * columns, length]
        ids = tf.reshape(found.ids[:, :columns], [tf.size(given), tf.shape(found.ids)[2]])
        texts = self._decoder.decode(ids, tf.reshape(tf.where(given, found.lengths[:, :columns], 0), [-1]))
        texts = tf.reshape(texts, tf.shape(given))
        return {
            "translations": tf.where(given & (lengths > 0)[:, tf.newaxis], texts, ""),
            "scores": tf.where(given, found.scores[:, :columns], tf.float32.min),
            "count": count,
            "truncated": truncated,
        }

    def _align(self, text: tf.Tensor) -> Tensors:
        """Keeps batch * target * source floats, as far as the longest of the batch reach."""
        source_ids, lengths, truncated = self._source_ids(text)
        found = beam_search(self._model, source_ids, self._search, self._target, attention=True)
        source_lengths, target_lengths = tf.cast(lengths, tf.int32) + 1, found.lengths[:, 0]
        return {
            **self._best(found, lengths, truncated),
            "source_tokens": _tokens(self._source_pieces, source_ids, source_lengths),
            "target_tokens": _tokens(self._target_pieces, found.ids[:, 0], target_lengths),
            "attention": tf.gather(found.attention, 0, axis=1),
            "source_length": source_lengths,
            "target_length": target_lengths,
        }

    def _score(self, text: tf.Tensor, translation: tf.Tensor) -> Tensors:
        """Takes one step a token of the longest translation, at most `LONGEST_TARGET`, with one hypothesis a row."""
        with tf.control_dependencies([_as_many("translation", translation, text)]):
            source_ids, _, source_cut = self._source_ids(text)
        target_ids, _, target_cut = self._ids(
            self._decoder, self._target, translation, LONGEST_TARGET, LONGEST_TARGET_BYTES
        )
        # What goes on does not end there.
        ends = target_cut[:, tf.newaxis] & (target_ids == self._target.eos_id)
        target_ids = tf.where(ends, self._target.pad_id, target_ids)
        forced = score(self._model, source_ids, target_ids, self._target)
        return {"log_probability": forced.log_probabilities, "truncated": source_cut | target_cut}

    def _best(self, found: SearchResult, lengths: tf.Tensor, truncated: tf.Tensor) -> Tensors:
        translation = self._decoder.decode(found.ids[:, 0], found.lengths[:, 0])
        return {
            # Whatever the model makes of nothing.
            "translation": tf.where(lengths > 0, translation, ""),
            "score": found.scores[:, 0],
            "truncated": truncated,
        }

    def _source_ids(self, text: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        return self._ids(self._encoder, self._source, text, LONGEST_SOURCE, LONGEST_SOURCE_BYTES)

    @staticmethod
    def _ids(encoder: GraphTokenizer, tokenizer: Tokenizer, text: tf.Tensor, ceiling: int, most_bytes: int) -> Any:
        """int32[batch, length] that end in eos, int64[batch] tokens without it, bool[batch] whether a row was cut."""
        return serving_ids(encoder, text, ceiling, most_bytes, tokenizer.eos_id, tokenizer.pad_id)


def _as_many(name: str, values: tf.Tensor, text: tf.Tensor) -> tf.Operation:
    """Checks that there is one value a text; one alone would else be spread over many."""
    counts = (tf.size(values), tf.size(text))
    message = [f"{name}: received", counts[0], "values for", counts[1], "texts; expected one for each text"]
    return tf.debugging.Assert(counts[0] == counts[1], message)


def _pieces(tokenizer: Tokenizer) -> tf.Tensor:
    """string[vocabulary]: each piece at its id."""
    return tf.constant([piece.encode() for piece in tokenizer.vocabulary()])


def _tokens(pieces: tf.Tensor, ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
    """string[batch, length]: the pieces of the ids, "" behind the length of each row."""
    return tf.where(tf.sequence_mask(lengths, tf.shape(ids)[1]), tf.gather(pieces, ids), "")
