"""Cleaning of labelled text: every text that is removed is counted, by reason, and what is kept in spite of it too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from classifiers.config import CleaningConfig
from classifiers.corpus import LabelledText
from textseq.cleaning import CleaningReport, HashSet, clean_line, has_control_characters
from textseq.corpus import hash_texts, sentence_key

REASONS: dict[str, str] = {
    "empty": "empty",
    "control_characters": "control characters",
    "too_long": "too long",
    "held_out_validation": "also a validation text",
    "held_out_test": "also a test text",
    "contradicting": "stands there with different labels",
    "duplicate": "duplicate of an earlier text",
}
"""The reasons for which a text can be removed, in the order in which they are checked, and their words in the table."""

CUT = "cut"
C1_CHARACTERS = "c1_characters"
NOTES: dict[str, str] = {
    C1_CHARACTERS: "with characters U+0080 to U+009F (Windows-1252 read as Latin-1)",
    CUT: "cut at the limit of tokens",
}
"""What is counted of training texts that are kept, and its words in the table."""

HELD_OUT_NOTES: dict[str, str] = {
    "validation_in_test": "validation texts that are also test texts",
    "validation_empty": "validation texts that are empty",
    "validation_cut": "validation texts cut at the limit of tokens",
}
"""What is counted of the validation texts, all of which are kept, and its words in the table."""

# Beside U+0085, which other tools take for a line end, these are dashes, quotes and the like of text that was decoded
# wrongly once: one review in forty of IMDB has some. A text with a dash lost can be classified all the same.
_C1 = dict.fromkeys(range(0x80, 0xA0))

HeldOutPart = Literal["validation", "test"]


class CleanText(NamedTuple):
    """A text that is worth training on.

    Attributes:
        text: cleaned.
        labels: as they were read.
        place: the line in the file, or in a folder the text's number, counted from 1.
        key: see `key_of`.
    """

    text: str
    labels: tuple[str, ...]
    place: int
    key: int


class HeldOutTexts:
    """The keys of the validation and test texts, which training must not see: 12 to 24 bytes a text."""

    def __init__(self) -> None:
        self._keys: dict[HeldOutPart, HashSet] = {"validation": HashSet(), "test": HashSet()}

    def add(self, part: HeldOutPart, key: int) -> None:
        """Adds a text by its key, see `key_of`."""
        self._keys[part].add(key)

    def has(self, part: HeldOutPart, key: int) -> bool:
        """Whether a text with this key is in the part."""
        return key in self._keys[part]

    def overlap(self, key: int) -> Literal["held_out_validation", "held_out_test"] | None:
        """Names the part in which a text with this key is, or None."""
        if key in self._keys["validation"]:
            return "held_out_validation"
        return "held_out_test" if key in self._keys["test"] else None


@dataclass
class TextCleaningReport(CleaningReport):
    """What cleaning did to labelled text; `kept_overlaps` also counts contradictions and duplicates that were kept.

    Attributes:
        noted: what was counted of texts that are kept: the keys of `NOTES` and `HELD_OUT_NOTES`.
        of_folder: places are numbers of texts, by folder and name, not of lines.
    """

    REASONS: ClassVar[Mapping[str, str]] = REASONS
    EXAMPLE: ClassVar[str] = "text"

    noted: dict[str, int] = field(default_factory=lambda: dict.fromkeys([*NOTES, *HELD_OUT_NOTES], 0))
    of_folder: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for reason in ("contradicting", "duplicate"):
            self.kept_overlaps.setdefault(reason, 0)

    def rows(self) -> list[tuple[str, int, str]]:
        """The table of `CleaningReport.rows`, and below it what was noted."""
        rows = super().rows()
        rows += [(f"among them: {words}", self.noted[key], "") for key, words in NOTES.items() if self.noted[key]]
        rows += [(words, self.noted[key], "") for key, words in HELD_OUT_NOTES.items() if self.noted[key]]
        return rows

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {**super().to_dict(), "noted": dict(self.noted), "of_folder": self.of_folder}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TextCleaningReport:
        """The inverse of `to_dict`."""
        report = super().from_dict(values)
        report.noted.update(values["noted"])
        report.of_folder = values["of_folder"]
        return report

    def _places(self, reason: str) -> str:
        places = super()._places(reason)
        return places.replace("line", "text", 1) if self.of_folder else places


def key_of(text: str) -> int:
    """64-bit hash of what all spellings of a text share, see `textseq.corpus.sentence_key`."""
    return hash_texts(sentence_key(text))


def clean_texts(
    texts: Iterable[LabelledText], config: CleaningConfig, report: TextCleaningReport, held_out: HeldOutTexts
) -> Iterator[CleanText]:
    """Streams the texts that are worth training on for themselves, through `textseq.cleaning.clean_line`.

    Repetitions among them are known at the end only: see `repetitions`. Memory does not grow.

    Args:
        texts: the corpus.
        config: what to remove.
        report: counts what is removed; complete when the stream is over.
        held_out: validation and test texts that training must not see.
    """
    for text in texts:
        report.read += 1
        place = report.read if report.of_folder else text.line
        cleaned = clean_line(text.text)
        odd = has_control_characters(cleaned)
        reason = _fault(cleaned, config, odd)
        key = key_of(cleaned) if reason is None else 0
        overlap = held_out.overlap(key) if reason is None else None
        if overlap is not None and config.drop_held_out:
            reason = overlap
        if report.keeps(place, reason, overlap):
            report.noted[C1_CHARACTERS] += odd
            yield CleanText(cleaned, text.labels, place, key)


def repetitions(
    keys: npt.NDArray[np.uint64], label_sets: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Finds texts that stand in a corpus more than once.

    Args:
        keys: uint64[texts], see `key_of`.
        label_sets: int[texts], equal where texts have the same labels.

    Returns:
        contradicting bool[texts]: texts of which there is one with other labels. duplicate bool[texts]: texts of which
        there is one before with the same labels.

    Example:
        >>> contradicting, duplicate = repetitions(np.array([7, 8, 7, 9, 9], np.uint64), np.array([0, 0, 1, 0, 0]))
        >>> contradicting.tolist(), duplicate.tolist()
        ([True, False, True, False, False], [False, False, False, False, True])
    """
    # Stable, so that of equal texts the first of the corpus stays the first.
    order = np.lexsort((label_sets, keys))
    keys, label_sets = keys[order], label_sets[order]
    same_key = np.zeros(len(keys), dtype=np.bool_)
    same_key[1:] = keys[1:] == keys[:-1]
    same_labels = np.zeros(len(keys), dtype=np.bool_)
    same_labels[1:] = label_sets[1:] == label_sets[:-1]
    group = np.cumsum(~same_key) - 1
    changes = np.bincount(group, weights=same_key & ~same_labels) > 0
    contradicting, duplicate = np.empty_like(same_key), np.empty_like(same_key)
    contradicting[order] = changes[group]
    duplicate[order] = same_key & same_labels
    return contradicting, duplicate


def _fault(text: str, config: CleaningConfig, odd: bool) -> str | None:
    """Names what is wrong with a text for itself, or None."""
    if not text:
        return "empty"
    if odd and has_control_characters(text.translate(_C1)):
        return "control_characters"
    return "too_long" if len(text) > config.max_characters else None
