"""Metrics for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from textseq.errors import OutputError


class TensorBoard:
    """Writes the numbers of metrics records as TensorBoard scalars; nothing is made before the first record.

    A resumed training writes a file of its own. Steps that were trained again lie over those before, as equal points.

    Args:
        path: the log directory, or None to write nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._writer: Any = None

    def write(self, record: Mapping[str, Any]) -> None:
        """Writes one record at its `step`.

        Raises:
            OutputError: the place cannot be written, or the disk is full.
        """
        if self._path is None:
            return
        import tensorflow as tf

        with self._writing():
            if self._writer is None:
                self._writer = tf.summary.create_file_writer(str(self._path))
            with self._writer.as_default():
                for name, value in record.items():
                    if name not in ("step", "epoch") and isinstance(value, int | float) and not isinstance(value, bool):
                        group = "validation" if name.startswith("validation_") else "training"
                        tf.summary.scalar(f"{group}/{name.removeprefix('validation_')}", value, step=record["step"])
            self._writer.flush()

    def close(self) -> None:
        """Brings what was written to the disk.

        Raises:
            OutputError: the disk is full.
        """
        if self._writer is not None:
            with self._writing():
                self._writer.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        import tensorflow as tf

        try:
            yield
        except (tf.errors.OpError, OSError) as error:
            reason = str(getattr(error, "message", error)).split("\n")[0]
            raise OutputError(f"{self._path}: cannot be written: {reason}; set training.tensorboard=false") from None
