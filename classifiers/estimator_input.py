"""What the scikit-learn estimator is given, read and checked: texts, and labels in the forms that scikit-learn has."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import column_or_1d

from textseq.errors import InputError
from textseq.inference import text_lines

_SETS = (list, tuple, set, frozenset)


class EstimatorInputError(InputError, ValueError):
    """Wrong texts or labels; a ValueError, as scikit-learn's conventions ask."""


@dataclass(frozen=True)
class Target:
    """Labels as the estimator was given them.

    Attributes:
        kind: "labels" (one a text), "sets" (a collection of labels a text) or "indicator" (a matrix of 0 and 1).
        classes: the labels, sorted, in their own dtype; of a matrix, the numbers of its columns.
        names: what each class is called in a run.
        rows: of each text, the places of its labels in `classes`.
        dtype: of the array that was given.
    """

    kind: Literal["labels", "sets", "indicator"]
    classes: npt.NDArray[Any]
    names: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    dtype: npt.DTypeLike

    @property
    def multi_label(self) -> bool:
        """Whether a text can have several labels or none."""
        return self.kind != "labels"

    def without_rows(self) -> Target:
        """The same without the texts' own labels."""
        return replace(self, rows=())


def read_texts(texts: Any, name: str = "X") -> list[str]:
    """Texts as a list, lone surrogates replaced by U+FFFD.

    Args:
        texts: a list, a one-dimensional array, a column of a data frame.
        name: what to call it in a message.

    Raises:
        EstimatorInputError: one text, numbers, missing values, or several columns.
    """
    if isinstance(texts, str | bytes):
        raise EstimatorInputError(f"{name}: received one text, expected a list of texts; write [{texts[:20]!r}]")
    if hasattr(texts, "toarray"):
        raise EstimatorInputError(f"{name}: received a sparse matrix, expected texts; give them as they are written")
    values = texts.to_numpy() if hasattr(texts, "to_numpy") else texts
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise EstimatorInputError(
                f"{name}: received an array of shape {list(values.shape)}, expected [texts], one text each; "
                "of several columns give the one that holds the text"
            )
        values = values.tolist()
    try:
        values = list(values)
    except TypeError:
        raise EstimatorInputError(f"{name}: received {_shown(texts)}, expected a list of texts") from None
    for number, value in enumerate(values):
        if not isinstance(value, str):
            mend = "fill or drop missing texts" if _is_missing(value) else "give the texts themselves"
            raise EstimatorInputError(f"{name}[{number}]: received {_shown(value)}, expected text; {mend}")
    return text_lines(values)


def read_target(labels: Any, texts: int, name: str = "y") -> Target:
    """Labels in any form that scikit-learn has for one label a text, or for several.

    A list of lists is an indicator matrix where it could be one: all as long, of 0 and 1 only.

    Args:
        labels: see `SentimentClassifier.fit`.
        texts: how many there are.
        name: what to call it in a message.

    Raises:
        EstimatorInputError: another number of labels, missing or continuous ones, or of a form that is unknown.
    """
    if labels is None:
        raise EstimatorInputError(
            f"SentimentClassifier requires {name} to be passed, but the target {name} is None; "
            "give a label for each text"
        )
    if isinstance(labels, str | bytes):
        raise EstimatorInputError(f"{name}: received one label, expected a list of labels; write [{labels[:20]!r}]")
    values = labels.toarray() if hasattr(labels, "toarray") else labels
    values = values.to_numpy() if hasattr(values, "to_numpy") else values
    try:
        values = values if isinstance(values, np.ndarray) and values.ndim else list(values)
    except TypeError:
        raise EstimatorInputError(f"{name}: received {_shown(labels)}, expected a list of labels") from None
    if len(values) != texts:
        raise EstimatorInputError(
            f"received {texts} texts and {len(values)} labels in {name}; expected as many of each"
        )
    if texts == 0:
        raise EstimatorInputError("X: received 0 texts, expected one at least")
    if isinstance(values, list) and any(isinstance(value, np.ndarray) and value.ndim for value in values):
        values = [value.tolist() if isinstance(value, np.ndarray) else value for value in values]
    if not (isinstance(values, np.ndarray) and values.ndim > 1) and isinstance(values[0], _SETS):
        if not _could_be_indicator(values):
            return _from_sets(values, name)
        values = np.array(values)
    if isinstance(values, np.ndarray) and values.ndim > 1 and values.shape[1:] != (1,):
        return _from_matrix(values, name)
    return _from_labels(values, name)


