"""Self-attention: every token looks at all others at once."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from textseq.layers.initialization import weight_seeds
from textseq.layers.product import product, training_kernel


@keras.saving.register_keras_serializable("textseq")
class SelfAttention(keras.layers.Layer):
    """Scaled dot-product attention of a sequence over itself, in several heads.

    For each head, with `x` the sequence and `d` the columns of a head,

    ```
    q = x W_q      k = x W_k      v = x W_v      head = softmax(q k^T / sqrt(d)) v
    y = [head_1 ... head_n] W_o + b
    ```
    (Vaswani et al. 2017, arXiv:1706.03762, sections 3.2.1 and 3.2.2). Padded tokens are never looked at. Keys get no
    bias, since the softmax would take it out again; nor do queries and values, as in the paper.

    Args:
        units: columns of the output, a multiple of `heads`; `d` is `units / heads`.
        heads: attention distributions a token has.
        causal: a token looks at itself and at those before it only.
        product_dtype: dtype of the projections while training ("float32" or "bfloat16"); otherwise float32.
        seed: of the initial weights.

    Raises:
        ValueError: `units` is no multiple of `heads`.

    Example:
        >>> outputs = SelfAttention(8, heads=2)(keras.random.normal((2, 5, 3)))
        >>> tuple(outputs.shape)
        (2, 5, 8)
    """

    def __init__(
        self,
        units: int,
        heads: int = 4,
        *,
        causal: bool = False,
        product_dtype: str = "float32",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if heads < 1 or units % heads:
            raise ValueError(f"received units {units} and heads {heads}; expected units that are a multiple of heads")
        self.units = units
        self.heads = heads
        self.causal = causal
        self.product_dtype = product_dtype
        self.seed = seed
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights for inputs of shape (batch, length, columns)."""
        seeds = weight_seeds(self.seed)
        self.query_kernel, self.key_kernel, self.value_kernel, self.output_kernel = (
            self.add_weight(
                name=f"{name}_kernel",
                shape=(self.units if name == "output" else input_shape[-1], self.units),
                initializer=keras.initializers.GlorotUniform(next(seeds)),
            )
            for name in ("query", "key", "value", "output")
        )
        self.output_bias = self.add_weight(name="output_bias", shape=(self.units,), initializer="zeros")

    def call(self, sequences: Any, mask: Any = None, training: bool = False) -> Any:
        """Reads whole sequences.

        Args:
            sequences: float[batch, length, columns].
            mask: bool[batch, length], True for a real token; None if all are.
            training: whether the projections are in `product_dtype`.

        Returns:
            float[batch, length, units]; at padded places the values mean nothing.
        """
        if mask is not None:
            # A weight of zero does not stop a value that is not a number.
            sequences = ops.where(ops.expand_dims(mask, -1), sequences, ops.zeros_like(sequences))
        kernels = (self.query_kernel, self.key_kernel, self.value_kernel)
        query, key, value = (self._in_heads(self._product(sequences, kernel, training)) for kernel in kernels)
        looked_at = None if mask is None else mask[:, None, None, :]
        heads = ops.dot_product_attention(query, key, value, mask=looked_at, is_causal=self.causal)
        # [batch, length, heads, units / heads] -> [batch, length, units]
        joined = ops.reshape(heads, (*ops.shape(heads)[:2], self.units))
        return self._product(joined, self.output_kernel, training) + self.output_bias

    def _product(self, inputs: Any, kernel: Any, training: bool) -> Any:
        return product(inputs, training_kernel(kernel, self.product_dtype, training))

    def _in_heads(self, projected: Any) -> Any:
        # [batch, length, units] -> [batch, length, heads, units / heads]
        return ops.reshape(projected, (*ops.shape(projected)[:2], self.heads, self.units // self.heads))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, JSON values only."""
        return {
            **super().get_config(),
            "units": self.units,
            "heads": self.heads,
            "causal": self.causal,
            "product_dtype": self.product_dtype,
            "seed": self.seed,
        }
