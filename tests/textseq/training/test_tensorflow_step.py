"""The training step against NumPy in float64, and what a bad step leaves alone."""

from __future__ import annotations

import gc
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tests.textseq.training.toy_task import ToyTask, config
from textseq.errors import CheckpointError
from textseq.training.config import TrainingConfig
from textseq.training.task import Loss
from textseq.training.tensorflow_step import TensorFlowStep

START = np.array([0.5, -1.0, 2.0, 0.1])
SLOPES = np.array([1.0, -0.5, 0.25, 3.0])


class SlopeModel(keras.Model):
    """Four weights."""

    def __init__(self) -> None:
        super().__init__(name="slope")
        self.kernel = self.add_weight(name="kernel", shape=(4,), initializer="zeros")
        self.kernel.assign(START)
        self.built = True


class SlopeTask(ToyTask):
    """The gradient is `SLOPES * scale + kernel`, with the scale given by the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.model = SlopeModel()

    def loss(self, arrays: tuple[Any, ...]) -> Loss:
        (scale,) = arrays
        kernel = self.model.kernel
        value = ops.sum(SLOPES * ops.cast(scale[0], "float32") * kernel + 0.5 * kernel * kernel)
        return Loss(value, value, ops.convert_to_tensor(1.0))


def _adam(kernel: np.ndarray, state: dict[str, Any], gradient: np.ndarray, rate: float, beta: float) -> np.ndarray:
    """Kingma and Ba 2015, algorithm 1 with the bias corrections in the rate."""
    state["t"] = state.get("t", 0) + 1
    state["m"] = beta * state.get("m", 0) + (1 - beta) * gradient
    state["v"] = 0.999 * state.get("v", 0) + 0.001 * gradient**2
    corrected = rate * np.sqrt(1 - 0.999 ** state["t"]) / (1 - beta ** state["t"])
    return kernel - corrected * state["m"] / (np.sqrt(state["v"]) + 1e-7)


def _sgd(kernel: np.ndarray, state: dict[str, Any], gradient: np.ndarray, rate: float, beta: float) -> np.ndarray:
    """Nesterov's momentum (Sutskever et al. 2013)."""
    state["m"] = beta * state.get("m", 0) - rate * gradient
    return kernel + beta * state["m"] - rate * gradient


def _rmsprop(kernel: np.ndarray, state: dict[str, Any], gradient: np.ndarray, rate: float, beta: float) -> np.ndarray:
    state["v"] = 0.9 * state.get("v", 0) + 0.1 * gradient**2
    return kernel - rate * gradient / np.sqrt(state["v"] + 1e-7)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize(("name", "update"), [("adam", _adam), ("sgd", _sgd), ("rmsprop", _rmsprop)])
