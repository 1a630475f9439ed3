"""Clipping against NumPy in float64."""

from __future__ import annotations

import numpy as np
import pytest
from keras import ops

from textseq.training.clipping import clip, global_norm
from textseq.training.config import TrainingConfig

SHAPES = [(3, 4), (5,), (2, 2), ()]


@pytest.fixture
def gradients() -> list[np.ndarray]:
    generator = np.random.Generator(np.random.Philox(1))
    return [np.asarray(generator.normal(size=shape) * 3, np.float32) for shape in SHAPES]


@pytest.fixture
def weights() -> list[np.ndarray]:
    generator = np.random.Generator(np.random.Philox(2))
    return [np.asarray(generator.normal(size=shape), np.float32) for shape in SHAPES]


def _norm(arrays: list[np.ndarray]) -> float:
    return float(np.sqrt(sum(np.sum(np.float64(array) ** 2) for array in arrays)))


def _clip(gradients: list[np.ndarray], weights: list[np.ndarray], **bounds: float) -> list[np.ndarray]:
    config = TrainingConfig(**{"clip_norm": 0.0, **bounds})
    tensors = [ops.convert_to_tensor(gradient) for gradient in gradients]
    clipped = clip(tensors, [ops.convert_to_tensor(weight) for weight in weights], global_norm(tensors), config)
    return [ops.convert_to_numpy(one) for one in clipped]


def _adaptively(gradient: np.ndarray, weight: np.ndarray, ratio: float) -> np.ndarray:
    """Brock et al. 2021, equation 3, one unit at a time."""
    matrix, weights = (
        np.float64(one).reshape(len(one) if one.ndim > 1 else -1, *one.shape[1:]) for one in (gradient, weight)
    )
    columns = matrix.reshape(-1, 1) if gradient.ndim < 2 else matrix
    weight_columns = weights.reshape(-1, 1) if gradient.ndim < 2 else weights
    clipped = columns.copy()
    for unit in range(columns.shape[1]):
        norm = np.linalg.norm(columns[:, unit])
        bound = ratio * max(np.linalg.norm(weight_columns[:, unit]), 1e-3)
        if norm > bound:
            clipped[:, unit] *= bound / norm
    return clipped.reshape(gradient.shape)


def test_global_norm(gradients: list[np.ndarray]) -> None:
    tensors = [ops.convert_to_tensor(gradient) for gradient in gradients]
    assert float(global_norm(tensors)) == pytest.approx(_norm(gradients), rel=1e-6)


def test_no_bound_changes_nothing(gradients: list[np.ndarray], weights: list[np.ndarray]) -> None:
    for before, after in zip(gradients, _clip(gradients, weights), strict=True):
        np.testing.assert_array_equal(before, after)


def test_by_value(gradients: list[np.ndarray], weights: list[np.ndarray]) -> None:
    clipped = _clip(gradients, weights, clip_value=0.5)
    for before, after in zip(gradients, clipped, strict=True):
        np.testing.assert_array_equal(np.clip(before, -0.5, 0.5), after)


@pytest.mark.parametrize("bound", [0.1, 1.0])
def test_by_global_norm(gradients: list[np.ndarray], weights: list[np.ndarray], bound: float) -> None:
    clipped = _clip(gradients, weights, clip_norm=bound)
    assert _norm(clipped) == pytest.approx(bound, rel=1e-5)
    for before, after in zip(gradients, clipped, strict=True):
        np.testing.assert_allclose(after, before * (bound / _norm(gradients)), rtol=1e-5)


def test_a_norm_below_the_bound_is_left(gradients: list[np.ndarray], weights: list[np.ndarray]) -> None:
    for before, after in zip(gradients, _clip(gradients, weights, clip_norm=1e3), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("ratio", [0.01, 2.0])
def test_adaptively(gradients: list[np.ndarray], weights: list[np.ndarray], ratio: float) -> None:
    weights[1] *= 0  # then the smallest norm stands in
    for before, weight, after in zip(gradients, weights, _clip(gradients, weights, clip_adaptive=ratio), strict=True):
        np.testing.assert_allclose(after, _adaptively(before, weight, ratio), rtol=1e-5, atol=1e-7)


def test_zero_gradients_stay_zero(weights: list[np.ndarray]) -> None:
    zeros = [np.zeros_like(weight) for weight in weights]
    for after in _clip(zeros, weights, clip_adaptive=0.1, clip_norm=1.0, clip_value=1.0):
        np.testing.assert_array_equal(after, 0)


def test_all_bounds_by_value_then_adaptively_then_by_norm(
    gradients: list[np.ndarray], weights: list[np.ndarray]
) -> None:
    expected = [np.clip(np.float64(gradient), -1.5, 1.5) for gradient in gradients]
    expected = [_adaptively(gradient, weight, 1.2) for gradient, weight in zip(expected, weights, strict=True)]
    factor = min(1.0, 0.7 / _norm(expected))
    clipped = _clip(gradients, weights, clip_value=1.5, clip_adaptive=1.2, clip_norm=0.7)
    for one, after in zip(expected, clipped, strict=True):
        np.testing.assert_allclose(after, one * factor, rtol=1e-5)
