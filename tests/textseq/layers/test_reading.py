"""Layers one after the other."""

from __future__ import annotations

import keras
import numpy as np

from textseq.layers.reading import read_through
from textseq.layers.recurrent import Recurrent


def test_one_layer_reads_what_the_one_before_gave() -> None:
    sequences = np.random.RandomState(0).normal(size=(2, 6, 3)).astype("float32")
    first, second = Recurrent(4, "lstm", seed=1), Recurrent(5, seed=2)
    expected = second(keras.ops.average(keras.ops.reshape(first(sequences)[0], (2, 2, 3, 4)), axis=2))[0]
    np.testing.assert_allclose(
        read_through([first, keras.layers.AveragePooling1D(3), second], sequences), expected, atol=1e-6
    )
    assert read_through([], sequences) is sequences


def test_dropout_is_drawn_in_training_only() -> None:
    sequences = np.ones((2, 6, 3), "float32")
    layers = [keras.layers.Dropout(0.5, seed=1)]
    np.testing.assert_array_equal(read_through(layers, sequences), sequences)
    assert (np.array(read_through(layers, sequences, training=True)) == 0).any()
