"""Learning rate and averaging rate as functions of the step."""

from __future__ import annotations

import math

from textseq.training.config import TrainingConfig


def learning_rate(config: TrainingConfig, step: int, total_steps: int) -> float:
    """The learning rate of one step, before a plateau's reductions.

    Args:
        config: warm-up, schedule and highest rate.
        step: number of updates done before this one, from 0.
        total_steps: number of updates of the whole training; beyond it a decay to zero stays at zero.

    Example:
        >>> config = TrainingConfig(learning_rate=1.0, warmup_steps=10, decay_start=0.5)
        >>> [learning_rate(config, step, 100) for step in (0, 9, 50, 75)]
        [0.1, 1.0, 1.0, 0.5]
    """
    rate = config.learning_rate
    warmup = min(config.warmup_steps, total_steps // 2)
    if step < warmup:
        return rate * (step + 1) / warmup
    if config.schedule == "inverse_sqrt":
        return rate * math.sqrt(max(warmup, 1) / max(step, 1))
    start = max(config.decay_start * total_steps, warmup)
    if config.schedule == "constant" or step <= start:
        return rate
    done = min(1.0, (step - start) / max(1.0, total_steps - start))
    if config.schedule == "linear":
        return rate * (1.0 - done)
    return rate * 0.5 * (1.0 + math.cos(math.pi * done))


def average_decay(config: TrainingConfig, step: int) -> float:
    """The decay of the moving average at one step: small at first, so that the initial weights are soon forgotten.

    Example:
        >>> [average_decay(TrainingConfig(average_decay=0.998), step) for step in (0, 1_000_000)]
        [0.1, 0.998]
    """
    return min(config.average_decay, (1.0 + step) / (10.0 + step))
