"""Forecasts of a time series: windows that do not see the future, simple forecasts to beat, a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from textseq.errors import InputError
from textseq.layers.reading import read_through


class Windows(NamedTuple):
    """What is known at a moment and what follows, for many moments."""

    inputs: npt.NDArray[np.float32]
    """float32[windows, context], the last values up to the moment, the newest last."""
    targets: npt.NDArray[np.float32]
    """float32[windows, horizon], the values after it, the next one first."""


class SeriesParts(NamedTuple):
    """A series cut at two moments, before which nothing is known of what comes after them."""

    training: Windows
    """Inputs and targets end before the first moment."""
    validation: Windows
    """Targets lie between the two moments; inputs may reach back before the first."""
    test: Windows
    """Targets lie after the second moment; inputs may reach back before it."""
    known: npt.NDArray[np.float64]
    """float64[length], the values before the first moment, for whatever is chosen or estimated."""


def windows(values: npt.ArrayLike, context: int, horizon: int) -> Windows:
    """Every window of a series, one for each moment that has enough before and after it.

    Args:
        values: float[length].
        context: values that a forecast reads, 1 or more.
        horizon: values that it foretells, 1 or more.

    Raises:
        InputError: the series is shorter than one window, not of one axis or not finite, or a size is below 1.

    Example:
        >>> windows([1, 2, 3, 4, 5], context=2, horizon=2).targets
        array([[3., 4.],
               [4., 5.]], dtype=float32)
    """
    series = _checked_series(values, context, horizon)
    both = np.lib.stride_tricks.sliding_window_view(series.astype(np.float32), context + horizon)
    return Windows(both[:, :context].copy(), both[:, context:].copy())


def split_series(
    values: npt.ArrayLike, *, context: int, horizon: int, validation_share: float = 0.1, test_share: float = 0.2
) -> SeriesParts:
    """Cuts a series in time: training first, then validation, then test.

    A random split would put neighbours of each test value into training, and a forecaster would look better than it
    will ever be. Here no number that a forecaster is trained on, and no input of a forecast, is younger than the moment
    of the forecast.

    Args:
        values: float[length], in the order of time.
        context: values that a forecast reads.
        horizon: values that it foretells.
        validation_share: of the values, for choosing when to stop.
        test_share: of the values, the last ones.

    Raises:
        InputError: shares outside 0 to 1, or a part too short for one window; see also `windows`.

    Example:
        >>> parts = split_series(np.arange(100.0), context=10, horizon=5)
        >>> [len(part.inputs) for part in parts[:3]]
        [56, 6, 16]
    """
    if not (0 < validation_share < 1 and 0 < test_share < 1 and validation_share + test_share < 1):
        raise InputError(
            f"series: received shares of {validation_share} and {test_share}; expected both above 0, together below 1"
        )
    series = _checked_series(values, context, horizon)
    length = len(series)
    moments = round(length * (1 - validation_share - test_share)), round(length * (1 - test_share))
    shortest = min(moments[0] - context, moments[1] - moments[0], length - moments[1])
    if shortest < horizon:
        raise InputError(
            f"series: received {length} values, cut at {moments[0]} and {moments[1]}; expected parts that hold "
            f"a window of {context} + {horizon} values; take a longer series, a shorter context or a shorter horizon"
        )
    bounds = ((0, moments[0]), (moments[0] - context, moments[1]), (moments[1] - context, length))
    training, validation, test = (windows(series[first:last], context, horizon) for first, last in bounds)
    return SeriesParts(training, validation, test, series[: moments[0]])


def naive_forecast(inputs: npt.NDArray[Any], horizon: int) -> npt.NDArray[Any]:
    """Says that all stays as it is (Hyndman and Athanasopoulos, Forecasting, 3rd edition, section 5.2).

    Args:
        inputs: float[windows, context].
        horizon: values to foretell.

    Returns:
        float[windows, horizon], of the dtype of `inputs`.
    """
    return np.repeat(inputs[:, -1:], horizon, axis=1)


def seasonal_naive_forecast(inputs: npt.NDArray[Any], horizon: int, period: int) -> npt.NDArray[Any]:
    """Says that the last season comes again (Hyndman and Athanasopoulos, Forecasting, 3rd edition, section 5.2).

    Args:
        inputs: float[windows, context], the context no shorter than the period.
        horizon: values to foretell; beyond one period, the last season is repeated.
        period: values of one season, such as 24 for the days of an hourly series.

    Returns:
        float[windows, horizon], of the dtype of `inputs`.

    Raises:
        InputError: the period is below 1 or longer than the context.

    Example:
        >>> seasonal_naive_forecast(np.array([[1, 2, 3, 4, 5]]), horizon=4, period=3)
        array([[3, 4, 5, 3]])
    """
    context = inputs.shape[1]
    if not 1 <= period <= context:
        raise InputError(
            f"seasonal naive forecast: received a period of {period}; expected 1 to {context}, the context"
        )
    return inputs[:, context - period + np.arange(horizon) % period]


def squared_errors(forecasts: npt.ArrayLike, targets: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """The mean squared error of forecasts, for each number of steps ahead.

    Args:
        forecasts: float[windows, horizon].
        targets: float[windows, horizon].

    Returns:
        float64[horizon].
    """
    differences = np.asarray(forecasts, np.float64) - np.asarray(targets, np.float64)
    return (differences**2).mean(axis=0)


def best_period(values: npt.ArrayLike, longest: int) -> int:
    """The period of a series: how far back the value stands that is most like the next one, but for the neighbours.

    Of the distances whose seasonal naive forecast errs less than that of one step less and of one step more, it is the
    one that errs least.

    Args:
        values: float[length], only those that are known, such as `SeriesParts.known`.
        longest: distance that is tried, 2 to length - 2.

    Returns:
        From 2 to `longest`; 1 where no distance is better than its neighbours: there is no season.

    Raises:
        InputError: the series is too short for the longest distance.

    Example:
        >>> best_period([1, 5, 2, 1, 5, 2, 1, 5], longest=5)
        3
    """
    series = np.asarray(values, np.float64)
    if not 2 <= longest <= len(series) - 2:
        raise InputError(f"best period: received {longest} as the longest; expected 2 to {len(series) - 2}")
    errors = np.array([((series[lag:] - series[:-lag]) ** 2).mean() for lag in range(1, longest + 2)])
    # errors[0] is of a distance of 1: the place of a distance is one less.
    inner = errors[1:-1]
    periods = 2 + np.flatnonzero((inner < errors[:-2]) & (inner < errors[2:]))
    return int(periods[np.argmin(errors[periods - 1])]) if len(periods) else 1


@keras.saving.register_keras_serializable("textseq")
class Forecaster(keras.Model):
    """Foretells the next values of a series, several at once, with whatever layers read it.

    With `x_1 ... x_n` the values that are known and `r` the layers, of which the output at the last place counts,

    ```
    y_{n + h} = x_n + scale * (r((x_1 - mean) / scale, ..., (x_n - mean) / scale) W + b)_h
    ```
    So it learns by how much the naive forecast is wrong, and begins as that: `W` and `b` are zeros at first.

    Args:
        layers: read float[batch, length, columns], one after the other: `Recurrent`, `Convolution`,
            `TransformerEncoder`, or layers of Keras. Of a layer that gives several things, the first goes on.
        horizon: values that are foretold.
        mean: of the values that are known in training.
        scale: their standard deviation, above 0.

    Raises:
        InputError: a horizon below 1, no layer, or a scale that is not above 0.

    Example:
        >>> from textseq.layers.recurrent import Recurrent
        >>> forecaster = Forecaster([Recurrent(8)], horizon=3, mean=2.0, scale=0.5)
        >>> tuple(forecaster(np.ones((4, 10), "float32")).shape)
        (4, 3)
    """

    def __init__(
        self,
        layers: Sequence[keras.layers.Layer],
        horizon: int,
        *,
        mean: float = 0.0,
        scale: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if horizon < 1 or not layers or not scale > 0:
            raise InputError(
                f"forecaster: received {len(layers)} layers, a horizon of {horizon} and a scale of {scale}; expected a "
                "layer or more, a horizon of 1 or more and a scale above 0"
            )
        self.reading_layers = list(layers)
        self.horizon = horizon
        self.mean = float(mean)
        self.scale = float(scale)
        self.output_layer = keras.layers.Dense(horizon, kernel_initializer="zeros", name="output")

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Forecasts.

        Args:
            inputs: float[batch, context], the values that are known, the newest last.
            training: whether dropout is drawn.

        Returns:
            float[batch, horizon], the next value first.
        """
        sequences = ops.expand_dims((inputs - self.mean) / self.scale, -1)
        states = read_through(self.reading_layers, sequences, training)
        return inputs[:, -1:] + self.scale * self.output_layer(states[:, -1])

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, JSON values only."""
        return {
            **super().get_config(),
            "layers": [keras.saving.serialize_keras_object(layer) for layer in self.reading_layers],
            "horizon": self.horizon,
            "mean": self.mean,
            "scale": self.scale,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Forecaster:
        """Makes a forecaster from what `get_config` gave, with fresh weights."""
        layers = [keras.saving.deserialize_keras_object(layer) for layer in config["layers"]]
        return cls(**{**config, "layers": layers})


def _checked_series(values: npt.ArrayLike, context: int, horizon: int) -> npt.NDArray[np.float64]:
    series = np.asarray(values, np.float64)
    if series.ndim != 1 or not np.isfinite(series).all():
        raise InputError(f"series: received values of shape {list(series.shape)}; expected one axis of finite numbers")
    if context < 1 or horizon < 1 or len(series) < context + horizon:
        raise InputError(
            f"series: received {len(series)} values, a context of {context} and a horizon of {horizon}; expected a "
            "context and a horizon of 1 or more, and as many values as both together"
        )
    return series
