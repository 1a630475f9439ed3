"""A task that needs a long memory: the adding problem of Hochreiter and Schmidhuber."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from keras import ops

from textseq.errors import InputError

# Hochreiter and Schmidhuber's 0.04, whose answers are scaled to 0 to 1; here they are from 0 to 2.
TOLERANCE = 0.08


def adding_problem(
    count: int, length: int, *, seed: int = 0, values: npt.ArrayLike | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Sequences of numbers, two of them marked, and the sum of the two: who answers must have kept the first.

    The adding problem of Hochreiter and Schmidhuber (1997, "Long short-term memory", section 5.4), in the form of
    Arjovsky, Shah and Bengio (2016, arXiv:1511.06464, section 4.2). Each step holds a number from 0 to 1 and a marker,
    which is 1 at two steps, one in the first half and one in the second, and 0 elsewhere. The target is the sum of the
    two marked numbers.

    Who always answers 1 has a mean squared error of 1/6 (of uniform numbers).

    Args:
        count: of sequences.
        length: steps of each, 2 or more.
        seed: 0 or more. The same seed gives the same sequences with every NumPy and on every machine.
        values: float[any], numbers from 0 to 1 of which each sequence is a stretch, taken anywhere; by default they
            are drawn uniformly.

    Returns:
        The sequences, float32[count, length, 2], number and marker, and the targets, float32[count, 1].

    Raises:
        InputError: no sequence, a length below 2, a negative seed, or values that are fewer than `length` or not from
            0 to 1.

    Example:
        >>> sequences, targets = adding_problem(3, 50, seed=1)
        >>> sequences.shape, targets.shape
        ((3, 50, 2), (3, 1))
    """
    if count < 1 or length < 2 or seed < 0:
        raise InputError(
            f"adding problem: received {count} sequences of {length} steps, seed {seed}; expected 1 or more of 2 or "
            "more, seed 0 or more"
        )
    source, half = np.random.Philox(np.random.SeedSequence(seed)), length // 2
    first, second = _places(source, count, half), half + _places(source, count, length - half)
    markers = np.zeros((count, length))
    for places in (first, second):
        markers[np.arange(count), places] = 1
    numbers = _numbers(source, count, length, values)
    targets = (numbers * markers).sum(axis=1, keepdims=True)
    return np.stack([numbers, markers], axis=-1).astype(np.float32), targets.astype(np.float32)


def answered(targets: Any, answers: Any) -> Any:
    """Which sequences are answered rightly: to less than 0.08, a 25th of their range. Keras takes it as a metric.

    Args:
        targets: float[count, 1].
        answers: float[count, 1].

    Returns:
        float32[count], 1 where the answer is right.

    Example:
        >>> answered(np.array([[0.5], [0.5]]), np.array([[0.57], [0.6]])).numpy().tolist()
        [1.0, 0.0]
    """
    errors = ops.abs(ops.subtract(targets, answers))
    return ops.cast(ops.squeeze(errors, axis=-1) < TOLERANCE, "float32")


def _places(source: np.random.Philox, count: int, limit: int) -> npt.NDArray[np.int64]:
    """int64[count], each from 0 to `limit - 1`."""
    return (source.random_raw(count) % np.uint64(limit)).astype(np.int64)


def _numbers(
    source: np.random.Philox, count: int, length: int, values: npt.ArrayLike | None
) -> npt.NDArray[np.float64]:
    """float64[count, length], from 0 to 1."""
    if values is None:
        # The upper 53 bits of each draw: all that a float64 holds.
        return (source.random_raw(count * length) >> np.uint64(11)).reshape(count, length) / 2.0**53
    pool = np.asarray(values, np.float64)
    if pool.ndim != 1 or len(pool) < length or not ((pool >= 0) & (pool <= 1)).all():
        raise InputError(
            f"adding problem: received values of shape {pool.shape}; expected {length} or more in a row, from 0 to 1"
        )
    return pool[_places(source, count, len(pool) - length + 1)[:, None] + np.arange(length)]
