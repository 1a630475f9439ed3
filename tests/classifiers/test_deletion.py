"""Explanations name words that matter: the prediction changes more without them than without random ones."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from textseq.errors import InputError

pytest.importorskip("tensorflow")

from classifiers import deletion
from classifiers.deletion import DeletionTest, MeanInterval, deletion_test
from classifiers.explain import explain
from classifiers.explanation import Explanation, WordWeight
from classifiers.prediction import Prediction

if TYPE_CHECKING:
    from classifiers.classifier import Classifier


@pytest.fixture(scope="module")
def texts(tiny_texts: list[tuple[str, str]]) -> list[str]:
    """Texts that the classifier was not trained on."""
    return [text for _, text in tiny_texts[500:560]]


@pytest.fixture(scope="module")
def tested(trained_classifier: Classifier, texts: list[str]) -> DeletionTest:
    return deletion_test(trained_classifier, texts, words=1)


def test_the_top_words_matter(tested: DeletionTest) -> None:
    assert tested.texts == 60
    assert tested.left_out == 0
    assert tested.top.mean > 0.3
    assert tested.top.low > tested.random.high
    assert tested.difference.low > 0.0
    for one in (tested.top, tested.random, tested.difference):
        assert one.low <= one.mean <= one.high
    assert tested.difference.mean == pytest.approx(tested.top.mean - tested.random.mean)


def test_explanations_that_say_nothing_do_not_pass(
    trained_classifier: Classifier, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def arbitrary(classifier: Classifier, texts: Sequence[str], method: str | None) -> list[Explanation]:
        return [
            replace(
                one, words=tuple(word._replace(weight=zlib.crc32(f"{word}".encode()) / 2**32) for word in one.words)
            )
            for one in explain(classifier, texts, method, steps=1)
        ]

    monkeypatch.setattr(deletion, "explain", arbitrary)
    found = deletion_test(trained_classifier, texts, words=1)
    assert found.difference.low < 0.0
    assert abs(found.difference.mean) < 0.2


def test_the_same_seed_the_same_result(trained_classifier: Classifier, texts: list[str], tested: DeletionTest) -> None:
    assert deletion_test(trained_classifier, texts, words=1) == tested
    other = deletion_test(trained_classifier, texts, words=1, seed=2)
    assert other.top.mean == pytest.approx(tested.top.mean)
    assert other.random.mean != tested.random.mean


def test_short_texts_are_left_out(trained_classifier: Classifier) -> None:
    found = deletion_test(trained_classifier, ["", "lovely", "a lovely one here", "!!! ... ?"], words=3)
    assert (found.texts, found.left_out) == (1, 3)
    with pytest.raises(InputError, match=r"received 2 texts, none with more than 3 words; expected texts that"):
        deletion_test(trained_classifier, ["a b c", "!!"], words=3)


@pytest.mark.parametrize("name", ["words", "draws"])
def test_numbers_out_of_range(name: str, trained_classifier: Classifier) -> None:
    arguments: dict[str, Any] = {name: 0}
    with pytest.raises(InputError, match=f"{name}: received 0, expected 1 or more"):
        deletion_test(trained_classifier, ["a b c d"], **arguments)


def test_removing_words_leaves_the_rest() -> None:
    text = "A great, great film."
    words = tuple(
        WordWeight(text[start:end], 0.0, start, end)
        for start, end in ((0, 1), (2, 7), (7, 8), (9, 14), (15, 19), (19, 20))
    )
    explanation = Explanation(Prediction(text, "x"), words, "x", "gradients")
    assert deletion._without(explanation, [words[3], words[1]]) == "A ,  film."
    assert [word.word for word in deletion._removable(explanation)] == ["A", "great", "great", "film"]
    assert deletion._without(explanation, []) == text


def test_the_interval_holds_the_mean() -> None:
    values = np.array([0.0, 1.0] * 200)
    found = deletion._mean(values, seed=1)
    assert found.mean == 0.5
    # The standard error is 0.025.
    assert found.low == pytest.approx(0.451, abs=0.01)
    assert found.high == pytest.approx(0.549, abs=0.01)


def test_as_json_and_as_rows(tested: DeletionTest) -> None:
    plain = json.loads(json.dumps(tested.to_dict(), allow_nan=False))
    assert MeanInterval(**plain["top"]) == tested.top
    assert plain["words"] == 1
    assert [row[0] for row in tested.rows()] == ["top words", "random words", "difference"]
    assert all(len(row) == len(DeletionTest.COLUMNS) for row in tested.rows())
