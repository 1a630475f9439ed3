"""Dynamic batching: requests that wait at the same time are run together.

Requests share a batch where they ask for the same signature with texts of about the same length: batches are made of
requests whose longest texts fall between the same powers of two, so that a short text is not padded to a long one, and
very long texts never occupy every worker.

A signature's requests are merged only if no output has an unknown dimension besides the batch. The others, such as the
attention over a sentence's tokens, come back as wide as the widest row of their batch: a request's answer would depend
on its mates, and only the model knows what is padding. These run alone, and their requests are never split: one that
has too many bytes is refused, and told how many of its texts may come together.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np

from textseq.serving.limits import Limits
from textseq.serving.refusal import Code, Refusal, invalid

Arrays = Mapping[str, np.ndarray]

_SHORTEST = 6  # as a power of two: texts up to 64 bytes are all alike
# What has more bytes leaves one worker to the others: a text, a request whose texts run together with those of others,
# and one that runs alone, whose work for each byte may be a hundred times as much.
_LONG_TEXT = 1 << 12
_LONG_REQUEST = 1 << 15
_LONG_ALONE = 1 << 12
_ALONE = "alone"


class TensorInfo(Protocol):
    """What a signature says of one input or output."""

    @property
    def dtype(self) -> int:
        """TensorFlow's number of the type."""

    @property
    def shape(self) -> Sequence[int | None] | None:
        """Its sizes; None or -1 for one that is not known, None alone for an unknown number of them."""


class Signature(Protocol):
    """Inputs and outputs by name."""

    @property
    def inputs(self) -> Mapping[str, Any]:
        """`TensorInfo` by name."""

    @property
    def outputs(self) -> Mapping[str, Any]:
        """`TensorInfo` by name."""


class Model(Protocol):
    """What is served: textseq.serving.native.saved_model.SavedModel, or a stand-in."""

    @property
    def signatures(self) -> Mapping[str, Any]:
        """`Signature` by name."""

    def run(self, signature: str, inputs: Arrays) -> Arrays:
        """Answers a batch; several threads may call it at the same time."""

    def close(self) -> None:
        """Frees the model."""


def unknown(size: int | None) -> bool:
    """Returns whether a size of a shape is not known."""
    return size is None or size < 0


def merges(signature: Signature) -> bool:
    """Returns whether requests for a signature can share a batch and be taken apart again by rows."""
    shapes = [info.shape for info in (*signature.inputs.values(), *signature.outputs.values())]
    if any(shape is None or len(shape) == 0 or not unknown(shape[0]) for shape in shapes):
        return False
    return not any(unknown(size) for info in signature.outputs.values() for size in info.shape[1:])


@dataclass(eq=False)
class _Task:
    signature: str
    inputs: Arrays
    rows: int
    longest: int
    key: tuple[Any, ...]
    deadline: float
    arrived: float = field(default_factory=time.monotonic)
    future: Future[Arrays] = field(default_factory=Future)

    @property
    def size(self) -> int:
        return self.rows * self.longest

    @property
    def long(self) -> bool:
        alone = self.key[1] == _ALONE
        return self.longest > _LONG_TEXT or self.size > (_LONG_ALONE if alone else _LONG_REQUEST)


