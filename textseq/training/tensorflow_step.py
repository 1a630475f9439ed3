"""One training step on TensorFlow: loss, gradients, clipping, update and moving average."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from textseq.errors import CheckpointError
from textseq.training.clipping import clip, global_norm
from textseq.training.config import TrainingConfig
from textseq.training.task import Task


class StepOutcome(NamedTuple):
    """What one step did."""

    plain_sum: float
    """Sum of the cross-entropy over the targets, in nats."""
    targets: float
    gradient_norm: float
    """Before clipping."""
    applied: bool
    """False where the loss or a gradient was not finite, and nothing was changed."""


class TensorFlowStep:
    """A compiled training step.

    Forward and backward pass run in an ordinary graph, where oneDNN makes the products. Clipping, update and moving
    average are element-wise on every weight, so XLA fuses them into one pass over memory.

    Args:
        task: model and loss.
        config: optimizer and clipping.
    """

    def __init__(self, task: Task, config: TrainingConfig) -> None:
        self.task = task
        self.config = config
        self.variables = task.model.trainable_variables
        self.optimizer = make_optimizer(config)
        self.optimizer.build(self.variables)
        self.averages = (
            [tf.Variable(variable.value, name=f"{variable.path}/average") for variable in self.variables]
            if config.average_decay > 0
            else []
        )
        self._changing = self._name_variables()
        self._graphs: dict[tuple[tuple[int | None, ...], ...], Callable[..., tf.Tensor]] = {}
        self._update = tf.function(self._apply, jit_compile=True, autograph=False)

    def __call__(self, arrays: tuple[np.ndarray, ...], learning_rate: float, average_decay: float) -> StepOutcome:
        """Trains on one batch.

        Args:
            arrays: of the batch, int32 each.
            learning_rate: of this step.
            average_decay: of this step.
        """
        scalars = tf.constant([learning_rate, average_decay], tf.float32)
        run = self._graph(arrays)
        plain_sum, targets, norm, applied = run(tuple(tf.constant(array) for array in arrays), scalars).numpy()
        return StepOutcome(float(plain_sum), float(targets), float(norm), bool(applied))

    def _graph(self, arrays: tuple[np.ndarray, ...]) -> Callable[..., tf.Tensor]:
        """One graph for all shapes, or, where time is unrolled in it, one for each."""
        shapes = tuple(tuple(array.shape) if self.config.unroll else (None,) * array.ndim for array in arrays)
        if shapes not in self._graphs:
            specs = tuple(tf.TensorSpec(shape, tf.int32) for shape in shapes)
            step = tf.function(self._step, autograph=False)
            self._graphs[shapes] = step.get_concrete_function(specs, tf.TensorSpec([2], tf.float32))
        return self._graphs[shapes]

    def _step(self, arrays: tuple[tf.Tensor, ...], scalars: tf.Tensor) -> tf.Tensor:
        values = [variable.value for variable in self.variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            loss = self.task.loss(arrays)
        gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss.objective, values)]
        norm = self._norm(gradients)
        finite = tf.math.is_finite(norm) & tf.math.is_finite(loss.objective)
        tf.cond(finite, lambda: self._update(gradients, norm, scalars), lambda: False)
        return tf.stack([loss.plain_sum, loss.targets, norm, tf.cast(finite, tf.float32)])

    @tf.function(jit_compile=True, autograph=False)
    def _norm(self, gradients: list[tf.Tensor]) -> tf.Tensor:
        return global_norm(gradients)

    def _apply(self, gradients: list[tf.Tensor], norm: tf.Tensor, scalars: tf.Tensor) -> bool:
        gradients = clip(gradients, self.variables, norm, self.config)
        self.optimizer.learning_rate.assign(scalars[0])
        self.optimizer.apply(gradients, self.variables)
        for average, variable in zip(self.averages, self.variables, strict=False):
            average.assign_add((1.0 - scalars[1]) * (variable.value - average))
        return True

    def _name_variables(self) -> dict[str, dict[str, Any]]:
        """All that training changes, by file and by a name that is the same in every process."""
        # The random states' own names count up with every model that a process makes, so they go by their number.
        untrained = self.task.model.non_trainable_variables
        return {
            "weights": _by_name([variable.path for variable in self.variables], self.variables),
            "untrained": _by_name([f"{number:03}" for number in range(len(untrained))], untrained),
            "optimizer": _by_name([variable.path for variable in self.optimizer.variables], self.optimizer.variables),
            "averages": _by_name([variable.path for variable in self.variables][: len(self.averages)], self.averages),
        }

    def tensors(self) -> dict[str, dict[str, np.ndarray]]:
        """All that training changes: weights, random states, optimizer and moving averages, by file and name."""
        return {
            stem: {name: np.asarray(variable.numpy()) for name, variable in variables.items()}
            for stem, variables in self._changing.items()
        }

    def load(self, tensors: Mapping[str, Mapping[str, np.ndarray]], place: str) -> None:
        """Puts back what `tensors` gave; either all or nothing.

        Args:
            tensors: by file and name.
            place: where they come from, for the message.

        Raises:
            CheckpointError: they are not those of this model and optimizer.
        """
        for stem, variables in self._changing.items():
            _check_fit(tensors.get(stem, {}), variables, f"{place}: {stem}.safetensors")
        for stem, variables in self._changing.items():
            for name, variable in variables.items():
                variable.assign(tensors[stem][name])

    def averaged_weights(self) -> dict[str, np.ndarray]:
        """The weights to judge and to keep: the moving averages, or the weights themselves without averaging."""
        if not self.averages:
            return {variable.path: variable.numpy() for variable in self.variables}
        return {variable.path: average.numpy() for variable, average in zip(self.variables, self.averages, strict=True)}


def make_optimizer(config: TrainingConfig) -> keras.optimizers.Optimizer:
    """The optimizer that a configuration names; its learning rate is set before every step."""
    decay = config.weight_decay or None
    if config.optimizer == "adam":
        return keras.optimizers.Adam(config.learning_rate, beta_1=config.momentum, weight_decay=decay, name="optimizer")
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(
            config.learning_rate,
            momentum=config.momentum,
            nesterov=config.momentum > 0,
            weight_decay=decay,
            name="optimizer",
        )
    return keras.optimizers.RMSprop(config.learning_rate, weight_decay=decay, name="optimizer")


def _by_name(names: Sequence[str], variables: Sequence[Any]) -> dict[str, Any]:
    named = dict(zip(names, variables, strict=True))
    if len(named) != len(variables):
        twice = sorted({name for name in names if list(names).count(name) > 1})
        raise ValueError(
            f"several variables are called {twice[0]}; expected a name for each, or a checkpoint loses some"
        )
    return named


def _check_fit(arrays: Mapping[str, np.ndarray], variables: Mapping[str, Any], place: str) -> None:
    mend = "it was written by another model or release; train in a new run"
    for name, variable in variables.items():
        if name not in arrays:
            raise CheckpointError(f"{place} has no {name}; {mend}")
        array, shape = arrays[name], tuple(variable.shape)
        if array.shape != shape or array.dtype.name != _dtype_name(variable):
            raise CheckpointError(
                f"{place}: {name} is {array.dtype}{list(array.shape)}, "
                f"expected {_dtype_name(variable)}{list(shape)}; {mend}"
            )
    strange = sorted(set(arrays) - set(variables))
    if strange:
        raise CheckpointError(f"{place} has {strange[0]}, which is not in the model; {mend}")


def _dtype_name(variable: Any) -> str:
    return variable.dtype if isinstance(variable.dtype, str) else str(variable.dtype.name)
