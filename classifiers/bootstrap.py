"""Confidence intervals of scores by the bootstrap: the same scores on texts that are drawn again and again.

One resample draws as many texts as there are, with replacement (Efron 1979); a score's 95 % interval holds the middle
95 of 100 values that it takes (the percentile interval). All scores here follow from how often each text is drawn, so
all resamples of a chunk are scored at once. The draws come from Philox's raw bits, which are the same in every NumPy
on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from textseq.errors import InputError

DEFAULT_RESAMPLES = 1000
DEFAULT_SEED = 1
_LEVEL = 0.95
_DRAWN_AT_ONCE = 2_000_000
_IN_CACHE = 25_000

Floats = npt.NDArray[np.float64]
Said = npt.NDArray[np.bool_]


class Interval(NamedTuple):
    """The 95 % confidence interval of a score."""

    low: float
    high: float


class LabelCounts(NamedTuple):
    """What scores are made of, of one sample of texts or of many at once (the leading dimensions, `...`)."""

    right: Floats
    """[..., classes]: texts for which the label is predicted and true."""
    predicted: Floats
    """[..., classes]: texts for which the label is predicted."""
    true: Floats
    """[..., classes]: texts that have the label."""
    exact: Floats
    """[...]: texts whose labels are all right, and no label too many."""
    texts: int
    """In each sample."""

    @classmethod
    def of(cls, targets: Said, said: Said) -> LabelCounts:
        """Counts bool[texts, classes] targets and predictions."""
        right, predicted, true = (each.sum(axis=0).astype(np.float64) for each in (targets & said, said, targets))
        exact = np.asarray((targets == said).all(axis=1).sum(), np.float64)
        return cls(right, predicted, true, exact, len(targets))


def count_scores(counts: LabelCounts, *, multi_label: bool) -> dict[str, Floats]:
    """The scores that follow from counts, each [...]; and "f1" of each label, [..., classes].

    What is 0 / 0 is 0 for a label, as in scikit-learn. The macro means are over the labels that have texts in the
    sample; without any they are NaN.

    Args:
        counts: of one sample or many.
        multi_label: a text can have several labels or none: adds the micro means and the Hamming loss, leaves out
            Matthews' coefficient, which is for one label a text.
    """
    right, predicted, true, exact, texts = counts
    by_label = {
        "precision": right / np.maximum(predicted, 1),
        "recall": right / np.maximum(true, 1),
        "f1": 2 * right / np.maximum(predicted + true, 1),
    }
    scores = {"accuracy": exact / texts, "f1": by_label["f1"]}
    for name, values in by_label.items():
        # A label without texts adds 0.
        scores[f"macro_{name}"] = _ratio(values.sum(axis=-1), (true > 0).sum(axis=-1))
        scores[f"weighted_{name}"] = _ratio((values * true).sum(axis=-1), true.sum(axis=-1))
    sums = [each.sum(axis=-1) for each in (right, predicted, true)]
    if multi_label:
        scores["micro_precision"] = sums[0] / np.maximum(sums[1], 1)
        scores["micro_recall"] = sums[0] / np.maximum(sums[2], 1)
        scores["micro_f1"] = 2 * sums[0] / np.maximum(sums[1] + sums[2], 1)
        scores["hamming_loss"] = (sums[1] + sums[2] - 2 * sums[0]) / (texts * right.shape[-1])
    else:
        scores["matthews"] = _matthews(counts)
    return scores


def resampled_scores(
    targets: Said,
    said: Said,
    *,
    multi_label: bool,
    probabilities: Floats | None = None,
    losses: Floats | None = None,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = DEFAULT_SEED,
) -> dict[str, Floats]:
    """The scores of `count_scores` on every resample.

    With the same seed and number of texts, the same texts are drawn: two classifiers' scores are then paired.

    Args:
        targets: bool[texts, classes], the labels that each text has.
        said: bool[texts, classes], the labels predicted.
        multi_label: a text can have several labels or none.
        probabilities: float64[texts, classes]: adds "roc_area" and "pr_area", the means over the labels.
        losses: float64[texts], of each text: adds "log_loss", their mean.
        resamples: how many.
        seed: another seed, other draws.

    Returns:
        float64[resamples] by name; "f1" float64[resamples, classes]. NaN where a score is undefined.
    """
    from scipy.sparse import csr_array

    # One row a count: for each label right, predicted, true; then exact. Most are 0, whatever the number of labels.
    rows = np.hstack([targets & said, said, targets, (targets == said).all(axis=1, keepdims=True)]).T
    marks = csr_array(rows.astype(np.float64))
    rankings = []
    if probabilities is not None:
        rankings = [_Ranking.of(targets[:, label], probabilities[:, label]) for label in range(targets.shape[1])]
    chunks: list[dict[str, Floats]] = []
    classes = targets.shape[1]
    for weights in _drawn(len(targets), resamples, seed):
        sums = (marks @ weights.T).T
        right, predicted, true = (sums[:, part * classes : (part + 1) * classes] for part in range(3))
        counts = LabelCounts(right, predicted, true, exact=sums[:, -1], texts=len(targets))
        scores = count_scores(counts, multi_label=multi_label)
        if rankings:
            areas = np.stack([ranking.areas(weights) for ranking in rankings])
            scores["roc_area"], scores["pr_area"] = (_mean_of_defined(areas[:, kind]) for kind in (0, 1))
        if losses is not None:
            scores["log_loss"] = weights @ losses / len(targets)
        chunks.append(scores)
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def interval(values: Floats) -> Interval | None:
    """The percentile interval of a score's values on all resamples; None where it was never defined."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return None
    low, high = np.quantile(defined, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(float(low), float(high))


def require_resamples(resamples: int) -> None:
    """Checks a number of resamples.

    Raises:
        InputError: it is 1, or negative.
    """
    if resamples < 0 or resamples == 1:
        raise InputError(f"resamples: received {resamples}; expected 0 for no interval, or 2 or more (1000 is usual)")


def _drawn(texts: int, resamples: int, seed: int) -> Iterator[Floats]:
    """How often each resample holds each text: float64[chunk, texts], chunk by chunk."""
    source = np.random.Philox(key=seed)
    at_once = max(1, _DRAWN_AT_ONCE // texts)
    for start in range(0, resamples, at_once):
        chunk = min(at_once, resamples - start)
        weights = np.empty((chunk, texts))
        for row in weights:
            # Two 32-bit draws from each raw number; high bits of draw * texts are the index of a text.
            raw = source.random_raw((texts + 1) // 2)
            halves = np.concatenate([raw & 0xFFFFFFFF, raw >> 32])[:texts]
            row[:] = np.bincount(((halves * np.uint64(texts)) >> 32).astype(np.int64), minlength=texts)
        yield weights


class _Ranking(NamedTuple):
    """The texts that have a label and those that have not, each by falling probability of the label."""

    hits: npt.NDArray[np.intp]
    """Indices of the texts that have it."""
    misses: npt.NDArray[np.intp]
    """Indices of those that have it not."""
    last_hit: npt.NDArray[np.intp]
    """Of each hit, the place of the last hit of the same probability."""
    above: npt.NDArray[np.intp]
    """Of each hit, how many misses have a greater probability."""
    not_below: npt.NDArray[np.intp]
    """Of each hit, how many misses have a greater or the same probability."""

    @classmethod
    def of(cls, true: Said, probabilities: Floats) -> _Ranking:
        order = np.argsort(-probabilities, kind="stable")
        hits, misses = order[true[order]], order[~true[order]]
        falling, others = -probabilities[hits], -probabilities[misses]
        return cls(
            hits,
            misses,
            np.searchsorted(falling, falling, side="right") - 1,
            np.searchsorted(others, falling, side="left"),
            np.searchsorted(others, falling, side="right"),
        )

    def areas(self, weights: Floats) -> Floats:
        """The areas under the ROC curve (trapezoids) and under the precision-recall curve (steps) of each resample.

        Args:
            weights: float64[resamples, texts], how often each text is drawn.

        Returns:
            float64[2, resamples]; NaN where all texts drawn have the label, or none.
        """
        # In blocks that stay in the processor's cache, which takes a quarter of the time.
        at_once = max(1, _IN_CACHE // weights.shape[1])
        return np.concatenate(
            [self._areas(weights[start : start + at_once]) for start in range(0, len(weights), at_once)], axis=1
        )

    def _areas(self, weights: Floats) -> Floats:
        drawn = np.take(weights, self.hits, axis=1)
        hits, misses = np.cumsum(drawn, axis=1), np.zeros((len(weights), len(self.misses) + 1))
        np.cumsum(np.take(weights, self.misses, axis=1), axis=1, out=misses[:, 1:])
        not_below = np.take(misses, self.not_below, axis=1)
        below = misses[:, -1:] - (not_below + np.take(misses, self.above, axis=1)) / 2
        hits_so_far = np.take(hits, self.last_hit, axis=1)
        all_hits, all_misses = drawn.sum(axis=1), misses[:, -1]
        precision = hits_so_far / np.maximum(hits_so_far + not_below, 1)
        roc = _ratio(np.einsum("rt,rt->r", drawn, below), all_hits * all_misses)
        pr = _ratio(np.einsum("rt,rt->r", drawn, precision), all_hits * (all_misses > 0))
        return np.stack([roc, pr])


def _mean_of_defined(values: Floats) -> Floats:
    """The mean over the labels, float[labels, resamples], that are not NaN."""
    defined = np.isfinite(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=0), defined.sum(axis=0))


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """NaN for 0 / 0."""
    return np.where(denominator > 0, numerator / np.maximum(denominator, 1e-300), np.nan)


def _matthews(counts: LabelCounts) -> Floats:
    """Gorodkin's coefficient of several classes (2004); 0 where all texts, or all predictions, have one label."""
    right, predicted, true, _, texts = counts
    covariance = right.sum(axis=-1) * texts - (predicted * true).sum(axis=-1)
    spread = (texts**2 - (predicted**2).sum(axis=-1)) * (texts**2 - (true**2).sum(axis=-1))
    return np.where(spread > 0, covariance / np.sqrt(np.maximum(spread, 1)), 0.0)
