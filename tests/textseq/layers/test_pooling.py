"""Pooling against NumPy, and against padding."""

from __future__ import annotations

import itertools
import json
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tests import numpy_oracle
from tests.textseq.layers.layer_contract import LENGTHS, some_inputs
from textseq.layers.pooling import AttentionPooling, LastPooling, MaxPooling, MeanPooling, Pooling

COLUMNS = 6
KINDS = ("max", "mean", "last", "attention")


def made(kinds: tuple[str, ...] = KINDS, **options: Any) -> Pooling:
    """A layer with every weight away from its initial zeros."""
    layer = Pooling(kinds, 5, **{"seed": 4, **options})
    layer.build((None, None, COLUMNS))
    random = np.random.RandomState(3)
    for weight in layer.trainable_weights:
        weight.assign(random.normal(size=weight.shape))
    return layer


def states_and_mask() -> tuple[np.ndarray, np.ndarray]:
    inputs = some_inputs(COLUMNS)
    return inputs[..., :-1], inputs[..., -1] > 0


@pytest.mark.parametrize("kinds", [*itertools.permutations(KINDS, 2), *((kind,) for kind in KINDS), KINDS])
def test_pooling_follows_the_equations(kinds: tuple[str, ...]) -> None:
    layer = made(kinds)
    states, mask = states_and_mask()
    pooled, attention = layer(states, mask=mask)
    assert pooled.shape == (len(LENGTHS), len(kinds) * COLUMNS)
    assert (attention is not None) == ("attention" in kinds)
    weights = numpy_oracle.weights_of(layer)
    for row, length in enumerate(LENGTHS):
        text = states[row, :length].astype("float64")
        expected = np.concatenate([numpy_oracle.pool(kind, text, weights) for kind in kinds])
        np.testing.assert_allclose(pooled[row], expected, atol=2e-6)
        if attention is not None:
            np.testing.assert_allclose(
                attention[row, :length], numpy_oracle.attention_pooling(weights, text)[1], atol=1e-6
            )
            assert not np.array(attention)[row, length:].any()


@pytest.mark.parametrize("value", [1e4, -1e4, np.inf, np.nan])
@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing_whatever_stands_there(kind: str, value: float) -> None:
    if kind == "attention" and not np.isfinite(value):
        pytest.skip("states are finite: what is weighed with 0 must be a number")
    layer = made((kind,))
    states, mask = states_and_mask()
    expected = layer(states, mask=mask)[0]
    longer = np.pad(np.where(mask[..., None], states, value), ((0, 0), (0, 3), (0, 0)), constant_values=value)
    wide_mask = np.pad(mask, ((0, 0), (0, 3)))
    np.testing.assert_allclose(layer(longer, mask=wide_mask)[0], expected, atol=1e-6)
    for row, length in enumerate(LENGTHS):
        alone = layer(states[row : row + 1, :length])[0]
        np.testing.assert_allclose(alone[0], expected[row], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_real_tokens_only(kind: str) -> None:
    layer = made((kind,))
    states, mask = states_and_mask()
    states = tf.constant(states)
    with tf.GradientTape() as tape:
        tape.watch(states)
        total = tf.reduce_sum(tf.sin(layer(states, mask=mask)[0]))
    gradient = tape.gradient(total, states).numpy()
    assert np.isfinite(gradient).all()
    assert not gradient[~mask].any()
    if kind in ("mean", "attention"):
        assert (gradient[mask] != 0).all()
    if kind == "last":
        rows = np.arange(len(LENGTHS))
        assert (gradient[rows, LENGTHS - 1, : COLUMNS // 2] != 0).all()
        assert (gradient[:, 0, COLUMNS // 2 :] != 0).all()
        assert np.count_nonzero(gradient) == len(LENGTHS) * COLUMNS


def test_a_layer_alone_gives_its_part() -> None:
    states, mask = states_and_mask()
    together = np.array(made(("max", "mean", "last"))(states, mask=mask)[0])
    for number, layer in enumerate((MaxPooling(), MeanPooling(), LastPooling())):
        part = together[:, number * COLUMNS : (number + 1) * COLUMNS]
        np.testing.assert_array_equal(layer(states, mask=mask), part)


def test_config_round_trip() -> None:
    states, mask = states_and_mask()
    for layer in (made(), AttentionPooling(3, seed=2), MaxPooling(), MeanPooling(), LastPooling()):
        config = layer.get_config()
        assert json.loads(json.dumps(config)) == config
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
        assert again.get_config() == config
    layer = made()
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(again(states, mask=mask)[0], layer(states, mask=mask)[0])


def test_symbolic_and_graph_calls() -> None:
    layer = made()
    symbolic, attention = layer(keras.Input((None, COLUMNS)), mask=keras.Input((None,), dtype="bool"))
    assert symbolic.shape == (None, 4 * COLUMNS)
    assert attention.shape == (None, None)
    states, mask = states_and_mask()
    signature = [tf.TensorSpec([None, None, COLUMNS]), tf.TensorSpec([None, None], tf.bool)]
    graph = tf.function(lambda states, mask: layer(states, mask=mask), input_signature=signature)
    for one, other in zip(graph(states, mask), layer(states, mask=mask), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-7)


def test_half_precision_while_training_only() -> None:
    states, mask = states_and_mask()
    exact, rounded = made(), made(product_dtype="bfloat16")
    np.testing.assert_array_equal(rounded(states, mask=mask)[0], exact(states, mask=mask)[0])
    difference = np.array(rounded(states, mask=mask, training=True)[0]) - np.array(exact(states, mask=mask)[0])
    assert 0 < np.abs(difference).max() < 0.05


def test_weights_begin_by_the_seed() -> None:
    one, same, other = (Pooling(("attention",), 5, seed=seed) for seed in (1, 1, 2))
    for layer in (one, same, other):
        layer.build((None, None, COLUMNS))
    names = [weight.path.split("/")[-1] for weight in one.weights]
    assert names == ["hidden_kernel", "hidden_bias", "energy"]
    for weight, weight_same, weight_other in zip(one.weights, same.weights, other.weights, strict=True):
        np.testing.assert_array_equal(weight, weight_same)
        if "bias" not in weight.path:
            assert (ops.convert_to_numpy(weight) != ops.convert_to_numpy(weight_other)).any()
