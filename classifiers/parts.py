"""The training and the validation part of a corpus: read, cleaned, divided, and written as text and label numbers."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from classifiers.cleaning import HeldOutTexts, TextCleaningReport, clean_texts, key_of, repetitions
from classifiers.corpus import LabelledText, format_of, read_labelled, shown
from classifiers.label_sets import LabelSets
from classifiers.labels import LabelInventory, listed, sorted_labels
from classifiers.splitting import choose_split, choose_validation_size
from textseq.corpus import read_lines, writing_lines
from textseq.counted import counted
from textseq.errors import ConfigurationError, CorpusError
from textseq.token_store import TokenStore
from textseq.tokenization import well_formed

if TYPE_CHECKING:
    from classifiers.config import Config

Notify = Callable[[str], None]


@dataclass
class _Part:
    """The texts of one file as numbers: 4 bytes a text, and 20 for those of the training file."""

    path: str
    sets: LabelSets = field(default_factory=LabelSets)
    set_of_text: array[int] = field(default_factory=lambda: array("I"))
    keys: array[int] = field(default_factory=lambda: array("Q"))
    places: array[int] = field(default_factory=lambda: array("Q"))
    filled: set[int] = field(default_factory=set)
    """Of a validation file, the sets of labels of texts that are not empty."""


def write_parts(config: Config, folder: Path, report: TextCleaningReport, notify: Notify) -> LabelInventory:
    """Writes train.text.txt, train.labels.ids, valid.text.txt and valid.labels.ids; returns the labels.

    Args:
        config: its seed, corpus and cleaning.
        folder: receives the files.
        report: is filled.
        notify: told of what cleaning removed.

    Raises:
        CorpusError: a file is unusable, nothing is left of it, or its labels do not do; see `read_labelled`.
    """
    corpus = config.corpus
    held_out = HeldOutTexts()
    test = _see_test(config, held_out, notify)
    valid = _write_validation(config, folder, report, held_out, notify)
    train = _write_cleaned(config, folder, report, held_out, notify)
    _check_labels(config, train, report)
    kept = ~_remove_repetitions(config, train, report)
    report.tell(notify)
    _check_nothing_vanished(train, kept, report)
    for part in (valid, test):
        if part is not None:
            _check_known(part, train)
    set_of_text = np.array(train.set_of_text, dtype=np.int64)
    held = np.zeros(len(kept), dtype=np.bool_)
    if valid is None:
        held[kept] = _split(config, train, kept)
    training = kept & ~held
    inventory = _inventory(train, set_of_text[training], multi_label=corpus.multi_label)
    numbers = [inventory.numbers(labels) for labels in train.sets.distinct]
    if valid is None:
        _check_every_label(inventory, numbers, set_of_text[held], train, corpus.multi_label)
        _write_labels(folder, "valid", inventory, numbers, set_of_text[held])
    else:
        valid_numbers = [inventory.numbers(labels) for labels in valid.sets.distinct]
        valid_sets = np.array(valid.set_of_text, dtype=np.int64)
        _check_validation_file(inventory, valid_numbers, valid)
        _write_labels(folder, "valid", inventory, valid_numbers, valid_sets)
    _write_labels(folder, "train", inventory, numbers, set_of_text[training])
    _divide(folder, training, held, write_validation=valid is None)
    counts = ", ".join(f"{label} {count:,}" for label, count in zip(inventory.labels, inventory.counts, strict=True))
    notify(f"labels: {counts}" if len(inventory) <= 20 else f"labels: {len(inventory):,}")
    return inventory


def text_path(folder: Path, part: str) -> Path:
    """Where the text of a part stands: part is train or valid."""
    return folder / f"{part}.text.txt"


def named_train(config: Config) -> str:
    """The training text.

    Raises:
        ConfigurationError: none is named.
    """
    if config.corpus.train is None:
        raise ConfigurationError(
            "corpus.train is not set; expected a file or folder of labelled text, or - for standard input; "
            "set it with --train"
        )
    return config.corpus.train


def _see_test(config: Config, held_out: HeldOutTexts, notify: Notify) -> _Part | None:
    if config.corpus.test is None:
        return None
    part = _Part(shown(config.corpus.test))
    for text in read_labelled(config.corpus.test, config.corpus, notify):
        part.sets.see(text)
        held_out.add("test", key_of(text.text))
    return part


def _write_validation(
    config: Config, folder: Path, report: TextCleaningReport, held_out: HeldOutTexts, notify: Notify
) -> _Part | None:
    """Copies the validation text uncleaned, as `predict` would read it."""
    if config.corpus.valid is None:
        return None
    part = _Part(shown(config.corpus.valid))
    with writing_lines(text_path(folder, "valid")) as write:
        for text in read_labelled(config.corpus.valid, config.corpus, notify):
            key = key_of(text.text)
            if not text.text.strip():
                report.noted["validation_empty"] += 1
            elif held_out.has("test", key):
                report.noted["validation_in_test"] += 1
            held_out.add("validation", key)
            part.set_of_text.append(part.sets.see(text))
            if text.text.strip():
                part.filled.add(part.set_of_text[-1])
            write(well_formed(text.text))
    return part


def _write_cleaned(
    config: Config, folder: Path, report: TextCleaningReport, held_out: HeldOutTexts, notify: Notify
) -> _Part:
    """Writes all.text.txt: the training file without texts that are bad for themselves or held out."""
    path = named_train(config)
    part = _Part(shown(path))
    report.of_folder = format_of(path, config.corpus) == "folder"

    def seen() -> Iterator[LabelledText]:
        for text in read_labelled(path, config.corpus, notify):
            part.sets.see(text)
            yield text

    with writing_lines(text_path(folder, "all")) as write:
        for text in clean_texts(seen(), config.cleaning, report, held_out):
            write(text.text)
            part.set_of_text.append(part.sets.number(text.labels))
            part.keys.append(text.key)
            part.places.append(text.place)
    report.require_some(part.path)
    return part


def _remove_repetitions(config: Config, train: _Part, report: TextCleaningReport) -> npt.NDArray[np.bool_]:
    """bool[texts]: the texts that go as contradictions or duplicates; all are counted."""
    contradicting, duplicate = repetitions(
        np.array(train.keys, dtype=np.uint64), np.array(train.set_of_text, dtype=np.int64)
    )
    as_contradicting = contradicting & config.cleaning.drop_contradictions
    as_duplicate = duplicate & config.cleaning.drop_duplicates & ~as_contradicting
    for reason, found, gone in (
        ("contradicting", contradicting, as_contradicting),
        ("duplicate", duplicate, as_duplicate),
    ):
        for index in np.flatnonzero(gone):
            report.withdraw(reason, train.places[index])
        report.kept_overlaps[reason] = int(np.count_nonzero(found & ~as_contradicting & ~as_duplicate))
    removed = as_contradicting | as_duplicate
    report.require_some(train.path)
    return removed


def _check_labels(config: Config, train: _Part, report: TextCleaningReport) -> None:
    labels, sets = list(train.sets.first), train.sets.distinct
    if len(labels) > 1 and len(sets) > 1:
        return
    if len(labels) == 1:
        only = f"one label only: {listed(labels)}"
    else:
        only = f"the same labels: {listed(sets[0])}" if labels else "no label"
    raise CorpusError(f"{counted(report.read, 'text')} with {only}; expected two labels or more; add texts", train.path)


def _check_nothing_vanished(train: _Part, kept: npt.NDArray[np.bool_], report: TextCleaningReport) -> None:
    left = np.unique(np.array(train.set_of_text, dtype=np.int64)[kept])
    labels = {label for number in left for label in train.sets.distinct[number]}
    for label, (path, line) in train.sets.first.items():
        if label not in labels:
            reasons = "; ".join(f"{report.REASONS[key]}: {count:,}" for key, count in report.removed.items() if count)
            message = (
                f"no text with the label {label!r}, which is first here, is left after cleaning (removed: {reasons}); "
                "add texts, take the label out, or loosen [cleaning]"
            )
            raise CorpusError(message, path, line)


def _check_known(part: _Part, train: _Part) -> None:
    """Checks that a validation or test file has no label that the training text does not have."""
    for label, (path, line) in part.sets.first.items():
        if label not in train.sets.first:
            known = listed(sorted_labels(train.sets.first))
            raise CorpusError(f"unknown label {label!r}; the training text has {known}", path, line)


def _split(config: Config, train: _Part, kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """bool[kept texts]: those held out."""
    numbers = {label: number for number, label in enumerate(train.sets.first)}
    return choose_split(
        np.array(train.keys, dtype=np.uint64)[kept],
        [[numbers[label] for label in labels] for labels in train.sets.distinct],
        np.array(train.set_of_text, dtype=np.int64)[kept],
        choose_validation_size(int(kept.sum())),
        config.seed,
    )


def _inventory(train: _Part, set_of_text: npt.NDArray[np.int64], *, multi_label: bool) -> LabelInventory:
    counts = dict.fromkeys(train.sets.first, 0)
    texts_of_set = np.bincount(set_of_text, minlength=len(train.sets.distinct))
    for labels, texts in zip(train.sets.distinct, texts_of_set, strict=True):
        for label in labels:
            counts[label] += int(texts)
    return LabelInventory.from_counts(counts, len(set_of_text), multi_label=multi_label)


def _missing(
    inventory: LabelInventory, numbers: Sequence[Sequence[int]], set_of_text: npt.NDArray[np.int64]
) -> list[str]:
    """The labels that no text has."""
    there = {number for one in np.unique(set_of_text) for number in numbers[one]}
    return [label for number, label in enumerate(inventory.labels) if number not in there]


def _check_every_label(
    inventory: LabelInventory,
    numbers: Sequence[Sequence[int]],
    held_out: npt.NDArray[np.int64],
    train: _Part,
    multi_label: bool,
) -> None:
    missing = _missing(inventory, numbers, held_out)
    missing += [label for label, count in zip(inventory.labels, inventory.counts, strict=True) if count == 0]
    if missing:
        path, line = train.sets.first[missing[0]]
        others = f" (and {counted(len(missing) - 1, 'other')})" if len(missing) > 1 else ""
        if multi_label:
            fault = "cannot be in the training and in the validation part, for it has too few texts with it"
        else:
            fault = "has one text only (copies count once)"
        message = (
            f"the label {missing[0]!r}{others} {fault}; expected one to train on and one to validate with; add texts, "
            "take the label out, or give a validation file (--valid)"
        )
        raise CorpusError(message, path, line)


def _check_validation_file(inventory: LabelInventory, numbers: Sequence[Sequence[int]], valid: _Part) -> None:
    # Validation passes over empty texts, so they show nothing of a label.
    missing = _missing(inventory, numbers, np.array(sorted(valid.filled), dtype=np.int64))
    if missing:
        only_empty = " but empty ones" if any(label in valid.sets.first for label in missing) else ""
        message = (
            f"has no text{only_empty} with {listed(missing)}, which the training text has; expected every label; add "
            "texts, or leave --valid out, and a part of the training text is held out"
        )
        raise CorpusError(message, valid.path)


def _write_labels(
    folder: Path,
    part: str,
    inventory: LabelInventory,
    numbers: Sequence[Sequence[int]],
    set_of_text: npt.NDArray[np.int64],
) -> None:
    rows = (numbers[one] for one in set_of_text)
    TokenStore.write(folder / f"{part}.labels", rows, vocabulary_size=len(inventory))


def _divide(
    folder: Path, training: npt.NDArray[np.bool_], held_out: npt.NDArray[np.bool_], *, write_validation: bool
) -> None:
    """Divides all.text.txt into train.text.txt and, where there is no validation file, valid.text.txt."""
    path = text_path(folder, "all")

    def chosen(mask: npt.NDArray[np.bool_]) -> Iterator[str]:
        return (line for line, wanted in zip(read_lines(path), mask, strict=True) if wanted)

    parts = [("train", training)] + ([("valid", held_out)] if write_validation else [])
    for part, mask in parts:
        with writing_lines(text_path(folder, part)) as write:
            for line in chosen(mask):
                write(line)
    path.unlink()
