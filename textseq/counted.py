"""Numbers with the word for what is counted."""

from __future__ import annotations


def counted(number: int, one: str) -> str:
    """The number and its word, in the plural where it is not 1.

    Args:
        number: how many.
        one: the word for one, whose plural ends in s.

    Example:
        >>> counted(1, "pair"), counted(29_000, "pair")
        ('1 pair', '29,000 pairs')
    """
    return f"{number:,} {one}" if number == 1 else f"{number:,} {one}s"
