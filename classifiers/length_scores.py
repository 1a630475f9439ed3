"""Scores of the texts of each length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from classifiers.bootstrap import LabelCounts, Said, count_scores
from textseq.errors import InputError
from textseq.length_bins import LengthSpan, LengthUnit, length_bins

_USUAL_BOUNDS: dict[LengthUnit, tuple[int, ...]] = {
    "words": (10, 20, 50, 100, 200, 400),
    "characters": (20, 40, 100, 200, 400, 800),
}


@dataclass(frozen=True)
class LengthScores(LengthSpan):
    """Scores of the texts with a length from `shortest` to `longest`.

    Attributes:
        texts: number of texts; scores of a few texts say little.
        accuracy: of these texts; None where there are none.
        macro_f1: mean over the labels that these texts have; None where there are none.
    """

    texts: int
    accuracy: float | None
    macro_f1: float | None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON."""
        return asdict(self)


def scores_by_length(
    texts: Sequence[str],
    targets: Said,
    said: Said,
    bounds: Sequence[int] | None = None,
    *,
    unit: LengthUnit | None = None,
) -> list[LengthScores]:
    """Accuracy and macro F1 of the texts of each length.

    Args:
        texts: what was classified.
        targets: bool[texts, classes], the labels that each text has.
        said: bool[texts, classes], the labels predicted.
        bounds: greatest length of each bin, rising; None takes 10, 20, 50, 100, 200, 400 words, or 20, 40, 100, 200,
            400, 800 characters. See `textseq.length_bins.length_bins`.
        unit: count "words" or "characters"; None takes words where the texts have spaces.

    Returns:
        `len(bounds) + 1` bins from short to long; every text is in exactly one.

    Raises:
        InputError: the numbers of texts differ, or bounds that do not rise from 0.

    Example:
        >>> marks = np.array([[True, False], [False, True]])
        >>> [(one.label, one.texts) for one in scores_by_length(["a", "a b c"], marks, marks, [2])]
        [('0 to 2 words', 1), ('3 or more words', 1)]
    """
    if not len(texts) == len(targets) == len(said) or targets.shape != said.shape:
        raise InputError(
            f"received {len(texts)} texts, targets of shape {list(targets.shape)} and answers of shape "
            f"{list(said.shape)}; expected as many of each"
        )
    found: list[LengthScores] = []
    for span, chosen in length_bins(texts, bounds, unit, _USUAL_BOUNDS):
        accuracy = macro_f1 = None
        if chosen:
            scores = count_scores(LabelCounts.of(targets[chosen], said[chosen]), multi_label=True)
            accuracy, macro_f1 = float(scores["accuracy"]), float(scores["macro_f1"])
        defined = macro_f1 is not None and np.isfinite(macro_f1)
        found.append(
            LengthScores(span.shortest, span.longest, span.unit, len(chosen), accuracy, macro_f1 if defined else None)
        )
    return found
