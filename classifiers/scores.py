"""Scores of classifications: scikit-learn's, with names, confidence intervals, and notes on what is undefined.

Every number here is scikit-learn's own; this file chooses the settings, checks the input and gives the numbers names.
The intervals are of `classifiers.bootstrap`, the calibration error of `classifiers.calibration`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from classifiers.bootstrap import (
    DEFAULT_RESAMPLES,
    DEFAULT_SEED,
    Floats,
    Interval,
    Said,
    interval,
    require_resamples,
    resampled_scores,
)
from classifiers.calibration import Calibration, expected_calibration_error
from classifiers.labels import listed
from classifiers.score import LabelScores, Score, shown_interval, shown_number
from textseq.counted import counted
from textseq.errors import InputError
from textseq.metric_names import score_of

_AVERAGED = ("precision", "recall", "f1")
_MOST_SHOWN = 10

Table = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""Title, columns, rows."""


@dataclass(frozen=True)
class ClassificationScores:
    """Scores of the classification of some texts.

    Attributes:
        texts: how many were classified.
        labels: in the order of the classifier.
        multi_label: a text can have several labels, or none.
        scores: of all texts together.
        by_label: of each label.
        confusion: texts by true label (row) and predicted label (column); None if a text can have several labels.
        resamples: drawn for the intervals; 0 for none.
        seed: of the draws.
        notes: what the reader should know about these scores, in plain sentences; often empty.
    """

    texts: int
    labels: tuple[str, ...]
    multi_label: bool
    scores: tuple[Score, ...]
    by_label: tuple[LabelScores, ...]
    confusion: tuple[tuple[int, ...], ...] | None
    resamples: int
    seed: int
    notes: tuple[str, ...] = ()

    COLUMNS: ClassVar[tuple[str, ...]] = ("", "score", "95 % interval", "conditions")

    def __getitem__(self, metric: str) -> Score:
        """The score of one metric; InputError where it was not scored."""
        return score_of(metric, self.scores)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """The rows of a table of all scores but precision and recall, under `COLUMNS`."""
        left_out = ("_precision", "_recall")
        return [
            (one.name, *one.shown(), self._conditions() if one.metric == "accuracy" else "")
            for one in self.scores
            if not one.metric.endswith(left_out)
        ]

    def tables(self) -> list[Table]:
        """Two tables more: precision, recall and F1 of each label, and for at most ten labels, the confusion matrix."""
        columns = ("label", "precision", "recall", "F1", "95 % of F1", "texts")
        rows = [
            (one.label, *map(shown_number, (one.precision, one.recall, one.f1)), *_end(one, one.texts))
            for one in self.by_label
        ]
        for mean in ("macro", "micro", "weighted"):
            if any(score.metric == f"{mean}_f1" for score in self.scores):
                found = [self[f"{mean}_{name}"] for name in _AVERAGED]
                rows.append((f"{mean} mean", *(one.shown()[0] for one in found), *_end(found[-1], self.texts)))
        tables: list[Table] = [("Labels", columns, rows)]
        if self.confusion is not None and len(self.labels) <= _MOST_SHOWN:
            counts = zip(self.labels, self.confusion, strict=True)
            shown = [(label, *(f"{count:,}" for count in row)) for label, row in counts]
            tables.append(("Confusion, true label by row", ("", *self.labels), shown))
        return tables

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON."""
        values: dict[str, Any] = {
            "texts": self.texts,
            "labels": list(self.labels),
            "notes": list(self.notes),
            **{score.metric: {"score": score.value, "low": score.low, "high": score.high} for score in self.scores},
            "by_label": [asdict(one) for one in self.by_label],
            "bootstrap": {"resamples": self.resamples, "seed": self.seed},
        }
        if self.confusion is not None:
            values["confusion"] = [list(row) for row in self.confusion]
        return values

    def _conditions(self) -> str:
        subset = "all labels of a text right" if self.multi_label else ""
        drawn = f"intervals: {self.resamples:,} resamples, seed {self.seed}" if self.resamples else ""
        return "; ".join(part for part in (subset, drawn) if part)


def classification_scores(
    targets: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    labels: Sequence[str],
    *,
    said: npt.ArrayLike | None = None,
    multi_label: bool = False,
    uncalibrated: npt.ArrayLike | None = None,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = DEFAULT_SEED,
) -> ClassificationScores:
    """Scores classifications.

    The metrics are "accuracy" (with `multi_label` the share of texts whose labels are all right); precision, recall
    and F1 as "macro_f1", "weighted_f1" and so on, with `multi_label` also "micro_f1" and so on; "matthews" (one label
    a text) or "hamming_loss" (with `multi_label`); "roc_area" and "pr_area" (average precision), the mean over the
    labels, each against all others; "log_loss" in nats (with `multi_label` the mean over the labels); "ece", the
    expected calibration error, and "ece_uncalibrated". All but the calibration errors, which a resample biases upwards,
    have an interval.

    Macro means are over the labels that have texts. A label that is never predicted has the precision 0.

    Args:
        targets: int or bool[texts, classes], 1 for each label that a text has.
        probabilities: float[texts, classes].
        labels: the name of each class.
        said: bool[texts, classes], the labels predicted; None takes the most probable one, with `multi_label` those
            above one half.
        multi_label: a text can have several labels, or none.
        uncalibrated: probabilities before calibration, to compare; None where there are none.
        resamples: bootstrap resamples for the intervals; 0 for none.
        seed: another seed, other resamples.

    Raises:
        InputError: fewer than two labels, no text, shapes that differ, a text that has not exactly one label (without
            `multi_label`), probabilities outside 0 to 1 or, where a text has one label, that do not sum to 1.

    Example:
        >>> scores = classification_scores([[1, 0], [0, 1]], [[0.9, 0.1], [0.6, 0.4]], ["no", "yes"])
        >>> scores["accuracy"].value, scores.confusion
        (0.5, ((1, 0), (1, 0)))
    """
    require_resamples(resamples)
    answered = _checked(targets, probabilities, labels, said, multi_label)
    drawn: dict[str, Floats] = {}
    if resamples:
        drawn = resampled_scores(
            answered.true,
            answered.said,
            multi_label=multi_label,
            probabilities=answered.probabilities,
            losses=_losses(answered.true, answered.probabilities, multi_label),
            resamples=resamples,
            seed=seed,
        )
    by_label = tuple(_label_scores(*answered, labels, drawn.get("f1")))
    values = _values(answered, by_label, uncalibrated, multi_label)
    return ClassificationScores(
        texts=len(answered.true),
        labels=tuple(labels),
        multi_label=multi_label,
        scores=tuple(
            Score(name, value, *_ends(None if value is None else drawn.get(name))) for name, value in values.items()
        ),
        by_label=by_label,
        confusion=None if multi_label else _confusion(answered.true, answered.said),
        resamples=resamples,
        seed=seed,
        notes=tuple(_notes(answered.true, answered.said, by_label, multi_label)),
    )


class _Answered(NamedTuple):
    """What is scored, once it is known to be in order: bool, bool and float64[texts, classes]."""

    true: Said
    said: Said
    probabilities: Floats


def _checked(
    targets: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    labels: Sequence[str],
    said: npt.ArrayLike | None,
    multi_label: bool,
) -> _Answered:
    if len(labels) < 2:
        raise InputError(f"labels: received {counted(len(labels), 'label')}; expected 2 or more")
    true = _checked_marks(targets, "targets", labels, multi_label)
    given = _checked_probabilities(probabilities, true, multi_label)
    if said is None:
        return _Answered(true, Calibration(multi_label=multi_label).answers(given), given)
    return _Answered(true, _checked_marks(said, "said", labels, multi_label, texts=len(true)), given)


def _values(
    answered: _Answered, by_label: Sequence[LabelScores], uncalibrated: npt.ArrayLike | None, multi_label: bool
) -> dict[str, float | None]:
    """The value of each metric, in the order of the table."""
    true, said, probabilities = answered
    values = {
        **_count_scores(true, said, multi_label),
        "roc_area": _mean([one.roc_area for one in by_label]),
        "pr_area": _mean([one.pr_area for one in by_label]),
        "log_loss": _log_loss(true, probabilities, multi_label),
        "ece": expected_calibration_error(probabilities, true, multi_label=multi_label),
    }
    if uncalibrated is not None:
        before = _checked_probabilities(uncalibrated, true, multi_label)
        values["ece_uncalibrated"] = expected_calibration_error(before, true, multi_label=multi_label)
    return values


def _checked_marks(
    marks: npt.ArrayLike, name: str, labels: Sequence[str], multi_label: bool, texts: int | None = None
) -> Said:
    """The marks as bool[texts, classes], once they are known to be marks of these labels."""
    array = np.asarray(marks)
    if (
        array.ndim != 2
        or array.shape[1] != len(labels)
        or array.shape[0] != (array.shape[0] if texts is None else texts)
    ):
        expected = f"[{'texts' if texts is None else texts}, {len(labels)}], a column for each label"
        raise InputError(f"{name}: received shape {list(array.shape)}; expected {expected}")
    if not array.size:
        raise InputError(f"{name}: received no text; expected one or more to score")
    if not np.isin(array, (0, 1)).all():
        raise InputError(f"{name}: received values other than 0 and 1; expected 1 for each label that a text has")
    found = array.astype(bool)
    if not multi_label and (found.sum(axis=1) != 1).any():
        row = int(np.argmax(found.sum(axis=1) != 1))
        raise InputError(
            f"{name}: received {counted(int(found[row].sum()), 'label')} for text {row}; expected one for each text, "
            "or multi_label=True"
        )
    return found


def _checked_probabilities(probabilities: npt.ArrayLike, targets: Said, multi_label: bool) -> Floats:
    values = np.asarray(probabilities, np.float64)
    if values.shape != targets.shape:
        raise InputError(
            f"probabilities: received shape {list(values.shape)}; expected that of the targets, {list(targets.shape)}"
        )
    if not ((values >= 0) & (values <= 1)).all():
        raise InputError("probabilities: received values outside 0 to 1; are these logits?")
    if multi_label:
        return values
    sums = values.sum(axis=1, keepdims=True)
    if (np.abs(sums - 1) > 1e-3).any():
        row = int(np.argmax(np.abs(sums - 1)))
        raise InputError(f"probabilities: received a sum of {sums[row, 0]:.4f} for text {row}; expected 1")
    # Single precision is off by so much that scikit-learn would warn; what sums to 1 keeps its ties.
    return np.where(np.abs(sums - 1) > 1e-9, values / sums, values)


def _losses(targets: Said, probabilities: Floats, multi_label: bool) -> Floats:
    """The log loss of each text, with scikit-learn's bounds of what is certain."""
    smallest = np.finfo(np.float64).eps
    of_labels = -np.log(np.clip(np.where(targets, probabilities, 1 - probabilities), smallest, 1))
    return np.asarray(of_labels.mean(axis=1) if multi_label else of_labels[targets])


