"""Sampling: translations drawn at random from what the model thinks."""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from nmt.search.config import SearchConfig
from nmt.search.interface import Constraint, SpecialIds, StepModel, Tensor
from nmt.search.length import LengthLimits, length_limits, normalized
from nmt.search.loop import run_until_done, take_ids, trim
from nmt.search.result import SearchResult
from nmt.search.scoring import score_encoded
from nmt.search.step import SearchStep
from nmt.search.top_k import top_k

_IMPOSSIBLE = float("-inf")


def sample(
    model: StepModel,
    source_ids: Tensor,
    config: SearchConfig,
    special_ids: SpecialIds,
    *,
    constraint: Constraint | None = None,
    numbers: Tensor | None = None,
    attention: bool = False,
    compact_below: float = 0.9,
) -> SearchResult:
    """Draws `config.samples` translations of each sentence.

    The distribution of each step is sharpened by the temperature, cut to the top_k most probable tokens, then to the
    fewest of these that hold the share top_p of what is left. pad and bos are never drawn.

    What is drawn depends on the seed, the sentence and its number alone, neither on the batch nor on the backend (but
    for the rounding of probabilities). Without numbers, the same sentence twice gets the same samples.

    Args:
        model: encodes, starts and steps.
        source_ids: int32[batch, source_length], right-padded with pad.
        config: samples, temperature, top_k, top_p, seed, limits.
        special_ids: pad, bos and eos; a Tokenizer has them.
        constraint: changes the log-probabilities of each step, see Constraint.
        numbers: int32[batch], such as the place of each sentence in its file.
        attention: return it too; the samples are decoded once more for it.
        compact_below: as in `beam_search`.

    Returns:
        SearchResult with the samples in the order in which they were drawn, n_best being config.samples. Their
        log_probabilities are the model's, before temperature and cuts.
    """
    source_ids = ops.cast(source_ids, "int32")
    limits = length_limits(source_ids, special_ids.pad_id, config)
    encoded = model.encode(source_ids)
    step = _SamplingStep(model, config, special_ids, constraint)
    state = model.start(encoded, config.samples)
    samples = run_until_done(step, encoded, state, step.first(source_ids, limits, numbers), compact_below)
    # A constraint may have left nothing to draw.
    exists = samples.log_probabilities > _IMPOSSIBLE
    lengths = ops.where(exists, samples.lengths, 0)
    ids = trim(ops.where(exists[..., None], samples.ids, special_ids.pad_id), lengths)
    weights = score_encoded(model, encoded, ids, special_ids, attention=True).attention if attention else None
    scores = normalized(samples.log_probabilities, samples.lengths, config)
    finished = ops.logical_and(samples.finished, exists)
    return SearchResult(ids, lengths, scores, samples.log_probabilities, finished, weights)


class _Samples(NamedTuple):
    """What is known of each sentence between two steps."""

    rows: Tensor  # int32[rows], which sentence of the call
    done: Tensor  # bool[rows], all of its samples are finished, or as long as they may be
    limits: Tensor  # int32[rows], the maximum length
    keys: Tensor  # uint32[rows, samples], what makes its random numbers its own
    ids: Tensor  # int32[rows, samples, length]
    last_ids: Tensor  # int32[rows, samples]
    lengths: Tensor  # int32[rows, samples]
    log_probabilities: Tensor  # float32[rows, samples]
    finished: Tensor  # bool[rows, samples]


