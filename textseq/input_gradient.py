"""The gradient of a number with respect to an array, on whichever backend runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


def input_gradient(function: Callable[[Any], Any], inputs: Any) -> Any:
    """The gradient of a function at a place; nothing flows on through it.

    Args:
        function: of one array, giving one number. It draws nothing at random: on JAX a random state that goes on
            inside of it would be lost.
        inputs: float[...], the place.

    Returns:
        float[...], of the shape of `inputs`.

    Example:
        >>> input_gradient(lambda x: keras.ops.sum(x * x), keras.ops.convert_to_tensor([1.0, -2.0])).numpy().tolist()
        [2.0, -4.0]
    """
    if keras.backend.backend() == "jax":
        import jax

        gradient = jax.grad(function)(inputs)
    else:
        import tensorflow as tf

        inputs = tf.stop_gradient(inputs)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(inputs)
            value = function(inputs)
        gradient = tf.convert_to_tensor(tape.gradient(value, inputs))
    return keras.ops.stop_gradient(gradient)
