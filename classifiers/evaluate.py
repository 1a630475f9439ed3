"""Scoring a run on text with known labels."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from classifiers.calibration import Calibration, reliability
from classifiers.cleaning import key_of
from classifiers.comparison import compare
from classifiers.config import Config
from classifiers.corpus import LabelledText, numbers_of, read_labelled
from classifiers.evaluation import Abstention, Evaluation
from classifiers.labels import LabelInventory, listed
from classifiers.length_scores import scores_by_length
from classifiers.parts import text_path
from classifiers.prediction import ABSTAINED
from classifiers.scores import classification_scores
from textseq.corpus import read_lines
from textseq.errors import CorpusError, InputError
from textseq.inference import load_best, text_lines
from textseq.run_directory import RunDirectory
from textseq.text_file import TextFile
from textseq.toml_text import toml_value

if TYPE_CHECKING:
    from classifiers.bootstrap import Floats, Said
    from classifiers.classifier import Classifier

PathLike = str | os.PathLike[str]


def evaluate(
    run: PathLike,
    test: PathLike,
    *,
    baseline: PathLike | None = None,
    by_length: bool = False,
    format: str | None = None,
    text_column: str | None = None,
    label_column: str | None = None,
) -> Evaluation:
    """Predicts the labels of a text and scores them against those it has.

    Everything that can be wrong with the call is found before the network is loaded.

    Args:
        run: the run directory.
        test: text with labels, written as the run's training text was: a file, plain, .gz or .xz, a folder of folders,
            or "-" for standard input.
        baseline: another run directory, or a file with a label for each text, as `classifiers predict` prints them;
            adds the difference of the scores, and McNemar's test.
        by_length: add the scores by text length.
        format: of the file, where it is not that of the run's training text: tsv, csv, jsonl, folder or auto.
        text_column: column or key of the text, where it is not the run's.
        label_column: column or key of the label, where it is not the run's.

    Raises:
        CorpusError: a file cannot be used or is empty; a label that the run does not know; a baseline of another
            number of lines.
        RunDirectoryError: there is no run, or it has no weights yet.
        ConfigurationError: an unknown format.

    Example:
        >>> evaluation = evaluate("runs/sst2", "test.tsv")  # doctest: +SKIP
        >>> evaluation.summary()  # doctest: +SKIP
        'accuracy 0.842, macro F1 0.841'
    """
    directory = RunDirectory.open(run, "classifiers")
    inventory = _inventory(directory)
    reading = {"format": format, "text_column": text_column, "label_column": label_column}
    given = {option: value for option, value in reading.items() if value is not None}
    labelled = _read(directory, test, inventory, given)
    others = None if baseline is None else _baseline_answers(baseline, directory, labelled)
    # TensorFlow takes seconds to import; by here it is sure to be needed.
    from classifiers.classifier import Classifier
    from textseq.training.machine import machine

    classifier = Classifier.load(run)
    started = time.perf_counter()
    uncalibrated, probabilities = _probabilities(classifier, labelled.texts)
    seconds = time.perf_counter() - started
    said = classifier.calibration.answers(probabilities)
    if baseline is not None and others is None:
        others = _answers_of(Classifier.load(baseline), labelled)
    texts, targets = labelled.texts, labelled.targets
    return Evaluation(
        **_scored(classifier.calibration, labelled, uncalibrated, probabilities, said),
        run=os.fspath(run),
        step=classifier.step,
        seed=classifier.config.seed,
        test=TextFile.of(test, labelled.lines),
        baseline=None if baseline is None else os.fspath(baseline),
        comparison=None if others is None else compare(targets, said, others, multi_label=inventory.multi_label),
        lengths=tuple(scores_by_length(texts, targets, said)) if by_length else (),
        in_training=_in_training(directory, texts),
        seconds=seconds,
        machine=machine(),
        reading=tuple(given.items()),
    )


class _Labelled(NamedTuple):
    """The text to score, as the run reads it."""

    path: PathLike
    texts: list[str]
    targets: Said
    lines: list[str]
    """Of each text, label TAB text."""
    inventory: LabelInventory
    separator: str
    """Between the labels of one text."""


def _read(directory: RunDirectory, test: PathLike, inventory: LabelInventory, given: Mapping[str, str]) -> _Labelled:
    overrides = [f"corpus.{option}={toml_value(value)}" for option, value in given.items()]
    config = Config.from_toml(directory.config_path).with_overrides(overrides)
    labelled = list(read_labelled(test, config.corpus))
    targets = inventory.multi_hot([numbers_of(text, inventory) for text in labelled]).astype(bool)
    texts = text_lines([text.text for text in labelled])
    separator = config.corpus.label_separator
    lines = [f"{separator.join(one.labels)}\t{text}" for one, text in zip(labelled, texts, strict=True)]
    return _Labelled(test, texts, targets, lines, inventory, separator)


def _scored(
    calibration: Calibration, labelled: _Labelled, uncalibrated: Floats, probabilities: Floats, said: Said
) -> dict[str, Any]:
    """What follows from the answers alone, by the names that `Evaluation` has for it."""
    targets, inventory = labelled.targets, labelled.inventory
    labels, multi_label = inventory.labels, inventory.multi_label
    threshold, f1_at_threshold = _at_threshold(calibration, probabilities, targets, inventory)
    return {
        "scores": classification_scores(
            targets, probabilities, labels, said=said, multi_label=multi_label, uncalibrated=uncalibrated
        ),
        "temperature": calibration.temperature,
        "abstention": _abstention(calibration, probabilities, said, targets),
        "f1_threshold": threshold,
        "f1_at_threshold": f1_at_threshold,
        "answers": tuple(tuple(label for label, yes in zip(labels, row, strict=True) if yes) for row in said),
        "reliability": tuple(
            tuple(reliability(each, targets, multi_label=multi_label)) for each in (uncalibrated, probabilities)
        ),
    }


def _inventory(directory: RunDirectory) -> LabelInventory:
    """The labels of a run, from beside its weights, without loading the network."""
    best = load_best(directory)
    try:
        labels, multi_label = tuple(best.state["beside"]["labels"]), bool(best.state["beside"]["multi_label"])
    except (KeyError, TypeError):
        from classifiers.classifier import Classifier

        Classifier.load(directory.path)  # which refuses it, and says what is wrong
        raise
    return LabelInventory(labels, (0,) * len(labels), multi_label)


def _probabilities(classifier: Classifier, texts: Sequence[str]) -> tuple[Floats, Floats]:
    """Probabilities before and after calibration, float64[texts, classes] each, of one pass over the texts."""
    encoded = classifier.encode(texts)
    logits = classifier.logits_of(encoded.ids)
    both = []
    for calibration in (Calibration(multi_label=classifier.multi_label), classifier.calibration):
        probabilities = calibration.probabilities(logits)
        probabilities[encoded.empty] = classifier.prior
        both.append(probabilities)
    return both[0], both[1]


def _baseline_answers(baseline: PathLike, run: RunDirectory, labelled: _Labelled) -> Said | None:
    """The answers in a file; None where the baseline is a run, which is yet to answer."""
    if os.path.isdir(baseline):
        _require_same_labels(RunDirectory.open(baseline, "classifiers"), run, labelled.inventory)
        return None
    return _labels_in_file(baseline, labelled)


def _answers_of(classifier: Classifier, labelled: _Labelled) -> Said:
    """What another run says, its columns in the order of the inventory."""
    said = classifier.calibration.answers(_probabilities(classifier, labelled.texts)[1])
    return said[:, [classifier.labels.index(label) for label in labelled.inventory.labels]]


def _require_same_labels(baseline: RunDirectory, run: RunDirectory, inventory: LabelInventory) -> None:
    others = _inventory(baseline)
    if set(others.labels) != set(inventory.labels) or others.multi_label != inventory.multi_label:
        several = (" (several a text)" if each.multi_label else "" for each in (others, inventory))
        raise InputError(
            f"{baseline.path}: has the labels {listed(others.labels)}{next(several)}, but {run.path} has "
            f"{listed(inventory.labels)}{next(several)}; expected the same, to compare them"
        )


def _labels_in_file(path: PathLike, labelled: _Labelled) -> Said:
    """The answers of another classifier: a line for each text, whose first TAB separated field holds the labels."""
    inventory, expected = labelled.inventory, len(labelled.texts)
    rows = []
    for number, line in enumerate(read_lines(path), start=1):
        written, *notes = line.split("\t")
        if ABSTAINED in notes:
            message = "is left without an answer by `predict --abstain`; predict without it"
            raise CorpusError(message, path, number)
        labels = written.split(labelled.separator) if inventory.multi_label else [written]
        labels = [label.strip() for label in labels if label.strip() or not inventory.multi_label]
        rows.append(numbers_of(LabelledText("", tuple(labels), number, os.fspath(path)), inventory))
    if len(rows) != expected:
        test = os.fspath(labelled.path)
        message = f"has {len(rows):,} lines, but {test} has {expected:,} texts; expected the label of each"
        raise CorpusError(message, path)
    return inventory.multi_hot(rows).astype(bool)


def _abstention(calibration: Calibration, probabilities: Floats, said: Said, targets: Said) -> Abstention:
    answered = calibration.confidence(probabilities, said) >= calibration.abstain_below
    right = (said == targets).all(axis=1)[answered]
    return Abstention(calibration.abstain_below, len(right), float(right.mean()) if len(right) else None)


def _at_threshold(
    calibration: Calibration, probabilities: Floats, targets: Said, inventory: LabelInventory
) -> tuple[float | None, float | None]:
    """With two labels, the threshold for F1 and the macro F1 with it."""
    if inventory.multi_label or not calibration.thresholds:
        return None, None
    said = calibration.answers(probabilities, for_f1=True)
    scores = classification_scores(targets, probabilities, inventory.labels, said=said, resamples=0)
    return calibration.thresholds[0], scores["macro_f1"].value


def _in_training(directory: RunDirectory, texts: Sequence[str]) -> int | None:
    """How many of the texts stand in the training text, but for case and space; None where that is gone."""
    path = text_path(directory.data_path, "train")
    if not path.is_file():
        return None
    known = {key_of(line) for line in read_lines(path)}
    return sum(key_of(text) in known for text in texts)
