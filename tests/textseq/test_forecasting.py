"""Windows without the future, the forecasts to beat, and a forecaster that starts as one of them."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq.errors import InputError
from textseq.forecasting import (
    Forecaster,
    best_period,
    naive_forecast,
    seasonal_naive_forecast,
    split_series,
    squared_errors,
    windows,
)
from textseq.layers.convolution import Convolution
from textseq.layers.recurrent import Recurrent
from textseq.layers.transformer_encoder import TransformerEncoder


@given(st.integers(1, 8), st.integers(1, 8), st.integers(0, 20))
def test_every_window_stands_once(context: int, horizon: int, more: int) -> None:
    values = np.arange(context + horizon + more)
    inputs, targets = windows(values, context, horizon)
    assert inputs.dtype == targets.dtype == np.float32
    assert len(inputs) == more + 1
    for start in range(more + 1):
        both = [*inputs[start], *targets[start]]
        assert both == list(range(start, start + context + horizon))


@given(st.integers(1, 12), st.integers(1, 8), st.integers(105, 250), st.floats(0.15, 0.4), st.floats(0.15, 0.4))
def test_the_parts_keep_to_their_time(context: int, horizon: int, length: int, valid: float, test: float) -> None:
    """The values are their own moments, so that every window says what it saw."""
    parts = split_series(np.arange(length), context=context, horizon=horizon, validation_share=valid, test_share=test)
    first, second = len(parts.known), round(length * (1 - test))
    assert parts.known.tolist() == list(range(first))
    assert max(parts.training.inputs.max(), parts.training.targets.max()) == first - 1
    assert (parts.validation.targets.min(), parts.validation.targets.max()) == (first, second - 1)
    assert (parts.test.targets.min(), parts.test.targets.max()) == (second, length - 1)
    for part in parts[:3]:
        assert (part.inputs.max(axis=1) < part.targets.min(axis=1)).all()
        assert len(part.inputs) == len(part.targets) > 0
    assert len(parts.validation.inputs) == second - first - horizon + 1


@given(st.integers(1, 9), st.integers(1, 30), st.integers(0, 5))
def test_the_seasonal_naive_forecast_repeats_the_last_season(period: int, horizon: int, more: int) -> None:
    inputs = np.random.RandomState(0).normal(size=(3, period + more))
    forecast = seasonal_naive_forecast(inputs, horizon, period)
    grown = inputs
    for _ in range(horizon):
        grown = np.concatenate([grown, grown[:, -period][:, None]], axis=1)
    np.testing.assert_array_equal(forecast, grown[:, inputs.shape[1] :])
    np.testing.assert_array_equal(naive_forecast(inputs, horizon), seasonal_naive_forecast(inputs, horizon, 1))


def test_squared_errors_are_by_steps_ahead() -> None:
    errors = squared_errors([[1, 2], [3, 4]], [[1, 0], [0, 3]])
    assert errors.tolist() == [4.5, 2.5]


def test_the_best_period_is_found() -> None:
    hours = np.arange(400)
    noise = np.random.RandomState(1).normal(size=400)
    assert best_period(np.sin(hours * 2 * np.pi / 24) + 0.1 * noise, longest=60) in (23, 24, 25, 48)
    assert best_period(np.resize([1, 5, 2, 8, 3], 60), longest=20) == 5
    assert best_period(hours, longest=60) == 1, "a straight line has no season"


def made(layers: Any = None) -> Forecaster:
    return Forecaster(layers or [Recurrent(4, seed=1)], 3, mean=2.0, scale=0.5)


def test_a_forecaster_starts_as_the_naive_forecast() -> None:
    inputs = np.random.RandomState(0).normal(size=(5, 12)).astype("float32")
    np.testing.assert_array_equal(made()(inputs), naive_forecast(inputs, 3))


@pytest.mark.parametrize(
    "layers",
    [
        lambda: [Recurrent(4, seed=1)],
        lambda: [Convolution(5, seed=2), keras.layers.AveragePooling1D(3), Recurrent(4, "lstm", seed=1)],
        lambda: [TransformerEncoder(4, heads=2, seed=1)],
    ],
)
def test_any_layers_read(layers: Any) -> None:
    inputs = np.random.RandomState(0).normal(size=(5, 12)).astype("float32")
    forecaster = made(layers())
    forecaster(inputs)
    kernel = forecaster.output_layer.kernel
    kernel.assign(np.random.RandomState(1).normal(size=kernel.shape))
    states = (inputs[..., None] - 2) / 0.5
    for layer in forecaster.reading_layers:
        states = layer(states)
        states = states[0] if isinstance(states, tuple) else states
    expected = inputs[:, -1:] + 0.5 * (np.array(states)[:, -1] @ np.array(kernel))
    np.testing.assert_allclose(forecaster(inputs), expected, rtol=1e-4, atol=1e-5)


def test_a_forecaster_can_be_made_again() -> None:
    forecaster = made([Convolution(5, seed=2), Recurrent(4, seed=1)])
    inputs = np.random.RandomState(0).normal(size=(5, 12)).astype("float32")
    forecaster(inputs)
    forecaster.output_layer.kernel.assign(np.ones((4, 3)))
    config = forecaster.get_config()
    written = json.dumps(keras.saving.serialize_keras_object(forecaster))
    again = keras.saving.deserialize_keras_object(json.loads(written))
    assert json.dumps(again.get_config()) == json.dumps(config)
    again(inputs)
    again.set_weights(forecaster.get_weights())
    np.testing.assert_array_equal(again(inputs), forecaster(inputs))


def test_it_learns_what_the_naive_forecasts_do_not_know() -> None:
    """A season that grows: the seasonal naive forecast is always too low, the naive one out of phase."""
    keras.utils.set_random_seed(1)
    places = np.arange(600)
    values = (1 + places / 600) * np.sin(places * 2 * np.pi / 12)
    parts = split_series(values, context=24, horizon=6)
    forecaster = Forecaster([Recurrent(16, seed=1)], 6, mean=parts.known.mean(), scale=parts.known.std())
    forecaster.compile(keras.optimizers.Adam(1e-2), "mse", jit_compile=False)
    forecaster.fit(*parts.training, epochs=12, batch_size=32, verbose=0)
    error = squared_errors(forecaster(parts.test.inputs), parts.test.targets).mean()
    assert error < 0.05 * squared_errors(naive_forecast(parts.test.inputs, 6), parts.test.targets).mean()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: windows([[1.0]], 1, 1), r"series: received values of shape \[1, 1\]; expected one axis of finite"),
        (lambda: windows([1, float("nan")], 1, 1), "expected one axis of finite numbers"),
        (lambda: windows([1, 2], 2, 1), "received 2 values, a context of 2 and a horizon of 1; expected a context and"),
        (lambda: windows([1, 2], 0, 1), "a context of 0"),
        (lambda: windows([1, 2], 1, 0), "a horizon of 0"),
        (
            lambda: split_series(range(30), context=5, horizon=4),
            r"received 30 values, cut at 21 and 24; expected parts",
        ),
        (
            lambda: split_series(range(30), context=20, horizon=2),
            r"that hold a window of 20 \+ 2 values; take a longer",
        ),
        (lambda: split_series(range(30), context=2, horizon=2, test_share=0.9), "received shares of 0.1 and 0.9"),
        (
            lambda: split_series(range(30), context=2, horizon=2, validation_share=0.0),
            "shares of 0.0 and 0.2; expected",
        ),
        (
            lambda: seasonal_naive_forecast(np.ones((1, 4)), 2, 5),
            "received a period of 5; expected 1 to 4, the context",
        ),
        (lambda: seasonal_naive_forecast(np.ones((1, 4)), 2, 0), "received a period of 0"),
        (lambda: best_period([1, 2, 3], 2), "best period: received 2 as the longest; expected 2 to 1"),
        (
            lambda: Forecaster([], 2),
            "forecaster: received 0 layers, a horizon of 2 and a scale of 1.0; expected a layer",
        ),
        (lambda: Forecaster([Recurrent(2)], 0), "a horizon of 0"),
        (lambda: Forecaster([Recurrent(2)], 1, scale=0.0), "a scale of 0.0"),
    ],
)
def test_wrong_calls_say_what_was_wrong(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()
