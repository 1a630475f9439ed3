"""What an exported classifier can be asked: one function a signature, text in and labels out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from classifiers.classifier import LONGEST_TEXT, LONGEST_TEXT_BYTES, Classifier
from classifiers.explain import STEPS, TOKENS_A_PASS, path_gradients
from textseq.export_texts import ended_ids, serving_ids
from textseq.graph_tokenization import GraphTokenizer, PlacedPieces, text_starts
from textseq.graph_words import graph_words

LONGEST_EXPLAINED = 1024
"""Tokens of one text that is explained, the final </s> counted; of a longer text the first are read and explained."""

LONGEST_EXPLAINED_BYTES = 131_072
"""Bytes of one text that is explained, in UTF-8, 128 a token; of a larger text the first characters are tokenized."""

Tensors = dict[str, tf.Tensor]

_TEXT = tf.TensorSpec([None], tf.string, name="text")


class ServingFunctions:
    """A classifier inside a TensorFlow graph.

    Every input and output leads with the batch, and a row's answer does not depend on its batch mates, except for the
    columns that pad it. The work for a row is bounded: one reading of at most `LONGEST_TEXT` tokens out of
    `LONGEST_TEXT_BYTES` bytes, or the gradients at `STEPS` points of at most `LONGEST_EXPLAINED` tokens out of
    `LONGEST_EXPLAINED_BYTES` bytes. What was not read is said in `truncated`.

    Args:
        classifier: its calibration holds.

    Attributes:
        module: keeps the weights and the tokenizer that all signatures share.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier, self._model, self._tokenizer = classifier, classifier.model, classifier.tokenizer
        self._encoder = GraphTokenizer(self._tokenizer.model_bytes)
        self._gradients = path_gradients(self._model, classifier.multi_label)
        self.module = tf.Module(name="classifier")
        # The weights alone, not the model: dropout's random state stays out, and loading needs no Keras.
        self.module.weights = [variable.value for variable in self._model.trainable_variables]
        self.module.tokenizer = self._encoder

    def signatures(self) -> dict[str, Callable[..., Tensors]]:
        """Traces each function; what comes back are concrete functions by the name of their signature."""
        functions = {"serving_default": self._classify, "explain": self._explain}
        return {
            name: tf.function(function, input_signature=[_TEXT], autograph=False).get_concrete_function()
            for name, function in functions.items()
        }

    def _classify(self, text: tf.Tensor) -> Tensors:
        token_ids, lengths, truncated = serving_ids(
            self._encoder, text, LONGEST_TEXT, LONGEST_TEXT_BYTES, *self._ends()
        )
        probabilities = self._probabilities(token_ids, lengths)
        labels = self._labels()
        answer = {
            "probability": tf.cast(tf.reduce_max(probabilities, axis=1), tf.float32),
            "labels": tf.gather(labels[tf.newaxis], tf.zeros_like(lengths)),
            "probabilities": tf.cast(probabilities, tf.float32),
            "truncated": truncated,
        }
        if self._classifier.multi_label:
            return {**answer, "label": self._joined_labels(probabilities), "given": self._said(probabilities)}
        return {**answer, "label": tf.gather(labels, tf.argmax(probabilities, axis=1))}

    def _explain(self, text: tf.Tensor) -> Tensors:
        start, larger = text_starts(text, LONGEST_EXPLAINED_BYTES)
        whole = self._encoder.encode_with_places(start)
        token_ids, lengths, longer = ended_ids(whole.ids, LONGEST_EXPLAINED, *self._ends())
        probabilities = self._probabilities(token_ids, lengths)
        label = self._explained_label(probabilities)
        of_piece = tf.RaggedTensor.from_tensor(self._integrated_gradients(token_ids, lengths, label), lengths).values
        cut = (each[:, : LONGEST_EXPLAINED - 1] for each in (whole.ids, whole.starts, whole.ends))
        found = graph_words(self._tokenizer, PlacedPieces(whole.text, *cut))
        return {
            "label": tf.gather(self._labels(), label),
            "probability": tf.cast(tf.gather(probabilities, label, batch_dims=1), tf.float32),
            "words": found.words.to_tensor(""),
            "weights": tf.cast(found.sums(of_piece).to_tensor(0.0), tf.float32),
            "word_count": tf.cast(found.words.row_lengths(), tf.int32),
            "truncated": longer | larger,
        }

    def _probabilities(self, token_ids: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
        """float64[batch, classes], as in the run: rounding must not move a probability across its threshold."""
        classifier = self._classifier
        logits = tf.cast(self._model(token_ids, training=False), tf.float64) / classifier.calibration.temperature
        probabilities = tf.sigmoid(logits) if classifier.multi_label else tf.nn.softmax(logits)
        prior = tf.constant([classifier.prior], tf.float64)
        return tf.where((lengths == 0)[:, tf.newaxis], prior, probabilities)

    def _integrated_gradients(self, token_ids: tf.Tensor, lengths: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """float64[batch, length]: the weights of `classifiers.explain`, in passes of at most `TOKENS_A_PASS` tokens.

        A pass takes some points of the path, of one text or of several; a text beyond the budget takes them singly.
        """
        batch, length = tf.unstack(tf.shape(token_ids))
        points = batch * STEPS
        at_once = tf.maximum(1, TOKENS_A_PASS // length)
        places = tf.constant((np.arange(STEPS) + 0.5) / STEPS, tf.float32)
        temperature = tf.constant(self._classifier.calibration.temperature, tf.float32)

        def one_pass(start: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            end = tf.minimum(start + at_once, points)
            point = tf.range(start, end)
            row, step = point // STEPS, point % STEPS
            # Short texts of a batch with a long one do not pay for it.
            longest = 1 + tf.cast(tf.reduce_max(tf.gather(lengths, row)), tf.int32)
            ids = tf.gather(token_ids, row)[:, :longest]
            weights, _ = self._gradients(ids, tf.gather(places, step), tf.gather(labels, row), temperature)
            added = tf.math.unsorted_segment_sum(tf.cast(weights, tf.float64), row, batch)
            return end, total + tf.pad(added, [[0, 0], [0, length - longest]])

        start, nothing = tf.constant(0), tf.zeros(tf.shape(token_ids), tf.float64)
        unknown = tf.TensorShape([None, None])
        _, total = tf.while_loop(
            lambda start, _: start < points,
            one_pass,
            [start, nothing],
            shape_invariants=[start.shape, unknown],
            parallel_iterations=1,  # memory for one pass, not for ten
        )
        return total / STEPS

    def _labels(self) -> tf.Tensor:
        return tf.constant(list(self._classifier.labels))

    def _said(self, probabilities: tf.Tensor) -> tf.Tensor:
        """bool[batch, classes]: with several labels a text, those that are above their thresholds."""
        thresholds = self._classifier.calibration.thresholds or (0.5,)
        return probabilities > tf.constant([thresholds], tf.float64)

    def _explained_label(self, probabilities: tf.Tensor) -> tf.Tensor:
        """int32[batch]: the most probable label; of several that are said, the most probable of these."""
        if self._classifier.multi_label:
            said = self._said(probabilities)
            none = tf.logical_not(tf.reduce_any(said, axis=1, keepdims=True))
            probabilities = tf.where(tf.logical_or(said, none), probabilities, -1.0)
        return tf.argmax(probabilities, axis=1, output_type=tf.int32)

    def _joined_labels(self, probabilities: tf.Tensor) -> tf.Tensor:
        """The labels of each text that are above their thresholds, as one string[batch]."""
        said = tf.where(self._said(probabilities))  # int64[labels that are said, 2]
        return tf.strings.unsorted_segment_join(
            tf.gather(self._labels(), said[:, 1]),
            said[:, 0],
            tf.shape(probabilities)[0],
            separator=self._classifier.config.corpus.label_separator,
        )

    def _ends(self) -> tuple[Any, Any]:
        return self._tokenizer.eos_id, self._tokenizer.pad_id
