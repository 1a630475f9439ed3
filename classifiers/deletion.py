"""Testing explanations: without the words that they name, a prediction must change more than without random ones."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from classifiers.explain import explain
from classifiers.explanation import Explanation, Method, WordWeight
from textseq.errors import InputError

if TYPE_CHECKING:
    from classifiers.classifier import Classifier

RESAMPLES = 1000
"""Bootstrap resamples of the texts, for the intervals."""


class MeanInterval(NamedTuple):
    """A mean over texts, and the bootstrap interval that holds 95 of 100 resampled means."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class DeletionTest:
    """How much the probability of the predicted label falls when words are removed.

    Attributes:
        method: which explained the predictions.
        words: how many words were removed from each text.
        texts: how many texts were tested.
        left_out: texts that are too short to be tested.
        top: the fall without the words that speak most for the label.
        random: the fall without as many random words.
        difference: `top` minus `random`, text by text; above 0 where the explanations name words that matter.
    """

    COLUMNS: ClassVar[tuple[str, ...]] = ("removed", "fall of the probability", "95 % interval")

    method: Method
    words: int
    texts: int
    left_out: int
    top: MeanInterval
    random: MeanInterval
    difference: MeanInterval

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "method": self.method,
            "words": self.words,
            "texts": self.texts,
            "left_out": self.left_out,
            **{name: getattr(self, name)._asdict() for name in ("top", "random", "difference")},
        }

    def rows(self) -> list[tuple[str, str, str]]:
        """The same as rows of a table, headed by `COLUMNS`."""
        named = {"top words": self.top, "random words": self.random, "difference": self.difference}
        return [(name, f"{one.mean:.3f}", f"{one.low:.3f} to {one.high:.3f}") for name, one in named.items()]


def deletion_test(
    classifier: Classifier,
    texts: Sequence[str],
    *,
    words: int = 3,
    method: str | None = None,
    draws: int = 5,
    seed: int = 1,
) -> DeletionTest:
    """Removes the top words of each text, and as many random ones, and compares what becomes of the prediction.

    Punctuation is neither removed nor drawn: taking it away changes little, and would make the test too easy. The
    explanations do not see what is measured, the classifier on the shortened text.

    Args:
        classifier: a trained one.
        texts: text that it was not trained on; those with no more than `words` words are left out.
        words: how many are removed.
        method: of the explanations, see `classifiers.explain.explain`.
        draws: how often random words are drawn from each text; their falls are averaged.
        seed: of the draws and of the resampling.

    Raises:
        InputError: no text is long enough, or a number below 1.

    Example:
        >>> deletion_test(classifier, texts).difference  # doctest: +SKIP
        MeanInterval(mean=0.31, low=0.27, high=0.35)
    """
    for name, number in (("words", words), ("draws", draws)):
        if number < 1:
            raise InputError(f"{name}: received {number}, expected 1 or more")
    explanations = explain(classifier, texts, method)
    tested = [(one, found) for one in explanations if len(found := _removable(one)) > words]
    if not tested:
        raise InputError(
            f"received {len(explanations)} texts, none with more than {words} words; expected texts that something is "
            f"left of when {words} words are removed; remove fewer, or give longer texts"
        )
    shortened = [_without(one, sorted(found, key=lambda word: -word.weight)[:words]) for one, found in tested]
    for number, (one, found) in enumerate(tested):
        for draw in range(draws):
            order = np.argsort(_bits(len(found), seed, number, draw), kind="stable")
            shortened.append(_without(one, [found[place] for place in order[:words]]))
    probabilities = classifier.probabilities(shortened)
    labels = np.array([classifier.labels.index(one.label) for one, _ in tested])
    before = np.array([one.prediction.probabilities[one.label] for one, _ in tested])
    top = before - probabilities[np.arange(len(tested)), labels]
    drawn = probabilities[len(tested) :].reshape(len(tested), draws, -1)
    random = before - drawn[np.arange(len(tested)), :, labels].mean(axis=1)
    return DeletionTest(
        tested[0][0].method,
        words,
        len(tested),
        len(explanations) - len(tested),
        *(_mean(falls, seed) for falls in (top, random, top - random)),
    )


def _removable(explanation: Explanation) -> list[WordWeight]:
    """The words that are more than punctuation."""
    return [word for word in explanation.words if any(unicodedata.category(each)[0] != "P" for each in word.word)]


def _without(explanation: Explanation, removed: Sequence[WordWeight]) -> str:
    text, parts, place = explanation.prediction.text, [], 0
    for word in sorted(removed, key=lambda word: word.start):
        parts.append(text[place : word.start])
        place = word.end
    return "".join([*parts, text[place:]])


def _mean(values: npt.NDArray[np.float64], seed: int) -> MeanInterval:
    count = len(values)
    means = [float(values[_bits(count, seed, resample) % np.uint64(count)].mean()) for resample in range(RESAMPLES)]
    low, high = np.quantile(means, (0.025, 0.975))
    return MeanInterval(math.fsum(values) / count, float(low), float(high))


def _bits(count: int, *key: int) -> npt.NDArray[np.uint64]:
    """Random 64-bit numbers, a function of the key; Philox's raw bits are the same in every NumPy."""
    # As fast to make as to advance, and no key meets another's numbers.
    return np.random.Philox(np.random.SeedSequence(key)).random_raw(count)
