"""Every error that Dragoman raises on purpose.

DragomanError                 the job failed                            exit code 1
├── TrainingDiverged          too many steps in a row were not finite
├── ExportMismatch            an export does not equal its run
└── InputError                the input or the call is wrong            exit code 2
    ├── CorpusError           a text file, with file and line
    ├── ConfigurationError    a configuration key or value
    ├── RunDirectoryError     a run directory that cannot be used
    │   └── CheckpointError   a checkpoint that is truncated or altered
    └── OutputError           a place that cannot be written

A message says, in one line, what was received, what was expected, where, and how to mend it.
"""

from __future__ import annotations

import os


class DragomanError(Exception):
    """Base of all errors raised on purpose; the command line prints its message without a traceback."""

    exit_code = 1


class TrainingDiverged(DragomanError):
    """Too many steps in a row had a loss or a gradient that is not finite."""


class ExportMismatch(DragomanError):
    """An export gave other results than the run it was made from, and was not published."""


class InputError(DragomanError):
    """The input or the call is wrong; nothing was written over."""

    exit_code = 2


class CorpusError(InputError):
    """A text file cannot be used.

    Args:
        message: what was received, what was expected, how to mend it.
        path: the file, or "<stdin>".
        line: the line's number, counted from 1, where one line is at fault.
    """

    def __init__(self, message: str, path: str | os.PathLike[str], line: int | None = None) -> None:
        self.path = os.fspath(path)
        self.line = line
        place = self.path if line is None else f"{self.path}:{line}"
        super().__init__(f"{place}: {message}")


class ConfigurationError(InputError):
    """A configuration key is unknown or a value is out of range."""


class RunDirectoryError(InputError):
    """A run directory holds something else, is in use, or belongs to another configuration."""


class CheckpointError(RunDirectoryError):
    """A checkpoint is truncated or altered: a checksum differs."""


class OutputError(InputError):
    """A place cannot be written: no permission, a full disk, something else in its way."""
