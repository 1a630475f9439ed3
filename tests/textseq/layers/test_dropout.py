"""Dropout masks: their values, their rate, their seed, and what they never touch."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textseq.layers.dropout import dropout, dropout_scale, word_dropout


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_scale_keeps_the_mean(rate: float) -> None:
    scale = np.array(dropout_scale((100, 400), rate, keras.random.SeedGenerator(1)))
    assert set(np.unique(scale)) == {np.float32(0), np.float32(1 / (1 - rate))}
    assert abs(scale.mean() - 1) < 0.02


def test_scale_has_the_dtype_asked_for() -> None:
    scale = dropout_scale((2, 3), 0.5, keras.random.SeedGenerator(1), "bfloat16")
    assert keras.backend.standardize_dtype(scale.dtype) == "bfloat16"


def test_the_seed_decides_and_goes_on() -> None:
    seeds = [keras.random.SeedGenerator(1) for _ in range(2)]
    first, same = (np.array(dropout_scale((50, 50), 0.5, seed)) for seed in seeds)
    np.testing.assert_array_equal(first, same)
    assert (np.array(dropout_scale((50, 50), 0.5, seeds[0])) != first).any()


def test_dropout_while_training_only() -> None:
    inputs, seed = np.ones((40, 50), "float32"), keras.random.SeedGenerator(1)
    before = np.array(seed.state)
    assert dropout(inputs, 0.5, seed, training=False) is inputs
    assert dropout(inputs, 0.0, seed, training=True) is inputs
    np.testing.assert_array_equal(before, np.array(seed.state))
    dropped = np.array(dropout(inputs, 0.5, seed, training=True))
    assert set(np.unique(dropped)) == {0.0, 2.0}


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.sampled_from([0.3, 0.999]), st.integers(0, 99))
def test_word_dropout_replaces_what_may_be_replaced(ids: list[int], rate: float, seed: int) -> None:
    array = np.array([ids], "int32")
    kept = (array == 0) | (array == 3)
    result = np.array(word_dropout(array, rate, 1, kept, keras.random.SeedGenerator(seed)))
    assert result.shape == array.shape
    assert result.dtype == np.int32
    np.testing.assert_array_equal(result[kept], array[kept])
    assert set(result[result != array]) <= {1}


def test_word_dropout_has_its_rate() -> None:
    ids = np.full((100, 100), 7, "int32")
    result = np.array(word_dropout(ids, 0.2, 1, ids == 0, keras.random.SeedGenerator(1)))
    assert abs((result == 1).mean() - 0.2) < 0.02