def _from_labels(values: Any, name: str) -> Target:
    array = _array(column_or_1d(values, warn=True) if isinstance(values, np.ndarray) else values, name)
    _refuse(check_classification_targets, array)
    classes, places = np.unique(array, return_inverse=True)
    return Target("labels", classes, _names(classes, name), tuple((int(place),) for place in places), array.dtype)


def _from_sets(values: Sequence[Any], name: str) -> Target:
    for number, value in enumerate(values):
        if not isinstance(value, _SETS):
            raise EstimatorInputError(
                f"{name}[{number}]: received {_shown(value)}, but {name}[0] holds several labels; "
                "give a set or a list for each text"
            )
    flat = [label for value in values for label in value]
    classes = np.unique(_array(flat, name)) if flat else np.array([], "<U1")
    place = {label: number for number, label in enumerate(classes.tolist())}
    plain = [[label.item() if isinstance(label, np.generic) else label for label in value] for value in values]
    rows = tuple(tuple(sorted({place[label] for label in value})) for value in plain)
    return Target("sets", classes, _names(classes, name), rows, classes.dtype)


def _from_matrix(values: npt.NDArray[Any], name: str) -> Target:
    kind = _refuse(type_of_target, values)
    if kind != "multilabel-indicator" and not (values.ndim == 2 and np.isin(values, (0, 1)).all()):
        raise EstimatorInputError(
            f"{name}: received {kind} of shape {list(values.shape)}; Unknown label type: expected one label a text, or "
            "an indicator matrix of 0 and 1"
        )
    classes = np.arange(values.shape[1])
    rows = tuple(tuple(np.flatnonzero(row).tolist()) for row in values)
    return Target("indicator", classes, tuple(map(str, classes)), rows, values.dtype)


def _array(values: Any, name: str) -> npt.NDArray[Any]:
    """The labels as an array of one kind; NumPy itself would turn 1 into "1" beside a text."""
    items = values.tolist() if isinstance(values, np.ndarray) else list(values)
    text = any(isinstance(item, str) for item in items)
    for number, item in enumerate(items):
        if _is_missing(item):
            raise EstimatorInputError(f"{name}: label {number} is {_shown(item)}; fill or drop missing labels")
        if text and not isinstance(item, str):
            raise EstimatorInputError(
                f"{name}: label {number} is {_shown(item)} among labels that are text; expected labels of one kind"
            )
    return values if isinstance(values, np.ndarray) else np.array(items)


def _could_be_indicator(values: Sequence[Any]) -> bool:
    if not all(isinstance(value, list | tuple) and len(value) == len(values[0]) for value in values):
        return False
    flat = [item for value in values for item in value]
    return bool(flat) and all(not isinstance(item, str) and item in (0, 1) for item in flat)


def _names(classes: npt.NDArray[Any], name: str) -> tuple[str, ...]:
    names = tuple(str(label) for label in classes)
    for label in names:
        hidden = any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in label)
        if hidden or not label or label != label.strip():
            raise EstimatorInputError(
                f"{name}: received the label {label!a}; expected a name without control characters, and without white "
                "space around it"
            )
    return names


def _refuse(check: Any, values: Any) -> Any:
    """Lets scikit-learn check, and names its refusal as this package's."""
    try:
        return check(values)
    except ValueError as error:
        raise EstimatorInputError(f"y: {' '.join(str(error).split())}") from None


def _is_missing(value: Any) -> bool:
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and not np.isfinite(value)


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 40 else text[:40] + '...'}"
