"""How scores are called where people read them."""

from __future__ import annotations

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
