"""The bars are as high as the numbers, stand at their group and say what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.container import BarContainer
from matplotlib.patches import Rectangle

from textseq.bar_plot import bar_plot
from textseq.errors import InputError, OutputError

GROUPS = {"1 hour": {"naive": 4.0, "GRU": 1.5}, "one day $T$": {"GRU": -2.25}, "a week": {"naive": 12345.6, "GRU": 3}}


def bars_of(figure: Any) -> dict[str, list[Rectangle]]:
    containers = [one for one in figure.axes[0].containers if isinstance(one, BarContainer)]
    return {str(container.get_label()): list(container.patches) for container in containers}


def middle(bar: Rectangle) -> float:
    return float(bar.get_x() + bar.get_width() / 2)


def test_it_shows_the_numbers(tmp_path: Path) -> None:
    path = tmp_path / "bars.svg"
    figure = bar_plot(GROUPS, y_label="squared error", title="Who forecasts best?", path=path)
    bars = bars_of(figure)
    assert [bar.get_height() for bar in bars["naive"]] == [4.0, 12345.6]
    assert [bar.get_height() for bar in bars["GRU"]] == [1.5, -2.25, 3]
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["4", "12,346", "1.5", "-2.25", "3"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == list(GROUPS)
    assert (axes.get_ylabel(), axes.get_title("left")) == ("squared error", "Who forecasts best?")
    legend: Any = axes.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["naive", "GRU"]
    assert path.read_bytes().startswith(b"<?xml")


def test_bars_stand_at_their_group() -> None:
    bars = bars_of(bar_plot(GROUPS, y_label="error"))
    assert [round(middle(bar)) for bar in bars["naive"]] == [0, 2]
    assert [round(middle(bar)) for bar in bars["GRU"]] == [0, 1, 2]
    assert middle(bars["naive"][0]) + middle(bars["GRU"][0]) == pytest.approx(0), "a group's bars are about its middle"
    assert middle(bars["GRU"][1]) == pytest.approx(1), "a bar that is alone stands in the middle of its group"
    assert bars["naive"][0].get_x() + bars["naive"][0].get_width() <= bars["GRU"][0].get_x()


def test_bars_differ_in_more_than_colour() -> None:
    bars = bars_of(bar_plot({"all": {str(number): 1.0 for number in range(7)}}, y_label="error"))
    assert len({one[0].get_hatch() for one in bars.values()}) == 7
    assert len({one[0].get_facecolor() for one in bars.values()}) == 7


def test_one_name_needs_no_legend() -> None:
    figure = bar_plot({"naive": {"error": 1.0}, "GRU": {"error": 0.5}}, y_label="error")
    assert figure.axes[0].get_legend() is None
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_errors_are_drawn_at_the_top() -> None:
    figure = bar_plot({"a": {"x": 2.0, "y": 1.0}, "b": {"x": 3.0}}, y_label="error", errors={"a": {"x": 0.25}})
    containers: Any = [one for one in figure.axes[0].containers if isinstance(one, BarContainer)]
    segments = containers[0].errorbar[2][0].get_segments()
    assert segments[0][:, 1].tolist() == [1.75, 2.25]
    assert len(segments[1]) == 0, "no line where no error is known"
    assert containers[1].errorbar is None


@pytest.mark.parametrize(
    ("value", "error", "ticks"),
    [
        (100.0, 0.0, (0, 100)),
        (99.0, 0.0, (0, 100)),
        (52.0, 48.0, (0, 100)),
        (-100.0, 0.0, (-100, 0)),
    ],
)
def test_no_tick_stands_above_the_bars(value: float, error: float, ticks: tuple[float, float]) -> None:
    figure = bar_plot({"a": {"x": value, "y": 0.0}}, y_label="right (%)", errors={"a": {"x": error}})
    figure._repr_png_()
    shown = figure.axes[0].get_yticks()
    assert (min(shown), max(shown)) == ticks
    lowest, highest = figure.axes[0].get_ylim()
    assert lowest < ticks[0] or highest > ticks[1], "room for the numbers and the legend remains"


def test_zeros_and_many_groups_can_be_drawn() -> None:
    figure = bar_plot({f"a group with a long name {number}": {"x": 0.0} for number in range(400)}, y_label="error")
    assert figure.get_figwidth() <= 60


@pytest.mark.parametrize(
    ("groups", "errors", "words"),
    [
        ({}, None, "bar plot: received bars of 0 names; expected 1 to 7"),
        ({"a": {}}, None, "received bars of 0 names"),
        ({"a": {str(number): 1.0 for number in range(8)}}, None, "received bars of 8 names"),
        ({"a": {"x": float("nan")}}, None, "bar plot: a, x: received nan; expected a finite number"),
        ({"a": {"x": 1.0}}, {"a": {"y": 1.0}}, "received an error of a, y; expected one of a bar that is drawn"),
        ({"a": {"x": 1.0}}, {"b": {"x": 1.0}}, "received an error of b, x"),
        ({"a": {"x": 1.0}}, {"a": {"x": -1.0}}, "a, x: received an error of -1.0; expected 0 or more"),
    ],
)
def test_wrong_calls_say_what_was_wrong(groups: Any, errors: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        bar_plot(groups, y_label="error", errors=errors)


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"received the ending '\.txt'"):
        bar_plot(GROUPS, y_label="error", path="plot.txt")
    with pytest.raises(OutputError, match="missing"):
        bar_plot(GROUPS, y_label="error", path=tmp_path / "missing" / "plot.png")
