"""What a recurrent layer costs: its parameters, and the time of one step, measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np

from textseq.errors import InputError
from textseq.layers.cells import CELLS
from textseq.layers.recurrent import Recurrent


class RecurrentCost(NamedTuple):
    """What one recurrent layer costs."""

    parameters: int
    reading_seconds: float
    """Of one time step of the whole batch, forward only: the median of the repeats."""
    training_seconds: float
    """Of one time step of the whole batch, forward, backward and update: the median of the repeats."""


def recurrent_costs(
    cells: Sequence[str] = ("simple_rnn", "gru", "lstm"),
    *,
    units: int,
    columns: int,
    batch: int = 32,
    length: int = 32,
    repeats: int = 9,
) -> dict[str, RecurrentCost]:
    """Counts and measures layers that differ in nothing but their cell, in compiled graphs.

    The cells take turns, so that what else the machine does meets them alike; each is run once before, unmeasured.

    Args:
        cells: "simple_rnn", "gru" or "lstm".
        units: of the state.
        columns: of the inputs.
        batch: sequences that are read at once.
        length: time steps of each.
        repeats: how often each layer reads and trains on the batch.

    Returns:
        The cost of each cell, by its name.

    Raises:
        InputError: an unknown cell, or a number below 1.

    Example:
        >>> costs = recurrent_costs(["lstm"], units=4, columns=3, batch=2, length=5, repeats=1)
        >>> costs["lstm"].parameters  # 4 gates, each with weights for 3 columns and 4 states, and two biases
        144
    """
    sizes = {"units": units, "columns": columns, "batch": batch, "length": length, "repeats": repeats}
    for name, size in sizes.items():
        if size < 1:
            raise InputError(f"{name}: received {size}; expected 1 or more")
    for cell in cells:
        if cell not in CELLS:
            raise InputError(f"cell: received {cell!r}; expected one of {', '.join(map(repr, CELLS))}")
    inputs = np.random.RandomState(1).normal(size=(batch, length, columns)).astype("float32")
    targets = np.zeros((batch, length, units), "float32")
    models = {cell: _model(cell, units, length, columns) for cell in cells}
    seconds: dict[tuple[str, str], list[float]] = {}
    for turn in range(repeats + 1):
        for cell, model in models.items():
            reading = _seconds(partial(model.predict_on_batch, inputs))
            training = _seconds(partial(model.train_on_batch, inputs, targets))
            if turn:
                seconds.setdefault((cell, "reading"), []).append(reading / length)
                seconds.setdefault((cell, "training"), []).append(training / length)
    return {
        cell: RecurrentCost(
            model.count_params(),
            statistics.median(seconds[cell, "reading"]),
            statistics.median(seconds[cell, "training"]),
        )
        for cell, model in models.items()
    }


def _model(cell: str, units: int, length: int, columns: int) -> keras.Model:
    inputs = keras.Input((length, columns))
    model = keras.Model(inputs, Recurrent(units, cell, seed=1)(inputs)[0])
    model.compile(optimizer="sgd", loss="mean_squared_error")
    return model


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
