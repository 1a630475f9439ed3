"""Calibration against grid search, brute force over thresholds, and the definition of the calibration error."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score

from classifiers.calibration import (
    Calibration,
    expected_calibration_error,
    fit_calibration,
    negative_log_likelihood,
    reliability,
)
from textseq.errors import InputError

Array = npt.NDArray[Any]


def drawn(seed: int, texts: int, classes: int, scale: float, multi_label: bool = False) -> tuple[Array, Array]:
    """Logits that are `scale` times as large as they should be, and targets that follow the right ones."""
    random = np.random.RandomState(seed)
    logits = random.normal(size=(texts, classes)) * 1.5
    if multi_label:
        targets = (random.uniform(size=logits.shape) < 1 / (1 + np.exp(-logits))).astype(np.int32)
    else:
        # Gumbel's trick draws from the softmax.
        chosen = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)
        targets = np.eye(classes, dtype=np.int32)[chosen]
    return logits * scale, targets


@st.composite
def logits_and_targets(draw: st.DrawFn) -> tuple[Array, Array, bool]:
    texts, classes = draw(st.integers(1, 12)), draw(st.integers(2, 4))
    multi_label = draw(st.booleans())
    logits = draw(arrays(np.float64, (texts, classes), elements=st.floats(-50, 50)))
    if multi_label:
        targets = draw(arrays(np.int32, (texts, classes), elements=st.integers(0, 1)))
    else:
        chosen = draw(st.lists(st.integers(0, classes - 1), min_size=texts, max_size=texts))
        targets = np.eye(classes, dtype=np.int32)[chosen]
    return logits, targets, multi_label


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_temperature_is_that_of_a_grid_search(scale: float, multi_label: bool) -> None:
    logits, targets = drawn(1, 2_000, 3, scale, multi_label)
    grid = np.exp(np.linspace(math.log(0.1), math.log(10), 2_001))
    losses = [negative_log_likelihood(logits / value, targets, multi_label=multi_label) for value in grid]
    best = fit_calibration(logits, targets, multi_label=multi_label)
    assert best.temperature == pytest.approx(grid[np.argmin(losses)], rel=3e-3)
    assert best.temperature == pytest.approx(scale, rel=0.1)
    assert negative_log_likelihood(logits / best.temperature, targets, multi_label=multi_label) <= min(losses) + 1e-9


@pytest.mark.parametrize("multi_label", [False, True])
def test_negative_log_likelihood_is_its_definition(multi_label: bool) -> None:
    logits, targets = drawn(2, 50, 3, 2.0, multi_label)
    values = Calibration(multi_label=multi_label).probabilities(logits)
    wanted = np.where(targets == 1, values, 1 - values) if multi_label else values[targets == 1]
    assert negative_log_likelihood(logits, targets, multi_label=multi_label) == pytest.approx(-np.log(wanted).mean())


@settings(deadline=None)
@given(logits_and_targets())
def test_likelihood_is_never_worse_than_before(case: tuple[Array, Array, bool]) -> None:
    logits, targets, multi_label = case
    fitted = fit_calibration(logits, targets, multi_label=multi_label)
    before = negative_log_likelihood(logits, targets, multi_label=multi_label)
    after = negative_log_likelihood(logits / fitted.temperature, targets, multi_label=multi_label)
    assert after <= before * (1 + 1e-9) + 1e-9


@settings(deadline=None)
@given(logits_and_targets())
def test_what_is_fitted_is_in_range_and_survives_json(case: tuple[Array, Array, bool]) -> None:
    logits, targets, multi_label = case
    fitted = fit_calibration(logits, targets, multi_label=multi_label)
    classes = logits.shape[1]
    assert 0 < fitted.temperature < math.inf
    assert 0 <= fitted.abstain_below <= 1
    assert len(fitted.thresholds) == (classes if multi_label else int(classes == 2))
    assert all(0 <= value <= 1 for value in fitted.thresholds)
    assert 0 <= fitted.error_before <= 1 and 0 <= fitted.error_after <= 1
    assert Calibration.from_dict(json.loads(json.dumps(fitted.to_dict(), allow_nan=False))) == fitted


def test_temperature_changes_no_ranking() -> None:
    logits, targets = drawn(3, 200, 4, 5.0)
    fitted = fit_calibration(logits, targets, multi_label=False)
    np.testing.assert_array_equal(fitted.probabilities(logits).argmax(axis=1), logits.argmax(axis=1))


def test_calibrated_probabilities_are_calibrated() -> None:
    logits, targets = drawn(4, 20_000, 3, 4.0)
    fitted = fit_calibration(logits, targets, multi_label=False)
    assert fitted.error_before > 0.15
    assert fitted.error_after < 0.02


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("scale", [0.5, 5.0])
def test_where_all_texts_are_right_doubt_remains(scale: float, multi_label: bool) -> None:
    targets = np.eye(2, dtype=np.int32)[np.arange(40) % 2]
    logits = scale * (2.0 * targets - 1.0)
    fitted = fit_calibration(logits, targets, multi_label=multi_label)
    confidence = fitted.probabilities(logits)[targets == 1].mean()
    laplace = 1 - 1 / (targets.size + 2 if multi_label else len(targets) + 2)
    if scale == 0.5:
        assert confidence == pytest.approx(laplace, abs=1e-6)
    else:  # already surer than that: nothing is sharpened
        assert fitted.temperature == 1.0
    assert fitted.abstain_below == 0.0


def test_logits_that_say_nothing_become_even_odds() -> None:
    targets = np.eye(2, dtype=np.int32)[np.arange(40) % 2]
    logits = 3.0 * (1.0 - 2.0 * targets)  # always wrong
    fitted = fit_calibration(logits, targets, multi_label=False)
    np.testing.assert_allclose(fitted.probabilities(logits), 0.5, atol=0.01)
    assert fitted.abstain_below == 1.0


def test_logits_that_are_not_finite_give_a_neutral_calibration() -> None:
    fitted = fit_calibration([[math.nan, 0.0], [0.0, 1.0]], [[1, 0], [0, 1]], multi_label=False)
    assert (fitted.temperature, fitted.thresholds, fitted.abstain_below) == (1.0, (), 0.0)
    assert math.isnan(fitted.error_before) and math.isnan(fitted.error_after)
    assert fitted.to_dict()["error_after"] is None
    assert math.isnan(Calibration.from_dict(fitted.to_dict()).error_after)


@pytest.mark.parametrize("seed", range(5))
def test_threshold_of_two_classes_has_the_largest_macro_f1(seed: int) -> None:
    logits, targets = drawn(seed, 150, 2, 1.0)
    logits[:, 1] -= 1.0  # the second label is said too seldom
    fitted = fit_calibration(logits, targets, multi_label=False)
    probabilities = fitted.probabilities(logits)

    def macro_f1(said: Array) -> float:
        return float(f1_score(targets[:, 1], said[:, 1], average="macro"))

    best = max(
        macro_f1(np.stack([probabilities[:, 1] <= value, probabilities[:, 1] > value], axis=1))
        for value in np.linspace(0, 1, 201)
    )
    found = macro_f1(fitted.answers(probabilities, for_f1=True))
    assert found >= best - 1e-9
    assert found >= macro_f1(fitted.answers(probabilities))


def test_thresholds_of_several_labels_have_the_largest_f1_each() -> None:
    logits, targets = drawn(1, 150, 3, 1.0, multi_label=True)
    logits -= 1.0
    fitted = fit_calibration(logits, targets, multi_label=True)
    probabilities = fitted.probabilities(logits)
    said = fitted.answers(probabilities)
    for label in range(3):
        best = max(
            f1_score(targets[:, label], probabilities[:, label] > value, zero_division=0)
            for value in np.linspace(0, 1, 201)
        )
        assert f1_score(targets[:, label], said[:, label]) >= best - 1e-9


def test_a_threshold_is_one_half_where_no_other_is_better() -> None:
    targets = np.eye(2, dtype=np.int32)[np.arange(40) % 2]
    assert fit_calibration(2.0 * targets, targets, multi_label=False).thresholds == (0.5,)
    assert fit_calibration([[2.0, -2.0]], [[1, 0]], multi_label=True).thresholds[1] == 0.5


def test_a_threshold_lies_between_the_probabilities_it_separates() -> None:
    # Probabilities .1 .2 .3 .4, of which .3 and .4 are positive.
    values = np.array([0.1, 0.2, 0.3, 0.4])
    logits = np.stack([np.log(1 - values), np.log(values)], axis=1)
    fitted = fit_calibration(logits, [[1, 0], [1, 0], [0, 1], [0, 1]], multi_label=False)
    second = fitted.probabilities(logits)[:, 1]
    assert fitted.thresholds[0] == pytest.approx((second[1] + second[2]) / 2)


def least_confidence(confidence: Array, right: Array) -> float:
    """By trial: the least confidence from which answers are right in 95 of 100."""
    kept = [value for value in np.unique(confidence) if right[confidence >= value].mean() >= 0.95]
    return float(min(kept)) if kept else math.inf


@pytest.mark.parametrize("multi_label", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_abstaining_reaches_95_percent_with_as_many_answers_as_possible(seed: int, multi_label: bool) -> None:
    logits, targets = drawn(seed, 300, 3, 2.0, multi_label)
    logits = logits + 2.0 * (targets - 0.4)
    fitted = fit_calibration(logits, targets, multi_label=multi_label)
    probabilities = fitted.probabilities(logits)
    said = fitted.answers(probabilities)
    confidence, right = fitted.confidence(probabilities, said), (said == targets).all(axis=1)
    least = least_confidence(confidence, right)
    answered = confidence >= fitted.abstain_below
    assert 0.0 < fitted.abstain_below < 1.0
    assert right[answered].mean() >= 0.95
    np.testing.assert_array_equal(answered, confidence >= least)


def test_texts_of_one_confidence_are_answered_together() -> None:
    logits = np.array([[3.0, 0.0]] * 4)
    targets = np.array([[1, 0], [1, 0], [1, 0], [0, 1]])
    assert fit_calibration(logits, targets, multi_label=False).abstain_below == 1.0


def test_answers_of_one_label() -> None:
    calibration = Calibration(thresholds=(0.3,))
    values = np.array([[0.6, 0.4], [0.8, 0.2], [0.5, 0.5], [0.7, 0.3]])
    assert calibration.answers(values).argmax(axis=1).tolist() == [0, 0, 0, 0]
    assert calibration.answers(values, for_f1=True).argmax(axis=1).tolist() == [1, 0, 1, 0]
    assert Calibration().answers(values, for_f1=True).argmax(axis=1).tolist() == [0, 0, 0, 0]
    assert calibration.confidence(values, calibration.answers(values, for_f1=True)).tolist() == [0.4, 0.8, 0.5, 0.7]
    assert calibration.answers(np.zeros((0, 2))).shape == (0, 2)


def test_answers_of_several_labels() -> None:
    calibration = Calibration(thresholds=(0.3, 0.5, 0.9), multi_label=True)
    values = np.array([[0.4, 0.6, 0.8], [0.3, 0.5, 0.9]])
    said = calibration.answers(values)
    assert said.tolist() == [[True, True, False], [False, False, False]]
    np.testing.assert_allclose(calibration.confidence(values, said), [0.4 * 0.6 * 0.2, 0.7 * 0.5 * 0.1])
    assert Calibration(multi_label=True).answers(values).tolist() == [[False, True, True], [False, False, True]]


def test_probabilities_of_extreme_logits() -> None:
    logits = np.array([[1e4, -1e4], [-1e4, 1e4]])
    for multi_label in (False, True):
        np.testing.assert_array_equal(Calibration(multi_label=multi_label).probabilities(logits), np.eye(2))


def calibration_error(confidence: Array, right: Array, bins: int) -> float:
    """Equation 3 of Guo et al. 2017, bin by bin."""
    total = 0.0
    for number in range(bins):
        inside = (confidence > number / bins) & (confidence <= (number + 1) / bins)
        if inside.any():
            total += inside.sum() * abs(right[inside].mean() - confidence[inside].mean())
    return total / len(confidence)


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("multi_label", [False, True])
def test_expected_calibration_error_is_its_definition(bins: int, multi_label: bool) -> None:
    logits, targets = drawn(5, 500, 3, 3.0, multi_label)
    values = Calibration(multi_label=multi_label).probabilities(logits)
    if multi_label:
        confidence, right = np.maximum(values, 1 - values).ravel(), ((values > 0.5) == targets).ravel()
    else:
        confidence, right = values.max(axis=1), values.argmax(axis=1) == targets.argmax(axis=1)
    found = expected_calibration_error(values, targets, bins=bins, multi_label=multi_label)
    assert found == pytest.approx(calibration_error(confidence, right, bins))


def test_reliability_counts_every_answer_once() -> None:
    found = reliability([[1.0, 0.0], [0.6, 0.4], [0.5, 0.5], [0.4, 0.6]], [[1, 0], [0, 1], [1, 0], [0, 1]], bins=5)
    assert [one.answers for one in found] == [0, 0, 3, 0, 1]  # a bin holds its upper end
    assert found[2].confidence == pytest.approx((0.6 + 0.5 + 0.6) / 3)
    assert found[2].accuracy == pytest.approx(2 / 3)
    assert found[0] == (0, 0.0, 0.0)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(InputError, match=r"received logits of shape \[2, 2\] and targets of shape \[3, 2\]; expected"):
        fit_calibration(np.zeros((2, 2)), np.zeros((3, 2)), multi_label=False)
    with pytest.raises(InputError, match="received logits of no text; expected one at least"):
        fit_calibration(np.zeros((0, 2)), np.zeros((0, 2)), multi_label=False)
    with pytest.raises(InputError, match=r"probabilities: received values outside 0 to 1.*are these logits"):
        expected_calibration_error([[3.0, -1.0]], [[1, 0]])
    with pytest.raises(InputError, match="bins: received 0, expected 1 or more"):
        expected_calibration_error([[1.0, 0.0]], [[1, 0]], bins=0)


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.0},
        {"temperature": None},
        {"temperature": "x"},
        {"thresholds": [1.5]},
        {"thresholds": None},
        {"abstain_below": -0.1},
        {"multi_label": 1},
    ],
)
def test_a_dictionary_that_is_no_calibration_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="calibration"):
        Calibration.from_dict({**Calibration().to_dict(), **change})
    with pytest.raises(ValueError, match="not a calibration"):
        Calibration.from_dict({})
