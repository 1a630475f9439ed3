"""Choices that depend on a seed and a number only, the same on every machine and in every version of Python."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

Item = TypeVar("Item")

# A choice takes log2(bound) bits of the hash. With 64 bits to spare it is even to one part in 2**64.
_SPARE = 2**64


class Draw:
    """Independent choices, taken from a 512-bit hash, and from further ones where it is used up.

    Args:
        seed: of everything that is composed.
        number: of this text.

    Example:
        >>> Draw(1, 7).choose("abc") == Draw(1, 7).choose("abc")
        True
    """

    __slots__ = ("_blocks", "_left", "_name", "_range")

    def __init__(self, seed: int, number: int) -> None:
        """Hashes the seed and the number."""
        self._name = f"{seed}/{number}"
        self._blocks = 0
        self._left = _bits(self._name)
        self._range = 2**512

    def below(self, bound: int) -> int:
        """An integer from 0 to bound - 1."""
        if self._range < bound * _SPARE:
            self._blocks += 1
            self._left, self._range = _bits(f"{self._name}/{self._blocks}"), 2**512
        self._left, chosen = divmod(self._left, bound)
        self._range //= bound
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


def _bits(name: str) -> int:
    return int.from_bytes(blake2b(name.encode()).digest(), "big")