def _log_loss(targets: Said, probabilities: Floats, multi_label: bool) -> float:
    from sklearn.metrics import log_loss

    if multi_label:
        return float(log_loss(targets.ravel(), probabilities.ravel(), labels=[False, True]))
    return float(log_loss(targets.argmax(axis=1), probabilities, labels=range(targets.shape[1])))


def _count_scores(targets: Said, said: Said, multi_label: bool) -> dict[str, float | None]:
    from sklearn.metrics import accuracy_score, hamming_loss, matthews_corrcoef, precision_recall_fscore_support

    true, predicted = _answers(targets, multi_label), _answers(said, multi_label)
    with_texts = np.flatnonzero(targets.any(axis=0))
    scores: dict[str, float | None] = {"accuracy": float(accuracy_score(true, predicted))}
    for mean in ("macro", "micro", "weighted") if multi_label else ("macro", "weighted"):
        values: Sequence[float | None] = (None, None, None)
        if len(with_texts):
            # The micro mean counts what is said of labels without texts as well, as false.
            of = range(targets.shape[1]) if mean == "micro" else with_texts
            values = precision_recall_fscore_support(true, predicted, labels=of, average=mean, zero_division=0.0)[:3]
        for name, value in zip(_AVERAGED, values, strict=True):
            scores[f"{mean}_{name}"] = None if value is None else float(value)
    if multi_label:
        return {**scores, "hamming_loss": float(hamming_loss(true, predicted))}
    # scikit-learn warns where only one label is there, and gives 0 as well.
    one_label = (targets | said).any(axis=0).sum() < 2
    return {**scores, "matthews": 0.0 if one_label else float(matthews_corrcoef(true, predicted))}


