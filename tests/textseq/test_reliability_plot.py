"""The reliability diagram holds the bins it was given, with Wilson's intervals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.patches import StepPatch
from scipy.stats import binomtest

from textseq.errors import InputError, OutputError
from textseq.reliability_plot import reliability_plot

BEFORE = [(0, 0.0, 0.0), (0, 0.0, 0.0), (10, 0.6, 0.5), (90, 0.9, 0.8)]
AFTER = [(0, 0.0, 0.0), (5, 0.45, 1.0), (45, 0.62, 0.6), (50, 0.8, 0.82)]


def test_it_shows_the_bins_that_hold_predictions(tmp_path: Path) -> None:
    path = tmp_path / "reliability.svg"
    figure = reliability_plot({"before $T$": BEFORE, "after": AFTER}, path)
    upper, lower = figure.axes
    for container, bins in zip(upper.containers, (BEFORE, AFTER), strict=True):
        filled = [one for one in bins if one[0]]
        line, _, bars = container
        np.testing.assert_allclose(line.get_xydata(), [one[1:] for one in filled])
        ends = [segment[:, 1] for segment in bars[0].get_segments()]
        for (count, _, share), (low, high) in zip(filled, ends, strict=True):
            expected = binomtest(round(share * count), count).proportion_ci(method="wilson")
            assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-6)
    histograms: list[Any] = [patch.get_data() for patch in lower.patches if isinstance(patch, StepPatch)]
    np.testing.assert_allclose(histograms[0].values, [0, 0, 0.1, 0.9])
    np.testing.assert_allclose(histograms[1].values, [0, 0.05, 0.45, 0.5])
    np.testing.assert_allclose(histograms[0].edges, [0, 0.25, 0.5, 0.75, 1])
    legend: Any = upper.get_legend()
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["right as often as it says", "before $T$", "after"]
    assert lower.get_xlim()[0] == 0.25, "empty bins on the left are left out"
    assert (lower.get_xlabel(), upper.get_ylabel()) == ("probability of the prediction", "predictions that are right")
    assert path.read_bytes().startswith(b"<?xml")


def test_curves_differ_in_more_than_colour() -> None:
    lines = [container[0] for container in reliability_plot({"a": AFTER, "b": BEFORE, "c": AFTER}).axes[0].containers]
    assert len({line.get_marker() for line in lines}) == len({line.get_linestyle() for line in lines}) == 3


def test_one_prediction_is_enough() -> None:
    assert reliability_plot({"one": [(1, 1.0, 1.0)]})._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("curves", "words"),
    [
        ({}, "reliability: received 0 curves; expected 1 to 4"),
        ({str(number): AFTER for number in range(5)}, "received 5 curves"),
        ({"after": []}, r"after: received bins of shape \[0\]; expected \(count, probability, share right\) of each"),
        ({"after": [(0, 0.0, 0.0)]}, "one prediction or more"),
        ({"after": [(-1, 0.0, 0.0), (2, 0.5, 0.5)]}, "received bins"),
        ({"after": [(1, 1.5, 0.5)]}, "after: received a probability or a share that is not from 0 to 1"),
        ({"after": [(1, 0.5, float("nan"))]}, "not from 0 to 1"),
    ],
)
def test_wrong_calls_say_what_was_wrong(curves: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        reliability_plot(curves)


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"received the ending '\.txt'"):
        reliability_plot({"after": AFTER}, "plot.txt")
    with pytest.raises(OutputError, match="missing"):
        reliability_plot({"after": AFTER}, tmp_path / "missing" / "plot.png")