class Batcher:
    """Runs a model for many who ask at the same time.

    Args:
        model: what runs.
        limits: sizes, delay, and how many workers.
        observe: called after every run with the signature, its texts and its seconds.
    """

    def __init__(self, model: Model, limits: Limits, observe: Callable[[str, int, float], None] | None = None) -> None:
        self._model = model
        self._limits = limits
        self._observe = observe or (lambda signature, rows, seconds: None)
        self._merges = {name: merges(signature) for name, signature in model.signatures.items()}
        self._groups: dict[tuple[Any, ...], deque[_Task]] = {}
        self._numbers = itertools.count()
        self._texts = self._bytes = self._long_runs = 0
        self._closing = False
        self._changed = threading.Condition()
        self._workers = [
            threading.Thread(target=self._work, name=f"batch-{number}", daemon=True)
            for number in range(max(limits.workers, 1))
        ]
        for worker in self._workers:
            worker.start()

    @property
    def texts(self) -> int:
        """Texts that wait."""
        return self._texts

    @property
    def bytes(self) -> int:
        """Bytes of the texts that wait."""
        return self._bytes

    def submit(self, signature: str, inputs: Arrays, deadline: float) -> list[Future[Arrays]]:
        """Queues a request.

        Args:
            signature: its name.
            inputs: arrays by name that fit the signature and agree on the size of the batch.
            deadline: on the clock of `time.monotonic`; the request is dropped if it still waits then.

        Returns:
            Futures of the outputs of consecutive rows: one, or several where the request was too large for one batch.
            One that is cancelled while it waits is dropped.

        Raises:
            Refusal: RESOURCE_EXHAUSTED where the queue is full, INVALID_ARGUMENT where the request has more texts or,
                alone, more bytes than it may, UNAVAILABLE after `close`.
        """
        tasks = self._tasks(signature, inputs, deadline)
        texts, size = sum(task.rows for task in tasks), sum(task.size for task in tasks)
        with self._changed:
            if self._closing:
                raise Refusal(Code.UNAVAILABLE, "The server is shutting down")
            # A request alone may be larger than the queue.
            if self._groups and (
                self._texts + texts > self._limits.queue or self._bytes + size > self._limits.queue_bytes
            ):
                raise Refusal(
                    Code.RESOURCE_EXHAUSTED,
                    f"The batch scheduling queue to which this task was submitted is full; "
                    f"{self._texts} texts are waiting, try again later",
                )
            for task in tasks:
                self._groups.setdefault(task.key, deque()).append(task)
            self._texts += texts
            self._bytes += size
            self._changed.notify(len(tasks))
        for task in tasks:
            task.future.add_done_callback(partial(self._drop_cancelled, task))
        return [task.future for task in tasks]

    def close(self, seconds: float) -> bool:
        """Finishes what waits, and refuses the rest and whatever comes.

        Args:
            seconds: how long to wait for it.

        Returns:
            Whether every worker has ended, so that the model may be closed.
        """
        end = time.monotonic() + seconds
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join(max(end - time.monotonic(), 0))
        with self._changed:
            left = [task for group in self._groups.values() for task in group]
            self._groups.clear()
            self._texts = self._bytes = 0
        for task in left:
            if task.future.set_running_or_notify_cancel():
                task.future.set_exception(Refusal(Code.UNAVAILABLE, "The server is shutting down"))
        return not any(worker.is_alive() for worker in self._workers)

    def _tasks(self, signature: str, inputs: Arrays, deadline: float) -> list[_Task]:
        rows = _rows(inputs)
        together = self._merges[signature]
        most = self._limits.largest_request if together else self._limits.largest_batch
        if rows > most:  # said before they are measured: a few bytes of gRPC can claim a million of them
            raise invalid(f"Task size {rows} is larger than maximum input batch size {most}")
        lengths = _row_bytes(inputs)
        if not together:
            self._check_work(signature, rows, int(lengths.max(initial=1)))
        pieces = self._pieces(lengths) if together else [(0, rows)]
        return [self._task(signature, inputs, lengths, start, end, together, deadline) for start, end in pieces]

    def _check_work(self, signature: str, rows: int, longest: int) -> None:
        most = max(self._limits.largest_alone_bytes // longest, 1)  # one text may be of any length
        if rows > most:
            raise invalid(
                f"Task size {rows} is larger than maximum input batch size {most} for texts of {longest} bytes: "
                f"{signature} takes {self._limits.largest_alone_bytes} bytes at once, every text counted as long as "
                f"the longest"
            )

    def _task(
        self, signature: str, inputs: Arrays, lengths: np.ndarray, start: int, end: int, together: bool, deadline: float
    ) -> _Task:
        longest = int(lengths[start:end].max(initial=1))
        shapes = tuple((name, array.shape[1:]) for name, array in sorted(inputs.items()))
        bucket = max(_SHORTEST, (longest - 1).bit_length())
        key = (signature, bucket, shapes) if together else (signature, _ALONE, next(self._numbers))
        whole = end - start == len(lengths)
        part = inputs if whole else {name: array[start:end] for name, array in inputs.items()}
        return _Task(signature, part, end - start, longest, key, deadline)

    def _pieces(self, lengths: np.ndarray) -> list[tuple[int, int]]:
        """Cuts a request's rows into runs that fit a batch."""
        pieces, start, longest = [], 0, 1
        for row, length in enumerate(lengths):
            longest = max(longest, int(length))
            if row > start and not self._fits(row + 1 - start, longest):
                pieces.append((start, row))
                start, longest = row, max(int(length), 1)
        return [*pieces, (start, len(lengths))]

    def _fits(self, rows: int, longest: int) -> bool:
        return rows <= self._limits.largest_batch and rows * longest <= self._limits.largest_batch_bytes

    def _drop_cancelled(self, task: _Task, future: Future[Arrays]) -> None:
        if not future.cancelled():
            return
        with self._changed:
            group = self._groups.get(task.key)
            if group is not None and task in group:
                group.remove(task)
                self._forget(task, group)

    def _forget(self, task: _Task, group: deque[_Task]) -> None:
        self._texts -= task.rows
        self._bytes -= task.size
        if not group:
            del self._groups[task.key]

    def _work(self) -> None:
        while True:
            with self._changed:
                batch = self._next_batch()
                if batch is None:
                    return
                long = batch[0].long
                self._long_runs += long
                if self._groups:  # the others may all be asleep without an end
                    self._changed.notify()
            try:
                self._run(batch)
            finally:
                with self._changed:
                    self._long_runs -= long
                    self._changed.notify_all()

    def _next_batch(self) -> list[_Task] | None:
        """Waits for a batch, with the lock held; None when there is no more to come."""
        while True:
            group, wait = self._ready_group()
            if group is not None:
                batch = self._take(group)
                if batch:
                    return batch
            elif self._closing and not self._groups:
                return None
            else:
                self._changed.wait(wait)

    def _ready_group(self) -> tuple[deque[_Task] | None, float | None]:
        """Returns the group that has waited longest of those that are ready, else the seconds until one will be."""
        now = time.monotonic()
        others = len(self._workers) == 1 or self._long_runs < len(self._workers) - 1
        chosen: deque[_Task] | None = None
        wait: float | None = None
        for key, group in self._groups.items():
            first = group[0]
            if first.long and not others:
                continue
            left = first.arrived + self._limits.batch_delay - now
            if left > 0 and key[1] != _ALONE and not self._closing and not self._full(group):
                wait = left if wait is None else min(wait, left)
            elif chosen is None or first.arrived < chosen[0].arrived:
                chosen = group
        return chosen, wait

    def _full(self, group: deque[_Task]) -> bool:
        rows = longest = 0
        for task in group:
            rows, longest = rows + task.rows, max(longest, task.longest)
            if not self._fits(rows + 1, longest):
                return True
        return False

    def _take(self, group: deque[_Task]) -> list[_Task]:
        """Takes the tasks of one batch off a group; those that nobody waits for any more are dropped."""
        batch: list[_Task] = []
        rows = longest = 0
        now = time.monotonic()
        while group:
            task = group[0]
            if batch and not self._fits(rows + task.rows, max(longest, task.longest)):
                break
            group.popleft()
            self._forget(task, group)
            if not task.future.set_running_or_notify_cancel():
                continue
            if task.deadline <= now:
                task.future.set_exception(
                    Refusal(Code.DEADLINE_EXCEEDED, "The request was not run before its deadline")
                )
                continue
            batch.append(task)
            rows, longest = rows + task.rows, max(longest, task.longest)
        return batch

    def _run(self, batch: list[_Task]) -> None:
        """Runs a batch; where it fails, each of its requests is run alone, so that a bad one spoils no other."""
        try:
            parts = self._parts(batch)
        except Exception as error:
            if len(batch) == 1:
                batch[0].future.set_exception(error)
                return
            for task in batch:
                self._run([task])
            return
        for task, outputs in zip(batch, parts, strict=True):
            task.future.set_result(outputs)

    def _parts(self, batch: list[_Task]) -> list[Arrays]:
        signature = batch[0].signature
        if len(batch) == 1:
            inputs = batch[0].inputs
        else:
            inputs = {name: np.concatenate([task.inputs[name] for task in batch]) for name in batch[0].inputs}
        rows = sum(task.rows for task in batch)
        start = time.monotonic()
        outputs = self._model.run(signature, inputs)
        self._observe(signature, rows, time.monotonic() - start)
        if len(batch) == 1:
            return [outputs]
        if any(array.shape[:1] != (rows,) for array in outputs.values()):
            raise Refusal(Code.INTERNAL, f"The outputs of {signature} do not have one row for every input")
        ends = list(itertools.accumulate(task.rows for task in batch))
        return [
            {name: array[end - task.rows : end] for name, array in outputs.items()}
            for task, end in zip(batch, ends, strict=True)
        ]


def _rows(inputs: Arrays) -> int:
    return len(next(iter(inputs.values()))) if inputs else 0


def _row_bytes(inputs: Arrays) -> np.ndarray:
    """Returns the bytes of each row's text, int64[batch]: the measure of its work; 1 where there is none."""
    lengths = np.ones(_rows(inputs), np.int64)
    for array in inputs.values():
        if array.dtype == object:
            sizes = [sum(map(len, row.ravel())) if isinstance(row, np.ndarray) else len(row) for row in array]
            lengths += np.array(sizes, np.int64)
    return lengths
