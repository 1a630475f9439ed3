"""Numbers as strict JSON can hold them."""

from __future__ import annotations

import math
from typing import SupportsFloat


def plain_number(value: SupportsFloat | None, decimals: int | None = None) -> float | None:
    """The number as Python's float; None for None and for what is not finite, which JSON has no word for.

    Args:
        value: Python's or NumPy's.
        decimals: to which it is rounded; None keeps it whole.

    Example:
        >>> plain_number(0.125), plain_number(float("nan")), plain_number(2 / 3, 4)
        (0.125, None, 0.6667)
    """
    if value is None or not math.isfinite(value):
        return None
    number = float(value)
    return number if decimals is None else round(number, decimals)
