"""The directory of one run: everything that training writes and that translating, scoring and exporting read.

run/
  run.json               marks the directory as a run: format, version, task
  config.toml            the resolved configuration
  tokenizer/             SentencePiece models
  data/                  cleaned text, token stores, cleaning.json
  checkpoints/           step-00001234/, the newest two
  best/                  the weights that translate, evaluate and export use
  metrics.jsonl          one line a record
  report.json, learning_curve.png, tensorboard/

Every file and every checkpoint appears whole or not at all (see textseq.atomic_files).
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from textseq.atomic_files import (
    is_remainder,
    recover_directory,
    remove_directory,
    remove_remainders,
    replace_directory,
    sync,
    write_atomically,
    writing,
)
from textseq.checkpoint import (
    Checkpoint,
    decode_json,
    encode_json,
    read_checkpoint_folder,
    read_newest,
    write_checkpoint_folder,
    write_newest,
)
from textseq.errors import CheckpointError, OutputError, RunDirectoryError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Checkpoint", "RunDirectory", "replace_directory", "write_atomically"]

FORMAT = "dragoman-run"
VERSION = 1
_LOCK = ".lock"

RunDirectoryType = TypeVar("RunDirectoryType", bound="RunDirectory")
Tensors = Mapping[str, Mapping[str, "np.ndarray"]]


class RunDirectory:
    r"""A run's files and where they stand; made with `create` or `open`.

    Attributes:
        path: the directory, as it was given.
        task: what the run was made for, such as "nmt".

    Example:
        >>> import tempfile
        >>> run = RunDirectory.create(tempfile.mkdtemp(), task="nmt")
        >>> run.append_metrics({"step": 1, "loss": 4.5})
        >>> run.metrics_path.read_text()
        '{"step": 1, "loss": 4.5}\n'
        >>> run.read_checkpoint() is None
        True
    """

    def __init__(self, path: str | os.PathLike[str], task: str) -> None:
        """Names the places; touches nothing."""
        self.path = Path(path)
        self.task = task
        self._folder_is_new = False

    @classmethod
    def create(cls: type[RunDirectoryType], path: str | os.PathLike[str], task: str) -> RunDirectoryType:
        """Makes a run directory, or reopens the one that stands there.

        Raises:
            RunDirectoryError: the place holds something else, or a run of another task.
            OutputError: the place cannot be written.
        """
        run = cls(path, task)
        if os.path.exists(run.path) and not os.path.isdir(run.path):
            raise RunDirectoryError(f"{run.path}: is a file; expected a folder for the run")
        if not os.path.exists(run._marker_path):
            if foreign := run._foreign_names():
                raise RunDirectoryError(
                    f"{run.path}: holds something else ({', '.join(foreign[:3])}{', ...' if foreign[3:] else ''}) "
                    f"and no run.json; choose a new or an empty folder"
                )
            run._folder_is_new = not os.path.isdir(run.path)
            run._make_folder(run.path)
            write_atomically(run._marker_path, encode_json(run._marker(), "run") + "\n")
        run._check_marker()
        for folder in (run.tokenizer_path, run.data_path, run.checkpoints_path):
            run._make_folder(folder)
        return run

    @classmethod
    def open(cls: type[RunDirectoryType], path: str | os.PathLike[str], task: str) -> RunDirectoryType:
        """Opens a run that exists; nothing is written.

        Raises:
            RunDirectoryError: there is no run, or one of another task.
        """
        run = cls(path, task)
        if os.path.exists(run.path) and not os.path.isdir(run.path):
            raise RunDirectoryError(f"{run.path}: is a file; expected the folder of a run")
        run._check_marker()
        return run

    @classmethod
    def open_any(
        cls: type[RunDirectoryType], path: str | os.PathLike[str], tasks: Mapping[str, str]
    ) -> RunDirectoryType:
        """Opens a run of one of several tasks; its `task` says of which.

        Args:
            path: the run.
            tasks: for each task that will do, the command that makes such a run, for the message where there is none.

        Raises:
            RunDirectoryError: there is no run, or one of a task that will not do.
        """
        run = cls(path, " or ".join(tasks))
        if os.path.exists(run.path) and not os.path.isdir(run.path):
            raise RunDirectoryError(f"{run.path}: is a file; expected the folder of a run")
        run.task = run._check_marker(tasks, " or ".join(f"`{command}`" for command in tasks.values()))
        return run

    @property
    def config_path(self) -> Path:
        """The resolved configuration, TOML."""
        return self.path / "config.toml"

    @property
    def tokenizer_path(self) -> Path:
        """The folder of the SentencePiece models."""
        return self.path / "tokenizer"

    @property
    def data_path(self) -> Path:
        """The folder of cleaned text and token stores."""
        return self.path / "data"

    @property
    def checkpoints_path(self) -> Path:
        """The folder of the newest checkpoints."""
        return self.path / "checkpoints"

    @property
    def best_path(self) -> Path:
        """The folder of the best weights."""
        return self.path / "best"

    @property
    def metrics_path(self) -> Path:
        """The metrics, one JSON object a line."""
        return self.path / "metrics.jsonl"

    @property
    def report_path(self) -> Path:
        """The report, JSON."""
        return self.path / "report.json"

    @property
    def learning_curve_path(self) -> Path:
        """The learning curve, PNG."""
        return self.path / "learning_curve.png"

    @property
    def tensorboard_path(self) -> Path:
        """The folder of TensorBoard's events."""
        return self.path / "tensorboard"

    @property
    def _marker_path(self) -> Path:
        return self.path / "run.json"

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes from writing the run, and sweeps up what killed ones left half written.

        The lock ends with the process, however it ends. Reading needs no lock.

        Raises:
            RunDirectoryError: another process has it; the message names its number.
            OutputError: the place cannot be written.
        """
        path = self.path / _LOCK
        with writing(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        try:
            self._acquire(descriptor)
            with writing(path):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
            with writing(self.best_path):
                recover_directory(self.best_path)
            for folder in (self.path, self.tokenizer_path, self.data_path, self.checkpoints_path):
                remove_remainders(folder)
            yield
        finally:
            os.close(descriptor)

    def remove_if_unused(self) -> None:
        """Removes a run of which nothing was prepared, so that a failed start leaves nothing behind.

        A run with data, a configuration or weights stays. The caller holds the lock. Folders above the run stay.

        Raises:
            OutputError: it cannot be removed.
        """
        used = (self.config_path, self.data_path / "prepared.json", self.best_path, self.metrics_path)
        with writing(self.path):
            if any(map(os.path.lexists, used)) or os.listdir(self.checkpoints_path):
                return
            for folder in (self.data_path, self.tokenizer_path, self.checkpoints_path):
                remove_directory(folder)
            for file in (self._marker_path, self.path / _LOCK):
                file.unlink(missing_ok=True)
            if self._folder_is_new and not os.listdir(self.path):
                self.path.rmdir()

    def write_checkpoint(self, step: int, tensors: Tensors, state: Mapping[str, Any]) -> None:
        """Writes a checkpoint and keeps the newest two; the metrics before it are brought to the disk with it.

        Args:
            step: the training step, at least that of the newest checkpoint.
            tensors: arrays by file stem and name, such as `{"weights": {...}, "optimizer": {...}}`.
            state: a JSON object; every number in it is finite.

        Raises:
            OutputError: the place cannot be written or the disk is full; the checkpoints before stand untouched.
            RunDirectoryError: there is a checkpoint of a later step.
        """
        self._sync_metrics()
        write_newest(self.checkpoints_path, step, tensors, state)

    def read_checkpoint(self, path: str | os.PathLike[str] | None = None) -> Checkpoint | None:
        """Reads the newest checkpoint, or the one at a path.

        Returns:
            The checkpoint, or None where the run has none yet.

        Raises:
            CheckpointError: it is truncated or altered; the message offers the one before where that is whole.
        """
        return read_newest(self.checkpoints_path) if path is None else read_checkpoint_folder(Path(path))

    def write_best(self, step: int, tensors: Tensors, state: Mapping[str, Any]) -> None:
        """Writes the best weights in place of those before, in one step.

        Raises:
            OutputError: the place cannot be written or the disk is full; the weights before stand untouched.
        """
        write_checkpoint_folder(self.best_path, step, tensors, state)

    def read_best(self) -> Checkpoint | None:
        """Reads the best weights, or returns None where the run has none yet.

        Raises:
            CheckpointError: they are truncated or altered.
        """
        with contextlib.suppress(OSError):  # a reader may have no permission to write
            recover_directory(self.best_path)
        if not os.path.lexists(self.best_path):
            return None
        try:
            return read_checkpoint_folder(self.best_path)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; copy {self.best_path} anew, or delete it and run `train` again") from None

    def append_metrics(self, record: Mapping[str, Any]) -> None:
        """Appends one line to metrics.jsonl; a number that is not finite becomes null.

        Raises:
            OutputError: the place cannot be written or the disk is full; no part of the line stays.
        """
        line = (encode_json(_finite(record), "record") + "\n").encode("utf-8")
        with writing(self.metrics_path):
            descriptor = os.open(self.metrics_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                size = os.fstat(descriptor).st_size
                written = 0
                try:
                    while written < len(line):
                        written += os.write(descriptor, line[written:])
                except BaseException:
                    os.ftruncate(descriptor, size)
                    raise
            finally:
                os.close(descriptor)

    def truncate_metrics(self, after_step: int) -> None:
        """Drops the records whose step is beyond a step, and a last line that was cut off; called on resume.

        Raises:
            RunDirectoryError: a line before the last is no JSON object; the message names it.
            OutputError: the place cannot be written.
        """
        try:
            content = self.metrics_path.read_bytes()
        except FileNotFoundError:
            return
        lines = content.split(b"\n")[:-1]  # without a line feed at its end the last line was cut off
        kept = [line + b"\n" for number, line in enumerate(lines, start=1) if self._step_of(line, number) <= after_step]
        if b"".join(kept) != content:
            write_atomically(self.metrics_path, b"".join(kept))

    def _step_of(self, line: bytes, number: int) -> float:
        try:
            record = decode_json(line.decode("utf-8"))
            return float(record.get("step", -math.inf))
        except (ValueError, AttributeError, TypeError):
            raise RunDirectoryError(
                f"{self.metrics_path}:{number}: altered; expected a JSON object with its step; delete the line to go on"
            ) from None

    def _sync_metrics(self) -> None:
        with writing(self.metrics_path), contextlib.suppress(FileNotFoundError):
            sync(self.metrics_path)

    def _marker(self) -> dict[str, Any]:
        return {"format": FORMAT, "version": VERSION, "task": self.task}

    def _foreign_names(self) -> list[str]:
        """Returns what stands in the directory besides what a killed `create` may have left."""
        try:
            names = os.listdir(self.path)
        except (FileNotFoundError, NotADirectoryError):
            return []  # making the folder will say what stands in its way
        except OSError as error:
            raise RunDirectoryError(f"{self.path}: cannot be read: {error.strerror}") from None
        return sorted(name for name in names if name != _LOCK and not is_remainder(name))

    def _make_folder(self, folder: Path) -> None:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)

    def _check_marker(self, tasks: Collection[str] = (), commands: str = "") -> str:
        """Returns the task of the run that stands there, one of those named, or else the run's own."""
        try:
            marker = decode_json(self._marker_path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise RunDirectoryError(
                f"{self.path}: no run here; expected run.json; train one with {commands or f'`{self.task} train`'}"
            ) from None
        except OSError as error:
            raise RunDirectoryError(f"{self._marker_path}: cannot be read: {error.strerror}") from None
        except ValueError:
            marker = None
        if not isinstance(marker, dict) or marker.get("format") != FORMAT:
            raise RunDirectoryError(
                f"{self._marker_path}: not the mark of a run; expected format {FORMAT}; choose another folder"
            )
        if marker.get("version") != VERSION:
            raise RunDirectoryError(
                f"{self._marker_path}: version {marker.get('version')}; this release reads version {VERSION}"
            )
        task = marker.get("task")
        if task not in (list(tasks) or [self.task]):
            raise RunDirectoryError(
                f"{self.path}: a run of the task {task}, expected {self.task}; choose another folder"
            )
        return str(task)

    def _acquire(self, descriptor: int) -> None:
        try:
            import fcntl
        except ImportError:  # no such locks on this system
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise OutputError(f"{self.path}: cannot be locked: {error.strerror}; choose a local disk") from error
            holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise RunDirectoryError(
                f"{self.path}: in use by process {holder}; wait until it ends, or choose another folder"
            ) from None


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
