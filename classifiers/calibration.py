"""Probabilities that mean what they say, and the thresholds that go with them; fitted on validation data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textseq.errors import InputError

ANSWERED_ACCURACY = 0.95
"""What the answered validation texts reach when the others are abstained from."""
DEFAULT_BINS = 15  # as Guo et al. 2017
# Inverse temperatures. At an end the validation data has no optimum: no better than chance, or all texts right.
_FLATTEST, _SHARPEST = 1e-3, 1e3

Floats = npt.NDArray[np.floating]
Said = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Calibration:
    """How logits become probabilities and probabilities become answers.

    Attributes:
        temperature: logits are divided by it (Guo et al. 2017, arXiv:1706.04599, 4.2); it changes no ranking of labels.
        thresholds: probability above which a label is said. With two classes, one value: of the second label, for the
            largest macro F1; used where that is asked for, see `answers`. With several labels a text, one for each
            label, always used. With more than two classes none.
        abstain_below: smallest confidence that is answered so that the answered validation texts are right in 95 of
            100. 0: no need to abstain, all texts together reach it. 1: nothing reaches it, so only certainties are
            answered.
        error_before: expected calibration error at temperature 1, from 0 to 1; NaN where nothing could be measured.
        error_after: the same at `temperature`.
        multi_label: a text can have several labels or none: one sigmoid a label, in place of one softmax.

    Example:
        >>> Calibration(temperature=2.0).probabilities(np.array([[0.0, 2.0]])).round(2)
        array([[0.27, 0.73]])
    """

    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()
    abstain_below: float = 0.0
    error_before: float = math.nan
    error_after: float = math.nan
    multi_label: bool = False

    def probabilities(self, logits: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Calibrated probabilities, float64[texts, classes], of float[texts, classes] logits."""
        return _probabilities(np.asarray(logits, np.float64) / self.temperature, self.multi_label)

    def answers(self, probabilities: npt.ArrayLike, *, for_f1: bool = False) -> Said:
        """Which labels are said, bool[texts, classes].

        With one label a text it is the most probable one. With several, those above their thresholds.

        Args:
            probabilities: float[texts, classes], calibrated.
            for_f1: with two classes, the second label where it is above its threshold, else the first.
        """
        values = np.asarray(probabilities, np.float64)
        if self.multi_label:
            return np.asarray(values > (np.array(self.thresholds) if self.thresholds else 0.5))
        if for_f1 and self.thresholds:
            second = values[:, 1] > self.thresholds[0]
            return np.stack([~second, second], axis=1)
        return _most_probable(values)

    def confidence(self, probabilities: npt.ArrayLike, said: Said) -> npt.NDArray[np.float64]:
        """How probable it is that an answer is right, float64[texts].

        With one label a text, it is the label's probability. With several, it is the probability that all labels that
        are said apply and no other does, as if they were independent.

        Args:
            probabilities: float[texts, classes], calibrated.
            said: bool[texts, classes], from `answers`.
        """
        values = np.asarray(probabilities, np.float64)
        if self.multi_label:
            return np.asarray(np.prod(np.where(said, values, 1.0 - values), axis=1))
        return np.asarray(np.sum(np.where(said, values, 0.0), axis=1))

    def to_dict(self) -> dict[str, Any]:
        """As JSON values; an error that could not be measured is None."""
        values = {**asdict(self), "thresholds": list(self.thresholds)}
        return {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Calibration:
        """From what `to_dict` gave.

        Raises:
            ValueError: it is something else.
        """
        try:
            values = {name: math.nan if data[name] is None else float(data[name]) for name in _NUMBERS}
            thresholds = tuple(float(value) for value in data["thresholds"])
            multi_label = data["multi_label"]
        except (KeyError, TypeError, ValueError):
            raise ValueError("not a calibration") from None
        in_range = all(0.0 <= value <= 1.0 for value in (*thresholds, values["abstain_below"]))
        if not (0.0 < values["temperature"] < math.inf and in_range and isinstance(multi_label, bool)):
            raise ValueError("a calibration with values out of range")
        return cls(thresholds=thresholds, multi_label=multi_label, **values)


_NUMBERS = ("temperature", "abstain_below", "error_before", "error_after")


def fit_calibration(logits: npt.ArrayLike, targets: npt.ArrayLike, *, multi_label: bool) -> Calibration:
    """Fits temperature and thresholds on validation data.

    The temperature minimises the negative log-likelihood, which is convex in its inverse; so there is one minimum, and
    the likelihood is never worse than at temperature 1. Where all texts are right, the minimum would be certainty; no
    text is then made surer, on average, than n texts without an error allow: 1 - 1 / (n + 2), Laplace's rule.

    Args:
        logits: float[texts, classes] of the validation texts.
        targets: int[texts, classes], 1 for each label that a text has.
        multi_label: a text can have several labels or none.

    Returns:
        The calibration; a neutral one, with NaN for its errors, where a logit is not finite.

    Raises:
        InputError: the shapes differ, or there is no text.

    Example:
        >>> logits, targets = [[4.0, 0.0], [0.0, 4.0], [4.0, 0.0]], [[1, 0], [0, 1], [0, 1]]
        >>> round(fit_calibration(logits, targets, multi_label=False).temperature, 1)
        5.8
    """
    values, said = _checked(logits, targets, "logits")
    if not np.isfinite(values).all():
        return Calibration(multi_label=multi_label)
    temperature = _temperature(values, said, multi_label)
    before, after = (_probabilities(values / divisor, multi_label) for divisor in (1.0, temperature))
    calibration = Calibration(
        temperature=temperature,
        thresholds=_thresholds(after, said, multi_label),
        error_before=expected_calibration_error(before, said, multi_label=multi_label),
        error_after=expected_calibration_error(after, said, multi_label=multi_label),
        multi_label=multi_label,
    )
    answers = calibration.answers(after)
    confidence, right = calibration.confidence(after, answers), (answers == said).all(axis=1)
    return Calibration(**{**vars(calibration), "abstain_below": _abstain_below(confidence, right)})


class ReliabilityBin(NamedTuple):
    """Answers of about the same confidence."""

    answers: int
    """How many."""
    confidence: float
    """Mean confidence of the answers, from 0 to 1; 0 in an empty bin."""
    accuracy: float
    """Part of the answers that is right, from 0 to 1; 0 in an empty bin."""


def reliability(
    probabilities: npt.ArrayLike, targets: npt.ArrayLike, *, bins: int = DEFAULT_BINS, multi_label: bool = False
) -> list[ReliabilityBin]:
    """Confidence and accuracy in bins of equal width from 0 to 1: what a reliability diagram draws.

    Args:
        probabilities: float[texts, classes].
        targets: int[texts, classes], 1 for each label that a text has.
        bins: their number.
        multi_label: count each label of each text as an answer, yes or no, rather than the most probable label.

    Raises:
        InputError: the shapes differ, there is no text, or a probability is out of range.
    """
    values, said = _checked(probabilities, targets, "probabilities")
    if bins < 1:
        raise InputError(f"bins: received {bins}, expected 1 or more; {DEFAULT_BINS} is usual")
    if not ((values >= 0.0) & (values <= 1.0)).all():
        raise InputError("probabilities: received values outside 0 to 1, expected probabilities; are these logits?")
    if multi_label:
        confidence, right = np.maximum(values, 1.0 - values).ravel(), ((values > 0.5) == said).ravel()
    else:
        confidence, right = values.max(axis=1), said[np.arange(len(values)), values.argmax(axis=1)]
    # Bin m holds ((m - 1) / bins, m / bins], as in the paper.
    places = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(places, minlength=bins)
    divisors = np.maximum(counts, 1)
    means = np.bincount(places, weights=confidence, minlength=bins) / divisors
    accuracies = np.bincount(places, weights=right, minlength=bins) / divisors
    return [ReliabilityBin(int(n), float(c), float(a)) for n, c, a in zip(counts, means, accuracies, strict=True)]


def expected_calibration_error(
    probabilities: npt.ArrayLike, targets: npt.ArrayLike, *, bins: int = DEFAULT_BINS, multi_label: bool = False
) -> float:
    """How far confidence is from accuracy, from 0 to 1: the mean over the answers of |accuracy - confidence| of a bin.

    See `reliability` for the arguments and what they raise (Guo et al. 2017, arXiv:1706.04599, equation 3).

    Example:
        >>> expected_calibration_error([[0.75, 0.25]] * 4, [[1, 0], [1, 0], [1, 0], [0, 1]])
        0.0
    """
    found = reliability(probabilities, targets, bins=bins, multi_label=multi_label)
    total = sum(one.answers for one in found)
    return float(sum(one.answers * abs(one.accuracy - one.confidence) for one in found) / total)


def negative_log_likelihood(logits: npt.ArrayLike, targets: npt.ArrayLike, *, multi_label: bool) -> float:
    """Mean over the texts, in nats; with several labels a text, the mean over the labels of every text.

    Args:
        logits: float[texts, classes].
        targets: int[texts, classes], 1 for each label that a text has.
        multi_label: a text can have several labels or none.

    Raises:
        InputError: the shapes differ, or there is no text.
    """
    values, said = _checked(logits, targets, "logits")
    if multi_label:
        return float(np.mean(np.logaddexp(0.0, np.where(said, -values, values))))
    return float(np.mean(np.logaddexp.reduce(values, axis=1) - np.sum(values * said, axis=1)))


def _checked(values: npt.ArrayLike, targets: npt.ArrayLike, name: str) -> tuple[npt.NDArray[np.float64], Said]:
    array, said = np.asarray(values, np.float64), np.asarray(targets)
    if array.ndim != 2 or array.shape != said.shape:
        raise InputError(
            f"received {name} of shape {list(array.shape)} and targets of shape {list(said.shape)}; "
            "expected [texts, classes] of both"
        )
    if len(array) == 0:
        raise InputError(f"received {name} of no text; expected one at least")
    return array, said.astype(bool)


def _probabilities(logits: Floats, multi_label: bool) -> npt.NDArray[np.float64]:
    if multi_label:
        return np.exp(-np.logaddexp(0.0, -logits))
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))


