"""Cleaning of text, and of aligned pairs: every example that is removed is counted, by reason."""

from __future__ import annotations

import json
import os
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import Field

from textseq.configuration import Configuration
from textseq.corpus import Pair, hash_texts, sentence_key
from textseq.counted import counted
from textseq.errors import CorpusError

PAIR_REASONS: dict[str, str] = {
    "empty_side": "one side is empty",
    "control_characters": "control characters",
    "too_long": "one side is too long",
    "length_ratio": "lengths of the sides do not fit",
    "held_out_pair": "identical to a validation or test line, both sides",
    "held_out_source": "identical to a validation or test line, source side",
    "held_out_target": "identical to a validation or test line, target side",
    "duplicate": "duplicate of an earlier pair",
}
"""The reasons for which a pair can be removed, in the order in which they are checked, and their words in the table."""

CLEANING = "cleaning.json"
"""The file in data/ that keeps a run's report, beside the sizes of what was made."""

FIRST_LINES = 5
"""So many line numbers a report keeps for each reason."""

ReportType = TypeVar("ReportType", bound="CleaningReport")

# TAB and the two Unicode separators stand for a space. Of the other C0 and C1 characters none has a place in a
# sentence: a lone carriage return joins two lines, NUL is binary data, U+0080 to U+009F are Windows-1252 text that was
# read as Latin-1.
_SEPARATORS = str.maketrans(dict.fromkeys("\t\u2028\u2029", " "))
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")
# str.strip() would also take \x1c to \x1f and U+0085, which have to be counted.
_BLANKS = " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"


class CleaningConfig(Configuration):
    """What is removed from a training corpus."""

    max_characters: int = Field(
        default=1000, ge=1, description="Remove pairs with a side of more characters than this."
    )
    max_length_ratio: float = Field(
        default=6.0,
        ge=1.0,
        description="Remove pairs whose longer side has more than this many times the characters of the shorter; "
        "6 leaves room for Chinese and Japanese, which need a third of the characters; 1e9 removes none.",
    )
    min_compared_characters: int = Field(
        default=10,
        ge=1,
        description="A side shorter than this counts as this long when lengths are compared, so that short lines stay.",
    )
    drop_duplicates: bool = Field(default=True, description="Remove pairs that are identical to an earlier pair.")
    drop_held_out: Literal["nothing", "pair", "source", "line"] = Field(
        default="pair",
        description="Remove training pairs that are also validation or test pairs: 'pair' where both sides are equal, "
        "'source' where the source is, 'line' where either side is, 'nothing' to keep all. Case and spacing are "
        "ignored. Those that are kept are counted as well.",
    )

    def drops(self, overlap: str) -> bool:
        """Says whether a pair with this overlap (a name that begins with "held_out") is removed."""
        strictness = ("nothing", "pair", "source", "line").index(self.drop_held_out)
        return strictness >= ("held_out_pair", "held_out_source", "held_out_target").index(overlap) + 1


