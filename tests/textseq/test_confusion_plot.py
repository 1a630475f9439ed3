"""The confusion matrix as a plot: it holds the counts and the shares, for any labels, and is drawn without warnings."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.patches import Rectangle

from textseq.confusion_plot import confusion_plot
from textseq.errors import InputError, OutputError


def labels(axis: Any) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def test_it_holds_shares_counts_and_labels(tmp_path: Path) -> None:
    path = tmp_path / "confusion.png"
    figure = confusion_plot([[1990, 10, 0], [5, 15, 20], [0, 0, 0]], ["bad", "so so", "good"], path, title="a title")
    axes, bar = figure.axes
    shares = np.array([[0.995, 0.005, 0], [0.125, 0.375, 0.5], [0, 0, 0]])
    np.testing.assert_allclose(np.asarray(axes.images[0].get_array()), shares)
    assert axes.images[0].get_clim() == (0, 1)
    written = [text.get_text() for text in axes.texts]
    assert written == ["99 %", "1,990", "<1 %", "10", "0", "12 %", "5", "38 %", "15", "50 %", "20"]
    assert labels(axes.xaxis) == ["bad", "so so", "good"]
    assert labels(axes.yaxis) == ["bad (2,000)", "so so (40)", "good (0)"]
    assert (axes.get_xlabel(), axes.get_ylabel(), bar.get_ylabel()) == (
        *("predicted label", "true label (texts)"),
        "share of the row",
    )
    assert axes.get_title(loc="left") == "a title"
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "the first label stands above"
    frames = [patch.get_xy() for patch in axes.patches if isinstance(patch, Rectangle)]
    assert frames == [(-0.5, -0.5), (0.5, 0.5), (1.5, 1.5)], "the diagonal is framed"
    assert matplotlib.image.imread(path).ndim == 3


def test_numbers_stand_out_from_their_cell() -> None:
    axes = confusion_plot([[90, 10], [40, 60]], ["a", "b"]).axes[0]
    colours = {text.get_text(): text.get_color() for text in axes.texts}
    assert (colours["90 %"], colours["60 %"], colours["40 %"], colours["10 %"]) == ("white", "white", "black", "black")


@pytest.mark.parametrize("classes", [2, 7, 13, 30])
def test_labels_and_numbers_fit_at_any_number_of_labels(classes: int) -> None:
    """At half size the smallest text is 8 pixels high, and no text is wider than its cell."""
    counts = np.full((classes, classes), 12_345)
    figure = confusion_plot(counts, [f"topic {number}" for number in range(classes)])
    figure.canvas.draw()
    axes = figure.axes[0]
    cell = axes.get_window_extent().width / classes
    for text in axes.texts:
        assert text.get_window_extent().width < 0.95 * cell
        assert float(text.get_fontsize()) * 150 / 72 / 2 >= 8
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes)), "labels do not overlap"


def test_empty_cells_of_many_labels_stay_blank() -> None:
    axes = confusion_plot(np.eye(20, dtype=int), [str(number) for number in range(20)]).axes[0]
    assert [text.get_text() for text in axes.texts] == ["100 %", "1"] * 20


def test_labels_in_any_script_and_of_any_length() -> None:
    names = ["中性的", "好い映画", "إيجابي", "$a$ and $b$", "m" * 50, "a\u202e"]
    figure = confusion_plot(np.eye(6, dtype=int), names)
    shown = labels(figure.axes[0].xaxis)
    assert shown[4:] == ["m" * 31 + "…", "a[U+202E]"]
    assert not any(label.get_parse_math() for label in figure.axes[0].get_xticklabels())
    assert {label.get_rotation() for label in figure.axes[0].get_xticklabels()} == {90.0}
    assert figure._repr_png_().startswith(b"\x89PNG")


@settings(max_examples=10, deadline=None)
@given(st.lists(st.text(max_size=6), min_size=1, max_size=4), st.text(max_size=20))
def test_any_text_can_be_a_label(names: list[str], title: str) -> None:
    counts = np.arange(len(names) ** 2).reshape(len(names), len(names))
    assert confusion_plot(counts, names, title=title)._repr_png_().startswith(b"\x89PNG")


def test_very_many_labels_are_drawn_without_numbers() -> None:
    figure = confusion_plot(np.eye(150, dtype=int), [str(number) for number in range(150)])
    assert max(figure.get_size_inches()) < 65
    assert not figure.axes[0].texts


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: confusion_plot([[1, 2]], ["a", "b"]), r"shape \(1, 2\); expected \(labels, labels\) = \(2, 2\)"),
        (lambda: confusion_plot(np.zeros((0, 0), int), []), "one label or more"),
        (lambda: confusion_plot([[-1]], ["a"]), "received a count of -1; expected whole numbers of 0 or more"),
        (lambda: confusion_plot([[0.5]], ["a"]), "received float64; expected whole numbers"),
        (lambda: confusion_plot([[1]], ["a"], "plot.gif"), "plot.gif: received the ending '.gif'"),
    ],
)
def test_wrong_calls_say_what_was_wrong(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="missing"):
        confusion_plot([[1]], ["a"], tmp_path / "missing" / "plot.png")
