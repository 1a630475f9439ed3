"""The gradient of a number with respect to an array."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from textseq.input_gradient import input_gradient

PLACE = tf.constant([[1.0, -2.0], [0.5, 3.0]])


def cubes(array: Any) -> Any:
    return tf.reduce_sum(array**3)


def test_it_is_the_gradient() -> None:
    expected = 3 * PLACE.numpy() ** 2
    np.testing.assert_allclose(input_gradient(cubes, PLACE), expected)
    np.testing.assert_allclose(tf.function(lambda place: input_gradient(cubes, place))(PLACE), expected)


def test_nothing_flows_through_it() -> None:
    with tf.GradientTape() as tape:
        tape.watch(PLACE)
        total = tf.reduce_sum(input_gradient(cubes, PLACE) * PLACE)
    np.testing.assert_allclose(tape.gradient(total, PLACE), 3 * PLACE.numpy() ** 2)
