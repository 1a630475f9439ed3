"""How much of one text is read, so that no text can take minutes or gigabytes."""

from __future__ import annotations

LONGEST_SOURCE = 512
"""Source tokens of one text, the final </s> counted; of a longer text the first are read."""

LONGEST_TARGET = 2048
"""Tokens of one translation that is scored, the final </s> counted; of a longer one the first are scored.

Twice what search writes at most for the longest source, under its default limits.
"""
