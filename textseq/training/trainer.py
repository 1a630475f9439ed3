"""The training loop: epochs, validation, best weights, checkpoints, exact resume."""

from __future__ import annotations

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from textseq.errors import CheckpointError, ConfigurationError, TrainingDiverged
from textseq.losses import perplexity
from textseq.run_directory import RunDirectory
from textseq.training.config import TrainingConfig
from textseq.training.interruption import Interruption
from textseq.training.schedule import average_decay, learning_rate
from textseq.training.state import TrainingState, Window
from textseq.training.task import Task
from textseq.training.tensorboard import TensorBoard
from textseq.training.tensorflow_step import StepOutcome, TensorFlowStep

Weights = dict[str, np.ndarray]
Progress = Callable[[Mapping[str, Any]], None]


class Trainer:
    """Trains a task in a run directory, or goes on where a checkpoint left it.

    Args:
        task: model, batches, loss, validation.
        config: resolved: no value is None.
        run: where checkpoints and metrics go; the caller holds its lock.
        progress: told of every window of steps and every validation.
        identity: what the weights belong to, as JSON values; it is stored beside them.
    """

    def __init__(
        self,
        task: Task,
        config: TrainingConfig,
        run: RunDirectory,
        progress: Progress,
        identity: Mapping[str, Any] | None = None,
    ) -> None:
        self.task = task
        self.config = config
        self.run = run
        self.progress = progress
        self.identity = dict(identity or {})
        self.step = TensorFlowStep(task, config)
        self.state = TrainingState()
        if config.epochs is None:
            raise ConfigurationError("training.epochs is unset, expected a number of epochs; set it")
        self.epochs = config.epochs
        # Not the number of batches of each epoch, which subword sampling changes: the learning rate must fall steadily.
        self._total_steps = config.epochs * task.batches_per_epoch
        self.tensorboard = TensorBoard(run.tensorboard_path if config.tensorboard else None)
        self._batches: list[Any] = []
        self._epoch_weights: deque[Weights] = deque(maxlen=max(1, config.average_checkpoints))
        # Of the averaged weights that were validated last: they stand in the checkpoint.
        self._beside: dict[str, Any] = {}
        self._checkpoint_at = 0.0

    def train(self) -> TrainingState:
        """Trains to the end.

        Raises:
            KeyboardInterrupt: SIGINT or SIGTERM came; the training was saved and can be resumed.
            TrainingDiverged: too many steps in a row were not finite; the last good checkpoint stands.
        """
        with contextlib.closing(self.tensorboard), Interruption() as interruption:
            self._resume()
            while not self.state.finished:
                self._batches = list(self.task.batches(self.state.epoch))
                self._train_epoch(interruption)
                self._end_epoch()
                if interruption.requested and not self.state.finished:
                    self._stop()
        return self.state

    def _train_epoch(self, interruption: Interruption) -> None:
        state = self.state
        while state.batch < len(self._batches):
            started = time.perf_counter()
            arrays = self.task.arrays(self._batches[state.batch], state.epoch)
            rate = state.learning_rate_factor * learning_rate(self.config, state.step, self._total_steps)
            outcome = self.step(arrays, rate, average_decay(self.config, state.step))
            self._account(outcome, rate, time.perf_counter() - started)
            if state.batch == len(self._batches):
                break  # what is saved at a step includes the validation at that step, so the epoch ends first
            if interruption.requested:
                self._stop()
            if time.monotonic() >= self._checkpoint_at:
                self._checkpoint()
        if interruption.requested:
            self.progress({"message": "interrupted; the epoch is ended first, Ctrl-C again stops at once"})

    def _stop(self) -> None:
        self._checkpoint(even_while_skipping=True)
        self.progress({"message": f"saved at step {self.state.step:,}"})
        raise KeyboardInterrupt

    def _account(self, outcome: StepOutcome, rate: float, seconds: float) -> None:
        state = self.state
        state.step += 1
        state.batch += 1
        state.seconds += seconds
        if outcome.applied:
            state.skipped_in_a_row = 0
            state.window.add(outcome.plain_sum, outcome.targets, outcome.gradient_norm, seconds)
        else:
            state.skipped_steps += 1
            state.skipped_in_a_row += 1
            if state.skipped_in_a_row >= self.config.max_skipped_steps:
                raise TrainingDiverged(
                    f"{state.skipped_in_a_row} steps in a row had a loss or gradient that is not finite, at step "
                    f"{state.step}; the last good checkpoint stands; start a new run with a lower "
                    "training.learning_rate"
                )
        if state.step % self.config.log_steps == 0 and state.window.steps:
            self._log_window(rate)

    def _log_window(self, rate: float) -> None:
        window, state = self.state.window, self.state
        loss = window.plain_sum / max(1.0, window.targets)
        speed = window.targets / max(1e-9, window.seconds)
        remaining = max(0, self._total_steps - state.step)
        record = {
            "step": state.step,
            "epoch": state.epoch + state.batch / len(self._batches),
            "loss": loss,
            **({"perplexity": perplexity(loss)} if self.task.predicts_tokens else {}),
            f"{self.task.unit}_per_second": speed,
            "gradient_norm": window.gradient_norm / window.steps,
            "learning_rate": rate,
            "skipped_steps": state.skipped_steps,
        }
        self._record(record, epochs=self.epochs, seconds_left=remaining * window.seconds / window.steps)
        state.window = Window()

    def _end_epoch(self) -> None:
        state, config = self.state, self.config
        state.epoch += 1
        state.batch = 0
        if config.average_checkpoints:
            self._remember_epoch()
        last = state.epoch >= self.epochs
        if last or state.epoch % config.validate_epochs == 0:
            self._validate(self.step.averaged_weights())
            if config.patience and state.validations_without_gain >= config.patience:
                state.stopped_early = not last
                last = True
        if last:
            if config.average_checkpoints and self._epoch_weights:
                self._validate(_mean(list(self._epoch_weights)), kind="mean of the last epochs")
            state.finished = True
        self._checkpoint(even_while_skipping=state.finished)

    def _validate(self, weights: Weights, kind: str = "") -> None:
        """Scores weights in place of the trained ones, and keeps them if they are the best so far."""
        state, started = self.state, time.perf_counter()
        model = self.task.model
        trained = {variable.path: variable.numpy() for variable in model.variables}
        try:
            _assign(model, weights)
            scores = self.task.validate()
            finite = _all_finite(scores, weights)
            beside = dict(self.task.beside_weights()) if finite else {}
        finally:
            _assign(model, trained)
        if not kind:
            self._beside = beside
        better = finite and self._is_better(scores)
        if better:
            state.best_score, state.best_loss = scores[self.task.metric], scores.get("loss")
            state.best_step = state.step
            state.validations_without_gain = state.plateau_validations = 0
            best = {"step": state.step, "scores": scores, "identity": self.identity, "beside": beside}
            self.run.write_best(state.step, {"weights": weights}, best)
        else:
            state.validations_without_gain += 1
            state.plateau_validations += 1
            if self.config.plateau_patience and state.plateau_validations >= self.config.plateau_patience:
                state.learning_rate_factor *= self.config.plateau_factor
                state.plateau_validations = 0
        seconds = time.perf_counter() - started
        state.seconds += seconds
        record: dict[str, Any] = {"step": state.step, "epoch": float(state.epoch)}
        record |= {f"validation_{name}": value for name, value in scores.items()}
        record["seconds_validating"] = seconds
        if kind:
            record["weights"] = kind
        self._record({**record, "best": better}, epochs=self.epochs)

    def _is_better(self, scores: Mapping[str, float]) -> bool:
        score, best = scores[self.task.metric], self.state.best_score
        if best is None or score != best:
            return best is None or (score > best) == self.task.higher_is_better
        # On few validation texts a score is soon reached again; the loss tells such weights apart.
        return self.state.best_loss is not None and scores.get("loss", math.inf) < self.state.best_loss

    def _record(self, record: dict[str, Any], **shown: Any) -> None:
        self.run.append_metrics(record)
        self.tensorboard.write(record)
        self.progress({**record, **shown})

    def _checkpoint(self, even_while_skipping: bool = False) -> None:
        # The weights that steps are skipped with may be spoilt; they must not push out the checkpoints of good ones.
        if self.state.skipped_in_a_row and not even_while_skipping:
            return
        tensors = self.step.tensors()
        for number, weights in enumerate(self._epoch_weights):
            tensors[f"epoch_weights_{number}"] = weights
        state = {**self.state.to_dict(), "identity": self.identity, "beside": self._beside}
        self.run.write_checkpoint(self.state.step, tensors, state)
        self._checkpoint_at = time.monotonic() + 60.0 * self.config.checkpoint_minutes

    def _resume(self) -> None:
        self._checkpoint_at = time.monotonic() + 60.0 * self.config.checkpoint_minutes
        checkpoint = self.run.read_checkpoint()
        self.run.truncate_metrics(checkpoint.step if checkpoint else 0)
        if checkpoint is None:
            return
        self.step.load(checkpoint.tensors, str(checkpoint.path))
        self._beside = checkpoint.state.get("beside", {})
        try:
            self.state = TrainingState.from_dict(
                {key: value for key, value in checkpoint.state.items() if key not in ("identity", "beside")}
            )
        except (TypeError, KeyError):
            raise CheckpointError(
                f"{checkpoint.path}: state.json is not the state of a training of this release; train in a new run"
            ) from None
        for number in range(self.config.average_checkpoints):
            if f"epoch_weights_{number}" in checkpoint.tensors:
                self._epoch_weights.append(checkpoint.tensors[f"epoch_weights_{number}"])
        if not self.state.finished:
            self.progress({"message": f"resuming at step {self.state.step:,}, epoch {self.state.epoch + 1}"})

    def _remember_epoch(self) -> None:
        self._epoch_weights.append({variable.path: variable.numpy() for variable in self.step.variables})


def _assign(model: Any, weights: Weights) -> None:
    for variable in model.variables:
        if variable.path in weights:
            variable.assign(weights[variable.path])


def _all_finite(scores: Mapping[str, float], weights: Weights) -> bool:
    return all(map(math.isfinite, scores.values())) and all(np.isfinite(array).all() for array in weights.values())


def _mean(weights: list[Weights]) -> Weights:
    return {
        name: np.asarray(np.mean([one[name] for one in weights], axis=0, dtype=np.float64), np.float32)
        for name in weights[0]
    }
