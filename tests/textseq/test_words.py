"""Pieces are joined to the words that people read, each at its place in the text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from textseq.tokenization import TokenizationConfig, Tokenizer
from textseq.tokenizer_training import train_tokenizer
from textseq.words import LONGEST_WORD, SPACE_MARK, is_blank, piece_spans, words_of

LINES = ["a man sleeps in the great film", "a man reads, it's good. great!", "映画は最高でした", "الفيلم جيد جدا"] * 20

# Letters of several scripts, marks, joiners, emoji, blanks and what normalisation changes.
TEXTS = st.text(
    st.one_of(
        st.sampled_from(
            "aef gm.,!?'\"#@-_\t\n\u3000\u200b\u200d\u2581映画はفيلمไม่ดี\u0301\ufe0f😀👩🚀½ﬁⅧ㎞\ufdfa\x00\xad"
        ),
        st.characters(),
    ),
    max_size=40,
)


@pytest.fixture(scope="module", params=["bpe", "unigram", "nmt_nfkc", "identity", "unknown"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    choices: dict[str, dict[str, Any]] = {
        "bpe": {},
        "unigram": {"algorithm": "unigram"},
        "nmt_nfkc": {"normalization": "nmt_nfkc"},
        "identity": {"normalization": "identity"},
        "unknown": {"byte_fallback": False},
    }
    return train_tokenizer(LINES, TokenizationConfig(**choices[request.param]), vocabulary_size=340, seed=1)


@pytest.fixture(scope="module")
def usual() -> Tokenizer:
    return train_tokenizer(LINES, TokenizationConfig(), vocabulary_size=340, seed=1)


@settings(deadline=None, max_examples=60)
@given(text=TEXTS)
@example("")
@example(" \u200b ")
@example("\x00")
@example("a  man\tsleeps. ")
@example("\ufdfa \ufdfa")
@example(f"{SPACE_MARK} {SPACE_MARK}a b{SPACE_MARK}c")
@example("x" * 200)
def test_words_hold_every_character_in_order(tokenizer: Tokenizer, text: str) -> None:
    words = words_of(tokenizer, text)
    assert all(word.text == text[word.start : word.end] and word.start < word.end for word in words)
    places = [0, *(place for word in words for place in (word.start, word.end)), len(text)]
    assert places == sorted(places)
    between = [character for start, end in zip(places[::2], places[1::2], strict=True) for character in text[start:end]]
    # Nothing is left out but what shows nothing, and what the tokenizer's normalisation takes away.
    assert all(is_blank(each) or set(tokenizer.pieces(each)) <= {SPACE_MARK} for each in between)


@settings(deadline=None, max_examples=60)
@given(text=TEXTS)
@example("\x00")
@example("a \u200b")
def test_words_share_out_all_pieces(tokenizer: Tokenizer, text: str) -> None:
    words = words_of(tokenizer, text)
    ids = tokenizer.encode([text])[0]
    assert [place for word in words for place in word.pieces] == (list(range(len(ids))) if words else [])


@settings(deadline=None, max_examples=60)
@given(text=TEXTS)
def test_spans_are_those_of_the_ids(tokenizer: Tokenizer, text: str) -> None:
    spans = piece_spans(tokenizer, text)
    assert len(spans) == len(tokenizer.encode([text])[0])
    places = [place for _, start, end in spans for place in (start, end)]
    assert places == sorted(places)
    assert all(0 <= place <= len(text) for place in places)


@settings(deadline=None, max_examples=60)
@given(text=TEXTS, pieces=st.integers(0, 40))
def test_only_the_first_pieces(tokenizer: Tokenizer, text: str, pieces: int) -> None:
    words = words_of(tokenizer, text, pieces)
    assert all(word.pieces.stop <= pieces for word in words)
    count = len(tokenizer.encode([text])[0])
    if pieces >= count:
        assert words == words_of(tokenizer, text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  A  man, sleeping.", ["A", "man", ",", "sleeping", "."]),
        ("(can't!) 'it's'", ["(", "can't", "!)", "'", "it's", "'"]),
        ("great😀😀 :) film:)", ["great", "😀😀", ":)", "film", ":)"]),
        ("👩‍🚀 e\u0301te\u0301", ["👩‍🚀", "e\u0301te\u0301"]),
        ("mother-in-law 3.5", ["mother-in-law", "3.5"]),
        ("one\x00two\r\nthree", ["one\x00two", "three"]),
        ("الفيلم رائع", ["الفيلم", "رائع"]),
        ("ሰው ᎠᏍ", ["ሰው", "ᎠᏍ"]),
        ("", []),
        (" \t\u3000\u200b", []),
    ],
)
def test_words_as_people_read_them(usual: Tokenizer, text: str, expected: list[str]) -> None:
    assert [word.text for word in words_of(usual, text)] == expected


def test_scripts_without_spaces(usual: Tokenizer) -> None:
    text = "映画は駄作 the film"
    words = words_of(usual, text)
    assert [word.text for word in words[-2:]] == ["the", "film"]
    assert len(words) > 4
    assert "".join(word.text for word in words) == text.replace(" ", "")
    thai = "ไม่ดี"
    # A vowel sign or a tone mark stands with its consonant.
    assert [word.text for word in words_of(usual, thai)] == ["ไ", "ม่", "ดี"]


def test_a_long_run_is_cut_at_its_signs(usual: Tokenizer) -> None:
    address = "https://example.org/" + "qz" * LONGEST_WORD
    words = [word.text for word in words_of(usual, address)]
    assert words[:6] == ["https", "://", "example", ".", "org", "/"]
    assert "".join(words) == address
    assert all(len(word) <= 2 for word in words[6:])


def test_lone_surrogates_keep_their_places(usual: Tokenizer) -> None:
    words = words_of(usual, "a \ud800man")
    assert words[0][:3] == ("a", 0, 1)
    assert words[-1].end == 6
