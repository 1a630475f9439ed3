"""The part of a task that its prepared data decide: its batches, and the score that chooses the best weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from textseq.batching import Batch, BatchPlan


class Batches(Protocol):
    """What the training loop asks of prepared data."""

    plan: BatchPlan

    def batches(self, epoch: int) -> list[Batch]:
        """The batches of one epoch in their order."""

    def arrays(self, batch: Batch, epoch: int) -> Any:
        """The arrays of one of them."""


Data = TypeVar("Data", bound=Batches)


class PreparedTask(Generic[Data]):
    """Base of a task (see `textseq.training.task.Task`) that trains on prepared data.

    Args:
        data: of the run.
        metric: that chooses the best weights; all but the loss are better where they are higher.
    """

    def __init__(self, data: Data, metric: str) -> None:
        self.data = data
        self.metric = metric
        self.higher_is_better = metric != "loss"

    @property
    def batches_per_epoch(self) -> int:
        """Batches of the unsampled text; an epoch of sampled subwords has about as many."""
        return len(self.data.plan)

    def batches(self, epoch: int) -> Sequence[Batch]:
        """The batches of one epoch."""
        return self.data.batches(epoch)

    def arrays(self, batch: Batch, epoch: int) -> tuple[np.ndarray, ...]:
        """The arrays of a batch, in the order of the data's batch tuple."""
        return tuple(self.data.arrays(batch, epoch))
