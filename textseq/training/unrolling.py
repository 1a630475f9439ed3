"""Whether training graphs are worth unrolling."""

from __future__ import annotations

# Unrolled graphs take about a minute to build and save a tenth of the time of every step.
_FROM = 500_000


def worth_unrolling(examples: int) -> bool:
    """Whether a training is so long that graphs which lay time out step by step pay.

    Args:
        examples: sentence pairs or texts that it reads, in all its epochs together.

    Example:
        >>> worth_unrolling(30 * 29_000), worth_unrolling(3 * 1_000)
        (True, False)
    """
    return examples >= _FROM
