"""A or an."""

from __future__ import annotations

import pytest

from textseq.indefinite_article import article


@pytest.mark.parametrize(
    "word", ["apple", "elegant", "inedible", "old-fashioned", "uninspired", "unfair", "hour", "Ugly"]
)
def test_an_before_the_sound_of_a_vowel(word: str) -> None:
    assert article(word) == "an"


@pytest.mark.parametrize("word", ["book", "useful", "uniform", "university", "one-eyed", "European", "house", ""])
def test_a_before_the_sound_of_a_consonant(word: str) -> None:
    assert article(word) == "a"
