"""The oracle is Python's unicodedata: text comes back from a tokenizer as its canonical composition."""

from __future__ import annotations

import itertools
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq.canonical_composition import canonical_composition_rule
from textseq.corpus import read_lines
from textseq.tokenization import TokenizationConfig, Tokenizer
from textseq.tokenizer_training import train_tokenizer

MARKS = "\u0300\u0301\u0302\u0303\u0304\u0308\u030c\u0323\u0327"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["some text to learn from"], TokenizationConfig(), vocabulary_size=300, seed=1)


def round_trip(tokenizer: Tokenizer, text: str) -> str:
    return tokenizer.decode(tokenizer.encode([text])[0])


@given(st.lists(st.tuples(st.sampled_from("aeiouncsAEO"), st.text(MARKS, max_size=2)), min_size=1, max_size=8))
def test_letters_with_two_marks_are_composed(tokenizer: Tokenizer, letters: list[tuple[str, str]]) -> None:
    text = "".join(letter + marks for letter, marks in letters if canonical(letter, marks))
    assert round_trip(tokenizer, text) == unicodedata.normalize("NFC", text)


def canonical(letter: str, marks: str) -> bool:
    """Whether each mark goes with the letter in some character; a mark that does not is left where it is."""
    return all(len(unicodedata.normalize("NFC", letter + mark)) == 1 for mark in marks) and len(set(marks)) == len(
        marks
    )


@given(st.text(st.characters(exclude_categories=("C", "Z", "M"), exclude_characters="\u2581\ufffd"), max_size=20))
def test_single_characters_are_composed_and_never_made_compatible(tokenizer: Tokenizer, text: str) -> None:
    assert round_trip(tokenizer, text) == unicodedata.normalize("NFC", text)


@given(st.integers(0xAC00, 0xD7A3).map(chr), st.sampled_from(["NFD", "NFC"]))
def test_hangul(tokenizer: Tokenizer, syllable: str, form: str) -> None:
    assert round_trip(tokenizer, unicodedata.normalize(form, syllable)) == syllable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\uff0c\u2026\u00b2\ufb01\uff83", "\uff0c\u2026\u00b2\ufb01\uff83"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("\U0001f469\u200d\U0001f680", "\U0001f469\u200d\U0001f680"),
        ("a\u00a0b\u3000c\u2009d", "a b c d"),
        ("\ufeffa\u200bb\x01", "ab"),
        ("\u03b1\u0314\u0301\u0345", "\u1f85"),
        ("\u1f05\u0345", "\u1f85"),
        ("\u212b", "\u00c5"),
        ("\u2581a\u2581b", "a b"),
    ],
    ids=[
        "compatibility",
        "zero-width non-joiner",
        "emoji",
        "blanks",
        "dropped",
        "three marks",
        "begun",
        "singleton",
        "sign",
    ],
)
def test_what_stays_and_what_does_not(tokenizer: Tokenizer, text: str, expected: str) -> None:
    assert round_trip(tokenizer, text) == expected


def test_the_rule_is_the_same_each_time() -> None:
    rule = canonical_composition_rule()
    canonical_composition_rule.cache_clear()
    assert rule == canonical_composition_rule()
    assert len(set(line.split("\t")[0] for line in rule.splitlines())) == len(rule.splitlines())


@pytest.mark.parametrize("name", ["small_parallel_enja/train.ja", "mafand/en-yor/train.yor", "iwslt15_en_vi/train.vi"])
def test_real_text_comes_back_composed(corpora: Path, tokenizer: Tokenizer, name: str) -> None:
    lines = itertools.islice(read_lines(corpora / name), 500)
    for line in lines:
        expected = " ".join(unicodedata.normalize("NFC", line).replace("\u200b", "").replace("\ufeff", "").split())
        assert round_trip(tokenizer, line) == expected
