"""A recurrent network unrolled over a sequence, drawn: inputs, states, outputs, and what flows between them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Circle, FancyBboxPatch

from textseq.errors import InputError
from textseq.figures import COLOURS, Plot, drawable_labels, drawable_text, plot_style, require_plot_ending, write_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_TOKENS = 24
_FONT = 15.0
_LETTER_INCHES = 0.15
_STEP_INCHES = 1.35
_ROW_INCHES = 1.35
_RADIUS = 0.36
_HALF_BOX = 0.26
_MARGIN_INCHES = 3.3
_INK, _GREY, _PALE = "#333333", "#767676", "#f2f2f2"
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class _Direction(NamedTuple):
    """The row of the states that one direction makes."""

    letter: str
    name: str
    height: float
    aside: float
    """How far its states stand beside their column, so that arrows to other rows pass by."""
    colour: str
    sign: int
    """1 where time runs to the right, -1 to the left."""


_ONE = (_Direction("h", "states", _ROW_INCHES, 0.0, COLOURS[0], 1),)
_BOTH = (
    _Direction("f", "forward states", _ROW_INCHES, -0.36, COLOURS[0], 1),
    _Direction("b", "backward states", 2 * _ROW_INCHES, 0.36, COLOURS[1], -1),
)


def unrolled_network(
    tokens: Sequence[str],
    *,
    mask: Sequence[bool] | None = None,
    bidirectional: bool = False,
    title: str = "",
    path: str | os.PathLike[str] | None = None,
) -> Plot:
    """Draws a recurrent layer once for each token (Elman 1990; in two directions, Schuster and Paliwal 1997).

    Each column is one step of time: the token goes in below, through the input weights W; the state comes from the step
    before, through the recurrent weights U; both are the same at every step. The output leaves above. At a padded step
    nothing goes in: it is grey, and its state is the one before it, handed on as it is.

    Args:
        tokens: what is read, 1 to `MOST_TOKENS`, in any script; time runs from left to right.
        mask: True for a real token; None if all are.
        bidirectional: draw a second row of states, which reads from the last token to the first.
        title: what stands above, one line.
        path: a file to write too, .png, .svg or .pdf; None writes nothing.

    Returns:
        The figure. States are called h₁, h₂, ...; in two directions f₁, f₂, ... (forward) and b₁, b₂, ... (backward).

    Raises:
        InputError: no tokens or too many, a mask of another length, or an ending other than .png, .svg or .pdf.
        OutputError: the file cannot be written.

    Example:
        >>> figure = unrolled_network(["not", "bad", "</s>"], mask=[True, True, False])
    """
    if path is not None:
        require_plot_ending(path)
    if not 1 <= len(tokens) <= MOST_TOKENS:
        raise InputError(f"diagram: received {len(tokens)} tokens; expected 1 to {MOST_TOKENS}")
    real = [True] * len(tokens) if mask is None else [bool(present) for present in mask]
    if len(real) != len(tokens):
        raise InputError(f"diagram: received {len(real)} values of a mask for {len(tokens)} tokens; expected as many")
    directions = _BOTH if bidirectional else _ONE
    top = directions[-1].height + _ROW_INCHES
    with matplotlib.rc_context(plot_style([*tokens, title], _FONT)):
        labels = drawable_labels(tokens)
        step = max(_STEP_INCHES + 0.6 * bidirectional, _LETTER_INCHES * max(map(len, labels)) + 0.45)
        places = [step * number for number in range(len(tokens))]
        axes = _axes(places[-1] + directions[-1].aside + _RADIUS + 0.8, top)
        for name, height in {"inputs": 0.0, **{row.name: row.height for row in directions}, "outputs": top}.items():
            axes.text(-_MARGIN_INCHES, height, name, ha="left", va="center", color=_INK)
        for number, (label, present, x) in enumerate(zip(labels, real, places, strict=True), start=1):
            _draw_input(axes, x, label, present)
            axes.text(x, top, _named("y", number), ha="center", va="center", color=_INK if present else _GREY)
        for direction in directions:
            _draw_states(axes, direction, real, places, top)
        if title:
            axes.set_title(drawable_text(title), parse_math=False, loc="left", pad=10, fontsize=_FONT + 1)
    figure = cast(Plot, axes.figure)
    write_figure(figure, path)
    return figure


def _axes(right: float, top: float) -> Axes:
    """Axes whose unit is an inch, with room for the names of the rows on the left."""
    left, below, above = -_MARGIN_INCHES, -0.5, top + 0.4
    figure = Plot(figsize=(right - left, above - below))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(left, right)
    axes.set_ylim(below, above)
    axes.axis("off")
    return axes


def _named(letter: str, number: int) -> str:
    return letter + str(number).translate(_SUBSCRIPTS)


def _draw_input(axes: Axes, x: float, label: str, present: bool) -> None:
    width = max(0.6, _LETTER_INCHES * len(label) + 0.1)
    box = FancyBboxPatch((x - width / 2, -_HALF_BOX), width, 2 * _HALF_BOX, boxstyle="round,pad=0.02")
    box.set(facecolor="white", edgecolor=_INK if present else _GREY, linewidth=1.6, linestyle="-" if present else "--")
    axes.add_patch(box)
    axes.text(x, 0, label, ha="center", va="center", color=_INK if present else _GREY, parse_math=False)


def _draw_states(axes: Axes, direction: _Direction, real: Sequence[bool], places: Sequence[float], top: float) -> None:
    """One row of states with all that flows in and out of them, in the order in which they are made."""
    order = list(range(len(places)))[:: direction.sign]
    height, sign = direction.height, direction.sign
    before, held = places[order[0]] + direction.aside - sign * (_RADIUS + 0.6), "0"
    axes.text(before, height, held, ha="center", va="center", color=_INK)
    before -= sign * (_RADIUS - 0.14)
    for index in order:
        x, present = places[index] + direction.aside, real[index]
        _arrow(axes, (before + sign * _RADIUS, height), (x - sign * _RADIUS, height), direction.colour, present)
        _arrow(axes, (x, height), (places[index], top - 0.2), _INK, present, shrink=_RADIUS)
        if present:
            # A padded step holds the state of the step before it, under the same name, and reads nothing.
            held = _named(direction.letter, index + 1)
            _arrow(axes, (places[index], _HALF_BOX), (x, height), _INK, present, shrink=_RADIUS, at_the_end=True)
            if not direction.aside:
                _name_weights(axes, before, x, height, direction.colour)
        circle = Circle((x, height), _RADIUS, linewidth=1.6, zorder=3)
        circle.set(facecolor=direction.colour if present else _PALE, edgecolor=direction.colour if present else _GREY)
        circle.set_linestyle("-" if present else "--")
        axes.add_patch(circle)
        axes.text(x, height, held, ha="center", va="center", color="white" if present else _GREY, zorder=4)
        before = x


def _name_weights(axes: Axes, before: float, x: float, height: float, colour: str) -> None:
    axes.text(x + 0.2, (_HALF_BOX + height - _RADIUS) / 2, "W", ha="center", va="center", color=_INK)
    if before >= 0:
        axes.text((before + x) / 2, height + 0.18, "U", ha="center", va="center", color=colour)


def _arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str,
    present: bool,
    *,
    shrink: float = 0.0,
    at_the_end: bool = False,
) -> None:
    """An arrow; `shrink` inches of it are hidden below the circle where it starts or ends."""
    points = 72 * shrink
    axes.annotate(
        "",
        xy=end,
        xytext=start,
        arrowprops={
            "arrowstyle": "-|>",
            "color": colour if present else _GREY,
            "linestyle": "-" if present else "--",
            "linewidth": 1.6,
            "shrinkA": 0.0 if at_the_end else points,
            "shrinkB": points if at_the_end else 0.0,
            "mutation_scale": 16,
        },
    )
