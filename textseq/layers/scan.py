"""The loop over time: the one primitive that the backends do differently.

JAX has `lax.scan`. TensorFlow has no scan whose outputs may differ from its carry, so the general thing is made of a
`tf.while_loop` with TensorArrays; short sequences of known length are unrolled instead, which saves the loop's own
cost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops, tree

Step = Callable[[Any, Any], tuple[Any, Any]]


def scan(step: Step, carry: Any, inputs: Any, *, reverse: bool = False, unroll: bool = False) -> tuple[Any, Any]:
    """Runs `step` over the leading axis of `inputs`, which holds at least one time step.

    Args:
        step: `(carry, input) -> (carry, output)`; carries keep their shapes and dtypes, outputs are nested structures
            of arrays of any shape.
        carry: nested structure of arrays, the first step's carry.
        inputs: nested structure of `[time, ...]` arrays.
        reverse: from the last time step to the first; an output still stands at the time of its input.
        unroll: lay the steps out one by one where the length is known (TensorFlow only; JAX compiles its loop).

    Returns:
        The last carry, and the outputs stacked to `[time, ...]` arrays.
    """
    if keras.backend.backend() == "jax":
        import jax

        return jax.lax.scan(step, carry, inputs, reverse=reverse)
    length = tree.flatten(inputs)[0].shape[0]
    if keras.backend.backend() == "tensorflow" and (length is None or not unroll):
        return _while_loop(step, carry, inputs, reverse)
    return _unrolled(step, carry, inputs, length, reverse)


def _unrolled(step: Step, carry: Any, inputs: Any, length: int, reverse: bool) -> tuple[Any, Any]:
    flat_inputs = [ops.unstack(array, length) for array in tree.flatten(inputs)]
    outputs: list[Any] = [None] * length
    for time in reversed(range(length)) if reverse else range(length):
        carry, outputs[time] = step(carry, tree.pack_sequence_as(inputs, [array[time] for array in flat_inputs]))
    stacked = [ops.stack(arrays) for arrays in zip(*(tree.flatten(output) for output in outputs), strict=True)]
    return carry, tree.pack_sequence_as(outputs[0], stacked)


def _while_loop(step: Step, carry: Any, inputs: Any, reverse: bool) -> tuple[Any, Any]:
    import tensorflow as tf

    flat_inputs = [tf.convert_to_tensor(array) for array in tree.flatten(inputs)]
    length, known_length = tf.shape(flat_inputs[0])[0], flat_inputs[0].shape[0]
    input_arrays = [tf.TensorArray(array.dtype, length).unstack(array) for array in flat_inputs]

    def step_at(time: Any, carry: Any) -> tuple[Any, Any]:
        values = [array.read(time) for array in input_arrays]
        for value, array in zip(values, flat_inputs, strict=True):
            value.set_shape(array.shape[1:])
        return step(carry, tree.pack_sequence_as(inputs, values))

    # The first step stands outside the loop: it tells the outputs' structure, shapes and dtypes.
    time = length - 1 if reverse else tf.constant(0)
    carry, first = step_at(time, carry)
    output_arrays = [
        tf.TensorArray(value.dtype, length, element_shape=value.shape).write(time, value)
        for value in tree.flatten(first)
    ]

    def body(time: Any, carry: Any, arrays: list[Any]) -> tuple[Any, Any, list[Any]]:
        carry, output = step_at(time, carry)
        arrays = [array.write(time, value) for array, value in zip(arrays, tree.flatten(output), strict=True)]
        return time + stride, carry, arrays

    stride = -1 if reverse else 1
    _, carry, output_arrays = tf.while_loop(
        lambda time, *_: (time >= 0) if reverse else (time < length),
        body,
        (time + stride, carry, output_arrays),
        maximum_iterations=length - 1,
    )
    stacked = [array.stack() for array in output_arrays]
    for value in stacked:
        value.set_shape([known_length, *value.shape[1:]])
    return carry, tree.pack_sequence_as(first, stacked)
