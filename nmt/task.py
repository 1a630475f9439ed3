"""Translation as the training loop sees it."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from nmt.config import Config
from nmt.data import TranslationData
from nmt.translator import Translator
from textseq.losses import perplexity, smoothed_cross_entropy
from textseq.scores import validation_score
from textseq.training.prepared_task import PreparedTask
from textseq.training.task import Loss


class TranslationTask(PreparedTask[TranslationData]):
    """Model, batches, loss and validation of a translator (see `textseq.training.task.Task`).

    Args:
        translator: the model and its tokenizers.
        data: of the run.
        config: resolved.
    """

    unit = "target_tokens"
    predicts_tokens = True

    def __init__(self, translator: Translator, data: TranslationData, config: Config) -> None:
        super().__init__(data, config.training.metric)
        self.translator = translator
        self.model = translator.model
        self.smoothing = config.training.label_smoothing
        self.validation_sentences = config.training.validation_sentences
        self._pad_id = self.model.special_ids.pad_id
        self._validation_sums = tf.function(
            self._sums, input_signature=[tf.TensorSpec([None, None], tf.int32)] * 3, autograph=False
        )

    def loss(self, arrays: tuple[Any, ...]) -> Loss:
        """Smoothed cross-entropy, the mean over the target tokens of the batch."""
        source_ids, target_input_ids, target_label_ids = arrays
        logits = self.model(source_ids, target_input_ids, training=True)
        smoothed, plain = smoothed_cross_entropy(logits, target_label_ids, self.smoothing)
        mask = ops.cast(ops.not_equal(target_label_ids, self._pad_id), smoothed.dtype)
        targets = ops.sum(mask)
        return Loss(ops.sum(smoothed * mask) / ops.maximum(targets, 1.0), ops.sum(plain * mask), targets)

    def validate(self) -> dict[str, float]:
        """Loss and perplexity over all validation pairs, BLEU and chrF (greedy search) over the first of them."""
        sums = np.zeros(2)
        for batch in self.data.validation_batches():
            sums += self._validation_sums(*batch).numpy()
        loss = float(sums[0] / max(1.0, sums[1]))
        sources, references = self.data.validation_texts()
        sources, references = sources[: self.validation_sentences], references[: self.validation_sentences]
        hypotheses = [str(translation) for translation in self.translator.translate(sources, beam=1)]
        return {
            "loss": loss,
            "perplexity": perplexity(loss),
            "bleu": validation_score("bleu", hypotheses, references),
            "chrf": validation_score("chrf", hypotheses, references),
        }

    def beside_weights(self) -> dict[str, Any]:
        """Nothing; a translator is its weights and its tokenizers."""
        return {}

    def _sums(self, source_ids: Any, target_input_ids: Any, target_label_ids: Any) -> Any:
        logits = self.model(source_ids, target_input_ids, training=False)
        mask = ops.cast(ops.not_equal(target_label_ids, self._pad_id), logits.dtype)
        return ops.stack([ops.sum(smoothed_cross_entropy(logits, target_label_ids)[1] * mask), ops.sum(mask)])
