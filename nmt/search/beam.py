"""Beam search; with beam 1, greedy search."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from keras import ops

from nmt.search.config import SearchConfig
from nmt.search.interface import Constraint, SpecialIds, StepModel, Tensor
from nmt.search.length import LengthLimits, length_limits, normalized
from nmt.search.loop import run_until_done, take_beams, trim
from nmt.search.result import SearchResult
from nmt.search.scoring import score_encoded
from nmt.search.step import SearchStep
from nmt.search.top_k import top_k

_IMPOSSIBLE = float("-inf")


def beam_search(
    model: StepModel,
    source_ids: Tensor,
    config: SearchConfig,
    special_ids: SpecialIds,
    *,
    constraint: Constraint | None = None,
    attention: bool = False,
    compact_below: float = 0.9,
) -> SearchResult:
    """Looks for the best translations of each sentence.

    At each step the 2 * beam best continuations of the live hypotheses are looked at. Those of the best `beam` that
    end in eos are finished, and kept if they are among the n_best; the best `beam` that do not end stay alive. So a
    finished hypothesis takes no place from a live one. A sentence is done when

    1. no live hypothesis can come before its worst kept one: even if it lost no more probability and grew to the
       maximum length, where the divisor is largest, or
    2. patience * beam hypotheses have finished (beam 1: the first, as in greedy search), or
    3. its maximum length is reached. Places that no finished hypothesis takes then go to the live ones, unfinished.

    Equal continuations rank by their hypothesis, then by the lower id. pad and bos are never written. The translations
    of a sentence do not depend on the others in the batch, except for the rounding of the model's own products.

    Args:
        model: encodes, starts and steps.
        source_ids: int32[batch, source_length], right-padded with pad.
        config: beam, n_best, normalization, limits.
        special_ids: pad, bos and eos; a Tokenizer has them.
        constraint: changes the log-probabilities of each step, see Constraint.
        attention: return it too. Nothing is stored for it during the search: the results are decoded once more.
        compact_below: sentences that are done leave the batch when less than this share of it is unfinished
            (TensorFlow only). It changes the speed, not the result.

    Returns:
        SearchResult, finished hypotheses first, each kind best first.
    """
    source_ids = ops.cast(source_ids, "int32")
    limits = length_limits(source_ids, special_ids.pad_id, config)
    encoded = model.encode(source_ids)
    step = _BeamStep(model, config, special_ids, constraint)
    state = model.start(encoded, config.beam)
    hypotheses = run_until_done(step, encoded, state, step.first(limits), compact_below)
    result = _best(hypotheses, config, special_ids)
    if not attention:
        return result
    return result._replace(attention=score_encoded(model, encoded, result.ids, special_ids, attention=True).attention)


class _Hypotheses(NamedTuple):
    """What is known of each sentence between two steps."""

    rows: Tensor  # int32[rows], which sentence of the call
    done: Tensor  # bool[rows]
    limits: Tensor  # int32[rows], the maximum length
    finished: Tensor  # int32[rows], how many have finished so far, kept or not
    live_ids: Tensor  # int32[rows, beam, length]
    live_last_ids: Tensor  # int32[rows, beam], what the next step reads
    live_log_probabilities: Tensor  # float32[rows, beam], -inf where there is no hypothesis
    kept_ids: Tensor  # int32[rows, n_best, length], finished
    kept_lengths: Tensor  # int32[rows, n_best]
    kept_log_probabilities: Tensor  # float32[rows, n_best]
    kept_scores: Tensor  # float32[rows, n_best], falling; -inf where there is none yet


class _Candidates(NamedTuple):
    """The best continuations of each sentence, best first."""

    log_probabilities: Tensor  # float32[rows, candidates], of hypothesis and new id together
    parents: Tensor  # int32[rows, candidates], the live hypothesis that is continued
    ids: Tensor  # int32[rows, candidates], the new id
    ends: Tensor  # bool[rows, candidates], the new id is eos


class _BeamStep(SearchStep):
    """One step of all sentences in work."""

    def first(self, limits: LengthLimits) -> _Hypotheses:
        """Returns one empty live hypothesis a sentence, and none that finished."""
        beam, n_best, pad = self.config.beam, self.config.n_best, self.special_ids.pad_id
        batch = ops.shape(limits.limits)[0]
        only_first = ops.where(ops.arange(beam) == 0, 0.0, _IMPOSSIBLE)
        nothing = ops.full((batch, n_best), _IMPOSSIBLE, dtype="float32")
        return _Hypotheses(
            rows=ops.arange(batch, dtype="int32"),
            done=ops.zeros((batch,), dtype="bool"),
            limits=limits.limits,
            finished=ops.zeros((batch,), dtype="int32"),
            live_ids=ops.full((batch, beam, limits.allocated), pad, dtype="int32"),
            live_last_ids=ops.full((batch, beam), self.special_ids.bos_id, dtype="int32"),
            live_log_probabilities=ops.broadcast_to(ops.cast(only_first, "float32"), (batch, beam)),
            kept_ids=ops.full((batch, n_best, limits.allocated), pad, dtype="int32"),
            kept_lengths=ops.zeros((batch, n_best), dtype="int32"),
            kept_log_probabilities=nothing,
            kept_scores=nothing,
        )

    def __call__(self, time: Tensor, state: Any, old: _Hypotheses, encoded: Any) -> tuple[Any, _Hypotheses]:
        """Returns the state and the hypotheses with one token more; rows that are done stay as they are."""
        log_probabilities, state, _ = self.model.step(old.live_last_ids, state, encoded)
        log_probabilities = ops.cast(log_probabilities, "float32")
        if self.constraint is not None:
            log_probabilities = self.constraint(log_probabilities, time, old.live_ids, old.rows)
        candidates = self._candidates(log_probabilities, old.live_log_probabilities)
        new = self._keep(time, old, candidates)
        new, parents = self._live_on(time, new, candidates)
        return take_beams(state, parents), new._replace(done=old.done | self._done(time, new))

    def _candidates(self, log_probabilities: Tensor, live_log_probabilities: Tensor) -> _Candidates:
        """Picks the 2 * beam best: at most `beam` of them end, so `beam` remain that do not."""
        beam, special = self.config.beam, self.special_ids
        # First within each hypothesis, where two more make up for pad and bos: so nothing but top_k passes over
        # the whole vocabulary.
        width = min(2 * beam + 2, log_probabilities.shape[-1])
        best, ids = top_k(log_probabilities, width)
        possible = ops.logical_and(ids != special.pad_id, ids != special.bos_id)
        best = ops.where(possible, best + live_log_probabilities[..., None], _IMPOSSIBLE)
        # [rows, beam, width] -> [rows, beam * width]
        best, picks = ops.top_k(ops.reshape(best, (-1, beam * width)), 2 * beam)
        ids = take_beams(ops.reshape(ids, (-1, beam * width)), picks)
        return _Candidates(best, picks // width, ids, ids == special.eos_id)

    def _keep(self, time: Tensor, old: _Hypotheses, candidates: _Candidates) -> _Hypotheses:
        """Keeps the n_best of the finished so far and of the candidates that end now."""
        beam, n_best = self.config.beam, self.config.n_best
        ends = ops.logical_and(candidates.ends[:, :beam], ops.logical_not(old.done)[:, None])
        log_probabilities = ops.where(ends, candidates.log_probabilities[:, :beam], _IMPOSSIBLE)
        scores = ops.concatenate([old.kept_scores, normalized(log_probabilities, time + 1, self.config)], axis=1)
        scores, chosen = ops.top_k(scores, n_best)
        parents = candidates.parents[:, :beam]
        place = ops.concatenate([ops.zeros_like(old.kept_lengths) + ops.arange(n_best), n_best + parents], axis=1)
        ids = take_beams(ops.concatenate([old.kept_ids, old.live_ids], axis=1), take_beams(place, chosen))
        now = ops.arange(ops.shape(ids)[2]) == time
        is_new = chosen >= n_best
        lengths = ops.concatenate([old.kept_lengths, ops.zeros_like(parents) + time + 1], axis=1)
        kept_log_probabilities = ops.concatenate([old.kept_log_probabilities, log_probabilities], axis=1)
        return old._replace(
            finished=old.finished + ops.sum(ops.cast(log_probabilities > _IMPOSSIBLE, "int32"), axis=1),
            kept_ids=ops.where(ops.logical_and(is_new[..., None], now), self.special_ids.eos_id, ids),
            kept_lengths=take_beams(lengths, chosen),
            kept_log_probabilities=take_beams(kept_log_probabilities, chosen),
            kept_scores=scores,
        )

    def _live_on(self, time: Tensor, old: _Hypotheses, candidates: _Candidates) -> tuple[_Hypotheses, Tensor]:
        """Continues the best candidates that do not end; also returns their parents int32[rows, beam]."""
        not_ended = ops.where(candidates.ends, _IMPOSSIBLE, candidates.log_probabilities)
        log_probabilities, chosen = ops.top_k(not_ended, self.config.beam)
        parents, last_ids = take_beams((candidates.parents, candidates.ids), chosen)
        ids = take_beams(old.live_ids, parents)
        ids = ops.where(ops.arange(ops.shape(ids)[2]) == time, last_ids[..., None], ids)
        done = old.done[:, None]
        return old._replace(
            live_ids=ops.where(done[..., None], old.live_ids, ids),
            live_last_ids=last_ids,
            live_log_probabilities=ops.where(done, old.live_log_probabilities, log_probabilities),
        ), parents

    def _done(self, time: Tensor, new: _Hypotheses) -> Tensor:
        """Says which rows need no further step, bool[rows]."""
        # -inf on both sides, nothing kept and nothing alive, is the end of a sentence that constraints made impossible.
        bound = normalized(new.live_log_probabilities[:, 0], new.limits, self.config)
        done = ops.logical_or(new.kept_scores[:, -1] >= bound, time + 1 >= new.limits)
        if self.config.patience is None:
            return done
        enough = max(math.ceil(self.config.patience * self.config.beam), self.config.n_best)
        return ops.logical_or(done, new.finished >= enough)


def _best(hypotheses: _Hypotheses, config: SearchConfig, special_ids: SpecialIds) -> SearchResult:
    """Returns the kept hypotheses, and live ones where fewer than n_best have finished.

    A sentence with a free place has reached its maximum length, or has no live hypothesis either: so every live one
    here is as long as it may be.
    """
    n_best = config.n_best
    kept = ops.sum(ops.cast(hypotheses.kept_scores > _IMPOSSIBLE, "int32"), axis=1, keepdims=True)
    place = ops.arange(n_best) + ops.zeros_like(kept)
    finished = place < kept
    place = ops.where(finished, place, n_best + place - kept)
    live_log_probabilities = hypotheses.live_log_probabilities
    live_lengths = hypotheses.limits[:, None] + ops.zeros_like(hypotheses.live_last_ids)
    ids, lengths, log_probabilities, scores = (
        take_beams(ops.concatenate([of_kept, of_live], axis=1), place)
        for of_kept, of_live in (
            (hypotheses.kept_ids, hypotheses.live_ids),
            (hypotheses.kept_lengths, live_lengths),
            (hypotheses.kept_log_probabilities, live_log_probabilities),
            (hypotheses.kept_scores, normalized(live_log_probabilities, live_lengths, config)),
        )
    )
    exists = scores > _IMPOSSIBLE
    lengths = ops.where(exists, lengths, 0)
    ids = ops.where(exists[..., None], ids, special_ids.pad_id)
    return SearchResult(trim(ids, lengths), lengths, scores, log_probabilities, finished, None)
