"""The split by label: deterministic, in proportion, every label in both parts, equal texts together."""

from __future__ import annotations

import random
from collections import Counter

import hypothesis
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from classifiers.splitting import choose_split, choose_validation_size
from textseq.corpus import hash_texts

# A busy machine is no reason to fail.
unhurried = hypothesis.settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def keys_of(texts: list[str]) -> npt.NDArray[np.uint64]:
    return np.array([hash_texts(text) for text in texts], dtype=np.uint64)


def split(rows: list[tuple[str, int]], size: int, seed: int = 1) -> list[bool]:
    """Splits texts of one label each."""
    labels = sorted({label for _, label in rows})
    numbers = np.array([labels.index(label) for _, label in rows])
    sets = [[label] for label in labels]
    return choose_split(keys_of([text for text, _ in rows]), sets, numbers, size, seed).tolist()


ROWS = st.lists(st.tuples(st.sampled_from("abcdefghijklmnopqrstuvwxyz"), st.integers(0, 3)), min_size=1, max_size=60)


@unhurried
@given(ROWS, st.integers(1, 20), st.integers(-3, 3), st.randoms())
def test_properties_of_every_split(rows: list[tuple[str, int]], size: int, seed: int, chance: random.Random) -> None:
    held_out = split(rows, size, seed)
    validation = {text for (text, _), held in zip(rows, held_out, strict=True) if held}
    training = {text for (text, _), held in zip(rows, held_out, strict=True) if not held}
    assert not validation & training
    assert training
    order = chance.sample(range(len(rows)), len(rows))
    assert split([rows[place] for place in order], size, seed) == [held_out[place] for place in order]
    # A text may have contradicting labels here, so both parts can be refused only to labels that share texts.
    texts_of = {label: {text for text, other in rows if other == label} for _, label in rows}
    alone = [
        texts for texts in texts_of.values() if all(texts is other or not texts & other for other in texts_of.values())
    ]
    for texts in alone:
        assert bool(texts & validation) == (len(texts) >= 2)
        assert texts & training


@unhurried
@given(
    st.dictionaries(st.integers(0, 5), st.integers(1, 60), min_size=1),
    st.integers(1, 100),
    st.integers(0, 5),
)
def test_different_texts_are_divided_in_proportion(counts: dict[int, int], size: int, seed: int) -> None:
    rows = [(f"{label} {number}", label) for label, count in counts.items() for number in range(count)]
    held_out = split(rows, size, seed)
    total = len(rows)
    taken = Counter(label for (_, label), held in zip(rows, held_out, strict=True) if held)
    for label, count in counts.items():
        share = min(size, total) * count / total
        if count == 1:
            assert taken[label] == 0
        else:
            assert max(1, int(share)) - (share >= count) <= taken[label] <= max(1, int(share) + 1)
            assert taken[label] < count
    if all(count >= 2 for count in counts.values()) and all(size * count >= total for count in counts.values()):
        assert size - len(counts) <= sum(taken.values()) <= size or size > total


def test_size_is_met() -> None:
    rows = [(f"{label} {number}", label) for label, count in enumerate((6000, 3000, 1000)) for number in range(count)]
    held_out = split(rows, 1000)
    taken = Counter(label for (_, label), held in zip(rows, held_out, strict=True) if held)
    assert taken == {0: 600, 1: 300, 2: 100}
    assert held_out != split(rows, 1000, seed=2)


def test_an_oracle_that_sorts_each_label() -> None:
    """Without repetitions, each label's texts are taken in the order of the hash of key and seed."""
    rows = [(f"{label} {number}", label) for label in range(2) for number in range(500)]
    one, more = split(rows, 100, seed=3), split(rows, 200, seed=3)
    assert all(later for earlier, later in zip(one, more, strict=True) if earlier)
    assert (sum(one), sum(more)) == (100, 200)


def test_a_rare_label_is_in_both_parts() -> None:
    rows = [(f"common {number}", 0) for number in range(1000)] + [("rare one", 1), ("rare two", 1)]
    held_out = split(rows, 10)
    assert sum(held_out[1000:]) == 1
    assert sum(held_out) in (10, 11)


def test_copies_stay_together_and_the_rarest_is_taken_where_none_fits() -> None:
    rows = [("a", 0)] * 30 + [("b", 0)] * 20 + [("c", 1)] * 25 + [("d", 1)] * 25
    held_out = split(rows, 5)
    assert held_out[:50] == [False] * 30 + [True] * 20
    assert sum(held_out[50:]) == 25


def test_several_labels_a_text_are_divided_in_proportion() -> None:
    sets = [[], [0], [0, 1], [1, 2], [3]]
    chance = random.Random(1)
    set_of_text = np.array(chance.choices(range(5), weights=[30, 30, 20, 18, 2], k=5000))
    keys = keys_of([str(number) for number in range(5000)])
    held_out = choose_split(keys, sets, set_of_text, 500, 1)
    assert held_out.sum() == pytest.approx(500, abs=10)
    for label in range(4):
        has = np.array([label in sets[number] for number in set_of_text])
        assert (held_out & has).sum() == pytest.approx(0.1 * has.sum(), abs=3)
    bare = set_of_text == 0
    assert (held_out & bare).sum() == pytest.approx(0.1 * bare.sum(), abs=3)


@unhurried
@given(st.lists(st.tuples(st.integers(0, 30), st.sets(st.integers(0, 4), max_size=3)), min_size=1, max_size=60))
def test_several_labels_never_lose_one_from_training(rows: list[tuple[int, set[int]]]) -> None:
    sets = [sorted(labels) for _, labels in rows]
    keys = keys_of([str(text) for text, _ in rows])
    held_out = choose_split(keys, sets, np.arange(len(rows)), max(1, len(rows) // 5), 1)
    for label in range(5):
        if any(label in labels for _, labels in rows):
            assert any(label in labels and not held for (_, labels), held in zip(rows, held_out, strict=True))
    parts = {
        bool(held): {text for (text, _), one in zip(rows, held_out, strict=True) if one == held} for held in (0, 1)
    }
    assert not parts[False] & parts[True]


def test_what_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="validation size 0: expected 1 or more texts"):
        split([("a", 0)], 0)
    assert split([("a", 0)], 5) == [False]
    assert choose_split(np.zeros(0, np.uint64), [], np.zeros(0, np.int64), 1, 1).tolist() == []


def test_choose_validation_size() -> None:
    assert [choose_validation_size(n) for n in (1, 10, 29, 6920, 25_000, 10**7)] == [1, 1, 2, 692, 2000, 2000]
