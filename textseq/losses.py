"""The loss of a token sequence."""

from __future__ import annotations

import math
from typing import Any

from keras import ops

from textseq.layers.fused import fused


def smoothed_cross_entropy(logits: Any, labels: Any, smoothing: float = 0.0) -> tuple[Any, Any]:
    """Cross-entropy against a label that gives `smoothing` to the whole vocabulary (Szegedy et al. 2016, section 7).

    With `lse` the logarithm of the sum of exponentials, the plain loss is `lse - l_y` and the smoothed one
    `(1 - e) (lse - l_y) + e (lse - mean(l))`. Its gradient is made in one pass over the logits, which are the largest
    array of a training step.

    Args:
        logits: float[..., vocabulary].
        labels: int32[...].
        smoothing: `e`, the share of the label's mass that the vocabulary gets, in [0, 1).

    Returns:
        The smoothed and the plain cross-entropy of each token, in nats, float[...] each. No gradient flows through
        the plain one.
    """

    def forward(logits: Any) -> Any:
        smoothed, plain, lse = _forward(logits, labels, smoothing=smoothing)

        def backward(*gradients: Any, **_: Any) -> Any:
            upstream = gradients[0] if isinstance(gradients[0], (tuple, list)) else gradients
            return _backward(logits, labels, lse, upstream[0], smoothing=smoothing)

        return (smoothed, plain), backward

    smoothed, plain = ops.custom_gradient(forward)(logits)
    return smoothed, ops.stop_gradient(plain)


def perplexity(loss: float) -> float:
    """The perplexity of a mean loss in nats, `exp(loss)`; beyond a loss of 50 it grows no more.

    Example:
        >>> round(perplexity(2.0), 3)
        7.389
    """
    return math.exp(min(float(loss), 50.0))


@fused
def _forward(logits: Any, labels: Any, *, smoothing: float) -> tuple[Any, Any, Any]:
    lse = ops.logsumexp(logits, axis=-1)
    is_label = ops.equal(ops.arange(logits.shape[-1], dtype="int32"), ops.expand_dims(labels, -1))
    of_label = ops.sum(ops.where(is_label, logits, ops.zeros_like(logits)), axis=-1)
    plain = lse - of_label
    return plain + smoothing * (of_label - ops.mean(logits, axis=-1)), plain, lse


@fused
def _backward(logits: Any, labels: Any, lse: Any, gradient: Any, *, smoothing: float) -> Any:
    is_label = ops.equal(ops.arange(logits.shape[-1], dtype="int32"), ops.expand_dims(labels, -1))
    probabilities = ops.exp(logits - ops.expand_dims(lse, -1))
    target = (1.0 - smoothing) * ops.cast(is_label, logits.dtype) + smoothing / logits.shape[-1]
    return ops.expand_dims(gradient, -1) * (probabilities - target)
