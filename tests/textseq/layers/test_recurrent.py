"""The recurrent layer against NumPy, against Keras' own layers, and against its step."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from tests import numpy_oracle
from tests.textseq.layers.layer_contract import LENGTHS, check_layer, scrambled, some_inputs
from textseq.layers.cells import CELLS
from textseq.layers.recurrent import Recurrent

COLUMNS, UNITS = 5, 4


def inputs_and_mask() -> tuple[np.ndarray, np.ndarray]:
    inputs = some_inputs(COLUMNS)
    return inputs[..., :-1], inputs[..., -1] > 0


@pytest.mark.parametrize(("cell", "reverse", "layer_norm"), [("gru", True, True), ("lstm", False, True)])
def test_contract(cell: str, reverse: bool, layer_norm: bool) -> None:
    def make(seed: int = 5, **options: Any) -> Recurrent:
        return Recurrent(UNITS, cell, reverse=reverse, layer_norm=layer_norm, seed=seed, **options)

    def call(layer: Recurrent, sequences: Any, mask: Any, training: bool) -> Any:
        return layer(sequences, mask=mask, training=training)[0]

    check_layer(make, lambda layer: layer.build((None, None, COLUMNS)), call, columns=COLUMNS, units=UNITS)


@pytest.mark.parametrize(
    ("cell", "reverse", "layer_norm"), list(itertools.product(CELLS, (False, True), (False, True)))
)
def test_layer_follows_the_equations(cell: str, reverse: bool, layer_norm: bool) -> None:
    layer = scrambled(Recurrent(UNITS, cell, reverse=reverse, layer_norm=layer_norm), COLUMNS)
    sequences, mask = inputs_and_mask()
    initial = tuple(
        np.random.RandomState(number).normal(size=(len(LENGTHS), UNITS)).astype("float32")
        for number in range(CELLS[cell].states)
    )
    outputs, last = layer(sequences, mask=mask, initial_state=initial)
    weights = numpy_oracle.weights_of(layer)
    for row, length in enumerate(LENGTHS):
        states = [state[row].astype("float64") for state in initial]
        expected, expected_last = numpy_oracle.recurrent(cell, weights, sequences[row, :length], states, reverse)
        np.testing.assert_allclose(outputs[row, :length], expected, atol=2e-6)
        for state, expected_state in zip(last, expected_last, strict=True):
            np.testing.assert_allclose(state[row], expected_state, atol=2e-6)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_layer_gives_what_keras_gives(cell: str, reverse: bool) -> None:
    layer = scrambled(Recurrent(UNITS, cell, reverse=reverse), COLUMNS)
    kind = {"gru": keras.layers.GRU, "lstm": keras.layers.LSTM, "simple_rnn": keras.layers.SimpleRNN}[cell]
    reference = kind(UNITS, return_sequences=True, return_state=True, go_backwards=reverse)
    reference.build((None, None, COLUMNS))
    input_kernel, input_bias, state_kernel, state_bias = (np.array(weight) for weight in layer.trainable_weights)
    # A reset-after GRU keeps two biases in Keras, too; the others have one, the sum of both.
    bias = np.stack([input_bias, state_bias]) if cell == "gru" else input_bias + state_bias
    reference.set_weights([input_kernel, state_kernel, bias])
    sequences, _ = inputs_and_mask()
    outputs, last = layer(sequences)
    expected, *expected_last = reference(sequences)
    # With go_backwards Keras leaves the outputs in the order in which they were made.
    np.testing.assert_allclose(outputs, np.array(expected)[:, :: -1 if reverse else 1], atol=1e-6)
    for state, expected_state in zip(last, expected_last, strict=True):
        np.testing.assert_allclose(state, expected_state, atol=1e-6)


@pytest.mark.parametrize("layer_norm", [False, True])
@pytest.mark.parametrize("cell", CELLS)
def test_step_repeated_is_call(cell: str, layer_norm: bool) -> None:
    layer = scrambled(
        Recurrent(UNITS, cell, layer_norm=layer_norm, state_dropout=0.5, product_dtype="bfloat16"), COLUMNS
    )
    sequences, _ = inputs_and_mask()
    outputs, last = layer(sequences)
    states = tuple(ops.zeros((len(LENGTHS), UNITS)) for _ in range(CELLS[cell].states))
    for time in range(sequences.shape[1]):
        states = layer.step(sequences[:, time], states)
        np.testing.assert_allclose(states[0], outputs[:, time], atol=1e-6)
    for state, expected in zip(states, last, strict=True):
        np.testing.assert_allclose(state, expected, atol=1e-6)


def test_a_mask_from_below_is_used() -> None:
    layer = scrambled(Recurrent(UNITS), COLUMNS)
    sequences, mask = inputs_and_mask()
    masked = keras.layers.Masking()(sequences * mask[..., None])
    np.testing.assert_array_equal(layer(masked)[1][0], layer(sequences, mask=mask)[1][0])


def test_state_dropout_draws_one_mask_for_all_steps() -> None:
    layer = Recurrent(UNITS, "simple_rnn", state_dropout=0.5, seed=3)
    layer.build((None, None, UNITS))
    layer.input_kernel.assign(np.eye(UNITS) * 0.5)
    layer.state_kernel.assign(np.eye(UNITS))
    outputs = np.array(layer(np.ones((50, 8, UNITS), "float32"), training=True)[0])
    # h' = tanh(0.5 + s h): each unit of each sentence goes on with its own s, 0 or 2, the same at every step.
    expected = {0.0: [np.tanh(0.5)], 2.0: [np.tanh(0.5)]}
    for scale, states in expected.items():
        for _ in range(7):
            states.append(np.tanh(0.5 + scale * states[-1]))
    dropped = np.isclose(outputs[:, 1], expected[0.0][1])
    np.testing.assert_allclose(outputs[dropped_rows(dropped)], np.tile(expected[0.0], (dropped.sum(), 1)), atol=1e-5)
    np.testing.assert_allclose(
        outputs[dropped_rows(~dropped)], np.tile(expected[2.0], ((~dropped).sum(), 1)), atol=1e-5
    )
    assert 0.35 < dropped.mean() < 0.65


def dropped_rows(chosen: np.ndarray) -> tuple[Any, ...]:
    """Index of [batch, time, units] that gives [chosen, time]."""
    batch, unit = np.nonzero(chosen)
    return batch[:, None], np.arange(8)[None, :], unit[:, None]


def test_unrolling_changes_nothing() -> None:
    sequences, mask = inputs_and_mask()
    results = []
    for unroll in (False, True):
        layer = scrambled(Recurrent(UNITS, "lstm", unroll=unroll), COLUMNS)
        results.append(np.array(layer(sequences, mask=mask, training=True)[0]))
    np.testing.assert_allclose(results[0], results[1], rtol=1e-6)
