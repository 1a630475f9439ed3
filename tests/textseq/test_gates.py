"""Gate activations against NumPy from the papers' equations, and against the layer's own outputs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tests import numpy_oracle
from tests.textseq.layers.layer_contract import scrambled
from textseq.errors import InputError
from textseq.gates import gate_activations
from textseq.layers.cells import CELLS
from textseq.layers.recurrent import Recurrent

COLUMNS, UNITS, LENGTHS = 5, 4, (6, 4, 1)
NAMES = {
    "gru": {"update", "reset", "candidate", "state"},
    "lstm": {"input", "forget", "candidate", "output", "state", "memory"},
    "simple_rnn": {"state"},
}


def trained(cell: str, **options: Any) -> Recurrent:
    return scrambled(Recurrent(UNITS, cell, **options), COLUMNS)


def inputs_and_mask() -> tuple[np.ndarray, np.ndarray]:
    inputs = np.random.RandomState(5).normal(size=(len(LENGTHS), max(LENGTHS), COLUMNS)).astype("float32")
    return inputs, np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]


@pytest.mark.parametrize(
    ("cell", "reverse", "layer_norm"), list(itertools.product(CELLS, (False, True), (False, True)))
)
def test_they_follow_the_equations(cell: str, reverse: bool, layer_norm: bool) -> None:
    layer = trained(cell, reverse=reverse, layer_norm=layer_norm)
    inputs, mask = inputs_and_mask()
    inside = gate_activations(layer, inputs, mask)
    assert inside.keys() == NAMES[cell]
    for row, length in enumerate(LENGTHS):
        expected = numpy_oracle.gates(cell, numpy_oracle.weights_of(layer), inputs[row, :length], reverse)
        assert expected.keys() == inside.keys()
        for name, values in inside.items():
            np.testing.assert_allclose(values[row, :length], expected[name], atol=2e-6, err_msg=name)


@pytest.mark.parametrize(("cell", "reverse"), list(itertools.product(CELLS, (False, True))))
def test_states_are_the_outputs_of_the_layer_and_padded_places_have_no_gates(cell: str, reverse: bool) -> None:
    layer = trained(cell, reverse=reverse)
    inputs, mask = inputs_and_mask()
    inside = gate_activations(layer, inputs, mask)
    outputs, last = layer(inputs, mask=mask)
    np.testing.assert_allclose(inside["state"], np.asarray(outputs), atol=1e-6)
    end = 0 if reverse else -1
    for name, state in zip(("state", "memory"), last, strict=False):
        np.testing.assert_allclose(inside[name][:, end], np.asarray(state), atol=1e-6)
    for name, values in inside.items():
        expected = np.ones_like(mask) if name in ("state", "memory") else mask
        np.testing.assert_array_equal(np.isfinite(values), np.broadcast_to(expected[..., None], values.shape))


def test_without_a_mask_every_place_is_read() -> None:
    layer, inputs = trained("lstm"), inputs_and_mask()[0]
    all_real = gate_activations(layer, inputs, np.ones(inputs.shape[:2], bool))
    for name, values in gate_activations(layer, inputs).items():
        np.testing.assert_array_equal(values, all_real[name])


def test_dropout_and_a_layer_without_weights_yet() -> None:
    layer = Recurrent(UNITS, "gru", state_dropout=0.9, seed=1)
    inside = gate_activations(layer, np.ones((2, 3, COLUMNS), "float64"))
    same = gate_activations(Recurrent(UNITS, "gru", seed=1), np.ones((2, 3, COLUMNS)))
    assert {values.dtype for values in inside.values()} == {np.dtype("float32")}
    for name, values in inside.items():
        np.testing.assert_array_equal(values, same[name])


@pytest.mark.parametrize(
    ("sequences", "mask", "words"),
    [
        (np.zeros((3, 5)), None, r"sequences: received shape \(3, 5\); expected \(batch, length, columns\)"),
        (np.zeros((3, 2, 5)), np.ones((2, 3)), r"mask: received shape \(2, 3\); expected \(batch, length\) = \(3, 2\)"),
    ],
)
def test_wrong_shapes_are_named(sequences: np.ndarray, mask: np.ndarray | None, words: str) -> None:
    with pytest.raises(InputError, match=words):
        gate_activations(Recurrent(UNITS), sequences, mask)
