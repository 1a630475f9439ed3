"""How long a translation may be, and what its length does to its score."""

from __future__ import annotations

from typing import NamedTuple

from keras import ops

from nmt.search.config import SearchConfig
from nmt.search.interface import Tensor


class LengthLimits(NamedTuple):
    """The longest target of each sentence, and of all sentences that fit the batch.

    Attributes:
        limits: int32[batch], from each sentence's own length, so that its batch mates change nothing.
        allocated: int (or an int32 scalar where the source length is unknown when traced), at least every limit.
    """

    limits: Tensor
    allocated: Tensor


def length_limits(source_ids: Tensor, pad_id: int, config: SearchConfig) -> LengthLimits:
    """Returns the longest targets for source_ids int32[batch, source_length]."""
    # Whole numbers, so that every backend rounds the same way.
    percent = round(config.maximum_length_factor * 100)
    lengths = ops.sum(ops.cast(ops.not_equal(source_ids, pad_id), "int32"), axis=1)
    limits = lengths * percent // 100 + config.maximum_length_extra
    return LengthLimits(limits, ops.shape(source_ids)[1] * percent // 100 + config.maximum_length_extra)


def normalized(log_probabilities: Tensor, lengths: Tensor, config: SearchConfig) -> Tensor:
    """Returns scores: log-probabilities divided by a function of the length that never falls.

    gnmt is equation 14 of Wu et al. 2016 (arXiv:1609.08144): ((5 + length) / 6) ** alpha.

    Args:
        log_probabilities: float32[...].
        lengths: int32[...] that broadcasts with it, tokens with eos, at least 1.
        config: says which function.
    """
    if config.length_normalization == "none":
        return log_probabilities
    divisor = ops.cast(lengths, "float32")
    if config.length_normalization == "gnmt":
        divisor = ((5.0 + divisor) / 6.0) ** config.length_penalty
    return log_probabilities / divisor
