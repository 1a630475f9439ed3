"""The convolution against NumPy and against Keras' own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tests import numpy_oracle
from tests.textseq.layers import layer_contract
from tests.textseq.layers.layer_contract import LENGTHS, some_inputs
from textseq.layers.convolution import Convolution

COLUMNS, FILTERS = 5, 4
WIDTHS = (1, 2, 3, 4, 9)


def made(seed: int = 5, **options: Any) -> Convolution:
    layer = Convolution(FILTERS, **{"seed": seed, **options})
    layer.build((None, None, COLUMNS))
    return layer


def call(layer: Convolution, sequences: Any, mask: Any, training: bool) -> Any:
    return layer(sequences, mask=mask, training=training)


def test_contract() -> None:
    """All of the layer contract but dropout, which a convolution has not."""
    inputs = some_inputs(COLUMNS)
    layer_contract.check_config_round_trip(lambda **options: Convolution(FILTERS, **options), made, call, inputs)
    layer_contract.check_build_makes_every_weight(made, call, inputs)
    layer_contract.check_symbolic_call(made(), call, COLUMNS, FILTERS, inputs)
    layer_contract.check_graph_is_eager(made(), call, inputs)
    layer_contract.check_fit_moves_every_weight(made(), call, inputs, FILTERS)
    layer_contract.check_padding_changes_nothing(made(), call, inputs)
    layer_contract.check_half_precision_is_near(made, call, inputs)


@pytest.mark.parametrize("width", WIDTHS)
def test_convolution_follows_the_equation(width: int) -> None:
    layer = made(width=width)
    layer.bias.assign(np.random.RandomState(1).normal(size=FILTERS))
    inputs = some_inputs(COLUMNS)
    outputs = layer(inputs[..., :-1], mask=inputs[..., -1] > 0)
    assert (np.array(outputs) > 0).any()
    for row, length in enumerate(LENGTHS):
        expected = numpy_oracle.convolution(numpy_oracle.weights_of(layer), inputs[row, :length, :-1], width)
        np.testing.assert_allclose(outputs[row, :length], expected, atol=2e-6)


@pytest.mark.parametrize("width", WIDTHS)
def test_convolution_is_that_of_keras(width: int) -> None:
    layer = made(width=width)
    keras_layer = keras.layers.Conv1D(FILTERS, width, padding="same", activation="relu")
    keras_layer.build((None, None, COLUMNS))
    # [width * columns, filters] -> [width, columns, filters]
    kernel = np.array(layer.kernel).reshape(width, COLUMNS, FILTERS)
    keras_layer.set_weights([kernel, np.zeros(FILTERS)])
    sequences = some_inputs(COLUMNS)[..., :-1]
    np.testing.assert_allclose(layer(sequences), keras_layer(sequences), atol=2e-6)
