"""Gradients: by autodiff, and by numerical differences in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf


def values(*shape: int, seed: int = 0) -> tf.Tensor:
    """Some numbers, float64, around 0."""
    return tf.constant(np.random.RandomState(seed + sum(shape)).normal(size=shape) * 0.7, "float64")


def differentiate(
    function: Callable[..., Any], arguments: Sequence[Any], *, graph: bool = False
) -> tuple[float, list[np.ndarray]]:
    """A scalar function's value and its gradients for every argument."""

    def run(*arguments: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            value = function(*arguments)
        return value, tape.gradient(value, arguments, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    value, gradients = (tf.function(run) if graph else run)(*arguments)
    return float(value), [tf.convert_to_tensor(gradient).numpy() for gradient in gradients]


def weighted_sum(arrays: Sequence[Any], seed: int = 99) -> Any:
    """One number that depends on every element of every array, each with a weight of its own."""
    return sum(tf.reduce_sum(array * values(*array.shape, seed=seed + number)) for number, array in enumerate(arrays))


def check_against_differences(function: Callable[..., Any], arguments: Sequence[Any], step: float = 1e-5) -> None:
    """Compares each argument's gradient with a central difference along a random direction."""
    _, gradients = differentiate(function, arguments)
    for number, (argument, gradient) in enumerate(zip(arguments, gradients, strict=True)):
        assert gradient.shape == argument.shape
        direction = np.random.RandomState(7 + number).normal(size=argument.shape)
        sides = [
            float(function(*arguments[:number], argument + sign * step * direction, *arguments[number + 1 :]))
            for sign in (1, -1)
        ]
        expected = (sides[0] - sides[1]) / (2 * step)
        np.testing.assert_allclose(np.sum(gradient * direction), expected, rtol=1e-6, atol=1e-8)


def check_same_gradients(one: Callable[..., Any], other: Callable[..., Any], arguments: Sequence[Any]) -> None:
    """Compares two ways to make the same function, in float64."""
    value, gradients = differentiate(one, arguments)
    expected, expected_gradients = differentiate(other, arguments)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-9, atol=1e-12)
