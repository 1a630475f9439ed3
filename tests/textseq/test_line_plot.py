"""Curves hold the points they were given and can be told apart without colour."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textseq.errors import InputError, OutputError
from textseq.line_plot import line_plot

LABELS: dict[str, Any] = {"x_label": "steps back", "y_label": "norm"}


def test_it_draws_what_it_was_given(tmp_path: Path) -> None:
    path = tmp_path / "curves.svg"
    curves: dict[str, Any] = {"a $x$ $y$": ([1, 2, 3], [0.5, 4.0, 2.0]), "b": (np.arange(2), np.array([1, 2]))}
    figure = line_plot(curves, **LABELS, title="which\ngrows?", path=path)
    axes = figure.axes[0]
    for line, (places, values) in zip(axes.lines, curves.values(), strict=True):
        np.testing.assert_array_equal(line.get_xydata(), np.stack([places, values], axis=1))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("steps back", "norm")
    assert axes.get_title(loc="left") == "which\ngrows?"
    legend: Any = axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["a $x$ $y$", "b"]
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "linear")
    assert path.read_bytes().startswith(b"<?xml")
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("markers", [True, False])
def test_curves_differ_in_more_than_colour(markers: bool) -> None:
    figure = line_plot({str(number): ([1, 2], [number, 2]) for number in range(10)}, **LABELS, markers=markers)
    looks = [(line.get_color(), line.get_marker(), line.get_linestyle()) for line in figure.axes[0].lines]
    assert len(set(looks)) == 10
    kinds = {line.get_marker() if markers else line.get_linestyle() for line in figure.axes[0].lines[:4]}
    assert len(kinds) == 4
    assert {line.get_marker() == "None" for line in figure.axes[0].lines} == {not markers}


def test_many_points_have_few_markers() -> None:
    line: Any = line_plot({"": (range(201), range(201))}, **LABELS).axes[0].lines[0]
    assert 201 / line.get_markevery() <= 20
    assert len(line.get_xdata()) == 201


def test_what_cannot_be_drawn_leaves_a_gap() -> None:
    numbers = [1.0, 0.0, np.inf, 10.0, -1.0]
    for logarithmic, shown in (("", [1, 0, np.nan, 10, -1]), ("y", [1, np.nan, np.nan, 10, np.nan])):
        axes = line_plot({"a": (range(5), numbers)}, **LABELS, logarithmic=logarithmic).axes[0]
        np.testing.assert_array_equal(axes.lines[0].get_ydata(), shown)
        assert axes.get_yscale() == ("log" if logarithmic else "linear")


def test_few_places_are_the_ticks_of_a_logarithmic_axis() -> None:
    figure = line_plot({"a": ([100, 10, 200], [1, 2, 3])}, **LABELS, logarithmic="xy")
    figure._repr_png_()
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["10", "100", "200"]
    crowded = line_plot({"a": (range(101, 108), range(1, 8))}, **LABELS, logarithmic="x")
    assert len(crowded.axes[0].get_xticks()) < 7


@pytest.mark.parametrize(
    ("lowest", "highest", "ticks"),
    [
        (400.0, 700.0, ["400", "500", "600", "700"]),
        (30.0, 40.0, ["30", "32", "34", "36", "38", "40"]),
        (0.02, 0.9, ["0.02", "0.05", "0.1", "0.2", "0.5", "1"]),
        (150.0, 3300.0, ["200", "500", "1000", "2000"]),
    ],
)
def test_a_short_logarithmic_axis_has_plain_numbers(lowest: float, highest: float, ticks: list[str]) -> None:
    numbers = np.geomspace(lowest, highest, 20)
    figure = line_plot({"": (numbers, numbers)}, **LABELS, logarithmic="xy")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for axis in (axes.xaxis, axes.yaxis):
        low, high = axis.get_view_interval()
        shown = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        assert [tick.label1.get_text() for tick in shown] == ticks
        assert not any(tick.label1.get_text() for tick in axis.get_minor_ticks())


@pytest.mark.parametrize("numbers", [(1.0, 5000.0), (2e-5, 9e-5), (2e7, 9e7)])
def test_a_long_logarithmic_axis_has_powers_of_ten(numbers: tuple[float, float]) -> None:
    figure = line_plot({"": ([1, 2], numbers)}, **LABELS, logarithmic="y")
    figure.draw_without_rendering()
    assert any("10^" in text.get_text() for text in figure.axes[0].get_yticklabels(which="both"))


def test_a_single_curve_without_a_name_has_no_legend() -> None:
    assert line_plot({"": ([0.5], [1])}, **LABELS).axes[0].get_legend() is None


def test_whole_numbers_have_whole_ticks() -> None:
    axes = line_plot({"": ([1, 2], [1, 2])}, **LABELS).axes[0]
    assert all(tick == round(tick) for tick in axes.get_xticks())


@pytest.mark.parametrize(
    ("curves", "options", "words"),
    [
        ({}, {}, "line plot: received no curve; expected one or more"),
        ({"a": ([1], [1])}, {"logarithmic": "z"}, "received logarithmic='z'; expected '', 'x', 'y' or 'xy'"),
        ({"a": ([1, 2], [1])}, {}, r"curve 'a': received places of shape \(2,\) and values of shape \(1,\)"),
        ({"a": ([[1]], [[1]])}, {}, "as many of one as of the other"),
        ({"a": ([1, 2], [np.nan, np.inf])}, {}, "'a': nothing to draw in 2 points; expected finite numbers$"),
        ({"a": ([1, 2], [0, -1])}, {"logarithmic": "y"}, "finite numbers, above zero on a logarithmic axis"),
        ({"a": ([1], [1])}, {"path": "plot.txt"}, r"received the ending '\.txt'"),
    ],
)
def test_wrong_calls_say_what_was_wrong(curves: Any, options: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        line_plot(curves, **LABELS, **options)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="missing"):
        line_plot({"a": ([1], [1])}, **LABELS, path=tmp_path / "missing" / "plot.png")
