"""The inventory: one order everywhere, and the prior."""

from __future__ import annotations

import json
import random

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from classifiers.corpus import LabelledText
from classifiers.label_sets import LabelSets
from classifiers.labels import LabelInventory, listed, sorted_labels
from textseq.errors import InputError

# A busy machine is no reason to fail.
unhurried = hypothesis.settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    ("labels", "order"),
    [
        (["10", "2", "-1", "0"], ["-1", "0", "2", "10"]),
        (["1.5", "+1", "1"], ["+1", "1", "1.5"]),
        (["10", "2", "many"], ["10", "2", "many"]),
        (["nan", "1", "inf"], ["1", "inf", "nan"]),
        (["1_0", "9"], ["1_0", "9"]),
        (["positive", "Negative", "neutral", "ägypten"], ["Negative", "neutral", "positive", "ägypten"]),
        (["²", "1"], ["1", "²"]),
        (["a", "b", "a"], ["a", "b"]),
    ],
)
def test_numbers_are_sorted_as_numbers_and_words_as_words(labels: list[str], order: list[str]) -> None:
    assert sorted_labels(labels) == order


@unhurried
@given(st.lists(st.one_of(st.integers(-99, 99).map(str), st.text(max_size=3)), min_size=1), st.randoms())
def test_order_does_not_depend_on_the_corpus(labels: list[str], chance: random.Random) -> None:
    assert sorted_labels(labels) == sorted_labels(chance.sample(labels, len(labels)))
    assert set(sorted_labels(labels)) == set(labels)


def test_prior_is_the_share_of_the_texts() -> None:
    one = LabelInventory.from_counts({"positive": 10, "negative": 30}, 40)
    assert (one.labels, one.counts, one.prior) == (("negative", "positive"), (30, 10), (0.75, 0.25))
    assert LabelInventory(("a", "b"), (1, 3)).prior == (0.25, 0.75)
    several = LabelInventory.from_counts({"a": 10, "b": 30}, 50, multi_label=True)
    assert several.prior == (0.2, 0.6)
    assert len(several) == 2


def test_unknown_labels_are_refused_and_the_known_ones_named() -> None:
    inventory = LabelInventory(("negative", "positive"), (1, 1))
    assert inventory.numbers(["positive", "negative", "positive"]) == (0, 1)
    with pytest.raises(InputError, match=r"^unknown label 'neutral'; the training text has 'negative', 'positive'$"):
        inventory.index("neutral")


def test_many_labels_are_not_all_named() -> None:
    assert listed([f"{number}" for number in range(25)]).endswith("'19' and 5 more")
    assert listed(["a"]) == "'a'"


def test_targets() -> None:
    targets = LabelInventory(("a", "b", "c"), (1, 1, 1), multi_label=True).multi_hot([(), (2,), (0, 1)])
    assert targets.dtype == np.int32
    assert targets.tolist() == [[0, 0, 0], [0, 0, 1], [1, 1, 0]]


def test_inventory_comes_back_from_json() -> None:
    inventory = LabelInventory(("a", "ß"), (1, 2), True, 7)
    assert LabelInventory.from_dict(json.loads(json.dumps(inventory.to_dict()))) == inventory


def test_label_sets_are_numbered_whatever_their_order() -> None:
    sets = LabelSets()
    rows = [("b", "a"), (), ("a", "b"), ("c",)]
    numbers = [sets.see(LabelledText("x", labels, line, "f.tsv")) for line, labels in enumerate(rows, start=1)]
    assert numbers == [0, 1, 0, 2]
    assert sets.distinct == [("a", "b"), (), ("c",)]
    assert sets.first == {"b": ("f.tsv", 1), "a": ("f.tsv", 1), "c": ("f.tsv", 4)}
    assert sets.number(["c"]) == 2
