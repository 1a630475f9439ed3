"""A Transformer encoder: what recurrent layers are compared with."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from textseq.layers.dropout import dropout
from textseq.layers.initialization import weight_seeds
from textseq.layers.product import product, training_kernel
from textseq.layers.self_attention import SelfAttention

_SLOWEST_WAVE = 10_000.0


@keras.saving.register_keras_serializable("textseq")
class TransformerEncoder(keras.layers.Layer):
    """Reads a sequence with self-attention instead of a recurrence; takes and gives what `Recurrent` takes and gives.

    With `x` the inputs, projected where they do not have `units` columns, each block is

    ```
    y = x + attention(norm(x))      z = y + relu(norm(y) W_1 + b_1) W_2 + b_2
    ```
    and a last `norm` follows the blocks (pre-norm: Xiong et al. 2020, arXiv:2002.04745, section 3.1; trains without
    warm-up). Without `pre_norm` it is the block of Vaswani et al. 2017 (arXiv:1706.03762, sections 3.1 to 3.3),
    `y = norm(x + attention(x))`, `z = norm(y + ...)`, and no norm follows. The first block reads
    `sqrt(units) x + positions` (sections 3.4 and 3.5): nothing else tells it in which order the tokens stand.

    Args:
        units: columns of the output and of every block.
        blocks: how many stand one above the other.
        heads: see `SelfAttention`; `units` is a multiple of them.
        feed_forward_units: columns of `W_1`; 4 * units by default.
        causal: a token sees itself and those before it only.
        pre_norm: see above.
        positions: False leaves the positions out; a token's output then depends on what stands in the sequence, and
            not on where.
        dropout: rate on the input of the first block and on what is added in each block (section 5.4).
        product_dtype: dtype of the matrix products while training ("float32" or "bfloat16"); otherwise float32.
        seed: of the initial weights and of the dropout.

    Raises:
        ValueError: `units` is no multiple of `heads`.

    Example:
        >>> layer = TransformerEncoder(8, blocks=2, heads=2)
        >>> outputs = layer(keras.random.normal((2, 5, 3)), mask=keras.ops.ones((2, 5), "bool"))
        >>> tuple(outputs.shape)
        (2, 5, 8)
    """

    def __init__(
        self,
        units: int,
        blocks: int = 1,
        heads: int = 4,
        *,
        feed_forward_units: int | None = None,
        causal: bool = False,
        pre_norm: bool = True,
        positions: bool = True,
        dropout: float = 0.0,
        product_dtype: str = "float32",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.heads = heads
        self.feed_forward_units = feed_forward_units or 4 * units
        self.causal = causal
        self.pre_norm = pre_norm
        self.positions = positions
        self.dropout = dropout
        self.product_dtype = product_dtype
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True
        seeds = weight_seeds(seed)
        self.input_seed = next(seeds)
        self.blocks = [
            _Block(
                units, heads, self.feed_forward_units, causal, pre_norm, product_dtype, next(seeds), f"block_{number}"
            )
            for number in range(blocks)
        ]
        self.output_norm = _norm("output_norm") if pre_norm else None

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights for inputs of shape (batch, length, columns)."""
        self.input_kernel = None
        if input_shape[-1] != self.units:
            self.input_kernel = self.add_weight(
                name="input_kernel",
                shape=(input_shape[-1], self.units),
                initializer=keras.initializers.GlorotUniform(self.input_seed),
            )
        shape = (*input_shape[:2], self.units)
        for block in self.blocks:
            block.build(shape)
        if self.output_norm is not None:
            self.output_norm.build(shape)

    def call(self, sequences: Any, mask: Any = None, training: bool = False) -> Any:
        """Reads whole sequences.

        Args:
            sequences: float[batch, length, columns].
            mask: bool[batch, length], True for a real token, right-padded; None if all are.
            training: whether dropout is drawn.

        Returns:
            float[batch, length, units]; at padded places the values mean nothing.
        """
        if mask is not None:
            sequences = ops.where(ops.expand_dims(mask, -1), sequences, ops.zeros_like(sequences))
        states = sequences
        if self.input_kernel is not None:
            states = product(states, training_kernel(self.input_kernel, self.product_dtype, training))
        states *= self.units**0.5
        if self.positions:
            states += ops.cast(sinusoidal_positions(ops.shape(states)[1], self.units), states.dtype)
        states = self._dropped(states, training)
        for block in self.blocks:
            added = block.attended(states, mask, training)
            states = block.after_attention(states + self._dropped(added, training))
            added = block.transformed(states, training)
            states = block.after_feed_forward(states + self._dropped(added, training))
        return states if self.output_norm is None else self.output_norm(states)

    def _dropped(self, states: Any, training: bool) -> Any:
        return dropout(states, self.dropout, self.seed_generator, training)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, JSON values only."""
        return {
            **super().get_config(),
            "units": self.units,
            "blocks": len(self.blocks),
            "heads": self.heads,
            "feed_forward_units": self.feed_forward_units,
            "causal": self.causal,
            "pre_norm": self.pre_norm,
            "positions": self.positions,
            "dropout": self.dropout,
            "product_dtype": self.product_dtype,
            "seed": self.seed,
        }


def sinusoidal_positions(length: Any, units: int) -> Any:
    """Waves that tell positions apart (Vaswani et al. 2017, arXiv:1706.03762, section 3.5).

    ```
    positions[t, 2 i] = sin(t / 10000^(2 i / units))      positions[t, 2 i + 1] = cos(t / 10000^(2 i / units))
    ```

    Args:
        length: positions, counted from 0.
        units: columns.

    Returns:
        float32[length, units].
    """
    places = ops.cast(ops.arange(length), "float32")[:, None]
    exponents = ops.cast(2 * (ops.arange(units) // 2), "float32") / units
    angles = places / ops.power(_SLOWEST_WAVE, exponents)
    return ops.where(ops.arange(units) % 2 == 0, ops.sin(angles), ops.cos(angles))


class _Block(keras.layers.Layer):
    """The two halves of a block, each without its residual."""

    def __init__(
        self,
        units: int,
        heads: int,
        feed_forward_units: int,
        causal: bool,
        pre_norm: bool,
        product_dtype: str,
        seed: int | None,
        name: str,
    ) -> None:
        super().__init__(name=name)
        self.pre_norm = pre_norm
        self.product_dtype = product_dtype
        self.seeds = weight_seeds(seed)
        self.feed_forward_units = feed_forward_units
        self.attention = SelfAttention(
            units, heads, causal=causal, product_dtype=product_dtype, seed=next(self.seeds), name="attention"
        )
        self.attention_norm, self.feed_forward_norm = _norm("attention_norm"), _norm("feed_forward_norm")

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        for layer in (self.attention, self.attention_norm, self.feed_forward_norm):
            layer.build(input_shape)
        widths = (input_shape[-1], self.feed_forward_units, input_shape[-1])
        self.kernels, self.biases = [], []
        for number, name in enumerate(("hidden", "output")):
            shape = widths[number : number + 2]
            initializer = keras.initializers.GlorotUniform(next(self.seeds))
            self.kernels.append(self.add_weight(name=f"{name}_kernel", shape=shape, initializer=initializer))
            self.biases.append(self.add_weight(name=f"{name}_bias", shape=shape[1:], initializer="zeros"))

    def attended(self, states: Any, mask: Any, training: bool) -> Any:
        inputs = self.attention_norm(states) if self.pre_norm else states
        return self.attention(inputs, mask=mask, training=training)

    def after_attention(self, states: Any) -> Any:
        return states if self.pre_norm else self.attention_norm(states)

    def transformed(self, states: Any, training: bool) -> Any:
        inputs = self.feed_forward_norm(states) if self.pre_norm else states
        hidden = ops.relu(self._product(inputs, 0, training))
        return self._product(hidden, 1, training)

    def after_feed_forward(self, states: Any) -> Any:
        return states if self.pre_norm else self.feed_forward_norm(states)

    def _product(self, inputs: Any, number: int, training: bool) -> Any:
        kernel = training_kernel(self.kernels[number], self.product_dtype, training)
        return product(inputs, kernel) + self.biases[number]


def _norm(name: str) -> keras.layers.LayerNormalization:
    return keras.layers.LayerNormalization(epsilon=1e-6, name=name)
