"""The body of both tasks: stacked recurrent layers that read a sentence in both directions."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from textseq.layers.dropout import dropout
from textseq.layers.recurrent import Recurrent


@keras.saving.register_keras_serializable("textseq")
class BidirectionalEncoder(keras.layers.Layer):
    """Stacked bidirectional recurrent layers (Bahdanau et al. 2015, A.2.1; Schuster and Paliwal 1997).

    Each layer reads the concatenated outputs of the one below; with `residual` its input is added to its output where
    the two have the same size.

    Args:
        units: size of the state of each direction.
        layers: number of layers.
        cell: "gru", "lstm" or "simple_rnn".
        residual: add a layer's input to its output.
        layer_norm: see `Recurrent`.
        state_dropout: see `Recurrent`.
        dropout: rate of dropout between the layers.
        product_dtype: see `Recurrent`.
        unroll: see `Recurrent`.
        compiled: see `Recurrent`.
        seed: of the initial weights and of the dropout.
    """

    def __init__(
        self,
        units: int,
        layers: int = 1,
        cell: str = "gru",
        *,
        residual: bool = False,
        layer_norm: bool = False,
        state_dropout: float = 0.0,
        dropout: float = 0.0,
        product_dtype: str = "float32",
        unroll: bool = False,
        compiled: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.supports_masking = True
        self.residual = residual
        self.dropout = dropout
        self.options: dict[str, Any] = {
            "cell": cell,
            "layer_norm": layer_norm,
            "state_dropout": state_dropout,
            "product_dtype": product_dtype,
            "unroll": unroll,
            "compiled": compiled,
        }
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.directions = [
            tuple(
                Recurrent(
                    units,
                    reverse=reverse,
                    seed=None if seed is None else seed + 1 + 2 * layer + reverse,
                    name=f"layer_{layer}_{'backward' if reverse else 'forward'}",
                    **self.options,
                )
                for reverse in (False, True)
            )
            for layer in range(layers)
        ]

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights of every layer for inputs of shape (batch, length, columns)."""
        columns = input_shape[-1]
        for pair in self.directions:
            for direction in pair:
                direction.build((None, None, columns))
            columns = 2 * self.units

    def call(self, sequences: Any, mask: Any = None, training: bool = False) -> Any:
        """Reads whole sequences.

        Args:
            sequences: float[batch, length, columns].
            mask: bool[batch, length], True for a real token; None if all are.
            training: whether dropout is drawn.

        Returns:
            float[batch, length, 2 * units]; at padded places the values mean nothing.
        """
        for number, (forward, backward) in enumerate(self.directions):
            inputs = dropout(sequences, self.dropout, self.seed_generator, training) if number else sequences
            outputs = ops.concatenate(
                [
                    forward(inputs, mask=mask, training=training)[0],
                    backward(inputs, mask=mask, training=training)[0],
                ],
                axis=-1,
            )
            add = self.residual and sequences.shape[-1] == outputs.shape[-1]
            sequences = sequences + outputs if add else outputs
        return sequences

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, JSON values only."""
        return {
            **super().get_config(),
            "units": self.units,
            "layers": len(self.directions),
            "residual": self.residual,
            "dropout": self.dropout,
            "seed": self.seed,
            **self.options,
        }
