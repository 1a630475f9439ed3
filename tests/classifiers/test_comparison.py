"""Comparisons: McNemar's test by counting all outcomes, differences by scoring both on the same resamples."""

from __future__ import annotations

import json
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from classifiers.comparison import compare, mcnemar
from textseq.errors import InputError


def counted_p_values(one: int, other: int) -> tuple[float, float]:
    """Mid-p and exact p: the probability, of all equally likely outcomes, of one as far or farther from the middle."""
    either = one + other
    chance = [Fraction(comb(either, k), 2**either) for k in range(either + 1)]
    far = [k for k in range(either + 1) if abs(2 * k - either) >= abs(one - other)]
    exact = sum(chance[k] for k in far)
    # Of the outcomes as far as the one observed, half counts.
    as_far = sum(chance[k] for k in far if abs(2 * k - either) == abs(one - other))
    return float(exact - as_far / 2), float(exact)


def answers(both: int, one: int, other: int, neither: int) -> tuple[list[bool], list[bool]]:
    first = [True] * both + [True] * one + [False] * other + [False] * neither
    return first, [True] * both + [False] * one + [True] * other + [False] * neither


@settings(max_examples=60, deadline=None)
@given(*(st.integers(0, 40) for _ in range(4)))
@example(0, 0, 0, 1)
@example(0, 6, 6, 0)
@example(3, 0, 40, 3)
def test_p_values_are_those_of_all_outcomes_counted(both: int, one: int, other: int, neither: int) -> None:
    if both + one + other + neither == 0:
        both = 1
    test = mcnemar(*answers(both, one, other, neither))
    assert (test.both, test.only_run, test.only_baseline, test.neither) == (both, one, other, neither)
    mid, exact = counted_p_values(one, other)
    if one == other:
        mid = 1.0  # 2 P(X <= k) - P(X = k) in the middle of a symmetric distribution; half of it is no tail
    assert (test.p_value, test.exact_p_value) == pytest.approx((mid, exact), rel=1e-9, abs=1e-12)
    if one + other:
        assert test.exact_p_value == pytest.approx(binomtest(one, one + other).pvalue)
    assert test == mcnemar(*answers(both, one, other, neither))
    swapped = mcnemar(*reversed(answers(both, one, other, neither)))
    assert (swapped.p_value, swapped.only_run) == (test.p_value, other)


def test_a_table_from_the_paper() -> None:
    """Fagerland, Lydersen and Laake 2013, table 1 (Bentur et al.): 1 and 7 of 21; exact 0.070, mid-p 0.039."""
    test = mcnemar(*answers(1, 1, 7, 12))
    assert (test.exact_p_value, test.p_value) == pytest.approx((0.0703, 0.0391), abs=5e-5)


def test_mid_p_is_true_to_its_level() -> None:
    """Of pairs that are equally good, about 5 in 100 are found to differ at 0.05, with the exact test fewer."""
    random = np.random.RandomState(2)
    found = []
    for _ in range(1500):
        outcome = random.choice(4, size=200, p=[0.7, 0.1, 0.1, 0.1])
        test = mcnemar(outcome <= 1, (outcome == 0) | (outcome == 2))
        found.append((test.p_value < 0.05, test.exact_p_value < 0.05))
    mid, exact = np.mean(found, axis=0)
    assert exact < mid and 0.03 < mid < 0.06


def marks(seed: int, texts: int, multi_label: bool) -> list[np.ndarray]:
    random = np.random.RandomState(seed)
    if multi_label:
        targets = random.rand(texts, 3) < 0.4
        return [targets, *(targets ^ (random.rand(texts, 3) < rate) for rate in (0.1, 0.3))]
    true = random.randint(0, 3, texts)
    said = [np.where(random.rand(texts) < rate, random.randint(0, 3, texts), true) for rate in (0.1, 0.4)]
    return [np.eye(3, dtype=bool)[each] for each in (true, *said)]


@pytest.mark.parametrize("multi_label", [False, True])
def test_the_better_one_is_found(multi_label: bool) -> None:
    targets, good, poor = marks(0, 300, multi_label)
    found = compare(targets, good, poor, multi_label=multi_label, resamples=200)
    metrics = ("accuracy", "macro_f1", "micro_f1") if multi_label else ("accuracy", "macro_f1")
    assert tuple(one.metric for one in found.differences) == metrics
    accuracy, macro = found.differences[:2]
    right = [(each == targets).all(axis=1) for each in (good, poor)]
    assert (accuracy.run, accuracy.baseline) == pytest.approx(tuple(each.mean() for each in right))
    expected = [f1_score(targets.astype(int), each.astype(int), average="macro") for each in (good, poor)]
    assert (macro.run, macro.baseline) == pytest.approx(tuple(expected))
    for one in found.differences:
        assert 0 < one.low < one.difference < one.high
    assert found.mcnemar.p_value < 1e-4
    assert found.mcnemar == mcnemar(*right)
    rows = found.rows()
    assert [row[0] for row in rows[:2]] == ["accuracy - baseline", "macro F1 - baseline"]
    assert rows[0][1].startswith("+0.") and "McNemar mid-p = 0.0000, exact p = 0.0000; right here only " in rows[0][-1]
    assert {len(row) for row in rows} == {4}
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["accuracy"]["difference"] == accuracy.difference
    assert plain["mcnemar"]["only_run"] == found.mcnemar.only_run


def test_the_interval_of_a_difference_is_paired() -> None:
    """Two classifiers that err on the same texts differ by little on any resample."""
    targets, _, poor = marks(1, 400, False)
    slightly = poor.copy()
    slightly[:2] = targets[:2]
    slightly[2], poor[2] = targets[2], targets[2][[1, 2, 0]]
    accuracy = compare(targets, slightly, poor, resamples=200).differences[0]
    assert accuracy.low >= 0 and accuracy.high < 0.02


def test_a_classifier_does_not_differ_from_itself() -> None:
    targets, good, _ = marks(0, 50, False)
    found = compare(targets, good, good, resamples=20)
    assert {(one.difference, one.low, one.high) for one in found.differences} == {(0.0, 0.0, 0.0)}
    assert found.mcnemar.p_value == found.mcnemar.exact_p_value == 1.0


def test_shapes_must_fit() -> None:
    with pytest.raises(InputError, match=r"McNemar's test: received \[2\] and \[1\]; expected as many answers of each"):
        mcnemar([True, False], [True])
    with pytest.raises(InputError, match=r"received \[0\] and \[0\]"):
        mcnemar([], [])
    one = np.eye(2, dtype=bool)
    with pytest.raises(InputError, match=r"shapes \[2, 2\], \[2, 2\], \[1, 2\]; expected the same of all"):
        compare(one, one, one[:1])
