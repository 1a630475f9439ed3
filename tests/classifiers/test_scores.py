"""Scores are scikit-learn's; here they are compared with its other functions, and with their definitions."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from classifiers.calibration import expected_calibration_error
from classifiers.score import Score, shown_interval, shown_number
from classifiers.scores import ClassificationScores, classification_scores
from textseq.console import json_line
from textseq.errors import InputError

LABELS = ("bad", "so so", "好い", "d", "e")


def drawn(seed: int, texts: int, classes: int, *, multi_label: bool) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(seed)
    if multi_label:
        targets = (random.rand(texts, classes) < 0.4).astype(int)
        return targets, random.rand(texts, classes).round(2)
    targets = np.eye(classes, dtype=int)[random.randint(0, classes, texts)]
    weights = np.exp(random.randn(texts, classes) + targets).round(1) + 0.1
    return targets, weights / weights.sum(axis=1, keepdims=True)


def values(scores: ClassificationScores) -> dict[str, float | None]:
    return {score.metric: score.value for score in scores.scores}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), texts=st.integers(30, 80), classes=st.integers(2, 5))
def test_one_label_a_text(seed: int, texts: int, classes: int) -> None:
    targets, probabilities = drawn(seed, texts, classes, multi_label=False)
    scores = classification_scores(targets, probabilities, LABELS[:classes], resamples=0)
    true, said = targets.argmax(axis=1), probabilities.argmax(axis=1)
    report = metrics.classification_report(true, said, output_dict=True, zero_division=0)
    assert set(true) == set(range(classes)), "every label has texts in these examples"
    found = values(scores)
    assert found["accuracy"] == pytest.approx(np.mean(true == said))
    for mean in ("macro", "weighted"):
        for name, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
            assert found[f"{mean}_{name}"] == pytest.approx(report[f"{mean} avg"][theirs])
    for number, one in enumerate(scores.by_label):
        row = report[str(number)]
        assert (one.precision, one.recall, one.f1) == pytest.approx((row["precision"], row["recall"], row["f1-score"]))
        assert (one.label, one.texts, one.predicted) == (LABELS[number], row["support"], int((said == number).sum()))
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (true, said), 1)
    assert scores.confusion == tuple(map(tuple, confusion.tolist()))
    # Matthews as the correlation of the two tables of marks (Gorodkin 2004, equation 7).
    marks = [each - each.mean(axis=0) for each in (targets, np.eye(classes)[said])]
    x_y, x_x, y_y = ((a * b).sum() for a, b in ((marks[0], marks[1]), (marks[0], marks[0]), (marks[1], marks[1])))
    assert found["matthews"] == pytest.approx(x_y / math.sqrt(x_x * y_y) if x_x * y_y > 1e-12 else 0.0)
    assert found["roc_area"] == pytest.approx(metrics.roc_auc_score(targets, probabilities, average="macro"))
    assert found["pr_area"] == pytest.approx(metrics.average_precision_score(targets, probabilities, average="macro"))
    assert found["log_loss"] == pytest.approx(-np.log(probabilities[targets == 1]).mean())
    assert found["ece"] == pytest.approx(expected_calibration_error(probabilities, targets))
    assert "ece_uncalibrated" not in found and "micro_f1" not in found


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), texts=st.integers(30, 60), classes=st.integers(2, 5), bound=st.floats(0.2, 0.8))
def test_several_labels_a_text(seed: int, texts: int, classes: int, bound: float) -> None:
    targets, probabilities = drawn(seed, texts, classes, multi_label=True)
    said = probabilities > bound
    scores = classification_scores(targets, probabilities, LABELS[:classes], said=said, multi_label=True, resamples=0)
    found = values(scores)
    right = (targets == 1) & said
    assert found["accuracy"] == pytest.approx(
        np.mean([np.array_equal(*pair) for pair in zip(targets, said, strict=True)])
    )
    assert found["micro_f1"] == pytest.approx(2 * right.sum() / (targets.sum() + said.sum()))
    assert found["micro_recall"] == pytest.approx(right.sum() / targets.sum())
    by_label = [
        metrics.f1_score(targets[:, c], said[:, c], zero_division=0) for c in range(classes) if targets[:, c].any()
    ]
    assert found["macro_f1"] == pytest.approx(np.mean(by_label))
    assert found["hamming_loss"] == pytest.approx(np.mean(targets != said))
    clipped = np.clip(np.where(targets == 1, probabilities, 1 - probabilities), np.finfo(float).eps, 1)
    assert found["log_loss"] == pytest.approx(-np.log(clipped).mean())
    areas = [metrics.roc_auc_score(targets[:, c], probabilities[:, c]) for c in range(classes)]
    assert found["roc_area"] == pytest.approx(np.mean(areas))
    assert scores.confusion is None and "matthews" not in found


@pytest.mark.parametrize("multi_label", [False, True])
def test_intervals_hold_the_score_and_travel_with_it(multi_label: bool) -> None:
    targets, probabilities = drawn(3, 200, 3, multi_label=multi_label)
    scores = classification_scores(
        targets, probabilities, LABELS[:3], multi_label=multi_label, uncalibrated=probabilities, resamples=200, seed=7
    )
    for score in scores.scores:
        if score.metric.startswith("ece"):
            assert score.low is None and score.high is None
        else:
            assert score.low is not None and score.value is not None and score.high is not None
            assert score.low < score.value < score.high, score
    assert all(one.low < one.f1 < one.high for one in scores.by_label)  # type: ignore[operator]
    assert scores["ece_uncalibrated"].value == scores["ece"].value
    plain = json.loads(json_line(scores.to_dict()))
    assert json.loads(json.dumps(scores.to_dict(), allow_nan=False)) == plain
    assert plain["bootstrap"] == {"resamples": 200, "seed": 7}
    assert set(plain["macro_f1"]) == {"score", "low", "high"}
    assert [one["label"] for one in plain["by_label"]] == plain["labels"] == list(LABELS[:3])
    assert ("confusion" in plain) is not multi_label
    rows = scores.rows()
    assert {len(row) for row in rows} == {len(ClassificationScores.COLUMNS)}
    names = [row[0] for row in rows]
    means = ["macro F1", "micro F1", "weighted F1"] if multi_label else ["macro F1", "weighted F1"]
    assert names == [
        *("accuracy", *means, "Hamming loss" if multi_label else "Matthews"),
        *("ROC area", "PR area", "log loss", "ECE", "ECE uncalibrated"),
    ]
    assert "200 resamples, seed 7" in rows[0][-1]
    assert ("all labels of a text right" in rows[0][-1]) is multi_label
    assert rows[1][2] == f"{scores['macro_f1'].low:.4f} to {scores['macro_f1'].high:.4f}"


def test_equal_seeds_give_equal_intervals() -> None:
    targets, probabilities = drawn(3, 100, 3, multi_label=False)
    first, again, other = (
        classification_scores(targets, probabilities, LABELS[:3], resamples=50, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first["accuracy"].low != other["accuracy"].low or first["log_loss"].low != other["log_loss"].low


def test_the_tables_are_readable() -> None:
    true, said = [0, 0, 0, 1], [0, 0, 1, 1]
    labels, confusion = classification_scores(np.eye(2)[true], np.eye(2)[said], LABELS[:2], resamples=0).tables()
    assert labels == (
        "Labels",
        ("label", "precision", "recall", "F1", "95 % of F1", "texts"),
        [
            ("bad", "1.0000", "0.6667", "0.8000", "", "3"),
            ("so so", "0.5000", "1.0000", "0.6667", "", "1"),
            ("macro mean", "0.7500", "0.8333", "0.7333", "", "4"),
            ("weighted mean", "0.8750", "0.7500", "0.7667", "", "4"),
        ],
    )
    assert confusion[1:] == (("", "bad", "so so"), [("bad", "2", "1"), ("so so", "0", "1")])


def test_the_confusion_of_many_labels_is_left_to_the_plot() -> None:
    marks, labels = np.eye(11), [str(number) for number in range(11)]
    assert [title for title, _, _ in classification_scores(marks, marks, labels, resamples=0).tables()] == ["Labels"]
    several = classification_scores(marks, marks, labels, multi_label=True, resamples=0).tables()
    assert [row[0] for row in several[0][2]] == [*labels, "macro mean", "micro mean", "weighted mean"]


def test_a_label_without_texts_is_noted_and_left_out_of_the_means() -> None:
    targets, probabilities = np.eye(3)[[0, 0, 1, 1]], np.eye(3)[[0, 2, 1, 1]]
    scores = classification_scores(targets, probabilities, ("a", "b", "c"), resamples=20)
    assert scores.notes == ("no text has the label 'c': recall and F1 are undefined, the means leave it out",)
    c = scores.by_label[2]
    assert (c.texts, c.predicted, c.precision, c.recall, c.f1, c.low, c.roc_area, c.pr_area) == (
        *(0, 1, 0.0),
        *(None,) * 5,
    )
    assert scores["macro_f1"].value == pytest.approx((2 / 3 + 1) / 2)
    assert scores["macro_recall"].value == pytest.approx(0.75)
    assert scores.tables()[0][2][2] == ("c", "0.0000", "", "", "", "0")


def test_a_label_that_is_never_predicted_is_noted() -> None:
    scores = classification_scores(np.eye(2)[[0, 1]], np.eye(2)[[0, 0]], ("a", "b"), resamples=0)
    assert scores.notes == ("never predicted: 'b'; the precision of a label that is never predicted counts as 0",)
    assert (scores.by_label[1].precision, scores["matthews"].value) == (0.0, 0.0)


def test_one_label_only_and_no_error() -> None:
    scores = classification_scores([[1, 0]] * 30, [[0.9, 0.1]] * 30, ("a", "b"), resamples=20)
    assert scores["matthews"].value == 0.0
    assert scores["roc_area"].value is None and scores["pr_area"].value is None
    assert scores["accuracy"] == Score("accuracy", 1.0, 1.0, 1.0)
    assert scores.notes[1:] == (
        "every text has the label 'a': its ROC and PR areas are undefined, and Matthews' coefficient counts as 0",
        "no text is wrong, so its interval has no width; with 30 texts, an accuracy of 0.9050 is within chance",
    )


def test_texts_without_any_label() -> None:
    scores = classification_scores(np.zeros((5, 2)), np.zeros((5, 2)), ("a", "b"), multi_label=True, resamples=20)
    assert scores["accuracy"].value == 1.0 and scores["hamming_loss"].value == 0.0
    for metric in ("macro_f1", "micro_f1", "weighted_f1", "roc_area"):
        assert scores[metric] == Score(metric, None)


def test_single_precision_probabilities_are_taken_as_they_are() -> None:
    targets, probabilities = drawn(1, 500, 4, multi_label=False)
    single = classification_scores(targets, probabilities.astype(np.float32), LABELS[:4], resamples=0)
    double = classification_scores(targets, probabilities, LABELS[:4], resamples=0)
    assert single["log_loss"].value == pytest.approx(double["log_loss"].value, rel=1e-6)


def test_certain_and_wrong_is_finite() -> None:
    scores = classification_scores([[1, 0], [0, 1]], [[0.0, 1.0], [0.0, 1.0]], ("a", "b"), resamples=20)
    assert scores["log_loss"].value == pytest.approx(-math.log(np.finfo(float).eps) / 2)
    assert scores["log_loss"].high is not None and math.isfinite(scores["log_loss"].high)


def test_names_and_shown_numbers() -> None:
    assert [Score(metric, 0.5).name for metric in ("macro_f1", "roc_area", "matthews", "log_loss")] == [
        *("macro F1", "ROC area", "Matthews", "log loss")
    ]
    assert (shown_number(None), shown_number(0.25), shown_interval(0.2, 0.31)) == ("", "0.2500", "0.2000 to 0.3100")
    assert Score("accuracy", 0.5).shown() == ("0.5000", "")


ONE, HALF = np.eye(2), np.full((2, 2), 0.5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: classification_scores(ONE, HALF, ["a"]), "labels: received 1 label; expected 2 or more"),
        (lambda: classification_scores(ONE, HALF, LABELS[:3]), r"received shape \[2, 2\]; expected \[texts, 3\]"),
        (lambda: classification_scores([1, 0], HALF, ["a", "b"]), r"targets: received shape \[2\]; expected"),
        (lambda: classification_scores(np.zeros((0, 2)), HALF, ["a", "b"]), "targets: received no text; expected one"),
        (lambda: classification_scores(2 * ONE, HALF, ["a", "b"]), "targets: received values other than 0 and 1"),
        (
            lambda: classification_scores([[1, 0], [1, 1]], HALF, ["a", "b"]),
            "targets: received 2 labels for text 1; expected one for each text, or multi_label=True",
        ),
        (lambda: classification_scores([[1, 0], [0, 0]], HALF, ["a", "b"]), "received 0 labels for text 1"),
        (
            lambda: classification_scores(ONE, HALF[:1], ["a", "b"]),
            r"probabilities: received shape \[1, 2\]; expected that of the targets, \[2, 2\]",
        ),
        (lambda: classification_scores(ONE, 3 * HALF, ["a", "b"]), "values outside 0 to 1; are these logits"),
        (lambda: classification_scores(ONE, np.nan * HALF, ["a", "b"]), "values outside 0 to 1"),
        (
            lambda: classification_scores(ONE, [[0.5, 0.5], [0.6, 0.6]], ["a", "b"]),
            "probabilities: received a sum of 1.2000 for text 1; expected 1",
        ),
        (
            lambda: classification_scores(ONE, HALF, ["a", "b"], said=ONE[:1]),
            r"said: received shape \[1, 2\]; expected \[2, 2\]",
        ),
        (lambda: classification_scores(ONE, HALF, ["a", "b"], resamples=1), "resamples: received 1; expected 0 for"),
        (
            lambda: classification_scores(ONE, HALF, ["a", "b"], resamples=0)["bleu"],
            "metric: received 'bleu'; these scores hold accuracy, macro_precision",
        ),
    ],
)
def test_wrong_calls_say_what_was_wrong(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()