def _most_probable(probabilities: Floats) -> Said:
    """bool[texts, classes], the first of several that are equally probable."""
    said = np.zeros(probabilities.shape, bool)
    if len(said):
        said[np.arange(len(said)), probabilities.argmax(axis=1)] = True
    return said


def _temperature(logits: Floats, said: Said, multi_label: bool) -> float:
    """1 / b for the b that minimises the negative log-likelihood of b * logits, which is convex in b."""

    def slope(b: float) -> float:
        """The derivative by b, which never falls."""
        return float(np.sum(logits * (_probabilities(b * logits, multi_label) - said)))

    def doubt(b: float) -> float:
        """Laplace's least error of the answers, minus what they expect of themselves; it never falls either."""
        values = _probabilities(b * logits, multi_label)
        confidence = np.maximum(values, 1.0 - values) if multi_label else values.max(axis=1)
        return 1.0 / (confidence.size + 2) - float(np.mean(1.0 - confidence))

    sharpness = _root(slope)
    if sharpness > 1.0:
        sharpness = min(sharpness, max(1.0, _root(doubt)))
    return 1.0 / sharpness


def _root(function: Callable[[float], float]) -> float:
    """Where a function that never falls crosses zero, on a logarithmic scale; else the end that is nearer to it."""
    from scipy.optimize import brentq

    low, high = math.log(_FLATTEST), math.log(_SHARPEST)
    if function(math.exp(low)) >= 0.0:
        return math.exp(low)
    if function(math.exp(high)) <= 0.0:
        return math.exp(high)
    return math.exp(brentq(lambda logarithm: function(math.exp(logarithm)), low, high, xtol=1e-9))


