"""Choices that depend on a seed and a number only, the same on every machine and in every version of Python."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

Item = TypeVar("Item")


class Draw:
    """A few dozen independent choices, all taken from one 512-bit hash.

    Args:
        seed: of the whole phrasebook.
        number: of the sentence.

    Example:
        >>> Draw(1, 7).choose("abc") == Draw(1, 7).choose("abc")
        True
    """

    __slots__ = ("_left",)

    def __init__(self, seed: int, number: int) -> None:
        """Hashes the seed and the number."""
        self._left = int.from_bytes(blake2b(f"{seed}/{number}".encode()).digest(), "big")

    def below(self, bound: int) -> int:
        """An integer from 0 to bound - 1."""
        self._left, chosen = divmod(self._left, bound)
        return chosen

    def choose(self, items: Sequence[Item]) -> Item:
        """One of the items."""
        return items[self.below(len(items))]

    def percent(self, chance: int) -> bool:
        """True in so many of a hundred cases."""
        return self.below(100) < chance


def bucket(seed: int, text: str) -> int:
    """A number from 0 to 999 that depends on the seed and the text only."""
    return int.from_bytes(blake2b(f"{seed}/{text}".encode(), digest_size=8).digest(), "big") % 1000
