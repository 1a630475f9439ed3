"""The normalization "nfc" as a rule of SentencePiece's: Unicode's canonical composition, and every blank as a space.

SentencePiece's own rules make compatibility characters one (NFKC), which rewrites what is translated *into* a
language: "，" becomes ",", "…" three dots, "²" a 2, and a Persian word loses the mark that keeps its letters apart.
Canonical composition (Unicode Standard Annex 15) only joins a letter and its marks, so text comes back as it was.
"""

from __future__ import annotations

import functools
import itertools
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterator

_BLANKS = "\t\n\x0b\x0c\r\x85\u00a0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
# What stands for bytes that were no text.
_REPLACEMENT = "\ufffd"
# Control characters, the blank of no width, and the mark of byte order.
_CONTROLS = "".join(map(chr, (*range(1, 9), *range(0x0E, 0x20), *range(0x7F, 0x85), *range(0x86, 0xA0))))
_DROPPED = _CONTROLS + "\u200b\ufeff"
_HANGUL_SYLLABLES = range(0xAC00, 0xD7A4)
_FINALS = 28  # final consonants of a Hangul block, none included


@functools.cache
def canonical_composition_rule() -> str:
    """The rule as SentencePiece takes it: lines of "code points TAB code points", in hexadecimal.

    A letter with two of the marks that go with it is composed, in either order, and with three where there is a
    character for them; of longer sequences the beginning is. The Unicode version is that of Python's `unicodedata`.
    """
    rules = dict.fromkeys(_BLANKS + _REPLACEMENT, " ") | dict.fromkeys(_DROPPED, "")
    rules |= dict(_letters_with_marks())
    rules |= dict(_hangul())
    lines = (f"{_hexadecimal(key)}\t{_hexadecimal(value)}" for key, value in sorted(rules.items()))
    return "\n".join(lines) + "\n"


def _letters_with_marks() -> Iterator[tuple[str, str]]:
    marks_of: dict[str, set[str]] = defaultdict(set)
    sequences: set[tuple[str, ...]] = set()
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        decomposition = unicodedata.decomposition(character)
        if not decomposition or decomposition.startswith("<"):  # "<...>": a compatibility character, which stays
            continue
        composed = unicodedata.normalize("NFC", character)
        if composed != character:
            yield character, composed
        letter, *marks = list(unicodedata.normalize("NFD", character))
        marks_of[letter].update(marks)
        sequences.update((letter, *order) for order in itertools.permutations(marks))
    for letter, its_marks in marks_of.items():
        sequences.update((letter, *two) for two in itertools.product(sorted(its_marks), repeat=2))
    for letter, *marks in sorted(sequences):
        for start in _starts(letter, marks):
            composed = unicodedata.normalize("NFC", start)
            if composed != start:
                yield start, composed


def _starts(letter: str, marks: list[str]) -> Iterator[str]:
    """The sequence as it is, and with its beginning composed already."""
    yield letter + "".join(marks)
    for place in range(1, len(marks)):
        begun = unicodedata.normalize("NFC", letter + "".join(marks[:place]))
        yield begun + "".join(marks[place:])


def _hangul() -> Iterator[tuple[str, str]]:
    for code in _HANGUL_SYLLABLES:
        syllable = chr(code)
        jamo = unicodedata.normalize("NFD", syllable)
        yield jamo, syllable
        if (code - _HANGUL_SYLLABLES.start) % _FINALS:
            yield unicodedata.normalize("NFC", jamo[:2]) + jamo[2], syllable


def _hexadecimal(text: str) -> str:
    return " ".join(f"{ord(character):X}" for character in text)
