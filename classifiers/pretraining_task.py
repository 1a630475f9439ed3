"""Pretraining as the training loop sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from classifiers.pretraining_config import PretrainingConfig
from classifiers.pretraining_data import PretrainingData
from textseq.batching import Batch
from textseq.language_model import LanguageModel, prediction_loss
from textseq.losses import perplexity
from textseq.training.prepared_task import PreparedTask
from textseq.training.task import Loss


class PretrainingTask(PreparedTask[PretrainingData]):
    """Model, batches, loss and validation of a language model (see `textseq.training.task.Task`).

    Args:
        model: the language model.
        data: of the run.
        config: resolved.
    """

    unit = "tokens"
    predicts_tokens = True

    def __init__(self, model: LanguageModel, data: PretrainingData, config: PretrainingConfig) -> None:
        super().__init__(data, config.training.metric)
        self.model = model
        self.smoothing = config.training.label_smoothing
        self._validation_sums = tf.function(
            self._sums, input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False
        )

    def arrays(self, batch: Batch, epoch: int) -> tuple[np.ndarray, ...]:
        """The windows of a batch, int32[batch, length]."""
        return (self.data.arrays(batch, epoch),)

    def loss(self, arrays: tuple[Any, ...]) -> Loss:
        """Smoothed cross-entropy, the mean over the predictions of all directions; a token counts once."""
        loss = prediction_loss(self.model, arrays[0], self.smoothing, training=True)
        directions = len(self.model.directions)
        count = tf.maximum(loss.predictions, 1.0)
        plain = tf.reduce_sum(loss.plain_sums) / directions
        return Loss(loss.smoothed_sum / (directions * count), plain, loss.predictions)

    def validate(self) -> dict[str, float]:
        """Loss and perplexity over all validation text, the mean of both directions, and the perplexity of each."""
        sums = np.zeros(1 + len(self.model.directions))
        for ids in self.data.validation_batches():
            sums += np.float64(self._validation_sums(ids).numpy())
        losses = sums[1:] / max(1.0, sums[0])
        names = ("forward", "backward")[: len(losses)]
        return {
            "loss": float(losses.mean()),
            "perplexity": perplexity(losses.mean()),
            **{f"{name}_perplexity": perplexity(loss) for name, loss in zip(names, losses, strict=True)},
        }

    def beside_weights(self) -> Mapping[str, Any]:
        """Nothing belongs to these weights but what the run says."""
        return {}

    def _sums(self, token_ids: Any) -> Any:
        loss = prediction_loss(self.model, token_ids)
        return tf.concat([loss.predictions[None], loss.plain_sums], axis=0)