class _SamplingStep(SearchStep):
    """One step of all sentences in work."""

    def first(self, source_ids: Tensor, limits: LengthLimits, numbers: Tensor | None) -> _Samples:
        """Returns empty samples."""
        batch, samples = ops.shape(source_ids)[0], self.config.samples
        keys = _scrambled(_sentence_keys(source_ids, self.special_ids.pad_id) ^ _unsigned(self.config.seed))
        if numbers is not None:
            keys = _scrambled(keys ^ _scrambled(_unsigned(numbers)))
        return _Samples(
            rows=ops.arange(batch, dtype="int32"),
            done=ops.zeros((batch,), dtype="bool"),
            limits=limits.limits,
            keys=_scrambled(keys[:, None] ^ _unsigned(ops.arange(samples))),
            ids=ops.full((batch, samples, limits.allocated), self.special_ids.pad_id, dtype="int32"),
            last_ids=ops.full((batch, samples), self.special_ids.bos_id, dtype="int32"),
            lengths=ops.zeros((batch, samples), dtype="int32"),
            log_probabilities=ops.zeros((batch, samples), dtype="float32"),
            finished=ops.zeros((batch, samples), dtype="bool"),
        )

    def __call__(self, time: Tensor, state: Any, old: _Samples, encoded: Any) -> tuple[Any, _Samples]:
        """Returns the state and the samples with one token more; those that are finished stay as they are."""
        special = self.special_ids
        log_probabilities, state, _ = self.model.step(old.last_ids, state, encoded)
        log_probabilities = ops.cast(log_probabilities, "float32")
        if self.constraint is not None:
            log_probabilities = self.constraint(log_probabilities, time, old.ids, old.rows)
        ids = ops.arange(log_probabilities.shape[-1])
        possible = ops.logical_and(ids != special.pad_id, ids != special.bos_id)
        log_probabilities = ops.where(possible, log_probabilities, _IMPOSSIBLE)
        drawn = draw(log_probabilities, uniform(old.keys, time), self.config)
        ended = ops.logical_or(old.finished, old.done[:, None])
        now = ops.arange(ops.shape(old.ids)[2]) == time
        write = ops.logical_and(ops.logical_not(ended)[..., None], now)
        finished = ops.logical_or(old.finished, ops.logical_and(ops.logical_not(ended), drawn == special.eos_id))
        gained = ops.where(ended, 0.0, take_ids(log_probabilities, drawn))
        all_done = ops.logical_or(ops.all(finished, axis=1), time + 1 >= old.limits)
        return state, old._replace(
            done=ops.logical_or(old.done, all_done),
            ids=ops.where(write, drawn[..., None], old.ids),
            last_ids=drawn,
            lengths=ops.where(ended, old.lengths, time + 1),
            log_probabilities=old.log_probabilities + gained,
            finished=finished,
        )


def draw(log_probabilities: Tensor, uniforms: Tensor, config: SearchConfig) -> Tensor:
    """Draws one id a row.

    Args:
        log_probabilities: float32[batch, samples, vocabulary]; -inf is never drawn.
        uniforms: float32[batch, samples] from 0 up to, not including, 1.
        config: temperature, top_k, top_p.

    Returns:
        int32[batch, samples].
    """
    vocabulary = log_probabilities.shape[-1]
    ids = None
    if 0 < config.top_k < vocabulary or config.top_p < 1:
        width = min(config.top_k, vocabulary) if config.top_k else vocabulary
        log_probabilities, ids = top_k(log_probabilities, width)
    most = ops.max(log_probabilities, axis=-1, keepdims=True)
    shares = ops.exp((log_probabilities - most) / config.temperature)
    cumulative = ops.cumsum(shares, axis=-1)
    if config.top_p < 1:
        # A token stays while those before it do not reach top_p: the first always does.
        shares = ops.where(cumulative - shares < config.top_p * cumulative[..., -1:], shares, 0.0)
        cumulative = ops.cumsum(shares, axis=-1)
    total = cumulative[..., -1:]
    # The first place where the sum passes the number drawn; where rounding would let none pass, the last that adds to
    # the sum.
    below = ops.logical_and(cumulative <= uniforms[..., None] * total, cumulative < total)
    place = ops.sum(ops.cast(below, "int32"), axis=-1)
    return place if ids is None else take_ids(ids, place)


def uniform(keys: Tensor, time: Tensor) -> Tensor:
    """Returns numbers float32 from 0 up to, not including, 1, with 24 random bits: a function of keys and time."""
    # The odd step, the golden ratio of 2**32, keeps the counters of neighbouring keys apart.
    bits = _scrambled(keys + _unsigned(time) * _unsigned(0x9E3779B9))
    return ops.cast(ops.right_shift(bits, _unsigned(8)), "float32") * (1.0 / 2**24)


def _sentence_keys(source_ids: Tensor, pad_id: int) -> Tensor:
    """Returns a number for each sentence, uint32[batch]: a sum over its (id, position), so padding adds nothing."""
    positions = _scrambled(_unsigned(ops.arange(1, ops.shape(source_ids)[1] + 1)))
    scrambled = _scrambled(_unsigned(source_ids) ^ positions)
    return ops.sum(ops.where(source_ids != pad_id, scrambled, _unsigned(0)), axis=1)


def _unsigned(value: Any) -> Tensor:
    return ops.convert_to_tensor(value, "uint32") if isinstance(value, int) else ops.cast(value, "uint32")


def _scrambled(bits: Tensor) -> Tensor:
    """Scatters uint32 bits: the finalizer of MurmurHash3 (Appleby, public domain), a bijection."""
    bits = (bits ^ ops.right_shift(bits, _unsigned(16))) * _unsigned(0x85EBCA6B)
    bits = (bits ^ ops.right_shift(bits, _unsigned(13))) * _unsigned(0xC2B2AE35)
    return bits ^ ops.right_shift(bits, _unsigned(16))
