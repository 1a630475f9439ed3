"""Classification as the training loop sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import ops

from classifiers.adversarial import adversarial_loss, embedding_deviation, virtual_adversarial_loss
from classifiers.calibration import Calibration, fit_calibration, negative_log_likelihood
from classifiers.config import Config
from classifiers.losses import balanced_weights, classification_loss
from classifiers.model import ClassifierModel, Reading
from textseq.layers.product import tensor_of
from textseq.training.prepared_task import PreparedTask
from textseq.training.task import Loss

if TYPE_CHECKING:
    from classifiers.classification_data import ClassificationData


class ClassificationTask(PreparedTask["ClassificationData"]):
    """Model, batches, loss and validation of a classifier (see `textseq.training.task.Task`).

    Args:
        model: to be trained.
        data: of the run.
        config: resolved.
    """

    unit = "texts"
    predicts_tokens = False

    def __init__(self, model: ClassifierModel, data: ClassificationData, config: Config) -> None:
        super().__init__(data, config.training.metric)
        self.model = model
        self.config = config.training
        self._calibration = Calibration(multi_label=data.labels.multi_label)
        self._class_weights = (
            balanced_weights(data.labels.counts, data.training_texts, multi_label=data.labels.multi_label)
            if config.training.class_weights == "balanced"
            else None
        )
        self._logits = tf.function(
            lambda token_ids: model(token_ids, training=False),
            input_signature=[tf.TensorSpec([None, None], tf.int32)],
            autograph=False,
        )

    def loss(self, arrays: tuple[Any, ...]) -> Loss:
        """The mean over the texts of the batch, with the adversarial loss and the L2 penalty where asked for."""
        token_ids, targets, present = arrays
        token_mask = self.model.token_mask(token_ids)
        embedded = self.model.embed(token_ids, training=True)
        objective, plain = self._objective(self.model.read(embedded, token_mask, True), targets)
        if self.config.adversarial != "none" and self.config.adversarial_weight > 0:
            objective = objective + self.config.adversarial_weight * self._adversarial(embedded, token_mask, targets)
        present = ops.cast(present, objective.dtype)
        texts = ops.sum(present)
        mean = ops.sum(objective * present) / ops.maximum(texts, 1.0)
        return Loss(mean + self._penalty(), ops.sum(plain * present), texts)

    def validate(self) -> dict[str, float]:
        """Loss, accuracy, F1 and expected calibration error over all validation texts.

        The calibration is fitted to the same texts, so the error that is left (`ece`) is a lower bound. The loss is
        that of the calibrated probabilities, which are what a run answers with: network and n-grams are trained each by
        itself, so the sum of their logits is too sure. With several
        labels a text, labels are said above their fitted thresholds, accuracy is the share of texts whose labels are
        all right, and micro F1 is there as well.
        """
        multi_label = self.data.labels.multi_label
        logits, targets = self._validation_logits()
        self._calibration = fit_calibration(logits, targets, multi_label=multi_label)
        if not np.isfinite(logits).all():
            # The weights are spoilt; scores that are not finite say so, and are never the best.
            return dict.fromkeys(("loss", "accuracy", "macro_f1", "ece"), math.nan)
        temperature = self._calibration.temperature
        said = self._calibration.answers(self._calibration.probabilities(logits))
        right = said & targets
        scores = {
            "loss": negative_log_likelihood(logits / temperature, targets, multi_label=multi_label),
            "accuracy": float(np.mean((said == targets).all(axis=1))),
            "macro_f1": float(np.mean(_f1(right.sum(axis=0), said.sum(axis=0), targets.sum(axis=0)))),
            "ece": self._calibration.error_after,
        }
        if multi_label:
            scores["micro_f1"] = float(_f1(right.sum(), said.sum(), targets.sum()))
        return scores

    def beside_weights(self) -> Mapping[str, Any]:
        """What turns the validated weights' logits into answers: labels, their prior, and the calibration."""
        labels = self.data.labels
        return {
            "labels": list(labels.labels),
            "prior": list(labels.prior),
            "multi_label": labels.multi_label,
            "calibration": self._calibration.to_dict(),
        }

    def _objective(self, reading: Reading, targets: Any) -> tuple[Any, Any]:
        """The objective and the plain cross-entropy of each text, float[batch] each.

        Network and n-grams are held against the labels each by itself: two readers that can differ are worth more
        than one that leaves the other what it learns late.
        """
        if reading.ngram_logits is None:
            return self._of_texts(reading.logits, targets)
        network, _ = self._of_texts(reading.logits - reading.ngram_logits, targets)
        ngrams, _ = self._of_texts(reading.ngram_logits, targets)
        return network + ngrams, self._of_texts(reading.logits, targets)[1]

    def _of_texts(self, logits: Any, targets: Any) -> tuple[Any, Any]:
        """The objective and the plain cross-entropy of each text, float[batch] each."""
        return classification_loss(
            logits,
            targets,
            multi_label=self.data.labels.multi_label,
            smoothing=self.config.label_smoothing,
            class_weights=self._class_weights,
            focal_gamma=self.config.focal_gamma,
        )

    def _adversarial(self, embedded: Any, token_mask: Any, targets: Any) -> Any:
        """The adversarial loss of each text, float[batch]."""
        embedded, _ = self.model.divided(embedded)

        def read(place: Any, training: bool) -> Any:
            return self.model.read_network(place, token_mask, training)[0]

        size = self.config.adversarial_size * embedding_deviation(tensor_of(self.model.embedding.embeddings))
        if self.config.adversarial == "adversarial":
            return adversarial_loss(
                read, embedded, token_mask, lambda logits: self._of_texts(logits, targets)[0], size=size
            )
        return virtual_adversarial_loss(
            read,
            embedded,
            token_mask,
            self.model.seed_generator,
            size=size,
            multi_label=self.data.labels.multi_label,
        )

    def _penalty(self) -> Any:
        """The L2 penalty on every matrix that multiplies; not on embeddings, biases and gains."""
        if self.config.l2 <= 0:
            return 0.0
        kernels = [weight for weight in self.model.trainable_variables if weight.name.endswith("kernel")]
        return self.config.l2 * sum(ops.sum(ops.square(tensor_of(kernel))) for kernel in kernels)

    def _validation_logits(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """float32[texts, classes] logits and bool[texts, classes] targets of all validation texts with a word."""
        logits, targets = [], []
        pad_id = self.model.special_ids.pad_id
        for batch in self.data.validation_batches():
            # An empty text, eos alone, is answered with the prior, not with what the network makes of it.
            there = (batch.present > 0) & (batch.token_ids[:, 1:2] != pad_id).any(axis=1)
            logits.append(self._logits(batch.token_ids).numpy()[there])
            targets.append(batch.targets[there] > 0)
        return np.concatenate(logits), np.concatenate(targets)


def _f1(right: Any, said: Any, true: Any) -> Any:
    """F1 from counts: 2 right / (said + true), and 0 where a label is neither said nor true."""
    return 2 * right / np.maximum(said + true, 1)
