"""The split: deterministic, of the right size, and no sentence on both sides."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq.corpus import Pair, hash_texts, read_pairs, sentence_key
from textseq.errors import InputError
from textseq.splitting import choose_split, choose_validation_size, split_pairs

SENTENCES = [f"sentence {number // 2}" for number in range(2000)]


@given(
    st.lists(st.sampled_from(["a", "A ", "b", "c", "d", "e", "f", "g"]), min_size=1, max_size=40),
    st.integers(1, 12),
    st.integers(-5, 5),
)
def test_properties_of_every_split(sources: list[str], size: int, seed: int) -> None:
    keys = {sentence_key(source) for source in sources}
    try:
        split = choose_split(iter(sources), size, seed)
    except InputError:
        assert len(keys) == 1
        return
    held_out = [source for source in sources if split.holds_out(source)]
    rarest = min(sum(sentence_key(source) == key for source in sources) for key in keys)
    assert 1 <= len(held_out) == split.pairs <= max(size, rarest) and len(held_out) < len(sources)
    training = {sentence_key(source) for source in sources} - {sentence_key(source) for source in held_out}
    assert training and not training & {sentence_key(source) for source in held_out}
    shuffled = random.Random(seed).sample(sources, len(sources))
    assert choose_split(shuffled, size, seed) == split


def test_an_oracle_that_sorts_the_whole_corpus() -> None:
    distinct = [f"line {number}" for number in range(5000)]
    ranked = sorted(distinct, key=lambda line: hash_texts(line, seed=7))
    split = choose_split(distinct, 300, 7)
    assert split.pairs == 300
    assert {line for line in distinct if split.holds_out(line)} == set(ranked[:300])


def test_size_is_met_and_never_exceeded() -> None:
    assert choose_split(SENTENCES, 100, 1).pairs == 100
    assert choose_split(SENTENCES, 101, 1).pairs == 100  # sentences come in twos here
    assert choose_split(SENTENCES, 10**6, 1).pairs == 1998


def test_one_very_frequent_sentence_is_passed_over() -> None:
    sources = ["Thank you."] * 5000 + [f"sentence {number}" for number in range(500)]
    for seed in range(20):
        split = choose_split(sources, 50, seed)
        assert not split.holds_out("thank you.") and 49 <= split.pairs <= 50


def test_the_rarest_sentence_is_held_out_where_none_fits() -> None:
    sources = ["a"] * 3 + ["b"] * 2 + ["c"] * 3
    for seed in range(5):
        split = choose_split(sources, 1, seed)
        assert split.holds_out("b") and split.pairs == 2


def test_seeds_give_different_splits() -> None:
    assert choose_split(SENTENCES, 100, 1).groups != choose_split(SENTENCES, 100, 2).groups
    assert choose_split(SENTENCES, 100, 1) == choose_split(SENTENCES, 100, 1)


def test_split_pairs_keeps_the_order_and_every_pair() -> None:
    pairs = [Pair(source, str(line), line) for line, source in enumerate(SENTENCES, start=1)]
    divided = list(split_pairs(lambda: iter(pairs), 100, 3))
    assert [pair for _, pair in divided] == pairs
    assert sum(is_validation for is_validation, _ in divided) == 100


def test_what_cannot_be_split() -> None:
    with pytest.raises(InputError, match="validation size 0: expected 1 or more pairs"):
        choose_split(["a", "b"], 0, 1)
    words = (
        r"3 pairs cannot be split into training and validation: too few different source sentences to hold out 2; "
        r"give a validation text of your own"
    )
    with pytest.raises(InputError, match=words):
        choose_split(["Hi.", "hi.", " Hi."], 2, 1)
    with pytest.raises(InputError, match="0 pairs cannot be split"):
        choose_split([], 2, 1)


def test_choose_validation_size() -> None:
    assert [choose_validation_size(n) for n in (1, 19, 20, 5000, 29_000, 10**7)] == [1, 1, 1, 250, 1000, 1000]


def test_tatoeba_shares_no_source(corpora: Path) -> None:
    path = corpora / "tatoeba_spa_eng" / "spa.txt"
    sides: dict[bool, set[str]] = {True: set(), False: set()}
    for is_validation, pair in split_pairs(lambda: read_pairs(path), 1000, 1):
        sides[is_validation].add(sentence_key(pair.source))
    assert sides[True] and not sides[True] & sides[False]
