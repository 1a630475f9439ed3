"""Initial weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from textseq.layers.attention_recurrent import AttentionRecurrent
from textseq.layers.initialization import GateBias, GatewiseOrthogonal, bias_initializer


def test_every_gate_is_orthogonal_and_its_own() -> None:
    kernel = np.array(GatewiseOrthogonal(3, seed=1)((5, 15)))
    gates = np.split(kernel, 3, axis=1)
    for gate in gates:
        np.testing.assert_allclose(gate.T @ gate, np.eye(5), atol=1e-5)
    assert np.abs(gates[0] - gates[1]).max() > 0.1
    assert np.abs(gates[1] - gates[2]).max() > 0.1


def test_the_seed_decides() -> None:
    kernels = [np.array(GatewiseOrthogonal(2, seed=seed)((4, 8))) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert np.abs(kernels[0] - kernels[2]).max() > 0.1


def test_an_lstm_begins_by_remembering() -> None:
    # The columns stand in the order i, f, g, o.
    np.testing.assert_array_equal(bias_initializer("lstm", 4)((8,)), [0, 0, 1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(bias_initializer("gru", 3)((6,)), np.zeros(6))


@pytest.mark.parametrize("initializer", [GatewiseOrthogonal(3, 5), GateBias(4, 1, 0.5)])
def test_initializers_survive_their_config(initializer: keras.initializers.Initializer) -> None:
    again = keras.initializers.deserialize(keras.initializers.serialize(initializer))
    assert type(again) is type(initializer)
    assert again.get_config() == initializer.get_config()


def test_no_two_weights_of_a_layer_begin_alike() -> None:
    layer = AttentionRecurrent(6, 4, seed=3)
    layer.build((None, None, 12), memory_units=12)
    starts = [
        weight.numpy().reshape(-1)[:3] / np.abs(weight.numpy()).max()
        for weight in layer.weights
        if weight.numpy().any()
    ]
    for number, start in enumerate(starts):
        assert all(np.abs(start - other).max() > 1e-3 for other in starts[:number])
