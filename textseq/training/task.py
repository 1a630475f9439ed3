"""What the training loop needs to know of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np


class Loss(NamedTuple):
    """The loss of one batch."""

    objective: Any
    """float32[], what is minimised: the mean over the targets."""
    plain_sum: Any
    """float32[], the sum of the cross-entropy without smoothing, in nats."""
    targets: Any
    """float32[], number of tokens (or texts) that the loss is over."""


class Task(Protocol):
    """A model, its batches, its loss and its validation."""

    model: keras.Model
    unit: str
    """What is counted, such as "target_tokens"."""
    higher_is_better: bool
    predicts_tokens: bool
    """Whether the loss is that of tokens, so that it has a perplexity."""

    @property
    def metric(self) -> str:
        """Key of `validate` by which the best weights are chosen."""

    @property
    def batches_per_epoch(self) -> int:
        """What the learning rate's schedule takes for the number of batches of every epoch."""

    def batches(self, epoch: int) -> Sequence[Any]:
        """The batches of one epoch in their order.

        A pure function of the epoch. Subword sampling may give one epoch some batches more than another.
        """

    def arrays(self, batch: Any, epoch: int) -> tuple[np.ndarray, ...]:
        """The arrays of one batch."""

    def loss(self, arrays: tuple[Any, ...]) -> Loss:
        """The training loss of one batch; traced."""

    def validate(self) -> dict[str, float]:
        """The scores of the model's present weights on the validation data."""

    def beside_weights(self) -> Mapping[str, Any]:
        """JSON values that belong to the weights just validated, such as the calibration of their probabilities.

        They are stored with the best weights, and read back as `best.state["beside"]`; {} where there is nothing. Asked
        for after every `validate` whose scores are finite, while these weights are still in the model.
        """
