"""Additive attention, Bahdanau, Cho, Bengio 2015 (arXiv:1409.0473), appendix A.1.2, with one or more heads.

```
e_ij = v . tanh(W s_{i-1} + U h_j)      alpha_i = softmax_j(e_ij)      c_i = sum_j alpha_ij h_j
```
With several heads the columns of `tanh(...)`, of `v` and of the memory are cut into as many parts, and each head
weighs its own part.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from textseq.layers.product import product

MASKED = -1e9


class Memory(NamedTuple):
    """What the attention looks at: the encoder's states, prepared once a sentence."""

    projected: Any
    """float[batch, source_length, attention_units], `U h_j`."""
    values: Any
    """float[batch, heads, source_length, memory_units / heads]."""
    score_bias: Any
    """float[batch, 1, 1, source_length], 0 for a real token and -1e9 for padding."""

    @classmethod
    def of(cls, projected: Any, values: Any, mask: Any) -> Memory:
        """Makes a memory.

        Args:
            projected: float[batch, source_length, attention_units].
            values: float[batch, heads, source_length, memory_units / heads], see `split_heads`.
            mask: bool[batch, source_length], True for a real token; one at least in each row.
        """
        score_bias = ops.where(mask, 0.0, MASKED)[:, None, None, :]
        return cls(projected, values, ops.cast(score_bias, projected.dtype))


def attend(query: Any, energy: Any, memory: Memory) -> tuple[Any, Any, Any]:
    """Attends to one memory with one or more queries (the hypotheses of a beam).

    Args:
        query: float[batch, beam, attention_units], `W s_{i-1}`.
        energy: float[attention_units, heads], `v` of each head in its own rows and zeros elsewhere.
        memory: see `Memory`.

    Returns:
        The contexts float[batch, beam, memory_units], the weights float[batch, heads, beam, source_length], and
        `tanh(...)` float[batch, beam, source_length, attention_units] for the backward pass.
    """
    hidden = ops.tanh(query[:, :, None, :] + memory.projected[:, None, :, :])
    scores = ops.transpose(product(hidden, energy), (0, 3, 1, 2))
    scores = scores + memory.score_bias
    # Keras warns of a softmax over one value, which is what a sentence of one token has.
    weights = ops.softmax(scores, axis=-1) if scores.shape[-1] != 1 else ops.ones_like(scores)
    return _join_heads(ops.matmul(weights, memory.values)), weights, hidden


def attend_backward(
    hidden: Any, weights: Any, energy: Any, memory: Memory, d_context: Any, d_weights: Any
) -> tuple[Any, Any, Any]:
    """The gradients of `attend`, but for that of `memory.values`, which `values_gradient` makes for all steps at once.

    Args:
        hidden: the third result of `attend`.
        weights: the second.
        energy: as in `attend`.
        memory: as in `attend`.
        d_context: gradient of the contexts.
        d_weights: gradient of the weights.

    Returns:
        The gradients of `query`, `energy` (in every place, also where it is held at zero) and `memory.projected`.
    """
    d_weights = d_weights + ops.matmul(
        split_heads(d_context, weights.shape[1]), ops.transpose(memory.values, (0, 1, 3, 2))
    )
    d_scores = weights * (d_weights - ops.sum(weights * d_weights, axis=-1, keepdims=True))
    d_scores = ops.transpose(d_scores, (0, 2, 3, 1))
    d_before_tanh = product(d_scores, ops.transpose(energy)) * (1 - hidden * hidden)
    units, heads = energy.shape
    d_energy = ops.matmul(ops.transpose(ops.reshape(hidden, (-1, units))), ops.reshape(d_scores, (-1, heads)))
    return ops.sum(d_before_tanh, axis=2), d_energy, ops.sum(d_before_tanh, axis=1)


def values_gradient(weights: Any, d_context: Any) -> Any:
    """The gradient of `memory.values`, over all time steps at once.

    Args:
        weights: float[time, batch, heads, 1, source_length].
        d_context: float[time, batch, memory_units].

    Returns:
        float[batch, heads, source_length, memory_units / heads].
    """
    heads = weights.shape[2]
    time, batch, units = ops.shape(d_context)
    weights = ops.transpose(weights[:, :, :, 0, :], (1, 2, 3, 0))
    d_context = ops.transpose(ops.reshape(d_context, (time, batch, heads, units // heads)), (1, 2, 0, 3))
    return ops.matmul(weights, d_context)


def split_heads(array: Any, heads: int) -> Any:
    """float[batch, beam, units] -> float[batch, heads, beam, units / heads]."""
    batch, beam, units = ops.shape(array)
    return ops.transpose(ops.reshape(array, (batch, beam, heads, units // heads)), (0, 2, 1, 3))


def _join_heads(array: Any) -> Any:
    """float[batch, heads, beam, units / heads] -> float[batch, beam, units]."""
    batch, heads, beam, columns = ops.shape(array)
    return ops.reshape(ops.transpose(array, (0, 2, 1, 3)), (batch, beam, heads * columns))
