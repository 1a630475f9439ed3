"""What the classifier gives back: the label, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from textseq import notebook_card
from textseq.notebook_card import escaped

ABSTAINED = "not confident enough"
"""What a line of text says in place of an answer."""


@dataclass(frozen=True)
class Prediction:
    """The label of one text, or its labels where it can have several.

    It prints as its answer, and a notebook shows it with the probability of every label.

    Attributes:
        text: the text that was read.
        label: its most probable label.
        labels: what is said of the text: its label; where a text can have several, any number of labels, also none.
        probability: of `label`, from 0 to 1, calibrated.
        probabilities: of every label, in the order of the run's labels. They sum to 1, unless a text can have several.
        empty: there was nothing to read: the probabilities are the labels' shares in the training text.
        truncated: the text was too long, and only its first part was read.
        abstained: not confident enough for an answer; `label` is what it would have been.
        multi_label: a text can have several labels or none.

    Example:
        >>> prediction = Prediction("A fine film.", "positive", probability=0.9, probabilities={"positive": 0.9})
        >>> print(prediction)
        positive
        >>> prediction.labels
        ('positive',)
    """

    text: str
    label: str
    labels: tuple[str, ...] = ()
    probability: float = 0.0
    probabilities: dict[str, float] = field(default_factory=dict, repr=False)
    empty: bool = False
    truncated: bool = False
    abstained: bool = False
    multi_label: bool = False

    def __post_init__(self) -> None:
        """Says the label where a text has one."""
        if not self.labels and not self.multi_label:
            object.__setattr__(self, "labels", (self.label,))

    def __str__(self) -> str:
        """The answer: the label; where a text can have several, all of them with commas between; empty if abstained."""
        return "" if self.abstained else ", ".join(self.labels)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, ready for strict JSON; what is unusual stands there only where it happened."""
        values: dict[str, Any] = {"text": self.text, "label": self.label}
        if self.multi_label:
            values["labels"] = list(self.labels)
        values |= {"probability": self.probability, "probabilities": dict(self.probabilities)}
        return values | {name: True for name in ("empty", "truncated", "abstained") if getattr(self, name)}

    def _repr_html_(self) -> str:
        answer = escaped(str(self)) or ("no answer: not confident enough" if self.abstained else "no label")
        notes = "".join(
            f" {notebook_card.remark(f'({note})')}"
            for note, holds in (
                ("nothing to read: the labels' shares in the training text", self.empty),
                ("too long: only the first part was read", self.truncated),
            )
            if holds
        )
        rows = "".join(self._row(label, probability) for label, probability in self.probabilities.items())
        return notebook_card.card(
            notebook_card.line(notebook_card.given(self.text)),
            notebook_card.line(notebook_card.answer(answer), notes),
            f"<table style='{notebook_card.SMALL_TABLE}'><tbody>{rows}</tbody></table>",
        )

    def _row(self, label: str, probability: float) -> str:
        weight = "bold" if label in self.labels and not self.abstained else "normal"
        cell = "background:#fff;color:#111;text-align:start;padding:1px 6px"
        bar = f"width:{200 * min(max(probability, 0.0), 1.0):.0f}px;height:10px;background:#084594"
        return (
            f"<tr style='background:#fff'><th scope='row' style='{cell};font-weight:{weight}'>"
            f"<span dir='auto'>{escaped(label)}</span></th>"
            f"<td style='{cell}'><div style='{bar}'></div></td><td style='{cell}'>{probability:.3f}</td></tr>"
        )
