"""The composed series has the pattern, the persistence and the unavoidable error that it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from textseq.errors import InputError
from textseq.seasonal_series import seasonal_series


def test_the_same_arguments_give_the_same_series() -> None:
    series = seasonal_series(500, seed=3)
    np.testing.assert_array_equal(series.values, seasonal_series(500, seed=3).values)
    assert (series.values != seasonal_series(500, seed=4).values).all()
    assert series.values.dtype == np.float64
    assert series.values.shape == series.pattern.shape == series.weather.shape == (500,)


def test_the_pattern_comes_again_every_week_and_days_off_differ() -> None:
    pattern = seasonal_series(3 * 168).pattern
    np.testing.assert_array_equal(pattern[168:], pattern[:-168])
    days = pattern[:168].reshape(7, 24)
    assert (days[:5] == days[0]).all()
    assert (days[5] == days[6]).all()
    assert days[0].mean() > days[5].mean() + 2
    assert days[0].argmax() == 19
    assert abs(days[0, 0] - days[0, 23]) < 8, "no jump at midnight"


def test_without_weather_and_noise_there_is_the_pattern_alone() -> None:
    series = seasonal_series(400, weather_spread=0, noise_spread=0)
    np.testing.assert_array_equal(series.values, series.pattern)
    assert series.smallest_error(3).tolist() == [0, 0, 0]


def test_the_weather_has_its_spread_and_persistence() -> None:
    series = seasonal_series(200_000, persistence=0.9, weather_spread=5.0, noise_spread=2.0)
    assert series.weather.std() == pytest.approx(5, rel=0.02)
    assert np.corrcoef(series.weather[1:], series.weather[:-1])[0, 1] == pytest.approx(0.9, abs=0.005)
    assert (series.values - series.pattern - series.weather).std() == pytest.approx(2, rel=0.01)


def test_the_smallest_error_is_that_of_the_best_forecast() -> None:
    series = seasonal_series(200_000, persistence=0.9)
    for ahead, error in enumerate(series.smallest_error(6), start=1):
        forecast = series.pattern[ahead:] + 0.9**ahead * series.weather[:-ahead]
        assert ((series.values[ahead:] - forecast) ** 2).mean() == pytest.approx(error, rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"length": 0}, "seasonal series: received a length of 0; expected 1 or more"),
        ({"length": 9, "persistence": 1.0}, r"received a persistence of 1\.0; expected 0 or more, below 1"),
        ({"length": 9, "persistence": -0.1}, r"received a persistence of -0\.1"),
        ({"length": 9, "weather_spread": -1.0}, r"received spreads of -1\.0 and 2\.0; expected 0 or more"),
        ({"length": 9, "noise_spread": float("nan")}, r"received spreads of 8\.0 and nan"),
    ],
)
def test_wrong_calls_say_what_was_wrong(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        seasonal_series(**arguments)
