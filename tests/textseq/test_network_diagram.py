"""The unrolled network: every token has its input, its states and its output, and arrows join what flows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.patches import Circle, FancyBboxPatch

from textseq.errors import InputError, OutputError
from textseq.network_diagram import MOST_TOKENS, unrolled_network

GREY = "#767676"


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def arrows(figure: Any) -> list[Any]:
    return [text for text in figure.axes[0].texts if getattr(text, "arrow_patch", None) is not None]


def circles(figure: Any) -> list[Circle]:
    return [patch for patch in figure.axes[0].patches if isinstance(patch, Circle)]


def test_one_direction_is_drawn_from_left_to_right(tmp_path: Path) -> None:
    path = tmp_path / "diagram.png"
    figure = unrolled_network(["not", "so", "bad"], title="a title", path=path)
    shown = texts(figure)
    assert shown[:3] == ["inputs", "states", "outputs"]
    assert [text for text in shown if text in ("not", "so", "bad")] == ["not", "so", "bad"]
    assert [text for text in shown if text[0] in "hy"] == ["y₁", "y₂", "y₃", "h₁", "h₂", "h₃"]
    assert (shown.count("W"), shown.count("U"), shown.count("0")) == (3, 2, 1)
    assert len(circles(figure)) == len([p for p in figure.axes[0].patches if isinstance(p, FancyBboxPatch)]) == 3
    # Of each token: in, out, and from the state before; all of time to the right.
    assert len(arrows(figure)) == 9
    through_time = [arrow for arrow in arrows(figure) if arrow.xy[1] == arrow.get_position()[1]]
    assert len(through_time) == 3 and all(arrow.xy[0] > arrow.get_position()[0] for arrow in through_time)
    assert figure.axes[0].get_title(loc="left") == "a title"
    assert matplotlib.image.imread(path).ndim == 3


def test_the_second_direction_reads_from_the_last_token() -> None:
    figure = unrolled_network(["not", "bad"], bidirectional=True)
    assert texts(figure)[:4] == ["inputs", "forward states", "backward states", "outputs"]
    assert [text for text in texts(figure) if text in ("f₁", "f₂", "b₁", "b₂")] == ["f₁", "f₂", "b₂", "b₁"]
    through_time = [arrow for arrow in arrows(figure) if arrow.xy[1] == arrow.get_position()[1]]
    assert [arrow.xy[0] > arrow.get_position()[0] for arrow in through_time] == [True, True, False, False]
    assert len({circle.get_facecolor() for circle in circles(figure)}) == 2
    assert len(arrows(figure)) == 12


@pytest.mark.parametrize("bidirectional", [False, True])
def test_padded_steps_are_grey_read_nothing_and_hold_the_state_before(bidirectional: bool) -> None:
    figure = unrolled_network(["bad", "<pad>", "<pad>"], mask=[True, False, False], bidirectional=bidirectional)
    forward = "f₁" if bidirectional else "h₁"
    assert texts(figure).count(forward) == 3
    # Going backward, padding comes first: the zeros of the start are handed on.
    assert texts(figure).count("0") == (4 if bidirectional else 1)
    directions = 2 if bidirectional else 1
    assert len(arrows(figure)) == directions * (3 + 2 + 2)
    assert len([arrow for arrow in arrows(figure) if arrow.arrowprops["color"] == GREY]) == directions * 4
    grey = [text.get_text() for text in figure.axes[0].texts if text.get_color() == GREY and text.get_text()]
    assert grey[:4] == ["<pad>", "y₂", "<pad>", "y₃"]


@pytest.mark.parametrize("bidirectional", [False, True])
def test_nothing_overlaps(bidirectional: bool) -> None:
    tokens = ["a", "disappointingly", "m" * 40, "x"]
    figure = unrolled_network(tokens, bidirectional=bidirectional)
    figure.canvas.draw()
    axes = figure.axes[0]
    boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[number + 1 :]), texts(figure)[number]
    assert all(box.x0 > -1e-6 and box.x1 <= figure.bbox.x1 for box in boxes)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.text(max_size=6), min_size=1, max_size=4), st.booleans(), st.text(max_size=10))
def test_any_text_can_be_a_token(tokens: list[str], bidirectional: bool, title: str) -> None:
    figure = unrolled_network(tokens, bidirectional=bidirectional, title=title)
    assert figure._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: unrolled_network([]), f"diagram: received 0 tokens; expected 1 to {MOST_TOKENS}"),
        (lambda: unrolled_network(["a"] * 25), "diagram: received 25 tokens; expected 1 to 24"),
        (lambda: unrolled_network(["a"], mask=[True, False]), "received 2 values of a mask for 1 tokens; expected as"),
        (lambda: unrolled_network(["a"], path="plot.gif"), "plot.gif: received the ending '.gif'"),
    ],
)
def test_wrong_calls_say_what_was_wrong(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="missing"):
        unrolled_network(["a"], path=tmp_path / "missing" / "plot.png")