def test_updates_and_averages(name: str, update: Any, decay: float) -> None:
    settings = TrainingConfig(optimizer=name, momentum=0.8, weight_decay=decay, clip_norm=2.0)
    step = TensorFlowStep(SlopeTask(), settings)
    kernel, average, state = START.copy(), START.copy(), dict[str, Any]()
    for number, scale in enumerate([1, -2, 3, 0, 5]):
        rate, average_decay = 0.1 / (number + 1), 0.5 + 0.1 * number
        outcome = step((np.array([scale], np.int32),), rate, average_decay)
        gradient = SLOPES * scale + kernel
        norm = np.linalg.norm(gradient)
        assert outcome.applied
        assert outcome.gradient_norm == pytest.approx(norm, rel=1e-5)
        assert outcome.plain_sum == pytest.approx(np.sum(SLOPES * scale * kernel + kernel**2 / 2), rel=1e-4, abs=1e-5)
        gradient *= min(1.0, 2.0 / norm)
        kernel = update(kernel * (1 - decay * rate), state, gradient, rate, 0.8)
        average = average_decay * average + (1 - average_decay) * kernel
        np.testing.assert_allclose(step.variables[0].numpy(), kernel, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(step.averaged_weights()["slope/kernel"], average, rtol=1e-4, atol=1e-6)


def test_without_averaging_the_weights_themselves_are_judged() -> None:
    step = TensorFlowStep(SlopeTask(), TrainingConfig(average_decay=0.0))
    step((np.array([1], np.int32),), 0.1, 0.0)
    np.testing.assert_array_equal(step.averaged_weights()["slope/kernel"], step.variables[0].numpy())
    assert step.tensors()["averages"] == {}


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
@pytest.mark.parametrize("spoiled", [float("nan"), float("inf")], ids=["loss", "gradient"])
def test_a_bad_step_changes_nothing(optimizer: str, spoiled: float) -> None:
    factors = [1.0, 1.0, spoiled, 1.0]
    task = ToyTask(spoil=factors.__getitem__)
    step = TensorFlowStep(task, config(f"optimizer={optimizer}"))
    step(task.arrays(0, 0), 0.1, 0.5)
    step(task.arrays(1, 0), 0.1, 0.5)
    before = step.tensors()
    outcome = step(task.arrays(2, 0), 0.1, 0.5)
    assert not outcome.applied
    after = step.tensors()
    for stem in ("weights", "optimizer", "averages"):
        assert before[stem].keys() == after[stem].keys()
        for name, array in before[stem].items():
            np.testing.assert_array_equal(array, after[stem][name], err_msg=name)
    assert step(task.arrays(3, 0), 0.1, 0.5).applied


def test_the_spoiled_gradient_has_a_finite_loss() -> None:
    """So that the test above tests what it says."""
    task = ToyTask(spoil=lambda step: float("inf"))
    arrays = tuple(tf.constant(array) for array in task.arrays(0, 0))
    with tf.GradientTape() as tape:
        loss = task.loss(arrays).objective
    gradient = tape.gradient(loss, task.model.kernel.value)
    assert np.isfinite(loss.numpy())
    assert not np.isfinite(gradient.numpy()).all()


def test_one_graph_serves_all_shapes_and_no_step_traces_again() -> None:
    task = ToyTask()
    traces = []
    loss = task.loss
    task.loss = lambda arrays: traces.append(1) or loss(arrays)  # type: ignore[method-assign, func-returns-value]
    step = TensorFlowStep(task, config("unroll=false"))
    ids, classes, coded = task.arrays(0, 0)
    for rows in (8, 4, 2, 8):
        step((ids[:rows], classes[:rows], coded), 0.1, 0.5)
    assert len(traces) == 1


def test_unrolled_each_shape_has_its_graph_once() -> None:
    task = ToyTask()
    traces = []
    loss = task.loss
    task.loss = lambda arrays: traces.append(1) or loss(arrays)  # type: ignore[method-assign, func-returns-value]
    step = TensorFlowStep(task, config("unroll=true"))
    ids, classes, coded = task.arrays(0, 0)
    for rows in (8, 4, 8, 4):
        step((ids[:rows], classes[:rows], coded), 0.1, 0.5)
    assert len(traces) == 2


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "rmsprop"])
def test_load_puts_back_all_that_training_changes(optimizer: str) -> None:
    """The second model of a process as well, whose random states Keras names otherwise."""
    task = ToyTask()
    step = TensorFlowStep(task, config(f"optimizer={optimizer}"))
    for number in range(3):
        step(task.arrays(number, 0), 0.1, 0.5)
    saved = step.tensors()
    other_task = ToyTask()
    other = TensorFlowStep(other_task, config(f"optimizer={optimizer}"))
    other.load(saved, "here")
    for number in range(3, 6):
        step(task.arrays(number, 0), 0.1, 0.5)
        other(other_task.arrays(number, 0), 0.1, 0.5)
    one, two = step.tensors(), other.tensors()
    assert {stem: sorted(arrays) for stem, arrays in one.items()} == {
        stem: sorted(arrays) for stem, arrays in two.items()
    }
    for stem, arrays in one.items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, two[stem][name], err_msg=f"{stem} {name}")
    assert set(saved) == {"weights", "untrained", "optimizer", "averages"}
    assert any((saved["weights"][name] != array).any() for name, array in one["weights"].items())
    assert any((saved["untrained"][name] != array).any() for name, array in one["untrained"].items())


def test_saved_tensors_do_not_change_with_the_next_step() -> None:
    task = ToyTask()
    step = TensorFlowStep(task, config())
    saved = step.tensors()
    copies = {name: array.copy() for name, array in saved["weights"].items()}
    step(task.arrays(0, 0), 0.1, 0.5)
    for name, array in saved["weights"].items():
        np.testing.assert_array_equal(array, copies[name])


def test_read_only_arrays_are_loaded() -> None:
    step = TensorFlowStep(ToyTask(), config())
    saved = step.tensors()
    for arrays in saved.values():
        for array in arrays.values():
            array.flags.writeable = False
    step.load(saved, "here")
    gc.collect()
    step(step.task.arrays(0, 0), 0.1, 0.5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda tensors: tensors["weights"].pop("toy/kernel"), "runs/x: weights.safetensors has no toy/kernel; "),
        (lambda tensors: tensors.pop("untrained"), "runs/x: untrained.safetensors has no 000; "),
        (
            lambda tensors: tensors["weights"].update({"toy/kernel": np.zeros((6, 9), np.float32)}),
            "runs/x: weights.safetensors: toy/kernel is float32[6, 9], expected float32[6, 3]; ",
        ),
        (
            lambda tensors: tensors["averages"].update({"toy/bias": np.zeros(3, np.float64)}),
            "runs/x: averages.safetensors: toy/bias is float64[3], expected float32[3]; ",
        ),
        (
            lambda tensors: tensors["optimizer"].update(other=np.zeros(3)),
            "runs/x: optimizer.safetensors has other, which is not in the model; ",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_loaded(change: Any, words: str) -> None:
    step = TensorFlowStep(ToyTask(), config())
    before = step.tensors()
    wrong = {stem: {name: array + 1 for name, array in arrays.items()} for stem, arrays in before.items()}
    change(wrong)
    with pytest.raises(CheckpointError) as caught:
        step.load(wrong, "runs/x")
    assert str(caught.value) == words + "it was written by another model or release; train in a new run"
    for stem, arrays in step.tensors().items():
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, before[stem][name])


def test_two_variables_of_one_name_are_refused() -> None:
    task = ToyTask()
    task.model.extra = task.model.add_weight(name="kernel", shape=(1,))
    with pytest.raises(ValueError, match=r"several variables are called toy/kernel; expected a name for each"):
        TensorFlowStep(task, config())
