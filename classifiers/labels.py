"""The labels of a run: fixed by the training text, in one order everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textseq.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
# So many labels are named in a message.
_NAMED = 20


@dataclass(frozen=True)
class LabelInventory:
    """The labels that a classifier knows, and how frequent they are.

    Attributes:
        labels: all different, in the order of the model's outputs, see `sorted_labels`.
        counts: the training texts of each label.
        multi_label: a text can have several labels, or none.
        texts: the training texts; 0 stands for the sum of the counts, which it is where each text has one label.

    Example:
        >>> inventory = LabelInventory(("negative", "positive"), (30, 10))
        >>> inventory.index("positive"), inventory.prior
        (1, (0.75, 0.25))
    """

    labels: tuple[str, ...]
    counts: tuple[int, ...]
    multi_label: bool = False
    texts: int = 0

    @classmethod
    def from_counts(cls, counts: Mapping[str, int], texts: int, *, multi_label: bool = False) -> LabelInventory:
        """The inventory of a training text, the labels put in order.

        Args:
            counts: label to number of training texts.
            texts: the training texts.
            multi_label: a text can have several labels, or none.
        """
        labels = tuple(sorted_labels(counts))
        return cls(labels, tuple(counts[label] for label in labels), multi_label, texts)

    @property
    def prior(self) -> tuple[float, ...]:
        """Each label's share of the training texts, from 0 to 1; what is known of a text that is empty."""
        texts = self.texts or sum(self.counts)
        return tuple(count / texts for count in self.counts)

    def __len__(self) -> int:
        return len(self.labels)

    def index(self, label: str) -> int:
        """The place of a label, from 0.

        Raises:
            InputError: the label is unknown; the message names those that are known.
        """
        try:
            return self.labels.index(label)
        except ValueError:
            raise InputError(f"unknown label {label!r}; the training text has {listed(self.labels)}") from None

    def numbers(self, labels: Iterable[str]) -> tuple[int, ...]:
        """The places of the labels of one text, ascending, each once.

        Raises:
            InputError: a label is unknown.
        """
        return tuple(sorted({self.index(label) for label in labels}))

    def multi_hot(self, rows: Sequence[Iterable[int]]) -> npt.NDArray[np.int32]:
        """The targets of texts: int32[texts, classes], 1 where a text has the label.

        Args:
            rows: the places of the labels of each text.
        """
        import numpy as np

        targets = np.zeros((len(rows), len(self.labels)), dtype=np.int32)
        for target, numbers in zip(targets, rows, strict=True):
            target[list(numbers)] = 1
        return targets

    def to_dict(self) -> dict[str, Any]:
        """The inventory as JSON values."""
        return {
            "labels": list(self.labels),
            "counts": list(self.counts),
            "multi_label": self.multi_label,
            "texts": self.texts,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LabelInventory:
        """The inverse of `to_dict`."""
        return cls(tuple(values["labels"]), tuple(values["counts"]), values["multi_label"], values["texts"])


def sorted_labels(labels: Iterable[str]) -> list[str]:
    """Labels in order: by value where all are numbers, else as text, by code point.

    Example:
        >>> sorted_labels({"10", "-1", "2"}), sorted_labels({"10", "2", "x"})
        (['-1', '2', '10'], ['10', '2', 'x'])
    """
    distinct = set(labels)
    if all(_NUMBER.fullmatch(label) for label in distinct):
        return sorted(distinct, key=lambda label: (float(label), label))
    return sorted(distinct)


def listed(labels: Sequence[str]) -> str:
    """Labels, or other names, in words, for a message; of many, the first.

    Example:
        >>> listed(["negative", "positive"])
        "'negative', 'positive'"
    """
    named = ", ".join(repr(label) for label in labels[:_NAMED])
    return named if len(labels) <= _NAMED else f"{named} and {len(labels) - _NAMED} more"
