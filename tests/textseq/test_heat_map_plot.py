"""The heat map: it holds the values it was given, for any labels and any size, and is drawn without warnings."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textseq.errors import InputError, OutputError
from textseq.heat_map_plot import heat_map


def labels(axis: Any) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def test_it_holds_the_values_and_every_text(tmp_path: Path) -> None:
    values, path = np.array([[0.25, 0.5, 2], [1, -1, 0]]), tmp_path / "map.png"
    figure = heat_map(
        values, ["unit 1", "unit 2"], ["not", "at", "all"], title="a title", colour_label="state", x_label="word",
        y_label="unit", path=path,
    )  # fmt: skip
    axes, bar = figure.axes
    np.testing.assert_array_equal(np.asarray(axes.images[0].get_array()), values)
    assert axes.images[0].get_clim() == (-1, 2)
    assert (labels(axes.xaxis), labels(axes.yaxis)) == (["not", "at", "all"], ["unit 1", "unit 2"])
    assert (axes.get_xlabel(), axes.get_ylabel(), bar.get_ylabel()) == ("word", "unit", "state")
    assert axes.get_title(loc="left") == "a title"
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "the first row stands above"
    assert matplotlib.image.imread(path).ndim == 3


@pytest.mark.parametrize(
    ("centre", "limits", "expected"),
    [
        (None, None, (-1, 3)),
        (None, (0, 1), (0, 1)),
        (0, None, (-3, 3)),
        (1, None, (-1, 3)),
        (0.5, (0, 1), (0, 1)),
        (0, (0, 1), (-1, 1)),
        (5, None, (-1, 11)),
    ],
)
def test_the_ends_of_the_colours(
    centre: float | None, limits: tuple[float, float] | None, expected: tuple[float, float]
) -> None:
    image = heat_map([[-1, 3]], ["a"], ["b", "c"], centre=centre, limits=limits).axes[0].images[0]
    assert image.get_clim() == expected
    assert image.get_cmap().name == ("Blues" if centre is None else "RdBu_r")


def test_around_a_centre_white_stands_in_the_middle_and_red_above() -> None:
    image = heat_map([[-2, 1, 2]], ["a"], ["b", "c", "d"], centre=0).axes[0].images[0]
    below, middle, above = image.to_rgba(np.array([-2.0, 0.0, 2.0]))[:, :3]
    assert min(middle) > 0.95 and above[0] > 2 * above[2] and below[2] > 2 * below[0]


def test_what_is_not_finite_is_grey() -> None:
    image = heat_map([[0, np.nan, np.inf, 1]], ["a"], list("bcde")).axes[0].images[0]
    assert np.ma.getmaskarray(np.ma.asarray(image.get_array())).tolist() == [[False, True, True, False]]
    assert image.get_clim() == (0, 1)
    red, green, blue, _ = image.to_rgba(np.ma.masked_invalid([np.nan]))[0]
    assert red == green == blue < 0.8


@pytest.mark.parametrize("values", [np.full((2, 2), np.nan), np.zeros((2, 2)), np.full((2, 2), 7)])
@pytest.mark.parametrize("centre", [None, 0.0, 7.0])
def test_values_without_a_range_are_drawn(values: np.ndarray, centre: float | None) -> None:
    assert heat_map(values, ["a", "b"], ["c", "d"], centre=centre)._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 24), (96, 30), (4, 200), (300, 300)])
def test_labels_can_be_read_and_do_not_overlap_at_any_size(rows: int, columns: int) -> None:
    figure = heat_map(np.zeros((rows, columns)), [f"unit {n}" for n in range(rows)], [str(n) for n in range(columns)])
    figure.canvas.draw()
    axes = figure.axes[0]
    size = axes.get_window_extent()
    assert max(size.width, size.height) / figure.dpi <= 10 + 1e-6
    across = [label.get_window_extent() for label in axes.get_xticklabels()]
    down = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(across))
    assert all(upper.y0 >= lower.y1 for upper, lower in itertools.pairwise(down))
    assert all(float(label.get_fontsize()) >= 10 for label in (*axes.get_xticklabels(), *axes.get_yticklabels()))
    assert len(across) == columns or columns > 24
    assert next(label.get_text() for label in axes.get_yticklabels()) == "unit 0"


def test_short_labels_lie_flat_and_long_ones_stand_upright() -> None:
    for label, rotation in (("1", 0.0), ("negation", 90.0)):
        axes = heat_map([[1, 2]], ["a"], [label, "2"]).axes[0]
        assert {text.get_rotation() for text in axes.get_xticklabels()} == {rotation}


def test_columns_of_a_right_to_left_script_run_from_right_to_left() -> None:
    axes = heat_map(np.zeros((1, 2)), ["x"], ["▁الرجل", "▁ينام"], x_label="token").axes[0]
    assert axes.xaxis_inverted()
    assert axes.get_xlabel() == "token (read from right to left)"


def test_texts_are_no_formulas() -> None:
    figure = heat_map([[1]], ["$a$"], ["$b$ $"], title="$c$ $", x_label="$d", y_label="$e$ $", colour_label="$f$")
    assert figure._repr_png_().startswith(b"\x89PNG")
    axes, bar = figure.axes
    texts = [axes.xaxis.label, axes.yaxis.label, bar.yaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels()]
    assert not any(text.get_parse_math() for text in texts)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.text(max_size=6), min_size=1, max_size=4), st.text(max_size=20))
def test_any_text_can_be_a_label(names: list[str], title: str) -> None:
    figure = heat_map(np.eye(len(names)), names, names, title=title, x_label=title, colour_label=title)
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: heat_map([[1, 2]], ["a"], ["b"]), r"heat map: received shape \(1, 2\); expected .* = \(1, 1\)"),
        (lambda: heat_map(np.zeros((0, 1)), [], ["b"]), "expected .* one row and one column or more"),
        (lambda: heat_map([[1]], ["a"], ["b"], limits=(1, 0)), "received the limits 1 and 0; expected the lower one"),
        (lambda: heat_map([[1]], ["a"], ["b"], path="map.gif"), "map.gif: received the ending '.gif'"),
    ],
)
def test_wrong_calls_say_what_was_wrong(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="missing"):
        heat_map([[1]], ["a"], ["b"], path=tmp_path / "missing" / "map.png")