def _label_scores(
    targets: Said, said: Said, probabilities: Floats, labels: Sequence[str], drawn: Floats | None
) -> Iterator[LabelScores]:
    from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score

    for index, label in enumerate(labels):
        true, predicted, given = targets[:, index], said[:, index], probabilities[:, index]
        precision, recall, f1, _ = precision_recall_fscore_support(
            true, predicted, average="binary", pos_label=True, zero_division=0.0
        )
        texts = int(true.sum())
        low, high = _ends(None if drawn is None or not texts else drawn[:, index])
        ranked = 0 < texts < len(true)
        yield LabelScores(
            label=label,
            texts=texts,
            predicted=int(predicted.sum()),
            precision=float(precision) if texts or predicted.any() else None,
            recall=float(recall) if texts else None,
            f1=float(f1) if texts else None,
            low=low,
            high=high,
            roc_area=float(roc_auc_score(true, given)) if ranked else None,
            pr_area=float(average_precision_score(true, given)) if ranked else None,
        )


def _confusion(targets: Said, said: Said) -> tuple[tuple[int, ...], ...]:
    from sklearn.metrics import confusion_matrix

    matrix = confusion_matrix(targets.argmax(axis=1), said.argmax(axis=1), labels=range(targets.shape[1]))
    return tuple(tuple(row) for row in matrix.tolist())


