"""A sequence through several layers, of this package or of Keras."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras


def read_through(layers: Iterable[keras.layers.Layer], sequences: Any, training: bool = False) -> Any:
    """Has one layer after the other read a sequence.

    Args:
        layers: each from float[batch, length, columns] to the same with another length or other columns; of one that
            gives several things, such as `Recurrent`, the first goes on.
        sequences: float[batch, length, columns], without padding.
        training: whether dropout is drawn.

    Returns:
        What the last layer gives, float[batch, length, columns].
    """
    for layer in layers:
        sequences = layer(sequences, training=training)
        sequences = sequences[0] if isinstance(sequences, (tuple, list)) else sequences
    return sequences
