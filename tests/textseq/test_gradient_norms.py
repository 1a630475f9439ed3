"""Gradients through time equal products of Jacobians in float64, and truncation cuts them where it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from textseq.errors import InputError
from textseq.gradient_norms import gradient_norms, truncated
from textseq.input_gradient import input_gradient
from textseq.layers.recurrent import Recurrent

CELLS = ["simple_rnn", "gru", "lstm"]
BATCH, LENGTH, COLUMNS, UNITS = 3, 7, 2, 4
SEQUENCES = np.random.default_rng(5).normal(size=(BATCH, LENGTH, COLUMNS))
MASK = np.array([[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 1, 1, 0]], bool)


def layer_of(cell: str, **options: Any) -> Recurrent:
    layer = Recurrent(UNITS, cell=cell, dtype="float64", **options)
    layer.build((None, None, COLUMNS))
    generator = np.random.default_rng(6)
    for weight in layer.trainable_variables:
        weight.assign(generator.normal(size=weight.shape))
    return layer


def numpy_step(layer: Recurrent, inputs: Any, state: Any) -> Any:
    """One step as the papers write it, on float64[states * units]; complex numbers go through it as well."""
    w, b, u, c = (np.asarray(weight.value) for weight in layer.trainable_variables)
    x, h = inputs @ w + b, state[:UNITS] @ u + c
    parts = [slice(n * UNITS, (n + 1) * UNITS) for n in range(4)]
    if layer.cell_name == "simple_rnn":
        return np.tanh(x + h)
    if layer.cell_name == "gru":
        update, reset = (1 / (1 + np.exp(-(x + h)[part])) for part in parts[:2])
        return update * state + (1 - update) * np.tanh(x[parts[2]] + reset * h[parts[2]])
    enter, forget, leave = (1 / (1 + np.exp(-(x + h)[parts[n]])) for n in (0, 1, 3))
    memory = forget * state[UNITS:] + enter * np.tanh((x + h)[parts[2]])
    return np.concatenate([leave * np.tanh(memory), memory])


def jacobian(layer: Recurrent, inputs: Any, state: Any) -> Any:
    """float64[after, before] by complex steps (Squire and Trapp 1998), exact to rounding."""
    nudges = 1e-30j * np.eye(len(state))
    return np.stack([numpy_step(layer, inputs, state + nudge).imag / 1e-30 for nudge in nudges], axis=1)


def expected_norms(layer: Recurrent, sequence: Any, present: Any, step: int, of_output: Any) -> Any:
    """float64[length, states]: the products of Jacobians of one sequence; `of_output` is the loss's gradient there."""
    order = range(LENGTH)[::-1] if layer.reverse else range(LENGTH)
    state, before = np.zeros(layer.cell.states * UNITS), {}
    for place in order:
        before[place] = state
        state = numpy_step(layer, sequence[place], state) if present[place] else state
        if place == step:
            output = state[:UNITS]
    gradient, norms = np.zeros_like(state), np.zeros((LENGTH, layer.cell.states))
    for place in order[::-1]:
        if place == step:
            gradient[:UNITS] += of_output(output)
        norms[place] = np.linalg.norm(gradient.reshape(-1, UNITS), axis=-1)
        gradient = gradient @ jacobian(layer, sequence[place], before[place]) if present[place] else gradient
    return norms


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("step", "reverse", "mask"), [(-1, False, None), (3, False, MASK), (2, True, MASK)])
def test_it_is_the_product_of_jacobians(cell: str, step: int, reverse: bool, mask: Any) -> None:
    layer = layer_of(cell, reverse=reverse)
    norms = gradient_norms(layer, SEQUENCES, mask, step=step)
    assert list(norms) == (["output", "memory"] if cell == "lstm" else ["output"])
    for row in range(BATCH):
        present = np.ones(LENGTH, bool) if mask is None else mask[row]
        expected = expected_norms(layer, SEQUENCES[row], present, step % LENGTH, np.ones_like)
        for index, found in enumerate(norms.values()):
            assert found.shape == (BATCH, LENGTH) and found.dtype == np.float64
            np.testing.assert_allclose(found[row], expected[:, index], rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("cell", CELLS)
def test_the_loss_may_be_any(cell: str) -> None:
    layer = layer_of(cell)
    norms = gradient_norms(layer, SEQUENCES, loss=lambda output: ops.sum(output**2, axis=-1) / 2)
    expected = expected_norms(layer, SEQUENCES[1], np.ones(LENGTH, bool), LENGTH - 1, lambda output: output)
    np.testing.assert_allclose(norms["output"][1], expected[:, 0], rtol=1e-9)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("layer_norm", [False, True])
def test_it_is_what_the_layers_own_backward_pass_gives(cell: str, layer_norm: bool) -> None:
    layer = layer_of(cell, layer_norm=layer_norm)
    sequences = ops.convert_to_tensor(SEQUENCES)
    norms = gradient_norms(layer, sequences)
    _, states = layer(sequences[:, :1])

    def loss(flat: Any) -> Any:
        return ops.sum(layer(sequences[:, 1:], initial_state=tuple(ops.unstack(flat, len(states))))[0][:, -1])

    gradients = ops.convert_to_numpy(input_gradient(loss, ops.stack(states)))
    np.testing.assert_allclose([norm[:, 0] for norm in norms.values()], np.linalg.norm(gradients, axis=-1), rtol=1e-9)


def test_padding_changes_nothing() -> None:
    layer = layer_of("lstm")
    padded = gradient_norms(layer, SEQUENCES, MASK)["memory"]
    alone = gradient_norms(layer, SEQUENCES[1:2, :4])["memory"]
    np.testing.assert_allclose(padded[1, :4], alone[0], rtol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("steps", [1, 3, 9])
def test_truncation_cuts_where_it_says(cell: str, reverse: bool, steps: int) -> None:
    """The gradient is 0 before the loss's stretch and untouched in it, in `gradient_norms` and in `truncated`."""
    layer = layer_of(cell, reverse=reverse)
    step = 0 if reverse else LENGTH - 1
    full, cut = (gradient_norms(layer, SEQUENCES, MASK, step=step, truncation=most) for most in (None, steps))
    stretch = np.arange(LENGTH) // steps == (LENGTH - 1) // steps
    stretch = stretch[::-1] if reverse else stretch
    for name in full:
        np.testing.assert_array_equal(cut[name], full[name] * stretch)

    def gradient(truncation: int) -> Any:
        def loss(sequences: Any) -> Any:
            return ops.sum(truncated(layer, sequences, truncation, ops.convert_to_tensor(MASK))[0][:, step])

        return ops.convert_to_numpy(input_gradient(loss, ops.convert_to_tensor(SEQUENCES)))

    np.testing.assert_allclose(gradient(steps), gradient(LENGTH) * stretch[None, :, None], rtol=1e-9, atol=1e-14)
    assert np.abs(gradient(LENGTH)[0]).min() > 0


@pytest.mark.parametrize("reverse", [False, True])
def test_truncation_changes_no_output(reverse: bool) -> None:
    layer = layer_of("lstm", reverse=reverse)
    first = tuple(ops.convert_to_tensor(np.full((BATCH, UNITS), value)) for value in (0.1, 0.2))
    for options in ({}, {"mask": ops.convert_to_tensor(MASK)}, {"initial_state": first}):
        outputs, states = layer(SEQUENCES, **options)
        cut_outputs, cut_states = truncated(layer, SEQUENCES, 3, **options)
        np.testing.assert_allclose(cut_outputs, outputs, rtol=1e-12)
        np.testing.assert_allclose(ops.stack(cut_states), ops.stack(states), rtol=1e-12)


def test_truncation_in_a_functional_model() -> None:
    inputs = keras.Input((LENGTH, COLUMNS))
    layer = Recurrent(UNITS, seed=1)
    model = keras.Model(inputs, truncated(layer, inputs, 3)[0][:, -1])
    model.compile("sgd", "mse")
    sequences = SEQUENCES.astype("float32")
    np.testing.assert_allclose(model.predict(sequences, verbose=0), layer(sequences)[0][:, -1], atol=1e-6)
    before = layer.get_weights()
    model.fit(sequences, np.ones((BATCH, UNITS), "float32"), verbose=0)
    assert not np.allclose(before[2], layer.get_weights()[2])


ON_JAX = """
import keras
from tests.textseq import test_gradient_norms as tests
assert keras.backend.backend() == "jax"
print(*tests.gradient_norms(tests.layer_of("lstm"), tests.SEQUENCES, tests.MASK, truncation=6)["output"].ravel())
"""


def test_jax_gives_the_same_norms() -> None:
    pytest.importorskip("jax")
    root = Path(__file__).parents[2]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "JAX_ENABLE_X64": "1"}
    environment["PYTHONPATH"] = str(root)
    done = subprocess.run(
        [sys.executable, "-c", ON_JAX], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = gradient_norms(layer_of("lstm"), SEQUENCES, MASK, truncation=6)["output"].ravel()
    np.testing.assert_allclose([float(value) for value in done.stdout.split()], expected, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"sequences": SEQUENCES[0]}, r"sequences: received shape \(7, 2\); expected \(batch, length, columns\)"),
        ({"sequences": SEQUENCES[:, :0]}, r"received shape \(3, 0, 2\); expected .* none of them 0"),
        ({"step": 7}, "step: received 7 of 7 steps; expected -7 to 6"),
        ({"truncation": 0}, "truncation: received 0 steps; expected 1 or more"),
        ({"loss": ops.sum}, r"loss: received shape \(\); expected a number for each of 3"),
    ],
)
def test_wrong_calls_say_what_was_wrong(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        gradient_norms(layer_of("gru"), **{"sequences": SEQUENCES, **call})


@pytest.mark.parametrize(
    ("shape", "steps", "words"),
    [
        ((LENGTH, COLUMNS), 0, "truncation: received 0 steps; expected 1 or more"),
        ((None, COLUMNS), 3, "truncation: received sequences of None steps; expected a known number, 1 or more"),
    ],
)
def test_truncation_needs_a_known_length(shape: Any, steps: int, words: str) -> None:
    with pytest.raises(InputError, match=words):
        truncated(Recurrent(UNITS), keras.Input(shape), steps)