def _answers(marks: Said, multi_label: bool) -> npt.NDArray[Any]:
    """Marks as scikit-learn takes them: the marks themselves, or the place of the one label."""
    return marks.astype(np.int64) if multi_label else marks.argmax(axis=1)


def _end(one: Score | LabelScores, texts: int) -> tuple[str, str]:
    return shown_interval(one.low, one.high), f"{texts:,}"


def _ends(drawn: Floats | None) -> tuple[float | None, float | None]:
    found: Interval | None = None if drawn is None else interval(drawn)
    return (None, None) if found is None else found


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def _notes(targets: Said, said: Said, by_label: Sequence[LabelScores], multi_label: bool) -> Iterator[str]:
    without = [one.label for one in by_label if not one.texts]
    if without:
        yield f"no text has the label {listed(without)}: recall and F1 are undefined, the means leave it out"
    never = [one.label for one in by_label if one.texts and not one.predicted]
    if never:
        yield f"never predicted: {listed(never)}; the precision of a label that is never predicted counts as 0"
    everywhere = [one.label for one in by_label if one.texts == len(targets)]
    if everywhere:
        also = "" if multi_label else ", and Matthews' coefficient counts as 0"
        yield f"every text has the label {listed(everywhere)}: its ROC and PR areas are undefined{also}"
    if (targets == said).all():
        # The rule of three (Hanley and Lippman-Hand 1983): 1 - 0.05 ** (1 / n) is about 3 / n.
        least = 0.05 ** (1 / len(targets))
        yield (
            f"no text is wrong, so its interval has no width; with {counted(len(targets), 'text')}, an accuracy of "
            f"{least:.4f} is within chance"
        )
