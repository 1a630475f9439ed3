"""The words that a graph finds are those that `words_of` finds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

tf = pytest.importorskip("tensorflow")
pytest.importorskip("tensorflow_text")

from textseq.graph_tokenization import GraphTokenizer, PlacedPieces  # noqa: E402
from textseq.graph_words import graph_words  # noqa: E402
from textseq.tokenization import TokenizationConfig, Tokenizer  # noqa: E402
from textseq.tokenizer_training import train_tokenizer  # noqa: E402
from textseq.words import LONGEST_WORD, SPACE_MARK, words_of  # noqa: E402

LINES = ["a man sleeps in the great film", "a man reads, it's good. great!", "映画は最高でした", "الفيلم جيد جدا"] * 20

# Letters of several scripts, marks, joiners, emoji, blanks and what normalisation changes.
TEXTS = st.text(
    st.one_of(
        st.sampled_from(
            "aef gm.,!?'\"#@-_\t\n\u3000\u200b\u200d\u2581映画はفيلمไม่ดี\u0301\ufe0f😀👩🚀½ﬁⅧ㎞\ufdfa\x00\xad    "
        ),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=60,
)

Found = Callable[[list[str]], tuple[list[list[str]], list[list[int]]]]


def found_by(tokenizer: Tokenizer, longest: int | None = None) -> Found:
    """A function that gives the words of texts, and how many pieces each has; 0 pieces in a text without words."""
    encoder = GraphTokenizer(tokenizer.model_bytes)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def graph(text: Any) -> Any:
        whole = encoder.encode_with_places(text)
        pieces = PlacedPieces(whole.text, *(each[:, :longest] for each in (whole.ids, whole.starts, whole.ends)))
        found = graph_words(tokenizer, pieces)
        return found.words, found.sums(tf.ones_like(pieces.ids.values))

    def found(texts: list[str]) -> Any:
        words, counts = graph(tf.constant(texts, tf.string))
        return [[word.decode() for word in row] for row in words.to_list()], counts.to_list()

    return found


@pytest.fixture(scope="module")
def usual() -> Tokenizer:
    return train_tokenizer(LINES, TokenizationConfig(), vocabulary_size=340, seed=1)


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
def found(tokenizer: Tokenizer) -> Found:
    return found_by(tokenizer)


def assert_equal(found: Found, tokenizer: Tokenizer, texts: list[str], longest: int | None = None) -> None:
    expected = [words_of(tokenizer, text, longest) for text in texts]
    words, counts = found(texts)
    assert words == [[word.text for word in row] for row in expected]
    assert counts == [[len(word.pieces) for word in row] for row in expected]


@settings(deadline=None, max_examples=80)
@given(texts=st.lists(TEXTS, max_size=5))
@example([])
@example(["", " \u200b ", "\x00"])
@example(["a  man\tsleeps. ", "", "\ufdfa \ufdfa", f"{SPACE_MARK} {SPACE_MARK}a b{SPACE_MARK}c"])
@example(["x" * 200, "\u0301a", "👩\u200d🚀 👩 \u200d🚀", "!" * 40, "(can't!) a.b!", "a" + "." * 30 + "b"])
def test_any_texts(tokenizer: Tokenizer, found: Found, texts: list[str]) -> None:
    assert_equal(found, tokenizer, texts)


@pytest.mark.parametrize("longest", [1, 3, LONGEST_WORD + 2])
def test_only_the_first_pieces(usual: Tokenizer, longest: int) -> None:
    texts = ["a man reads, it's good. great!", "映画は最高でした ไม่ดี", "", "x.y" * 20, "    ", "a", "ሰው ሰው"]
    assert_equal(found_by(usual, longest), usual, texts, longest)


def test_ordinary_words(usual: Tokenizer) -> None:
    words, _ = found_by(usual)(["Good film, it's (not) great!", "映画は最高"])
    assert words[0] == ["Good", "film", ",", "it's", "(", "not", ")", "great", "!"]
    assert "".join(words[1]) == "映画は最高"
    assert len(words[1]) > 1


def test_what_lies_beyond_the_first_pieces_is_not_read(usual: Tokenizer) -> None:
    texts = ["a man " + "\u3000 great film" * 50_000, "a man", "a"]
    words, counts = found_by(usual, 2)(texts)
    assert words[0][0] == "a"
    assert words[2] == ["a"]
    assert [sum(row) for row in counts] == [2, 2, 1]


def test_sums_of_weights(usual: Tokenizer) -> None:
    encoder = GraphTokenizer(usual.model_bytes)
    texts = ["", "a man reads", " ", "sleeps!"]
    pieces = encoder.encode_with_places(tf.constant(texts))
    weights = np.random.default_rng(1).normal(size=pieces.ids.values.shape[0])
    sums = graph_words(usual, pieces).sums(tf.constant(weights)).to_list()
    rows = tf.RaggedTensor.from_row_splits(weights, pieces.ids.row_splits).to_list()
    expected = [
        [sum(row[word.pieces.start : word.pieces.stop]) for word in words_of(usual, text)]
        for text, row in zip(texts, rows, strict=True)
    ]
    assert [len(row) for row in sums] == [0, 3, 0, 2]
    for received, wanted in zip(sums, expected, strict=True):
        np.testing.assert_allclose(received, wanted, rtol=1e-12)
