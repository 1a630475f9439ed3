"""A convolution over time."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from textseq.layers.product import product, training_kernel


@keras.saving.register_keras_serializable("textseq")
class Convolution(keras.layers.Layer):
    """Filters over neighbouring tokens (Kim 2014, arXiv:1408.5882, equation 2), as many outputs as tokens.

    ```
    y_t = max(0, sum_k W_k x_{t + k - (width - 1) // 2} + b)
    ```
    Before the first token, after the last one and at padded places there are zeros, so padding changes nothing. All
    taps are one matrix product, in the precision of the other products.

    Args:
        filters: columns of the output.
        width: tokens that one filter sees.
        product_dtype: dtype of the matrix product while training ("float32" or "bfloat16"); otherwise float32.
        seed: of the initial weights.

    Example:
        >>> outputs = Convolution(4, width=3)(keras.random.normal((2, 5, 8)))
        >>> tuple(outputs.shape)
        (2, 5, 4)
    """

    def __init__(
        self, filters: int, width: int = 3, *, product_dtype: str = "float32", seed: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.width = width
        self.product_dtype = product_dtype
        self.seed = seed
        self.supports_masking = True

    def build(self, input_shape: tuple[Any, ...]) -> None:
        """Makes the weights for inputs of shape (batch, length, columns)."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.width * input_shape[-1], self.filters),
            initializer=keras.initializers.GlorotUniform(self.seed),
        )
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")

    def call(self, sequences: Any, mask: Any = None, training: bool = False) -> Any:
        """Reads whole sequences.

        Args:
            sequences: float[batch, length, columns].
            mask: bool[batch, length], True for a real token; None if all are.
            training: whether the product is in `product_dtype`.

        Returns:
            float[batch, length, filters]; at padded places the values mean nothing.
        """
        if mask is not None:
            sequences = ops.where(ops.expand_dims(mask, -1), sequences, ops.zeros_like(sequences))
        length, left = ops.shape(sequences)[1], (self.width - 1) // 2
        wider = ops.pad(sequences, ((0, 0), (left, self.width - 1 - left), (0, 0)))
        # [batch, length, columns] -> [batch, length, width * columns]
        neighbours = ops.concatenate([wider[:, tap : tap + length] for tap in range(self.width)], axis=-1)
        return ops.relu(product(neighbours, training_kernel(self.kernel, self.product_dtype, training)) + self.bias)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, JSON values only."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "width": self.width,
            "product_dtype": self.product_dtype,
            "seed": self.seed,
        }
