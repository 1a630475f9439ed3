"""From the states of a text to one vector: max, mean, last, additive attention, and several of them side by side.

Every layer takes the states of right-padded texts, each with one real token at least; padding changes no result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from textseq.layers.additive_attention import MASKED, Memory, attend, split_heads
from textseq.layers.initialization import weight_seeds
from textseq.layers.product import product, training_kernel


class _PoolingLayer(keras.layers.Layer):
    """What the layers share: they read a mask and hand none on."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def compute_mask(self, inputs: Any, previous_mask: Any = None) -> None:
        """None: time is gone."""


@keras.saving.register_keras_serializable("textseq")
class MaxPooling(_PoolingLayer):
    """The largest value of each unit over the text.

    Example:
        >>> states = keras.ops.convert_to_tensor([[[1.0, 5.0], [3.0, 2.0], [9.0, 9.0]]])
        >>> MaxPooling()(states, mask=keras.ops.convert_to_tensor([[True, True, False]]))[0].numpy().tolist()
        [3.0, 5.0]
    """

    def call(self, states: Any, mask: Any = None, training: bool = False) -> Any:
        """Pools whole texts.

        Args:
            states: float[batch, length, units].
            mask: bool[batch, length], True for a real token; None if all are.
            training: changes nothing.

        Returns:
            float[batch, units].
        """
        if mask is not None:
            states = ops.where(ops.expand_dims(mask, -1), states, ops.full_like(states, MASKED))
        return ops.max(states, axis=1)


@keras.saving.register_keras_serializable("textseq")
class MeanPooling(_PoolingLayer):
    """The mean of each unit over the text."""

    def call(self, states: Any, mask: Any = None, training: bool = False) -> Any:
        """Pools whole texts, see `MaxPooling.call`."""
        if mask is None:
            return ops.mean(states, axis=1)
        weights = ops.cast(mask, states.dtype)
        total = ops.sum(_masked(states, mask), axis=1)
        return total / ops.maximum(ops.sum(weights, axis=1, keepdims=True), 1)


@keras.saving.register_keras_serializable("textseq")
class LastPooling(_PoolingLayer):
    """The final state of each direction of a bidirectional encoder.

    The first half of the units has read from left to right and ends at the last real token; the second half has read
    from right to left and ends at the first token.
    """

    def call(self, states: Any, mask: Any = None, training: bool = False) -> Any:
        """Pools whole texts, see `MaxPooling.call`; `units` is even."""
        forward, backward = ops.split(states, 2, axis=-1)
        if mask is None:
            return ops.concatenate([forward[:, -1], backward[:, 0]], axis=-1)
        following = ops.pad(mask[:, 1:], ((0, 0), (0, 1)))
        is_last = ops.logical_and(mask, ops.logical_not(following))
        return ops.concatenate([ops.sum(_masked(forward, is_last), axis=1), backward[:, 0]], axis=-1)


@keras.saving.register_keras_serializable("textseq")
class AttentionPooling(_PoolingLayer):
    """The mean of the states, weighed by additive attention without a query (Yang et al. 2016, equations 5 to 7).

    ```
    e_j = v . tanh(W h_j + b)      alpha = softmax(e)      c = sum_j alpha_j h_j
    ```

    Args:
        units: size of the hidden layer.
        product_dtype: dtype of the matrix products while training ("float32" or "bfloat16"); otherwise float32.
        seed: of the initial weights.
    """

    def __init__(self, units: int, *, product_dtype: str = "float32", seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.product_dtype = product_dtype
        self.seed = seed

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights for states of shape (batch, length, columns)."""
        seeds = weight_seeds(self.seed)
        self.hidden_kernel = self.add_weight(
            name="hidden_kernel",
            shape=(input_shape[-1], self.units),
            initializer=keras.initializers.GlorotUniform(next(seeds)),
        )
        self.hidden_bias = self.add_weight(name="hidden_bias", shape=(self.units,), initializer="zeros")
        self.energy = self.add_weight(
            name="energy",
            shape=(self.units,),
            initializer=keras.initializers.RandomNormal(stddev=self.units**-0.5, seed=next(seeds)),
        )

    def call(self, states: Any, mask: Any = None, training: bool = False) -> tuple[Any, Any]:
        """Pools whole texts.

        Args:
            states: float[batch, length, columns].
            mask: bool[batch, length], True for a real token; None if all are.
            training: whether the product is in `product_dtype`.

        Returns:
            The pooled states, float[batch, columns], and the weights, float[batch, length], 0 for padding.
        """
        projected = product(states, training_kernel(self.hidden_kernel, self.product_dtype, training))
        if mask is None:
            mask = ops.ones(ops.shape(states)[:2], "bool")
        # The bias stands where a decoder's query would.
        query = ops.broadcast_to(self.hidden_bias, (ops.shape(states)[0], 1, self.units))
        memory = Memory.of(projected, split_heads(states, 1), mask)
        pooled, weights, _ = attend(query, ops.expand_dims(self.energy, -1), memory)
        # [batch, 1, columns] -> [batch, columns], [batch, 1, 1, length] -> [batch, length]
        return pooled[:, 0], weights[:, 0, 0]

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, JSON values only."""
        return {
            **super().get_config(),
            "units": self.units,
            "product_dtype": self.product_dtype,
            "seed": self.seed,
        }


_WITHOUT_WEIGHTS: dict[str, type[_PoolingLayer]] = {"max": MaxPooling, "mean": MeanPooling, "last": LastPooling}


@keras.saving.register_keras_serializable("textseq")
class Pooling(_PoolingLayer):
    """Several poolings of the same states, side by side.

    Args:
        kinds: "max", "mean", "last", "attention", in the order of the result's columns.
        attention_units: see `AttentionPooling`.
        product_dtype: see `AttentionPooling`.
        seed: of the initial weights.
    """

    def __init__(
        self,
        kinds: Sequence[str],
        attention_units: int = 64,
        *,
        product_dtype: str = "float32",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kinds = tuple(kinds)
        self.attention_units = attention_units
        self.product_dtype = product_dtype
        self.seed = seed
        self.parts = [self._part(kind) for kind in self.kinds]

    def _part(self, kind: str) -> _PoolingLayer:
        if kind == "attention":
            return AttentionPooling(
                self.attention_units, product_dtype=self.product_dtype, seed=self.seed, name="attention"
            )
        return _WITHOUT_WEIGHTS[kind](name=kind)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights for states of shape (batch, length, columns)."""
        for part in self.parts:
            part.build(input_shape)

    def call(self, states: Any, mask: Any = None, training: bool = False) -> tuple[Any, Any]:
        """Pools whole texts.

        Args:
            states: float[batch, length, units].
            mask: bool[batch, length], True for a real token; None if all are.
            training: whether products are in `product_dtype`.

        Returns:
            The pooled states, float[batch, len(kinds) * units], and the weights of the attention, float[batch, length],
            or None without it.
        """
        columns, attention_weights = [], None
        for part in self.parts:
            pooled = part(states, mask=mask, training=training)
            if isinstance(part, AttentionPooling):
                pooled, attention_weights = pooled
            columns.append(pooled)
        return ops.concatenate(columns, axis=-1), attention_weights

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, JSON values only."""
        return {
            **super().get_config(),
            "kinds": list(self.kinds),
            "attention_units": self.attention_units,
            "product_dtype": self.product_dtype,
            "seed": self.seed,
        }


def _masked(states: Any, mask: Any) -> Any:
    """The states where the mask is True, zeros elsewhere, whatever stands there."""
    return ops.where(ops.expand_dims(mask, -1), states, ops.zeros_like(states))
