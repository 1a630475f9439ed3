"""Dropout masks of every kind that recurrent models use."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def dropout_scale(shape: tuple[Any, ...], rate: float, seed: keras.random.SeedGenerator, dtype: str = "float32") -> Any:
    """Draws factors of 0 (with probability `rate`) and `1 / (1 - rate)`.

    Multiplied with a state at every step they are variational dropout (Gal and Ghahramani 2016, arXiv:1512.05287).

    Args:
        shape: of the result.
        rate: in [0, 1).
        seed: the random state, which goes on by one draw.
        dtype: of the result.

    Returns:
        An array of that shape and dtype.
    """
    kept = keras.random.uniform(shape, dtype="float32", seed=seed) >= rate
    return ops.cast(kept, dtype) * (1.0 / (1.0 - rate))


def dropout(inputs: Any, rate: float, seed: keras.random.SeedGenerator, training: bool) -> Any:
    """Ordinary dropout (Srivastava et al. 2014): each value is dropped by itself.

    Args:
        inputs: float[...].
        rate: in [0, 1).
        seed: the random state, which goes on by one draw where something is drawn.
        training: False for the inputs as they are.

    Returns:
        float[...], zeros with probability `rate`, the others divided by `1 - rate`.
    """
    return keras.random.dropout(inputs, rate, seed=seed) if training and rate > 0 else inputs


def word_dropout(ids: Any, rate: float, replacement: int, kept: Any, seed: keras.random.SeedGenerator) -> Any:
    """Replaces whole tokens by one id (Iyyer et al. 2015; as Sennrich et al. 2016 use it for translation).

    Args:
        ids: int32[batch, length].
        rate: probability in [0, 1) that a token is replaced.
        replacement: the id that stands for a dropped token.
        kept: bool[batch, length], True where a token must not be replaced (padding, bos, eos).
        seed: the random state.

    Returns:
        int32[batch, length].
    """
    dropped = keras.random.uniform(ops.shape(ids), seed=seed) < rate
    return ops.where(ops.logical_and(dropped, ops.logical_not(kept)), replacement, ids)
