"""Initial weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops


def weight_seeds(seed: int | None) -> Iterator[int | None]:
    """Seeds for the weights of one layer, each another: two weights of one seed would begin with the same numbers.

    Args:
        seed: of the layer; None gives None, another draw each time.

    Example:
        >>> seeds = weight_seeds(7)
        >>> next(seeds), next(seeds)
        (7000, 7001)
    """
    return (None if seed is None else 1000 * seed + number for number in itertools.count())


@keras.saving.register_keras_serializable("textseq")
class GatewiseOrthogonal(keras.initializers.Initializer):
    """An orthogonal matrix for each gate of a recurrent kernel (Saxe, McClelland, Ganguli 2014, arXiv:1312.6120).

    Args:
        gates: number of gates, side by side in the kernel's columns.
        seed: of the random state; None for another one each time.
    """

    def __init__(self, gates: int, seed: int | None = None) -> None:
        self.gates = gates
        self.seed = seed

    def __call__(self, shape: tuple[int, int], dtype: str | None = None) -> Any:
        """Draws the matrices: float[rows, columns] with `gates` dividing `columns`."""
        rows, columns = shape
        generator = keras.random.SeedGenerator(self.seed)
        parts = [
            keras.initializers.Orthogonal(seed=generator)((rows, columns // self.gates), dtype=dtype)
            for _ in range(self.gates)
        ]
        return ops.concatenate(parts, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, JSON values only."""
        return {"gates": self.gates, "seed": self.seed}


@keras.saving.register_keras_serializable("textseq")
class GateBias(keras.initializers.Initializer):
    """Zeros, but a constant for one gate: the forget bias of an LSTM (Jozefowicz et al. 2015, section 2.2).

    Args:
        gates: number of gates, side by side.
        gate: which of them gets the constant.
        value: the constant.
    """

    def __init__(self, gates: int, gate: int, value: float = 1.0) -> None:
        self.gates = gates
        self.gate = gate
        self.value = value

    def __call__(self, shape: tuple[int], dtype: str | None = None) -> Any:
        """Makes the bias: float[columns] with `gates` dividing `columns`."""
        units = shape[0] // self.gates
        parts = [ops.full((units,), self.value if gate == self.gate else 0.0, dtype) for gate in range(self.gates)]
        return ops.concatenate(parts)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, JSON values only."""
        return {"gates": self.gates, "gate": self.gate, "value": self.value}


def bias_initializer(cell: str, gates: int) -> keras.initializers.Initializer:
    """The bias of a cell's input projection: a forget bias of 1 for an LSTM, zeros for the others.

    Args:
        cell: "gru", "lstm" or "simple_rnn".
        gates: number of gates of that cell.
    """
    return GateBias(gates, gate=1) if cell == "lstm" else keras.initializers.Zeros()