class HashSet:
    """A set of 64-bit hashes in 12 to 24 bytes each, where a Python set needs about 80; it only grows.

    Open addressing with linear probing in one array of machine words, at most two thirds full.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * 1024))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, value: int) -> bool:
        return self._slots[self._position(value or 1)] != 0

    def add(self, value: int) -> bool:
        """Adds an unsigned 64-bit hash; returns False where it was there already."""
        value = value or 1  # 0 marks a free slot
        position = self._position(value)
        if self._slots[position]:
            return False
        self._slots[position] = value
        self._count += 1
        if 3 * self._count > 2 * len(self._slots):
            self._grow()
        return True

    def _position(self, value: int) -> int:
        slots, mask = self._slots, len(self._slots) - 1
        position = value & mask
        while slots[position] and slots[position] != value:
            position = (position + 1) & mask
        return position

    def _grow(self) -> None:
        old = self._slots
        self._slots = array("Q", bytes(16 * len(old)))
        for value in old:
            if value:
                self._slots[self._position(value)] = value


class HeldOut:
    """The validation and test pairs, which training must not see: three hashes a pair.

    Lines are compared by `sentence_key`, so without case, character width and extra space.

    Args:
        pairs: validation pairs, test pairs, or both one after the other.
    """

    def __init__(self, pairs: Iterable[Pair] = ()) -> None:
        self._pairs, self._sources, self._targets = HashSet(), HashSet(), HashSet()
        for pair in pairs:
            self.add(pair)

    def add(self, pair: Pair) -> None:
        """Adds one validation or test pair."""
        source, target = sentence_key(pair.source), sentence_key(pair.target)
        self._pairs.add(hash_texts(source, target))
        self._sources.add(hash_texts(source))
        self._targets.add(hash_texts(target))

    def overlap(self, pair: Pair) -> Literal["held_out_pair", "held_out_source", "held_out_target"] | None:
        """Names the strongest way in which a pair repeats a held-out one, or None."""
        source, target = sentence_key(pair.source), sentence_key(pair.target)
        if hash_texts(source, target) in self._pairs:
            return "held_out_pair"
        if hash_texts(source) in self._sources:
            return "held_out_source"
        return "held_out_target" if hash_texts(target) in self._targets else None


@dataclass
class CleaningReport:
    """What cleaning did to a corpus; filled while the examples stream.

    A subclass names its reasons and its examples.

    Attributes:
        read: examples read.
        kept: examples kept; `read` is the sum of `kept` and all of `removed`.
        removed: examples removed, by reason (the keys of `REASONS`, all present); an example counts once, under the
            first reason that applies.
        first_lines: the first few line numbers of each reason, counted from 1.
        kept_overlaps: examples kept although they, or a side of them, are also a validation or test line; keys as
            above, those that begin with "held_out".
    """

    REASONS: ClassVar[Mapping[str, str]] = {}
    """The reasons for which an example can be removed, in the order of the table, and their words there."""
    EXAMPLE: ClassVar[str] = "example"
    """What is cleaned, in the singular."""

    read: int = 0
    kept: int = 0
    removed: dict[str, int] = field(default_factory=dict)
    first_lines: dict[str, list[int]] = field(default_factory=dict)
    kept_overlaps: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for reason in self.REASONS:
            self.removed.setdefault(reason, 0)
            self.first_lines.setdefault(reason, [])
            if reason.startswith("held_out"):
                self.kept_overlaps.setdefault(reason, 0)

    def keeps(self, line: int, reason: str | None, overlap: str | None) -> bool:
        """Counts one example, and says whether it is kept.

        Args:
            line: where it stands.
            reason: why it is removed; None where it is kept.
            overlap: which key of `kept_overlaps` it counts for if it is kept; None for none.
        """
        if reason is not None:
            self.remove(reason, line)
            return False
        self.kept += 1
        if overlap is not None:
            self.kept_overlaps[overlap] += 1
        return True

    def remove(self, reason: str, line: int) -> None:
        """Counts one removed example."""
        self.removed[reason] += 1
        if len(self.first_lines[reason]) < FIRST_LINES:
            self.first_lines[reason].append(line)

    def withdraw(self, reason: str, line: int) -> None:
        """Counts an example as removed that was counted as kept before."""
        self.kept -= 1
        self.remove(reason, line)

    def rows(self) -> list[tuple[str, int, str]]:
        """The table: what, how many, and at which lines first. Reasons that removed nothing are listed as well."""
        rows = [("read", self.read, "")]
        rows += [(f"removed: {words}", self.removed[key], self._places(key)) for key, words in self.REASONS.items()]
        rows.append(("kept", self.kept, ""))
        rows += [(f"among them: {self.REASONS[key]}", count, "") for key, count in self.kept_overlaps.items() if count]
        return rows

    def tell(self, notify: Callable[[str], None]) -> None:
        """Says each row of the table whose number is not 0."""
        for words, count, places in self.rows():
            if count:
                notify(f"cleaning: {words}: {count:,}" + (f" ({places})" if places else ""))

    def require_some(self, path: str | os.PathLike[str]) -> None:
        """Checks, after the stream is over, that an example is left.

        Raises:
            CorpusError: nothing is left; the message lists the reasons.
        """
        if self.kept:
            return
        reasons = "; ".join(
            f"{self.REASONS[key]}: {count:,} ({self._places(key)})" for key, count in self.removed.items() if count
        )
        raise CorpusError(
            f"none of {counted(self.read, self.EXAMPLE)} is left after cleaning ({reasons}); mend the files or loosen "
            "[cleaning]",
            path,
        )

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "read": self.read,
            "kept": self.kept,
            "removed": dict(self.removed),
            "first_lines": {reason: list(lines) for reason, lines in self.first_lines.items()},
            "kept_overlaps": dict(self.kept_overlaps),
        }

    @classmethod
    def from_dict(cls: type[ReportType], values: Mapping[str, Any]) -> ReportType:
        """The inverse of `to_dict`."""
        report = cls(read=values["read"], kept=values["kept"])
        report.removed.update(values["removed"])
        report.first_lines.update({reason: list(lines) for reason, lines in values["first_lines"].items()})
        report.kept_overlaps.update(values["kept_overlaps"])
        return report

    @classmethod
    def read_from(cls: type[ReportType], folder: Path) -> ReportType:
        """The report of a run that was prepared.

        Args:
            folder: the run's data/.
        """
        return cls.from_dict(json.loads((folder / CLEANING).read_text(encoding="utf-8"))["report"])

    def _places(self, reason: str) -> str:
        lines = self.first_lines[reason]
        if not lines:
            return ""
        more = ", ..." if self.removed[reason] > len(lines) else ""
        return ("line " if self.removed[reason] == 1 else "lines ") + ", ".join(map(str, lines)) + more


@dataclass
class PairCleaningReport(CleaningReport):
    """What cleaning did to aligned pairs."""

    REASONS: ClassVar[Mapping[str, str]] = PAIR_REASONS
    EXAMPLE: ClassVar[str] = "pair"


def clean_line(line: str) -> str:
    r"""One side as it is trained on: TAB, U+2028 and U+2029 become a space, blanks at both ends go; nothing else.

    Example:
        >>> clean_line("\tA man  sleeps. ")
        'A man  sleeps.'
    """
    return line.translate(_SEPARATORS).strip(_BLANKS)


def has_control_characters(text: str) -> bool:
    r"""Whether a cleaned line holds C0 or C1 control characters or lone surrogates, which have no place in a sentence.

    Example:
        >>> has_control_characters("A man\x00"), has_control_characters("Ein Mädchen 👩")
        (True, False)
    """
    return _CONTROL.search(text) is not None


def clean_pairs(
    pairs: Iterable[Pair],
    config: CleaningConfig,
    report: CleaningReport,
    held_out: HeldOut | None = None,
) -> Iterator[Pair]:
    """Streams the pairs that are worth training on, each side through `clean_line`.

    Memory: 12 to 24 bytes for each pair kept, for the hashes that find duplicates; none with `drop_duplicates` off.

    Args:
        pairs: the corpus.
        config: what to remove.
        report: counts what is removed; complete when the stream is over.
        held_out: validation and test pairs that training must not see.
    """
    seen = HashSet()
    for pair in pairs:
        report.read += 1
        cleaned = Pair(clean_line(pair.source), clean_line(pair.target), pair.line)
        reason = _fault(cleaned, config)
        overlap = held_out.overlap(cleaned) if held_out is not None and reason is None else None
        if overlap is not None and config.drops(overlap):
            reason = overlap
        if reason is None and config.drop_duplicates and not seen.add(hash_texts(cleaned.source, cleaned.target)):
            reason = "duplicate"
        if report.keeps(pair.line, reason, overlap):
            yield cleaned


def _fault(pair: Pair, config: CleaningConfig) -> str | None:
    """Names what is wrong with a pair for itself, or None."""
    if not pair.source or not pair.target:
        return "empty_side"
    if has_control_characters(pair.source) or has_control_characters(pair.target):
        return "control_characters"
    shorter, longer = sorted((len(pair.source), len(pair.target)))
    if longer > config.max_characters:
        return "too_long"
    if longer > config.max_length_ratio * max(shorter, config.min_compared_characters):
        return "length_ratio"
    return None
