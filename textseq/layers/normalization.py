"""Layer normalisation of a cell's projections, Ba, Kiros, Hinton 2016 (arXiv:1607.06450), section 3.1."""

from __future__ import annotations

from typing import Any

from keras import ops

EPSILON = 1e-5


def normalize(inputs: Any) -> tuple[Any, Any]:
    """Shifts and scales each row to mean 0 and variance 1.

    Args:
        inputs: float[..., columns].

    Returns:
        The normalised rows, float[..., columns], and the factor that each was scaled by, float[..., 1].
    """
    centred = inputs - ops.mean(inputs, axis=-1, keepdims=True)
    scale = ops.rsqrt(ops.mean(centred * centred, axis=-1, keepdims=True) + EPSILON)
    return centred * scale, scale


def normalize_backward(normalized: Any, scale: Any, gradient: Any) -> Any:
    """The gradient of `normalize` with respect to its inputs.

    Args:
        normalized: float[..., columns], the first result of `normalize`.
        scale: float[..., 1], the second.
        gradient: float[..., columns], of the first result.

    Returns:
        float[..., columns].
    """
    along = ops.mean(gradient * normalized, axis=-1, keepdims=True)
    return scale * (gradient - ops.mean(gradient, axis=-1, keepdims=True) - normalized * along)
