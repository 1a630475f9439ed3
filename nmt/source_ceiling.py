"""How much of one text is translated."""

from __future__ import annotations

LONGEST_SOURCE = 512
"""Source tokens of one text, the final </s> counted; of a longer text the first are read, so that work is bounded."""
