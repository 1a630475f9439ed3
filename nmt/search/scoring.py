"""Forced decoding: the probability that a model gives to a target that is known."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from nmt.search.interface import SpecialIds, StepModel, Tensor
from nmt.search.loop import take_ids, while_loop
from textseq.errors import InputError

NO_ATTENTION = (
    "attention: this model has none, its model.attention is none; leave attention and alignments out, or train one "
    "with model.attention=additive"
)


class ForcedScores(NamedTuple):
    """What a model thinks of given targets.

    Attributes:
        log_probabilities: float32[batch] (or [batch, n]), of the whole target, in nats; 0 for an empty one.
        token_log_probabilities: float32[batch, length] (or [batch, n, length]), 0 on padding.
        attention: float32[batch, length, source_length] (or [batch, n, length, source_length]), 0 on padding, or None.
    """

    log_probabilities: Tensor
    token_log_probabilities: Tensor
    attention: Tensor | None


def score(
    model: StepModel,
    source_ids: Tensor,
    target_ids: Tensor,
    special_ids: SpecialIds,
    *,
    attention: bool = False,
) -> ForcedScores:
    """Returns the log-probabilities of targets, step by step through the function that search uses.

    Args:
        model: encodes, starts and steps.
        source_ids: int32[batch, source_length], right-padded with pad.
        target_ids: int32[batch, length], or int32[batch, n, length] for n targets a sentence; with the final eos,
            without bos, right-padded with pad.
        special_ids: pad, bos and eos; a Tokenizer has them.
        attention: return it too; it takes batch * n * length * source_length floats.

    Raises:
        InputError: attention is asked of a model that has none.
    """
    target_ids = ops.cast(target_ids, "int32")
    encoded = model.encode(ops.cast(source_ids, "int32"))
    if len(target_ids.shape) == 3:
        return score_encoded(model, encoded, target_ids, special_ids, attention=attention)
    scores = score_encoded(model, encoded, target_ids[:, None], special_ids, attention=attention)
    return ForcedScores(*(None if of_n is None else of_n[:, 0] for of_n in scores))


def score_encoded(
    model: StepModel, encoded: Any, target_ids: Tensor, special_ids: SpecialIds, *, attention: bool
) -> ForcedScores:
    """Does what `score` does, for targets int32[batch, n, length] of sentences that are encoded already."""
    batch, count, length = ops.shape(target_ids)
    by_time = ops.transpose(target_ids, (2, 0, 1))  # [batch, n, length] -> [length, batch, n]
    first_ids = ops.full((1, batch, count), special_ids.bos_id, dtype="int32")
    inputs_by_time = ops.concatenate([first_ids, by_time], axis=0)
    state = model.start(encoded, count)
    # Time comes first, so that a step writes one block of memory.
    stored: tuple[Tensor, ...] = (ops.zeros((length, batch, count), dtype="float32"),)
    if attention:
        _, _, weights = model.step(inputs_by_time[0], state, encoded)
        if weights is None:
            raise InputError(NO_ATTENTION)
        stored += (ops.zeros((length, batch, count, ops.shape(weights)[2]), dtype="float32"),)

    def body(time: Tensor, state: Any, stored: tuple[Tensor, ...]) -> tuple[Tensor, Any, tuple[Tensor, ...]]:
        log_probabilities, state, weights = model.step(inputs_by_time[time], state, encoded)
        now = (take_ids(log_probabilities, by_time[time]), weights)
        place = ops.reshape(time, (1, 1))
        stored = tuple(
            ops.scatter_update(whole, place, ops.cast(part, "float32")[None])
            for whole, part in zip(stored, now, strict=False)
        )
        return time + 1, state, stored

    steps = length * ops.minimum(batch, 1)  # TensorFlow cannot write into a tensor without elements
    start = (ops.convert_to_tensor(0, "int32"), state, stored)
    _, _, stored = while_loop(lambda time, *_: time < steps, body, start)
    mask = target_ids != special_ids.pad_id
    tokens = ops.where(mask, ops.transpose(stored[0], (1, 2, 0)), 0.0)
    weights = ops.where(mask[..., None], ops.transpose(stored[1], (1, 2, 0, 3)), 0.0) if attention else None
    return ForcedScores(ops.sum(tokens, axis=2), tokens, weights)
