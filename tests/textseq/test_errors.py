"""Exit codes and the form of messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from textseq import errors

ALL = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.DragomanError)]


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [
        (errors.DragomanError, 1),
        (errors.TrainingDiverged, 1),
        (errors.ExportMismatch, 1),
        (errors.InputError, 2),
        (errors.CorpusError, 2),
        (errors.ConfigurationError, 2),
        (errors.RunDirectoryError, 2),
        (errors.CheckpointError, 2),
        (errors.OutputError, 2),
    ],
)
def test_every_error_has_its_exit_code(kind: type[errors.DragomanError], exit_code: int) -> None:
    assert kind.exit_code == exit_code


def test_no_error_is_left_out_of_the_exit_codes() -> None:
    assert len(ALL) == 9


@pytest.mark.parametrize("kind", ALL)
def test_every_error_is_drawn_in_the_tree_and_documented(kind: type[errors.DragomanError]) -> None:
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__
    assert kind.__doc__


def test_a_corpus_error_names_file_and_line() -> None:
    error = errors.CorpusError("not valid UTF-8", Path("a/train.en"), line=7)
    assert str(error) == "a/train.en:7: not valid UTF-8"
    assert (error.path, error.line) == ("a/train.en", 7)


def test_a_corpus_error_without_a_line_names_the_file() -> None:
    error = errors.CorpusError("no such file", "train.en")
    assert str(error) == "train.en: no such file"
    assert error.line is None


def test_a_checkpoint_error_is_an_error_of_the_run_directory() -> None:
    assert issubclass(errors.CheckpointError, errors.RunDirectoryError)
