"""The start of a text ends at a character boundary. (The graph's is tested in test_graph_tokenization.py.)"""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq.text_start import text_start


@given(st.text(max_size=40), st.integers(4, 60))
def test_it_is_the_longest_prefix_that_fits(text: str, most: int) -> None:
    start = text_start(text, most)
    assert text.startswith(start) and len(start.encode()) <= most
    assert start == text or len(text[: len(start) + 1].encode()) > most


@pytest.mark.parametrize("character", ["a", "ö", "語", "😀"])
@pytest.mark.parametrize("before", range(4))
def test_a_character_across_the_ceiling_is_left_out(character: str, before: int) -> None:
    size = len(character.encode())
    text = "x" * (100 - before) + character * 9
    kept = before // size
    assert text_start(text, 100) == "x" * (100 - before) + character * kept


def test_a_text_that_fits_is_the_same_object() -> None:
    for text in ("", "short", "語" * 10):
        assert text_start(text, 30) is text


def test_megabytes_are_not_copied() -> None:
    text = "語" * 3_000_000
    tracemalloc.start()
    assert len(text_start(text, 1000)) == 333
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000
