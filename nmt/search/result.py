"""What search returns."""

from __future__ import annotations

from typing import NamedTuple

from nmt.search.interface import Tensor


class SearchResult(NamedTuple):
    """Translations of a batch, as ids.

    Attributes:
        ids: int32[batch, n_best, length], eos included, padded with pad. The length is that of the longest on
            TensorFlow, that of the longest allowed on backends with static shapes.
        lengths: int32[batch, n_best], tokens with eos; 0 where fewer hypotheses exist than were asked for.
        scores: float32[batch, n_best], the log-probability divided as `length_normalization` says; -inf where there is
            no hypothesis.
        log_probabilities: float32[batch, n_best], of the whole hypothesis, in nats.
        finished: bool[batch, n_best], False where the maximum length cut the hypothesis before its eos.
        attention: float32[batch, n_best, length, source_length], zero on padding, or None where not asked for.
    """

    ids: Tensor
    lengths: Tensor
    scores: Tensor
    log_probabilities: Tensor
    finished: Tensor
    attention: Tensor | None
