"""The loop over time: the only place of search where the backends differ.

TensorFlow has shapes that change while a graph runs, so sentences that are done leave the batch. JAX compiles for fixed
shapes, so they stay, and are computed for nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import keras
from keras import ops, tree

from nmt.search.interface import Tensor

_TENSORFLOW = keras.backend.backend() == "tensorflow"

if _TENSORFLOW:
    import tensorflow as tf

Hypotheses = TypeVar("Hypotheses")
Step = Callable[[Tensor, Any, Hypotheses, Any], tuple[Any, Hypotheses]]


def while_loop(
    condition: Callable[..., Tensor], body: Callable[..., tuple[Any, ...]], variables: tuple[Any, ...]
) -> Any:
    """Runs `variables = body(*variables)` while `condition(*variables)`; the variables keep their shapes and dtypes."""
    if not _TENSORFLOW:
        return ops.while_loop(condition, body, variables)

    def body_with_known_shapes(*old: Any) -> tuple[Any, ...]:
        new = body(*old)
        # A model that loses a static dimension on its way would make tf.while_loop refuse the loop.
        tree.map_structure(lambda before, after: after.set_shape(before.shape), old, new)
        return new

    return tf.while_loop(condition, body_with_known_shapes, tree.map_structure(tf.convert_to_tensor, variables))


def take_beams(values: Any, index: Tensor) -> Any:
    """Gathers along the beam: each tensor [batch, beam, ...] by int32[batch, chosen] -> [batch, chosen, ...]."""

    def take(value: Tensor) -> Tensor:
        if _TENSORFLOW:
            return tf.gather(value, index, batch_dims=1)
        return ops.take_along_axis(value, ops.reshape(index, index.shape + (1,) * (value.ndim - 2)), axis=1)

    return tree.map_structure(take, values)


def take_ids(values: Tensor, ids: Tensor) -> Tensor:
    """Returns the value of one id a hypothesis: float[batch, beam, vocabulary] by int32[batch, beam]."""
    if _TENSORFLOW:
        return tf.gather(values, ids, batch_dims=2)
    return ops.take_along_axis(values, ids[..., None], axis=2)[..., 0]


def trim(values: Tensor, lengths: Tensor) -> Tensor:
    """Cuts [batch, beam, length] behind the longest of int32[batch, beam], where a shape may depend on values."""
    if not _TENSORFLOW:
        return values
    return values[:, :, : tf.reduce_max(tf.concat([tf.reshape(lengths, [-1]), [1]], axis=0))]


def run_until_done(
    step: Step[Hypotheses], encoded: Any, state: Any, hypotheses: Hypotheses, compact_below: float
) -> Hypotheses:
    """Steps until every row is done.

    Args:
        step: (time, state, hypotheses, encoded) -> (state, hypotheses). It must change nothing that matters in rows
            that are done.
        encoded: tensors [batch, ...] that stay the same.
        state: the model's state, tensors [batch, ...].
        hypotheses: a NamedTuple of tensors [batch, ...], with done bool[batch].
        compact_below: the batch is compacted when less than this share of the rows in work is unfinished; 0 is never.

    Returns:
        hypotheses after the last step, in their first order.
    """
    time = ops.convert_to_tensor(0, "int32")
    if _TENSORFLOW:
        return _run_in_rounds(step, time, encoded, state, hypotheses, compact_below)
    _, _, hypotheses = while_loop(
        lambda time, state, hypotheses: ops.any(ops.logical_not(hypotheses.done)),
        lambda time, state, hypotheses: (time + 1, *step(time, state, hypotheses, encoded)),
        (time, state, hypotheses),
    )
    return hypotheses


def _run_in_rounds(
    step: Step[Hypotheses], time: Tensor, encoded: Any, state: Any, hypotheses: Any, compact_below: float
) -> Any:
    """One round runs until few rows are unfinished, stores all of its rows, and leaves the unfinished to the next."""

    def round_goes_on(time: Tensor, state: Any, hypotheses: Any) -> Tensor:
        unfinished = tf.math.count_nonzero(~hypotheses.done, dtype=tf.int32)
        share = tf.cast(tf.size(hypotheses.done), tf.float32) * compact_below
        return (unfinished > 0) & (tf.cast(unfinished, tf.float32) >= share)

    def one_round(
        time: Tensor, rows: Tensor, encoded: Any, state: Any, hypotheses: Any, stored: Any
    ) -> tuple[Any, ...]:
        time, state, hypotheses = while_loop(
            round_goes_on,
            lambda time, state, hypotheses: (time + 1, *step(time, state, hypotheses, encoded)),
            (time, state, hypotheses),
        )
        stored = tree.map_structure(
            lambda whole, part: tf.tensor_scatter_nd_update(whole, rows[:, None], part), stored, hypotheses
        )
        unfinished = tf.where(~hypotheses.done)[:, 0]
        in_work = (rows, encoded, state, hypotheses)
        return (time, *tree.map_structure(lambda value: tf.gather(value, unfinished), in_work), stored)

    rows = tf.range(tf.size(hypotheses.done))
    in_work = tree.map_structure(tf.convert_to_tensor, (rows, encoded, state, hypotheses))
    any_rows = tree.map_structure(lambda value: tf.TensorShape([None, *value.shape[1:]]), in_work)
    fixed = tree.map_structure(lambda value: value.shape, (time, hypotheses))
    *_, stored = tf.while_loop(
        lambda time, rows, *_: tf.size(rows) > 0,
        one_round,
        (time, *in_work, hypotheses),
        shape_invariants=(fixed[0], *any_rows, fixed[1]),
    )
    return stored
