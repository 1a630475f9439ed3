"""Scores by length: each bin is scored as if its texts were alone."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from classifiers.length_scores import scores_by_length
from textseq.errors import InputError


def test_each_bin_is_scored_by_itself() -> None:
    random = np.random.RandomState(4)
    texts = ["w " * int(length) for length in random.randint(0, 60, 200)]
    true, said = random.randint(0, 3, 200), random.randint(0, 3, 200)
    said = np.where(random.rand(200) < 0.5, true, said)
    bins = scores_by_length(texts, np.eye(3, dtype=bool)[true], np.eye(3, dtype=bool)[said])
    assert [one.label for one in bins[:2]] == ["0 to 10 words", "11 to 20 words"]
    assert bins[-1].label == "401 or more words"
    assert sum(one.texts for one in bins) == 200
    for one in bins:
        longest = np.inf if one.longest is None else one.longest
        chosen = [number for number, text in enumerate(texts) if one.shortest <= len(text.split()) <= longest]
        assert one.texts == len(chosen)
        if not chosen:
            assert (one.accuracy, one.macro_f1) == (None, None)
            continue
        assert one.accuracy == pytest.approx(accuracy_score(true[chosen], said[chosen]))
        of = sorted(set(true[chosen].tolist()))
        expected = f1_score(true[chosen], said[chosen], labels=of, average="macro", zero_division=0)
        assert one.macro_f1 == pytest.approx(expected)


def test_texts_without_labels_have_no_f1() -> None:
    nothing = np.zeros((2, 2), bool)
    first, *_ = scores_by_length(["a", "b"], nothing, nothing)
    assert (first.texts, first.accuracy, first.macro_f1) == (2, 1.0, None)
    assert first.to_dict() == {
        "shortest": 0,
        "longest": 10,
        "unit": "words",
        "texts": 2,
        "accuracy": 1.0,
        "macro_f1": None,
    }


def test_texts_without_spaces_are_counted_in_characters() -> None:
    one = np.eye(1, dtype=bool)
    bins = scores_by_length(["この映画はとても面白かったので、もう一度見たいです。"], one, one)
    assert [each.texts for each in bins] == [0, 1, 0, 0, 0, 0, 0]
    assert bins[1].label == "21 to 40 characters"


def test_numbers_must_fit() -> None:
    one = np.eye(2, dtype=bool)
    with pytest.raises(InputError, match=r"received 1 texts, targets of shape \[2, 2\] and answers of shape \[2, 2\]"):
        scores_by_length(["a"], one, one)
    with pytest.raises(InputError, match=r"bounds: received \[3, 3\]; expected lengths of 0 or more"):
        scores_by_length(["a", "b"], one, one, [3, 3])
