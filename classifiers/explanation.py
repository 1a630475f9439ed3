"""Why a classifier said what it said: a weight for each word of a text, as JSON, in colour, and in a notebook."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from textseq import notebook_card
from textseq.plain_number import plain_number

if TYPE_CHECKING:
    from rich.text import Text

    from classifiers.prediction import Prediction

Method = Literal["attention", "gradients"]

TOP_WORDS = 5
"""Words for a label, and as many against it, that are listed beneath a coloured text."""

# Blue and orange of Okabe and Ito's palette, which people with any colour vision tell apart.
_BLUE, _ORANGE = (0, 114, 178), (230, 159, 0)
# From weak to strong, each readable on its own background whatever that of the terminal.
_BLUE_STEPS = ("black on #deebf7", "black on #9ecae1", "black on #4292c6", "bold white on #084594")
_ORANGE_STEPS = ("black on #fee6ce", "black on #fdae6b", "black on #f16913", "bold white on #8c2d04")
_FAINTEST = 0.05  # of the strongest word's weight; below it a word is not coloured
_SMALL = "margin:2px 0 0;font-size:12px;color:#333"


class WordWeight(NamedTuple):
    """A word of a text, `text[start:end]`, and what it adds."""

    word: str
    weight: float
    start: int
    end: int


@dataclass(frozen=True)
class Explanation:
    """One prediction, and the weight of each word in it.

    It prints as the text in colour with `rich.print`, as plain lines with `print`, and a notebook shows it as HTML.

    Attributes:
        prediction: what is explained.
        words: in the text's order, without what stands between them; see `textseq.words.words_of` for what a word is.
        label: the label that the weights speak of.
        method: "gradients": a weight is what the word adds to the log-odds of the label, in nats; below 0, it speaks
            against the label. "attention": a weight is the share of the attention that went to the word, 0 to 1; it
            speaks of every label at once.
        rest: the weight of what is no word, such as the end of the text, where attention may rest.
        base_value: log-odds of the label before any word is known, with gradients; None with attention and for a text
            without tokens, which gets the prior.
        value: log-odds of the label for the whole text, and as `base_value` otherwise.

    Example:
        >>> from classifiers.prediction import Prediction  # doctest: +SKIP
        >>> print(classifier.explain(["A great film, but long."])[0])  # doctest: +SKIP
        positive 0.91, by gradients
        for positive: great +2.31, film +0.12
        against positive: but -0.40, long -0.22
    """

    prediction: Prediction
    words: tuple[WordWeight, ...]
    label: str
    method: Method
    rest: float = 0.0
    base_value: float | None = None
    value: float | None = None

    @property
    def gap(self) -> float | None:
        """What the weights leave unexplained of `value - base_value`: the error of the integral; None without one."""
        if self.base_value is None or self.value is None:
            return None
        return self.value - self.base_value - math.fsum([*(word.weight for word in self.words), self.rest])

    def top(self, count: int = TOP_WORDS, *, against: bool = False) -> tuple[WordWeight, ...]:
        """The words that speak most for the label, the strongest first.

        Args:
            count: at most so many; a word that stands in the text twice is two.
            against: those that speak most against it.
        """
        sign = -1.0 if against else 1.0
        speaking = [word for word in self.words if sign * word.weight > 0.0]
        return tuple(sorted(speaking, key=lambda word: (-sign * word.weight, word.start))[:count])

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, ready for strict JSON: numbers that are not finite become None."""
        return {
            "prediction": self.prediction.to_dict(),
            "label": self.label,
            "method": self.method,
            "words": [
                {"word": word.word, "weight": plain_number(word.weight), "start": word.start, "end": word.end}
                for word in self.words
            ],
            "rest": plain_number(self.rest),
            "base_value": plain_number(self.base_value),
            "value": plain_number(self.value),
            "gap": plain_number(self.gap),
        }

    def __str__(self) -> str:
        """The answer and the words that matter most, without colour."""
        return "\n".join([self._headline(), *self._top_lines()])

    def __rich__(self) -> Text:
        """The whole text in colour, with a legend, and the top words for terminals and eyes without colour."""
        from rich.text import Text

        coloured = Text()
        for part, weight in self._segments():
            coloured.append(_shown(part), self._terminal_style(weight))
        if self.method == "gradients":
            sides: list[str | tuple[str, str]] = [f"for {_shown(self.label)} ", *_swatches(_BLUE_STEPS)]
            sides += ["  against it ", *_swatches(_ORANGE_STEPS)]
            legend = Text.assemble(*sides)
        else:
            legend = Text.assemble("attention ", *_swatches(_BLUE_STEPS))
        lines = [Text(self._headline(), "bold"), *([coloured, legend] if self.words else [])]
        return Text("\n").join([*lines, *(Text(line) for line in self._top_lines())])

    def _answer(self) -> str:
        return _shown(str(self.prediction)) or "no label"

    def _notes(self) -> str:
        """What stands behind the answer: its probability, and what was explained how."""
        prediction, label = self.prediction, _shown(self.label)
        probability = f"{prediction.probabilities.get(self.label, prediction.probability):.2f}"
        if prediction.empty:
            return f"{probability}, empty: prior"
        notes = f"{probability}, by {self.method}"
        if self._answer() != label:
            notes = f"by {self.method} for {label} {probability}"
        return f"{notes}, too long: only the first part was read" if prediction.truncated else notes

    def _headline(self) -> str:
        return f"{self._answer()} {self._notes()}"

    def _sides(self) -> list[tuple[str, str, tuple[WordWeight, ...]]]:
        """The top words of each sign that there are, with what they do and for which label."""
        if self.method == "attention":
            sides = [("most attention", "", self.top())]
        else:
            sides = [("for ", self.label, self.top()), ("against ", self.label, self.top(against=True))]
        return [side for side in sides if side[2]]

    def _top_lines(self) -> list[str]:
        return [
            f"{does}{_shown(label)}: " + ", ".join(f"{_shown(word.word)} {self._number(word.weight)}" for word in words)
            for does, label, words in self._sides()
        ]

    def _number(self, weight: float) -> str:
        return f"{weight:+.2f}" if self.method == "gradients" else f"{weight:.2f}"

    def _segments(self) -> Iterator[tuple[str, float]]:
        """The whole text in parts, words with their weights, what stands between them with 0."""
        text, place = self.prediction.text, 0
        for word in self.words:
            if place < word.start:
                yield text[place : word.start], 0.0
            yield text[word.start : word.end], word.weight
            place = word.end
        if place < len(text):
            yield text[place:], 0.0

    @cached_property
    def _strongest(self) -> float:
        return max((abs(word.weight) for word in self.words if math.isfinite(word.weight)), default=0.0)

    def _strength(self, weight: float) -> float:
        """A weight beside the strongest of the text: 0 to 1, and 0 for what is too faint to be shown."""
        if not math.isfinite(weight) or self._strongest == 0.0:
            return 0.0
        strength = abs(weight) / self._strongest
        return strength if strength >= _FAINTEST else 0.0

    def _terminal_style(self, weight: float) -> str:
        strength = self._strength(weight)
        steps = _BLUE_STEPS if weight > 0 else _ORANGE_STEPS
        return steps[min(int(strength * len(steps)), len(steps) - 1)] if strength else ""

    def _repr_html_(self) -> str:
        from textseq.figures import reads_right_to_left

        direction = "rtl" if reads_right_to_left([self.prediction.text]) else "ltr"
        text = "".join(self._html_part(part, weight) for part, weight in self._segments())
        answer = notebook_card.answer(_escaped(self._answer()))
        parts = [
            notebook_card.line(answer, " ", notebook_card.remark(_escaped(self._notes())), below=6),
            f"<p dir='{direction}' style='margin:0 0 6px;line-height:1.9;white-space:pre-wrap;overflow-wrap:anywhere'>"
            f"{text}</p>",
        ]
        if self.words:
            parts.append(f"<p dir='ltr' style='{_SMALL}'>{self._html_legend()}</p>")
        for does, label, words in self._sides():
            # Words and numbers keep their order whatever the direction of the script.
            items = ", ".join(
                f"<bdi dir='ltr'><bdi>{_escaped(word.word)}</bdi>&nbsp;{self._number(word.weight)}</bdi>"
                for word in words
            )
            parts.append(f"<p dir='ltr' style='{_SMALL}'>{does}<bdi>{_escaped(label)}</bdi>: {items}</p>")
        return notebook_card.card(*parts)

    def _html_part(self, part: str, weight: float) -> str:
        strength = self._strength(weight)
        shown = _escaped(part)
        if not strength:
            return shown
        return f"<span title='{self._number(weight)}' style='{_colour(weight, strength)}'>{shown}</span>"

    def _html_legend(self) -> str:
        if self.method == "attention":
            return f"<span style='{_colour(1, 0.2)}'>less</span> <span style='{_colour(1, 1)}'>more</span> attention"
        label = f"<bdi>{_escaped(self.label)}</bdi>"
        numbers = ""
        if self.base_value is not None and self.value is not None:
            numbers = f" &middot; log-odds {self.base_value:+.2f} without the words, {self.value:+.2f} with them"
        return (
            f"<span style='{_colour(1, 0.8)}'>for {label}</span> <span style='{_colour(-1, 0.8)}'>against it</span>"
            f"{numbers}"
        )


