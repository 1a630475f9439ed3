"""The four ids that are not text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from textseq.tokenization import Tokenizer


class SpecialIds(NamedTuple):
    """The special ids of a tokenizer; read from it, never written as numbers."""

    pad_id: int
    unk_id: int
    bos_id: int
    eos_id: int


def special_ids_of(tokenizer: Tokenizer) -> SpecialIds:
    """The special ids that a tokenizer has, without the tokenizer."""
    return SpecialIds(tokenizer.pad_id, tokenizer.unk_id, tokenizer.bos_id, tokenizer.eos_id)
