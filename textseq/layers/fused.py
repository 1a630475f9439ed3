"""Element-wise work as one kernel."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras


def fused(function: Callable[..., Any]) -> Callable[..., Any]:
    """Has XLA make one kernel of a function of arrays that is element-wise or reduces.

    In a plain TensorFlow graph each operation is a pass over memory. Matrix products stay outside, where oneDNN makes
    them. On JAX all of a step is compiled by XLA anyway.

    Args:
        function: of arrays (positional) and plain values (keywords), on `keras.ops`.

    Returns:
        A function of the same arguments.
    """
    compiled: dict[Any, Callable[..., Any]] = {}

    @functools.wraps(function)
    def call(*arrays: Any, **values: Any) -> Any:
        if keras.backend.backend() != "tensorflow":
            return function(*arrays, **values)
        key = tuple(sorted(values.items()))
        if key not in compiled:
            import tensorflow as tf

            compiled[key] = tf.function(functools.partial(function, **values), jit_compile=True, autograph=False)
        return compiled[key](*arrays)

    return call
