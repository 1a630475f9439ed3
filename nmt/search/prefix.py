"""A constraint: translations that begin with given words."""

from __future__ import annotations

from keras import ops

from nmt.search.interface import Constraint, Tensor


def force_prefix(prefix_ids: Tensor, pad_id: int) -> Constraint:
    """Returns a constraint under which each translation begins with its sentence's prefix.

    The prefix counts in the score with the probabilities that the model gives it. Where it is longer than the maximum
    length, it is cut there.

    Args:
        prefix_ids: int32[batch, prefix_length], right-padded with pad; a row of pads forces nothing.
        pad_id: the tokenizer's pad.
    """
    prefix_ids = ops.cast(prefix_ids, "int32")
    # One column more, so that time has somewhere to point to when the prefix is over.
    prefix_ids = ops.pad(prefix_ids, ((0, 0), (0, 1)), constant_values=pad_id)

    def constraint(log_probabilities: Tensor, time: Tensor, live_ids: Tensor, rows: Tensor) -> Tensor:
        column = ops.minimum(time, ops.shape(prefix_ids)[1] - 1)
        forced = ops.take(ops.take(prefix_ids, column, axis=1), rows, axis=0)[:, None, None]
        allowed = ops.logical_or(forced == pad_id, forced == ops.arange(log_probabilities.shape[-1]))
        return ops.where(allowed, log_probabilities, float("-inf"))

    return constraint
