"""Gradient clipping."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from textseq.training.config import TrainingConfig

SMALLEST_WEIGHT_NORM = 1e-3


def global_norm(gradients: Sequence[Any]) -> Any:
    """The norm of all gradients together, float32[]."""
    return ops.sqrt(sum(ops.sum(ops.square(ops.cast(gradient, "float32"))) for gradient in gradients))


def clip(gradients: Sequence[Any], weights: Sequence[Any], norm: Any, config: TrainingConfig) -> list[Any]:
    """Clips gradients in every way that the configuration asks for: by value, adaptively, then by global norm.

    Args:
        gradients: one for each weight.
        weights: of the same shapes.
        norm: `global_norm(gradients)`, which need not be made twice where nothing else clips.
        config: the bounds; 0 means none.

    Returns:
        The clipped gradients, in order.
    """
    clipped = list(gradients)
    if config.clip_value > 0:
        clipped = [ops.clip(gradient, -config.clip_value, config.clip_value) for gradient in clipped]
    if config.clip_adaptive > 0:
        clipped = [
            clip_adaptively(gradient, weight, config.clip_adaptive)
            for gradient, weight in zip(clipped, weights, strict=True)
        ]
    if config.clip_norm > 0:
        if config.clip_value > 0 or config.clip_adaptive > 0:
            norm = global_norm(clipped)
        factor = config.clip_norm / ops.maximum(norm, config.clip_norm)
        clipped = [gradient * ops.cast(factor, gradient.dtype) for gradient in clipped]
    return clipped


def clip_adaptively(gradient: Any, weight: Any, ratio: float) -> Any:
    """Bounds each unit's gradient norm by `ratio` times its weight norm (Brock et al. 2021, arXiv:2102.06171, eq. 3).

    A unit is a column of a matrix, or the whole of a vector.

    Args:
        gradient: float[...].
        weight: float[...], of the same shape.
        ratio: the bound.
    """
    axis = 0 if len(gradient.shape) > 1 else None
    gradient_norm = ops.sqrt(ops.sum(ops.square(gradient), axis=axis, keepdims=True))
    weight_norm = ops.sqrt(ops.sum(ops.square(weight), axis=axis, keepdims=True))
    largest = ratio * ops.maximum(weight_norm, SMALLEST_WEIGHT_NORM)
    return gradient * ops.where(gradient_norm > largest, largest / ops.maximum(gradient_norm, 1e-12), 1.0)
