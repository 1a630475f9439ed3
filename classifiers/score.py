"""One score with its interval, and the scores of one label."""

from __future__ import annotations

from dataclasses import dataclass

from textseq.metric_names import display_name


@dataclass(frozen=True)
class Score:
    """One score of a whole text.

    Attributes:
        metric: such as "accuracy", "macro_f1"; see `classification_scores`.
        value: 0 to 1, but -1 to 1 for "matthews" and 0 upwards for "log_loss"; None where it is undefined.
        low: lower end of the 95 % confidence interval; None where there is none.
        high: upper end.
    """

    metric: str
    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def name(self) -> str:
        """The metric's name as people write it: accuracy, macro F1."""
        return display_name(self.metric)

    def shown(self) -> tuple[str, str]:
        """Value and interval as text, each empty where there is none."""
        return shown_number(self.value), shown_interval(self.low, self.high)


@dataclass(frozen=True)
class LabelScores:
    """Scores of one label, against all others.

    Attributes:
        label: which.
        texts: how many have it.
        predicted: how many it is predicted for.
        precision: share of `predicted` that have it; 0 where it is never predicted; None if it has no texts either.
        recall: share of `texts` that it is predicted for; None where no text has it.
        f1: harmonic mean of both; None where no text has it.
        low: lower end of the 95 % confidence interval of `f1`; None where there is none.
        high: upper end.
        roc_area: area under the ROC curve of its probability; None where no text, or every text, has it.
        pr_area: average precision of its probability; None as for `roc_area`.
    """

    label: str
    texts: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None
    low: float | None
    high: float | None
    roc_area: float | None
    pr_area: float | None


def shown_number(value: float | None) -> str:
    """A score as a table shows it; nothing for None."""
    return "" if value is None else f"{value:.4f}"


def shown_interval(low: float | None, high: float | None) -> str:
    """An interval as a table shows it; nothing for None."""
    return "" if low is None or high is None else f"{low:.4f} to {high:.4f}"
