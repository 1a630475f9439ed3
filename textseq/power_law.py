"""What grows or falls with the size of a corpus as a power of it."""

from __future__ import annotations


def power_law(amount: float, *, at: float, value: float, power: float, least: float, most: float) -> float:
    """`value * (amount / at) ** power`, but at least `least` and at most `most`.

    Args:
        amount: such as the sentence pairs of a corpus; below 1 it counts as 1.
        at: the amount where the value was measured.
        value: what is right there.
        power: below 0, the value falls as the amount grows.
        least: bound.
        most: bound.

    Example:
        >>> [power_law(pairs, at=100, value=8.0, power=0.5, least=1.0, most=50.0) for pairs in (0, 25, 400, 10**6)]
        [1.0, 4.0, 16.0, 50.0]
    """
    return min(most, max(least, value * (max(1, amount) / at) ** power))
