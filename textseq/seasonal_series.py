"""A time series that is composed by rule: with seasons, and with a future that is known only in part."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from textseq.errors import InputError

DAY, WEEK = 24, 7 * 24
_LEVEL = 100.0
# Of the demand of a working day: a rise in the morning, a higher one in the evening; (hour, width in hours, height).
_WORKING_DAY = ((8.0, 2.0, 18.0), (13.0, 3.0, 10.0), (19.0, 2.5, 26.0))
_DAY_OFF = ((11.0, 3.5, 14.0), (19.5, 3.0, 18.0))
_DAYS_OFF = (5, 6)


@dataclass(frozen=True, eq=False)
class SeasonalSeries:
    """A series and what it was composed of.

    Attributes:
        values: float64[length], the series, `pattern + weather + noise`.
        pattern: float64[length], what comes again every week.
        weather: float64[length], what wanders: each value is `persistence` times the one before, and a draw.
        persistence: from 0 to 1.
        weather_spread: standard deviation of the weather.
        noise_spread: standard deviation of the noise, which nothing foretells.
    """

    values: npt.NDArray[np.float64]
    pattern: npt.NDArray[np.float64]
    weather: npt.NDArray[np.float64]
    persistence: float
    weather_spread: float
    noise_spread: float

    def smallest_error(self, horizon: int) -> npt.NDArray[np.float64]:
        """The mean squared error of a forecast that knows the rule, the pattern and today's weather.

        No forecast from the values alone is better. With the persistence `p` and the spreads `w` and `n`, it is
        `w^2 (1 - p^(2 h)) + n^2` for `h` steps ahead.

        Args:
            horizon: steps ahead, 1 or more.

        Returns:
            float64[horizon], for 1 step ahead to `horizon` steps.
        """
        steps = np.arange(1, horizon + 1, dtype=np.float64)
        error: npt.NDArray[np.float64] = 1 - np.power(self.persistence, 2 * steps)
        return self.weather_spread**2 * error + self.noise_spread**2


def seasonal_series(
    length: int,
    *,
    persistence: float = 0.97,
    weather_spread: float = 8.0,
    noise_spread: float = 2.0,
    seed: int = 1,
) -> SeasonalSeries:
    """Composes a series like the electricity that a town needs, hour by hour, in megawatts.

    Two of the seven days of a week are days off, with less demand at other hours. On top of that wanders the weather, a
    first-order autoregression, and every hour has noise of its own. The same arguments give the same series.

    Args:
        length: hours, 1 or more.
        persistence: of the weather from one hour to the next, from 0 to below 1.
        weather_spread: standard deviation of the weather, in megawatts.
        noise_spread: standard deviation of the noise, in megawatts.
        seed: of the draws.

    Raises:
        InputError: a length below 1, a persistence outside 0 to 1, or a negative spread.

    Example:
        >>> series = seasonal_series(24 * 7 * 4, seed=1)
        >>> series.values.shape
        (672,)
    """
    if length < 1:
        raise InputError(f"seasonal series: received a length of {length}; expected 1 or more")
    if not 0 <= persistence < 1:
        raise InputError(f"seasonal series: received a persistence of {persistence}; expected 0 or more, below 1")
    if not (weather_spread >= 0 and noise_spread >= 0):
        raise InputError(
            f"seasonal series: received spreads of {weather_spread} and {noise_spread}; expected 0 or more"
        )
    random = np.random.RandomState(seed)  # Unlike Generator's, its draws stay as they are in every NumPy.
    draws = random.normal(size=length)
    weather = np.empty(length)
    weather[0] = draws[0]
    for hour in range(1, length):
        weather[hour] = persistence * weather[hour - 1] + (1 - persistence**2) ** 0.5 * draws[hour]
    weather *= weather_spread
    pattern = np.resize(_week(), length)
    values = pattern + weather + noise_spread * random.normal(size=length)
    return SeasonalSeries(values, pattern, weather, persistence, weather_spread, noise_spread)


def _week() -> npt.NDArray[np.float64]:
    """float64[168]: the pattern of one week, from Monday's first hour."""
    hours = np.arange(DAY)
    days = []
    for day in range(WEEK // DAY):
        rises = _DAY_OFF if day in _DAYS_OFF else _WORKING_DAY
        # The way round midnight counts as well.
        away = [np.abs((hours - at + DAY / 2) % DAY - DAY / 2) / width for at, width, _ in rises]
        days.append(_LEVEL + sum(height * np.exp(-0.5 * z**2) for z, (_, _, height) in zip(away, rises, strict=True)))
    return np.concatenate(days)
