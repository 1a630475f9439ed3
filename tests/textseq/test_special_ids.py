"""The special ids are the tokenizer's."""

from __future__ import annotations

from types import SimpleNamespace

from textseq.special_ids import SpecialIds, special_ids_of


def test_ids_are_read_from_the_tokenizer() -> None:
    tokenizer = SimpleNamespace(pad_id=7, unk_id=5, bos_id=9, eos_id=2)
    assert special_ids_of(tokenizer) == SpecialIds(pad_id=7, unk_id=5, bos_id=9, eos_id=2)
