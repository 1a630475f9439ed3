"""What every layer of this project must do, checked by one call."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

Call = Callable[[Any, Any, Any, bool], Any]
LENGTHS = np.array([6, 4, 1])


class Wrapped(keras.Model):
    """One layer as a model of one array: float[batch, length, columns + 1], whose last column is the mask."""

    def __init__(self, layer: Any, call: Call) -> None:
        super().__init__()
        self.layer = layer
        self.call_layer = call

    def call(self, sequences: Any, training: bool = False) -> Any:
        return self.call_layer(self.layer, sequences[..., :-1], sequences[..., -1] > 0, training)


def scrambled(layer: Any, columns: int) -> Any:
    """The layer with every weight away from its initial zeros and ones."""
    layer.build((None, None, columns))
    random = np.random.RandomState(3)
    for weight in layer.trainable_weights:
        weight.assign(random.normal(size=weight.shape) * 0.7)
    return layer


def check_layer(
    make: Callable[..., Any], build: Callable[[Any], None], call: Call, *, columns: int, units: int
) -> None:
    """Runs every check.

    Args:
        make: makes the layer with a seed and without dropout; takes further options as keywords.
        build: builds it from shapes.
        call: (layer, float[batch, length, columns], bool[batch, length], training) -> float[batch, length, units].
        columns: of the inputs.
        units: of the outputs.
    """

    def built(**options: Any) -> Any:
        layer = make(**options)
        build(layer)
        return layer

    inputs = some_inputs(columns)
    check_config_round_trip(make, built, call, inputs)
    check_build_makes_every_weight(built, call, inputs)
    check_symbolic_call(built(), call, columns, units, inputs)
    check_graph_is_eager(built(), call, inputs)
    check_fit_moves_every_weight(built(), call, inputs, units)
    check_padding_changes_nothing(built(), call, inputs)
    check_half_precision_is_near(built, call, inputs)
    check_dropout_is_seeded(built, call, inputs)


def some_inputs(columns: int) -> np.ndarray:
    """float32[batch, length, columns + 1], right-padded to `LENGTHS`, the mask in the last column."""
    inputs = np.random.RandomState(0).normal(size=(len(LENGTHS), LENGTHS.max(), columns + 1)).astype("float32")
    inputs[..., -1] = np.arange(LENGTHS.max()) < LENGTHS[:, None]
    return inputs


def real(outputs: Any) -> np.ndarray:
    """The outputs at real tokens, one below the other."""
    return np.concatenate([np.array(row)[:length] for row, length in zip(outputs, LENGTHS, strict=True)])


def check_config_round_trip(make: Callable[..., Any], built: Callable[..., Any], call: Call, inputs: Any) -> None:
    for layer in (make(), built()):
        config = layer.get_config()
        assert json.loads(json.dumps(config)) == config
        again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
        assert type(again) is type(layer)
        assert again.get_config() == config
    # A layer that was built comes back built.
    assert [weight.shape for weight in again.weights] == [weight.shape for weight in layer.weights]
    again.set_weights(layer.get_weights())
    np.testing.assert_array_equal(Wrapped(again, call)(inputs), Wrapped(layer, call)(inputs))


def check_build_makes_every_weight(built: Callable[..., Any], call: Call, inputs: Any) -> None:
    layer, same, other = built(), built(), built(seed=77)
    assert layer.built
    before = [weight.path for weight in layer.weights]
    assert len(set(before)) == len(before)
    Wrapped(layer, call)(inputs)
    assert [weight.path for weight in layer.weights] == before
    for weight, weight_same in zip(layer.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, weight_same)
    pairs = zip(layer.trainable_weights, other.trainable_weights, strict=True)
    assert any((np.array(weight) != np.array(weight_other)).any() for weight, weight_other in pairs)


def check_symbolic_call(layer: Any, call: Call, columns: int, units: int, inputs: Any) -> None:
    model = Wrapped(layer, call)
    symbolic = model(keras.Input((None, columns + 1)))
    assert isinstance(symbolic, keras.KerasTensor)
    assert symbolic.shape[0] is None
    assert symbolic.shape[-1] == units
    eager = model(inputs)
    assert eager.shape == (*inputs.shape[:2], units)
    assert keras.backend.standardize_dtype(eager.dtype) == symbolic.dtype == "float32"


def check_graph_is_eager(layer: Any, call: Call, inputs: Any) -> None:
    model = Wrapped(layer, call)
    for shape in (inputs.shape, (None, None, inputs.shape[-1])):
        graph = tf.function(model, input_signature=[tf.TensorSpec(shape)])
        np.testing.assert_allclose(graph(inputs), model(inputs), rtol=1e-5, atol=1e-6)


def check_fit_moves_every_weight(layer: Any, call: Call, inputs: Any, units: int) -> None:
    model = Wrapped(layer, call)
    before = [np.array(weight) for weight in model.trainable_weights]
    model.compile("adam", "mse", jit_compile=False)
    targets = np.random.RandomState(1).normal(size=(*inputs.shape[:2], units)).astype("float32")
    losses = model.fit(inputs, targets, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for weight, old in zip(model.trainable_weights, before, strict=True):
        assert np.isfinite(np.array(weight)).all()
        assert (np.array(weight) != old).any(), weight.path


def check_padding_changes_nothing(layer: Any, call: Call, inputs: Any) -> None:
    model = Wrapped(layer, call)
    expected = model(inputs)
    garbage = np.where(inputs[..., -1:] > 0, inputs, 1e3 * inputs)
    longer = np.pad(garbage, ((0, 0), (0, 3), (0, 0)))
    np.testing.assert_allclose(real(model(garbage)), real(expected), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(real(model(longer)), real(expected), rtol=1e-5, atol=1e-6)
    for row, length in enumerate(LENGTHS):
        alone = model(inputs[row : row + 1, :length])
        np.testing.assert_allclose(alone[0], expected[row, :length], rtol=1e-5, atol=1e-6)


def check_half_precision_is_near(built: Callable[..., Any], call: Call, inputs: Any) -> None:
    results = {}
    for dtype in ("float32", "bfloat16"):
        model = Wrapped(built(product_dtype=dtype), call)
        values = [weight.value for weight in model.trainable_weights]
        with tf.GradientTape() as tape:
            outputs = real_sum = model(inputs, training=True)
            real_sum = ops.sum(outputs * inputs[..., -1:])
        gradients = tape.gradient(real_sum, values)
        assert keras.backend.standardize_dtype(outputs.dtype) == "float32"
        results[dtype] = real(outputs), gradients, model(inputs)
    (exact, gradients, searched), (rounded, rounded_gradients, rounded_searched) = results.values()
    assert 0 < np.abs(rounded - exact).max() < 0.05
    np.testing.assert_array_equal(searched, rounded_searched)
    for gradient, rounded_gradient in zip(gradients, rounded_gradients, strict=True):
        difference = np.array(gradient) - np.array(rounded_gradient)
        assert np.linalg.norm(difference) < 0.1 * np.linalg.norm(gradient) + 1e-3


def check_dropout_is_seeded(built: Callable[..., Any], call: Call, inputs: Any) -> None:
    plain, *dropped = (Wrapped(built(state_dropout=rate), call) for rate in (0.0, 0.5, 0.5))
    np.testing.assert_array_equal(plain(inputs), dropped[0](inputs))
    first, same = (np.array(model(inputs, training=True)) for model in dropped)
    np.testing.assert_array_equal(first, same)
    assert (first != np.array(plain(inputs, training=True))).any()
    assert (first != np.array(dropped[0](inputs, training=True))).any()
