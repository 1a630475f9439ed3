"""A small task that trains in milliseconds: classes of short id sequences, with dropout, so that all state matters.

Also a program, for what must run in a process of its own:
    python toy_task.py RUN [--kill-at STEP | --kill-in-validation STEP | --interrupt-at STEP] [key=value ...]
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from textseq.run_directory import RunDirectory
from textseq.training.config import TrainingConfig
from textseq.training.state import TrainingState
from textseq.training.task import Loss
from textseq.training.trainer import Trainer

WORDS, CLASSES, ROWS, LENGTH = 12, 3, 8, 4
SETTINGS = (
    "epochs=3",
    "learning_rate=0.05",
    "warmup_steps=3",
    "log_steps=2",
    "average_decay=0.9",
    "checkpoint_minutes=1e6",
    "tensorboard=false",
)


class ToyModel(keras.Model):
    """The mean of embedded ids, dropout, one dense layer."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(name="toy")
        uniform = keras.initializers.RandomUniform
        self.embedding = self.add_weight(name="embedding", shape=(WORDS, 6), initializer=uniform(seed=seed))
        self.kernel = self.add_weight(name="kernel", shape=(6, CLASSES), initializer=uniform(seed=seed + 1))
        self.bias = self.add_weight(name="bias", shape=(CLASSES,), initializer="zeros")
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, ids: Any, training: bool = False) -> Any:
        hidden = ops.tanh(ops.mean(ops.take(self.embedding, ids, axis=0), axis=1))
        if training:
            hidden = keras.random.dropout(hidden, 0.3, seed=self.seed_generator)
        return ops.matmul(hidden, self.kernel) + self.bias


class ToyTask:
    """The class of a sequence is its first id modulo the number of classes.

    Args:
        batches_per_epoch: of every second epoch; the others have one more, as with subword sampling.
        spoil: told the step's number (from 0); what it returns is multiplied with the loss.
        scores: the validation's, in place of the true ones.
    """

    unit = "texts"
    metric = "loss"
    higher_is_better = False
    predicts_tokens = True

    def __init__(
        self,
        batches_per_epoch: int = 5,
        *,
        spoil: Callable[[int], float] = lambda step: 1.0,
        scores: list[dict[str, float]] | None = None,
        on_step: Callable[[int], None] = lambda step: None,
    ) -> None:
        self.model = ToyModel()
        self.batches_per_epoch = batches_per_epoch
        self.spoil = spoil
        self.scores = scores
        self.on_step = on_step
        self.steps = 0
        self.validations = 0
        self.seen: list[tuple[int, int]] = []

    def batches(self, epoch: int) -> list[int]:
        count = self.batches_per_epoch + epoch % 2
        return np.random.Generator(np.random.Philox(epoch)).random(count).argsort(kind="stable").tolist()

    def arrays(self, batch: int, epoch: int) -> tuple[np.ndarray, ...]:
        self.on_step(self.steps)
        self.seen.append((epoch, batch))
        ids = np.random.Philox(key=100 * epoch + batch).random_raw(ROWS * LENGTH) % WORDS
        ids = ids.astype(np.int32).reshape(ROWS, LENGTH)
        # The factor of the loss goes in as an integer, millionths; 0 stands for NaN, -1 for an infinite gradient.
        factor = self.spoil(self.steps)
        self.steps += 1
        coded = 0 if np.isnan(factor) else -1 if np.isinf(factor) else round(factor * 1e6)
        return ids, (ids[:, 0] % CLASSES).astype(np.int32), np.array([coded], np.int32)

    def loss(self, arrays: tuple[Any, ...]) -> Loss:
        ids, classes, coded = arrays
        crosses = ops.sparse_categorical_crossentropy(classes, self.model(ids, training=True), from_logits=True)
        factor = ops.cast(coded[0], "float32") / 1e6
        factor = ops.where(coded[0] == 0, float("nan"), factor)
        plain = ops.sum(crosses)
        # sqrt has an infinite gradient at 0 and a finite value.
        poisoned = ops.where(coded[0] == -1, ops.sqrt(plain * 0.0), plain / ROWS * factor)
        return Loss(poisoned, plain, ops.convert_to_tensor(float(ROWS)))

    def validate(self) -> dict[str, float]:
        self.validations += 1
        if self.scores is not None:
            return self.scores[self.validations - 1]
        ids = (np.arange(WORDS * LENGTH, dtype=np.int32) * 7 % WORDS).reshape(WORDS, LENGTH)
        logits = self.model(ids)
        loss = ops.mean(ops.sparse_categorical_crossentropy(ids[:, 0] % CLASSES, logits, from_logits=True))
        return {"loss": float(loss)}

    def beside_weights(self) -> dict[str, Any]:
        return {"bias": self.model.bias.numpy().tolist()}


def config(*settings: str) -> TrainingConfig:
    """SETTINGS, and more."""
    return TrainingConfig().with_overrides([*SETTINGS, *settings])


def train(
    run: str, task: ToyTask, *settings: str, progress: Callable[[Any], None] = lambda record: None
) -> TrainingState:
    """Trains in a run directory."""
    directory = RunDirectory.create(run, "toy")
    with directory.lock():
        return Trainer(task, config(*settings), directory, progress).train()


def main() -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    run, *rest = sys.argv[1:]
    task = ToyTask()
    if rest and rest[0].startswith("--"):
        kind, at = rest[0], int(rest[1])
        rest = rest[2:]
        directory = RunDirectory.create(run, "toy")
        newest = directory.read_checkpoint()
        first = newest.step if newest else 0
        number = signal.SIGINT if kind == "--interrupt-at" else signal.SIGKILL
        if kind == "--kill-in-validation":
            RunDirectory.append_metrics = _killed_after_best(at)  # type: ignore[method-assign]
        else:
            task.on_step = lambda step: os.kill(os.getpid(), number) if first + step == at else None
    train(run, task, *rest)


def _killed_after_best(step: int) -> Callable[[RunDirectory, Any], None]:
    """In place of `append_metrics`: kills the process before the record of a validation, after its `write_best`."""
    append = RunDirectory.append_metrics

    def append_or_die(run: RunDirectory, record: Any) -> None:
        if record["step"] >= step and "best" in record:
            os.kill(os.getpid(), signal.SIGKILL)
        append(run, record)

    return append_or_die


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
