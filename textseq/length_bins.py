"""Texts sorted into bins by their length, for scores by length."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from textseq.errors import InputError

LengthUnit = Literal["words", "characters"]
# Where a word is longer than this on average, the text hardly has spaces.
_LONGEST_MEAN_WORD = 15


@dataclass(frozen=True)
class LengthSpan:
    """Lengths from `shortest` to `longest`.

    Attributes:
        shortest: least length, inclusive.
        longest: greatest length, inclusive; None for no limit.
        unit: what lengths count, "words" (between spaces) or "characters" (spaces left out).
    """

    shortest: int
    longest: int | None
    unit: LengthUnit

    @property
    def label(self) -> str:
        """The span in words, for example "11 to 15 words"."""
        span = f"{self.shortest} or more" if self.longest is None else f"{self.shortest} to {self.longest}"
        return f"{span} {self.unit}"


def length_bins(
    texts: Sequence[str],
    bounds: Sequence[int] | None,
    unit: LengthUnit | None,
    usual: Mapping[LengthUnit, Sequence[int]],
) -> list[tuple[LengthSpan, list[int]]]:
    """Sorts texts into bins by length.

    Args:
        texts: the texts.
        bounds: greatest length of each bin, rising; a last bin takes what is longer. (10, 20) makes the bins
            0 to 10, 11 to 20, 21 or more. None takes those of `usual`.
        unit: count "words" or "characters". None takes words, or characters where the texts hardly have spaces,
            as in Japanese, Chinese and Thai.
        usual: the bounds to take where none are given, for each unit.

    Returns:
        `len(bounds) + 1` bins from short to long, each with the indices of its texts; every text is in exactly one.

    Raises:
        InputError: bounds that do not rise from 0.

    Example:
        >>> usual = {"words": [10], "characters": [40]}
        >>> [(span.label, indices) for span, indices in length_bins(["a", "a b c"], [2], None, usual)]
        [('0 to 2 words', [0]), ('3 or more words', [1])]
    """
    if unit is None:
        words = sum(len(text.split()) for text in texts)
        unit = "words" if sum(map(_visible_length, texts)) <= _LONGEST_MEAN_WORD * words else "characters"
    bounds = list(usual[unit] if bounds is None else bounds)
    if any(left >= right for left, right in zip([-1, *bounds], bounds, strict=False)):
        raise InputError(f"bounds: received {bounds}; expected lengths of 0 or more, each greater than the one before")
    count: Callable[[str], int] = (lambda text: len(text.split())) if unit == "words" else _visible_length
    lengths = [count(text) for text in texts]
    return [
        (
            LengthSpan(shortest, longest, unit),
            [i for i, n in enumerate(lengths) if shortest <= n and (longest is None or n <= longest)],
        )
        for shortest, longest in zip([0, *(bound + 1 for bound in bounds)], [*bounds, None], strict=True)
    ]


def _visible_length(text: str) -> int:
    return sum(len(word) for word in text.split())
