"""The sets of labels that texts have, numbered before the inventory of labels is known."""

from __future__ import annotations

from collections.abc import Sequence

from classifiers.corpus import LabelledText


class LabelSets:
    """Each distinct set of labels of a stream of texts once, so that a text needs to keep one number only.

    Attributes:
        distinct: the sets in the order in which they were first seen, each sorted as text.
        first: path and line of the first text of each label.
    """

    def __init__(self) -> None:
        self.distinct: list[tuple[str, ...]] = []
        self.first: dict[str, tuple[str, int]] = {}
        self._numbers: dict[tuple[str, ...], int] = {}

    def see(self, text: LabelledText) -> int:
        """Takes note of a text and returns the number of its set."""
        before = len(self.distinct)
        number = self.number(text.labels)
        if number == before:
            for label in text.labels:
                self.first.setdefault(label, (text.path, text.line))
        return number

    def number(self, labels: Sequence[str]) -> int:
        """The number of a set of labels, whatever their order."""
        key = tuple(sorted(labels))
        number = self._numbers.setdefault(key, len(self.distinct))
        if number == len(self.distinct):
            self.distinct.append(key)
        return number
