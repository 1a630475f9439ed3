"""How much of one text is read, so that no text can take minutes or gigabytes.

Twice over: in tokens, which bound the network's work, and before that in bytes, which bound the tokenizer's. A piece of
a vocabulary has 16 characters at most, so 64 bytes of UTF-8; a text that keeps to the first ceiling is cut by the
second only where it holds kilobytes of blanks.
"""

from __future__ import annotations

LONGEST_SOURCE = 512
"""Source tokens of one text, the final </s> counted; of a longer text the first are read."""

LONGEST_SOURCE_BYTES = 65_536
"""Bytes of one source text in UTF-8, 128 a token; of a larger text the first characters are tokenized."""

LONGEST_TARGET = 2048
"""Tokens of one translation that is scored, the final </s> counted; of a longer one the first are scored.

Twice what search writes at most for the longest source, under its default limits.
"""

LONGEST_TARGET_BYTES = 262_144
"""Bytes of one translation that is scored, in UTF-8; of a larger one the first characters are tokenized."""
