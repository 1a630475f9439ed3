"""From text to a trained model and back: input lines, padded batches, the best weights of a run."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from textseq.backend import require_tensorflow
from textseq.batching import inference_batches
from textseq.checkpoint import Checkpoint
from textseq.configuration import Configuration
from textseq.errors import CheckpointError, InputError, RunDirectoryError
from textseq.identity import check_identity
from textseq.run_directory import RunDirectory
from textseq.text_start import text_start
from textseq.tokenization import Tokenizer, well_formed

logger = logging.getLogger(__name__)

Config = TypeVar("Config", bound=Configuration)


def text_lines(lines: Sequence[str]) -> list[str]:
    """The lines without lone surrogates, which no encoding can hold: U+FFFD stands in their place.

    Args:
        lines: what the caller gave.

    Raises:
        InputError: one text in place of a list, or something else than text in it.
    """
    if isinstance(lines, str):
        raise InputError(f"received one text, expected a list of lines; write [{lines[:20]!r}]")
    if not isinstance(lines, Iterable):
        raise InputError(f"received {lines!r}, expected a list of lines")
    lines = list(lines)
    for number, line in enumerate(lines):
        if not isinstance(line, str):
            raise InputError(f"line {number} of the list: received {type(line).__name__} {line!r}, expected text")
    return [line if line.isascii() else well_formed(line) for line in lines]


def encode_cut(
    tokenizer: Tokenizer, lines: Sequence[str], longest: int, most_bytes: int, *, noun: str, advice: str
) -> tuple[list[list[int]], frozenset[int]]:
    """The ids of each line, ending in eos, cut where a line is so long that it would take minutes or gigabytes.

    A line is cut twice: at `most_bytes`, so that what the tokenizer takes is bounded as well, and at `longest`. What is
    cut is said in the log.

    Args:
        tokenizer: of the text.
        lines: from `text_lines`.
        longest: most tokens of a line, eos counted.
        most_bytes: most bytes of a line in UTF-8, see `textseq.text_start`.
        noun: what the lines are called there, such as "lines".
        advice: what to do about it.

    Returns:
        The ids, and the indices of the lines that were cut.
    """
    starts = [text_start(line, most_bytes) for line in lines]
    encoded = tokenizer.encode(starts)
    larger = {index for index, (start, line) in enumerate(zip(starts, lines, strict=True)) if len(start) < len(line)}
    longer = {index for index, ids in enumerate(encoded) if len(ids) >= longest} - larger
    if longer:
        logger.warning(
            "%d of %d %s have more than %d tokens, the longest %d; only so many are read of each: %s",
            *(len(longer), len(lines), noun, longest - 1, max(len(encoded[index]) for index in longer), advice),
        )
    if larger:
        logger.warning(
            "%d of %d %s have more than %d bytes; only so many, and of these %d tokens, are read of each: %s",
            *(len(larger), len(lines), noun, most_bytes, longest - 1, advice),
        )
    return [[*ids[: longest - 1], tokenizer.eos_id] for ids in encoded], frozenset(longer | larger)


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """While the block runs, nothing is said of texts that are cut: they are ours, not the user's."""
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before


def batched_indices(lengths: npt.NDArray[np.integer[Any]], budget: int) -> Iterator[list[int]]:
    """Divides sequences into batches of like length.

    Args:
        lengths: int[sequences, sides], tokens of each; sides is 1 or 2.
        budget: padded tokens of one batch, both sides together; a single sequence may exceed it.

    Yields:
        The indices of one batch. Each index comes once.
    """
    if len(lengths):
        longest = int(lengths.max())
        for batch in inference_batches(lengths, max(budget, lengths.shape[1] * longest)):
            yield batch.indices.tolist()


def padded(rows: Sequence[Sequence[int]], pad_id: int) -> npt.NDArray[np.int32]:
    """int32[rows, longest]: the rows of ids, padded on the right.

    Args:
        rows: one row or more.
        pad_id: what fills the shorter ones.
    """
    array = np.full((len(rows), max(len(row) for row in rows)), pad_id, np.int32)
    for number, row in enumerate(rows):
        array[number, : len(row)] = row
    return array


def load_best(directory: RunDirectory, command: str | None = None) -> Checkpoint:
    """The best weights of a run.

    Args:
        directory: of the run.
        command: what makes them, such as "nmt train"; None is `train` of the run's task.

    Raises:
        RunDirectoryError: it has no weights yet.
        CheckpointError: they are truncated or altered.
    """
    best = directory.read_best()
    if best is None:
        raise RunDirectoryError(
            f"{directory.path}: no trained weights yet; expected {directory.best_path}; "
            f"go on with `{command or directory.task + ' train'} --run {directory.path}`"
        )
    return best


def assign_weights(model: Any, best: Checkpoint) -> None:
    """Gives a model the weights of a checkpoint, if they are its own.

    Args:
        model: a built keras.Model.
        best: from `load_best`.

    Raises:
        CheckpointError: a weight is missing or has another shape; nothing is assigned.
    """
    weights = best.tensors.get("weights", {})
    shapes = {variable.path: tuple(variable.shape) for variable in model.trainable_variables}
    for path, shape in shapes.items():
        received = weights[path].shape if path in weights else "nothing"
        if received != shape:
            raise CheckpointError(
                f"{best.path}: the weights are not of this configuration: {path} is {received}, expected {shape}; "
                f"restore config.toml and tokenizer/ as they were when the run was trained"
            )
    for variable in model.trainable_variables:
        variable.assign(weights[variable.path])


@dataclass(frozen=True)
class TrainedRun(Generic[Config]):
    """A trained run from which a network is to be made: open it, check it, and give the network its weights.

    Attributes:
        directory: of the run.
        config: as it was resolved when the run was trained.
        best: its best weights.
    """

    directory: RunDirectory
    config: Config
    best: Checkpoint

    @classmethod
    def open(cls, run: str | os.PathLike[str], task: str, kind: type[Config], purpose: str) -> TrainedRun[Config]:
        """Opens a run.

        Args:
            run: the run directory.
            task: of the run, such as "nmt".
            kind: of its configuration.
            purpose: what TensorFlow is needed for, such as "translating".

        Raises:
            InputError: Keras runs on another backend.
            RunDirectoryError: there is no run, or it has no weights yet.
            CheckpointError: the weights are truncated or altered.
        """
        require_tensorflow(purpose)
        directory = RunDirectory.open(run, task)
        best = load_best(directory)
        return cls(directory, kind.from_toml(directory.config_path), best)

    def check(self, own: Mapping[str, Any]) -> None:
        """Checks that the weights were trained with what the run says now.

        Args:
            own: the identity of the run, see `textseq.identity`.

        Raises:
            RunDirectoryError: its configuration or tokenizer was changed after the training.
        """
        check_identity(self.best.state.get("identity", {}), own, self.directory.path, deciding_only=True)

    def assign(self, model: Any) -> int:
        """Gives a network the weights, see `assign_weights`; returns the training step that they are of."""
        assign_weights(model, self.best)
        return self.best.step
