"""The bidirectional encoder against NumPy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from tests import numpy_oracle
from tests.textseq.layers.layer_contract import LENGTHS, check_layer, some_inputs
from textseq.layers.bidirectional_encoder import BidirectionalEncoder

COLUMNS, UNITS = 6, 3


def make(seed: int = 5, **options: Any) -> BidirectionalEncoder:
    return BidirectionalEncoder(UNITS, **{"layers": 2, "cell": "simple_rnn", "seed": seed, **options})


def call(layer: BidirectionalEncoder, sequences: Any, mask: Any, training: bool) -> Any:
    return layer(sequences, mask=mask, training=training)


def test_contract() -> None:
    check_layer(make, lambda layer: layer.build((None, None, COLUMNS)), call, columns=COLUMNS, units=2 * UNITS)


@pytest.mark.parametrize(
    ("cell", "residual", "layer_norm", "layers"),
    [*itertools.product(("gru", "lstm"), (False, True), (False, True), (3,)), ("simple_rnn", False, False, 1)],
)
def test_encoder_follows_the_equations(cell: str, residual: bool, layer_norm: bool, layers: int) -> None:
    encoder = make(layers=layers, cell=cell, residual=residual, layer_norm=layer_norm)
    inputs = some_inputs(COLUMNS)
    sequences = inputs[..., :-1]
    outputs = encoder(sequences, mask=inputs[..., -1] > 0)
    assert len(encoder.trainable_weights) == layers * 2 * (6 if layer_norm else 4)
    weights = [tuple(numpy_oracle.weights_of(direction) for direction in pair) for pair in encoder.directions]
    for row, length in enumerate(LENGTHS):
        expected = numpy_oracle.encode(cell, weights, sequences[row, :length].astype("float64"), residual)
        np.testing.assert_allclose(outputs[row, :length], expected, atol=2e-6)


def test_residual_only_where_sizes_are_equal() -> None:
    encoder = make(residual=True)
    sequences = some_inputs(COLUMNS)[..., :4]  # 4 columns below, 6 above
    weights = [tuple(numpy_oracle.weights_of(direction) for direction in pair) for pair in encoder.directions]
    assert weights == [({}, {}), ({}, {})]
    outputs = encoder(sequences)
    weights = [tuple(numpy_oracle.weights_of(direction) for direction in pair) for pair in encoder.directions]
    expected = numpy_oracle.encode("simple_rnn", weights, sequences[0].astype("float64"), True)
    np.testing.assert_allclose(outputs[0], expected, atol=2e-6)


def test_no_two_directions_begin_alike() -> None:
    encoder = make(layers=2)
    encoder.build((None, None, 2 * UNITS))
    kernels = [np.array(direction.state_kernel) for pair in encoder.directions for direction in pair]
    for one, other in itertools.combinations(kernels, 2):
        assert (one != other).any()


def test_dropout_between_the_layers_only() -> None:
    sequences = some_inputs(COLUMNS)[..., :-1]
    one = make(layers=1, dropout=0.5)
    np.testing.assert_array_equal(one(sequences, training=True), one(sequences))
    two = make(layers=2, dropout=0.5)
    assert (np.array(two(sequences, training=True)) != np.array(two(sequences))).any()
    np.testing.assert_array_equal(make(layers=2, dropout=0.5)(sequences), make(layers=2)(sequences))