def _thresholds(probabilities: Floats, said: Said, multi_label: bool) -> tuple[float, ...]:
    classes = probabilities.shape[1]
    if multi_label:
        return tuple(_best_threshold(probabilities[:, label], said[:, label], _f1) for label in range(classes))
    if classes == 2:
        return (_best_threshold(probabilities[:, 1], said[:, 1], _macro_f1),)
    return ()


Counts = npt.NDArray[np.int64]


def _best_threshold(
    probabilities: Floats, positive: Said, score: Callable[[Counts, Counts, int, int], npt.NDArray[np.float64]]
) -> float:
    """The threshold with the best score; of several, the one nearest to one half.

    Candidates lie half-way between neighbouring probabilities, so rounding elsewhere does not change an answer.
    """
    order = np.argsort(probabilities, kind="stable")
    values, hits = probabilities[order], np.concatenate([[0], np.cumsum(positive[order])])
    distinct = np.unique(np.concatenate([[0.0], values, [1.0]]))
    candidates = np.append((distinct[:-1] + distinct[1:]) / 2.0, 0.5)
    below = np.searchsorted(values, candidates, side="right")  # a label is said above its threshold, not at it
    positives = int(hits[-1])
    scores = score(positives - hits[below], len(values) - below, positives, len(values))
    best = candidates[scores >= scores.max() - 1e-12]
    return float(best[np.argmin(np.abs(best - 0.5))])


def _f1(true_positives: Counts, said: Counts, positives: int, total: int) -> npt.NDArray[np.float64]:
    return np.asarray(2.0 * true_positives / np.maximum(said + positives, 1))


def _macro_f1(true_positives: Counts, said: Counts, positives: int, total: int) -> npt.NDArray[np.float64]:
    true_negatives = total - positives - (said - true_positives)
    second = _f1(true_positives, said, positives, total)
    return (second + _f1(true_negatives, total - said, total - positives, total)) / 2.0


def _abstain_below(confidence: Floats, right: Said) -> float:
    order = np.argsort(-confidence, kind="stable")
    values = confidence[order]
    accuracy = np.cumsum(right[order]) / np.arange(1, len(values) + 1)
    # Texts of one confidence are answered together or not at all.
    whole = np.append(values[1:] < values[:-1], True)
    enough = np.flatnonzero(whole & (accuracy >= ANSWERED_ACCURACY))
    if not len(enough):
        return 1.0
    last = int(enough[-1])
    return 0.0 if last == len(values) - 1 else float((values[last] + values[last + 1]) / 2.0)
