"""Bootstrap intervals: every resample is scored as scikit-learn scores the texts drawn, and the intervals cover."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from classifiers import bootstrap
from classifiers.bootstrap import LabelCounts, count_scores, interval, require_resamples, resampled_scores
from textseq.errors import InputError


def sample(texts: int, classes: int, *, multi_label: bool, ties: bool = False, seed: int = 0) -> tuple[Any, Any, Any]:
    """Targets, predictions and probabilities that are right more often than by chance."""
    random = np.random.RandomState(seed)
    if multi_label:
        targets = random.rand(texts, classes) < 0.3
        probabilities = np.clip(0.25 + 0.4 * targets + 0.35 * random.randn(texts, classes), 0, 1)
        said = probabilities > 0.5
    else:
        targets = np.eye(classes, dtype=bool)[random.randint(0, classes, texts)]
        weights = np.exp(random.randn(texts, classes) + 1.5 * targets)
        probabilities = weights / weights.sum(axis=1, keepdims=True)
        said = np.eye(classes, dtype=bool)[probabilities.argmax(axis=1)]
    return targets, said, probabilities.round(1) if ties else probabilities


def drawn_texts(texts: int, resamples: int, seed: int) -> list[np.ndarray]:
    """The indices of the texts of each resample."""
    weights = np.concatenate(list(bootstrap._drawn(texts, resamples, seed))).astype(int)
    return [np.repeat(np.arange(texts), row) for row in weights]


def expected_scores(targets: Any, said: Any, probabilities: Any, losses: Any, *, multi_label: bool) -> dict[str, float]:
    """What scikit-learn says, label by label, with the means taken by hand."""
    with_texts = [label for label in range(targets.shape[1]) if targets[:, label].any()]
    parts = np.array(
        [
            metrics.precision_recall_fscore_support(targets[:, c], said[:, c], average="binary", zero_division=0)[:3]
            for c in range(targets.shape[1])
        ]
    )
    support = targets.sum(axis=0)
    scores = {"accuracy": metrics.accuracy_score(targets, said), "log_loss": losses.mean()}
    for place, name in enumerate(("precision", "recall", "f1")):
        scores[f"macro_{name}"] = parts[with_texts, place].mean() if with_texts else np.nan
        scores[f"weighted_{name}"] = (parts[:, place] * support).sum() / support.sum() if with_texts else np.nan
    if multi_label:
        micro = metrics.precision_recall_fscore_support(
            targets.ravel(), said.ravel(), average="binary", zero_division=0
        )
        scores |= dict(zip(("micro_precision", "micro_recall", "micro_f1"), micro[:3], strict=True))
        scores["hamming_loss"] = metrics.hamming_loss(targets, said)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scores["matthews"] = metrics.matthews_corrcoef(targets.argmax(axis=1), said.argmax(axis=1))
    ranked = [c for c in with_texts if support[c] < len(targets)]
    for name, area in (("roc_area", metrics.roc_auc_score), ("pr_area", metrics.average_precision_score)):
        found = [area(targets[:, c], probabilities[:, c]) for c in ranked]
        scores[name] = float(np.mean(found)) if found else np.nan
    return scores


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(
    ("texts", "classes", "multi_label"), [(40, 2, False), (30, 5, False), (8, 3, False), (40, 4, True), (6, 2, True)]
)
def test_each_resample_is_scored_as_scikit_learn_scores_it(
    texts: int, classes: int, multi_label: bool, ties: bool
) -> None:
    targets, said, probabilities = sample(texts, classes, multi_label=multi_label, ties=ties)
    losses = np.random.RandomState(1).rand(texts)
    found = resampled_scores(
        targets, said, multi_label=multi_label, probabilities=probabilities, losses=losses, resamples=12, seed=3
    )
    for number, chosen in enumerate(drawn_texts(texts, 12, 3)):
        expected = expected_scores(
            targets[chosen], said[chosen], probabilities[chosen], losses[chosen], multi_label=multi_label
        )
        assert set(found) == {*expected, "f1"}
        for name, value in expected.items():
            assert found[name][number] == pytest.approx(value, nan_ok=True, abs=1e-12), name
        by_label = metrics.f1_score(
            targets[chosen].astype(int), said[chosen].astype(int), average=None, zero_division=0
        )
        np.testing.assert_allclose(found["f1"][number], by_label)


@pytest.mark.parametrize("texts", [1, 2, 7, 1000])
def test_a_resample_holds_as_many_texts_each_as_likely(texts: int) -> None:
    weights = np.concatenate(list(bootstrap._drawn(texts, 400, 5)))
    assert weights.shape == (400, texts)
    assert (weights.sum(axis=1) == texts).all()
    assert weights.mean() == pytest.approx(1.0)
    # Binomial counts: the variance is 1 - 1 / texts, and the mean of each text is 1 within five standard errors.
    assert weights.var() == pytest.approx(1 - 1 / texts, rel=0.15, abs=1e-12)
    assert np.abs(weights.mean(axis=0) - 1).max() < 5 * np.sqrt(1 / 400) + 1e-12


def test_draws_depend_on_the_seed_and_on_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    once = np.concatenate(list(bootstrap._drawn(50, 20, 1)))
    monkeypatch.setattr(bootstrap, "_DRAWN_AT_ONCE", 150)
    chunks = list(bootstrap._drawn(50, 20, 1))
    assert [len(chunk) for chunk in chunks] == [3] * 6 + [2]
    np.testing.assert_array_equal(np.concatenate(chunks), once)
    assert not np.array_equal(np.concatenate(list(bootstrap._drawn(50, 20, 2))), once)


def test_areas_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    targets, said, probabilities = sample(60, 3, multi_label=False, ties=True)
    options: dict[str, Any] = {"multi_label": False, "probabilities": probabilities, "resamples": 30}
    found = resampled_scores(targets, said, **options)["roc_area"]
    monkeypatch.setattr(bootstrap, "_IN_CACHE", 1)
    np.testing.assert_allclose(resampled_scores(targets, said, **options)["roc_area"], found, rtol=1e-12)


def test_the_interval_is_the_middle_of_the_values() -> None:
    values = np.arange(1001) / 1000
    assert interval(values) == pytest.approx((0.025, 0.975))
    assert interval(np.append(values, [np.nan] * 500)) == pytest.approx((0.025, 0.975))
    assert interval(np.array([np.nan, np.nan])) is None


def test_intervals_cover_the_truth() -> None:
    """Of 400 tests drawn from one population, about 95 in 100 intervals hold the score of the population."""
    population = sample(40_000, 3, multi_label=False, seed=11)
    truth = count_scores(LabelCounts.of(*population[:2]), multi_label=False)
    areas = np.mean([metrics.roc_auc_score(population[0][:, c], population[2][:, c]) for c in range(3)])
    expected = {name: float(truth[name]) for name in ("accuracy", "macro_f1", "matthews")} | {"roc_area": float(areas)}
    random = np.random.RandomState(5)
    covered = dict.fromkeys(expected, 0)
    for number in range(400):
        chosen = random.randint(0, 40_000, 300)
        targets, said, probabilities = (each[chosen] for each in population)
        drawn = resampled_scores(
            targets, said, multi_label=False, probabilities=probabilities, resamples=300, seed=number
        )
        for name, value in expected.items():
            ends = interval(drawn[name])
            assert ends is not None
            covered[name] += ends.low <= value <= ends.high
    # 380 of 400 are expected; the standard deviation is 4.4.
    assert all(360 <= count <= 396 for count in covered.values()), covered


def test_without_probabilities_only_counts_are_scored() -> None:
    targets, said, _ = sample(20, 2, multi_label=False)
    assert {"roc_area", "pr_area", "log_loss"}.isdisjoint(
        resampled_scores(targets, said, multi_label=False, resamples=2)
    )


@pytest.mark.parametrize("resamples", [1, -5])
def test_too_few_resamples(resamples: int) -> None:
    with pytest.raises(InputError, match=f"resamples: received {resamples}; expected 0 for no interval, or 2 or more"):
        require_resamples(resamples)


@pytest.mark.slow
def test_25000_texts_take_two_seconds() -> None:
    targets, said, probabilities = sample(25_000, 2, multi_label=False)
    losses = probabilities[:, 0]
    seconds = []
    for _ in range(3):
        start = time.process_time()
        resampled_scores(targets, said, multi_label=False, probabilities=probabilities, losses=losses)
        seconds.append(time.process_time() - start)
    assert min(seconds) < 2.0