def html_page(explanations: Iterable[Explanation], title: str = "Explanations") -> str:
    """A whole HTML document of explanations, one beneath the other, which needs nothing but itself.

    Args:
        explanations: in the order of the page.
        title: of the document.
    """
    cards = "\n".join(
        f"<section style='border:1px solid #ccc;margin:0 0 12px'>{explanation._repr_html_()}</section>"
        for explanation in explanations
    )
    return (
        "<!DOCTYPE html>\n<html>\n<head>\n<meta charset='utf-8'>\n"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>\n"
        f"<title>{_escaped(title)}</title>\n</head>\n"
        f"<body style='max-width:60em;margin:1em auto;padding:0 1em'>\n{cards}\n</body>\n</html>\n"
    )


def _colour(weight: float, strength: float) -> str:
    """Dark text on a tint of the sign's colour; the line below it says the sign without colour."""
    red, green, blue = _BLUE if weight > 0 else _ORANGE
    line = "solid" if weight > 0 else "dashed"
    return (
        f"color:#111;background:rgba({red},{green},{blue},{0.08 + 0.57 * strength:.2f});"
        f"border-bottom:2px {line} rgb({red},{green},{blue});border-radius:2px"
    )


def _swatches(steps: Iterable[str]) -> list[tuple[str, str]]:
    return [("  ", style) for style in steps]


def _shown(text: str) -> str:
    """The text with what would disturb a line made visible; its own line breaks stay."""
    from textseq.figures import visible_text

    return "\n".join(map(visible_text, text.split("\n"))) if not text.isprintable() else text


def _escaped(text: str) -> str:
    return html.escape(_shown(text))
