"""How scores are called where people read them, and how one is found by its name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from textseq.errors import InputError

DISPLAY_NAMES: dict[str, str] = {
    "bleu": "BLEU",
    "chrf": "chrF",
    "ter": "TER",
    "f1": "F1",
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "weighted_f1": "weighted F1",
    "matthews": "Matthews",
    "hamming_loss": "Hamming loss",
    "roc_area": "ROC area",
    "pr_area": "PR area",
    "ece": "ECE",
    "ece_uncalibrated": "ECE uncalibrated",
}
"""By the key in metrics.jsonl and report.json, without "validation_"; all others are shown as they are written."""


def display_name(metric: str) -> str:
    """What a score is called in tables, plots and messages.

    Example:
        >>> display_name("macro_f1"), display_name("length_penalty")
        ('macro F1', 'length penalty')
    """
    return DISPLAY_NAMES.get(metric, metric.replace("_", " "))


class _OfMetric(Protocol):
    @property
    def metric(self) -> str: ...


Score = TypeVar("Score", bound=_OfMetric)


def score_of(metric: str, scores: Sequence[Score]) -> Score:
    """The score of a metric.

    Args:
        metric: such as "bleu".
        scores: among which it is.

    Raises:
        InputError: it was not scored.
    """
    for score in scores:
        if score.metric == metric:
            return score
    scored = ", ".join(score.metric for score in scores)
    raise InputError(f"metric: received {metric!r}; these scores hold {scored}")
