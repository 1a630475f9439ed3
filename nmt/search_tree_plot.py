"""The drawing of a search tree."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg

from nmt.search_tree import SearchNode, SearchTree
from textseq.figures import (
    COLOURS,
    LONGEST_SIDE_INCHES,
    Plot,
    drawable_labels,
    drawable_text,
    plot_style,
    require_plot_ending,
    write_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STEP_INCHES = 0.86
_NARROWEST_INCHES = 1.12  # of a node
_LETTER_INCHES = 0.125  # at the size of _POINTS
_FEWEST_INCHES = 7.5
_POINTS = 13.0
_GREY = "#767676"  # the lightest that is read on white
_WON, _ALIVE, _ENDED = COLOURS[1], COLOURS[0], COLOURS[2]


def search_tree_plot(tree: SearchTree, path: str | os.PathLike[str] | None = None, *, dropped: bool = True) -> Plot:
    """Draws a search from the top down: a line leads from each hypothesis to what it became in the next step.

    Each node has its last token and the log-probability of the whole hypothesis, in nats. The path of the winner is
    thick, with a star at its end; ends have a double frame and the score by which they are ranked; what was dropped is
    grey and has no frame. In sampling nothing wins, and the thickness of a line says how many draws went along it.

    Args:
        tree: of one sentence.
        path: a file to write too, .png, .svg or .pdf; None writes nothing.
        dropped: whether to draw what was dropped.

    Returns:
        The figure. Its size follows the number of steps and hypotheses.

    Raises:
        InputError: an ending other than .png, .svg or .pdf.
        OutputError: the file cannot be written.

    Example:
        >>> tree = translator.search_tree("Good day.", beam=3)  # doctest: +SKIP
        >>> figure = search_tree_plot(tree, "tree.png")  # doctest: +SKIP
    """
    if path is not None:
        require_plot_ending(path)
    rows = _rows(tree, dropped)
    places = {
        index: (column - (len(row) - 1) / 2, -float(step))
        for step, row in enumerate(rows)
        for column, index in enumerate(row)
    }
    labels = drawable_labels([node.piece for node in tree.nodes])
    cell = max(_NARROWEST_INCHES, 0.35 + _LETTER_INCHES * max(len(labels[index]) for index in places))
    widest = max(cell * max(map(len, rows)), _FEWEST_INCHES)
    width, height = (min(LONGEST_SIDE_INCHES, side) for side in (widest, _STEP_INCHES * (len(rows) + 1.2)))
    figure = Plot(figsize=(width, height))
    FigureCanvasAgg(figure)
    with matplotlib.rc_context(plot_style([*(node.piece for node in tree.nodes), tree.source], _POINTS)):
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_xlim(-widest / cell / 2, widest / cell / 2)
        axes.set_ylim(-len(rows) - 0.2, 1.0)
        axes.axis("off")
        winner = tree.winner
        for index, place in places.items():
            node = tree.nodes[index]
            if node.parent >= 0:
                _draw_line(axes, tree, index, places[node.parent], place, index in winner)
            _draw_node(axes, tree, index, labels[index], place, index in winner)
        axes.text(0.0, -len(rows) + 0.2, _caption(tree, dropped), ha="center", va="top", color="#444444")
        if tree.source:
            title = f"{tree.method.capitalize()}{_width_of(tree)}: {drawable_text(tree.source)}"
            axes.text(0.0, 0.7, title, ha="center", va="center", fontsize=_POINTS + 2, parse_math=False)
    write_figure(figure, path)
    return figure


def _rows(tree: SearchTree, dropped: bool) -> list[list[int]]:
    """The nodes of each step from left to right, in the order of their parents, so that no two lines cross."""
    rows = [[0]]
    for step in range(1, tree.steps + 1):
        place = {index: number for number, index in enumerate(rows[-1])}
        shown = [index for index in tree.at(step) if dropped or tree.nodes[index].fate != "dropped"]
        # Sorting is stable: children of one parent stay best first.
        rows.append(sorted(shown, key=lambda index: place[tree.nodes[index].parent]))
    return rows


def _draw_line(
    axes: Axes, tree: SearchTree, index: int, start: tuple[float, float], end: tuple[float, float], wins: bool
) -> None:
    node = tree.nodes[index]
    colour, thickness, style = (_WON, 4.0, "-") if wins else (_ALIVE, 1.6, "-")
    if node.fate == "dropped":
        colour, thickness, style = "#b0b0b0", 1.0, ":"
    if node.draws:
        thickness = 1.2 + 5.0 * node.draws / tree.width
    axes.plot(
        *zip(start, end, strict=True), color=colour, linewidth=thickness, linestyle=style,
        # What was dropped hides neither a line nor a node.
        zorder=0 if node.fate == "dropped" else 2, solid_capstyle="round",
    )  # fmt: skip


def _draw_node(axes: Axes, tree: SearchTree, index: int, label: str, place: tuple[float, float], wins: bool) -> None:
    node = tree.nodes[index]
    frame, weight = _frame(node, wins)
    lines = ["start"] if node.parent < 0 else [label, f"{node.log_probability:.2f}"]
    if node.draws > 1:
        lines[-1] += f"  \u00d7{node.draws}"
    if node.fate == "finished":
        lines.append(f"score {node.score:.2f}")
    if wins and index == tree.ends[0]:
        lines[0] += " \u2605"
    # The outer frame of an end lies below the inner one.
    for padding in (0.42, 0.2) if node.fate == "finished" else (0.2,):
        axes.annotate(
            "\n".join(lines), place, ha="center", va="center", color=_GREY if node.fate == "dropped" else "black",
            weight=weight, parse_math=False, linespacing=1.05, zorder=1 if node.fate == "dropped" else 3,
            bbox={"boxstyle": f"round,pad={padding}", "facecolor": "white", **frame},
        )  # fmt: skip


def _frame(node: SearchNode, wins: bool) -> tuple[dict[str, object], str]:
    """How the box of a node is drawn, and how heavy its letters are."""
    if wins:
        return {"edgecolor": _WON, "linewidth": 2.6}, "bold"
    if node.fate == "dropped":
        return {"edgecolor": "none", "linewidth": 0.0}, "normal"
    return {"edgecolor": _ENDED if node.fate == "finished" else _ALIVE, "linewidth": 1.6}, "normal"


def _caption(tree: SearchTree, dropped: bool) -> str:
    parts = ["below each token: log-probability of the whole hypothesis (nats)"]
    if tree.method == "sampling":
        return parts[0] + "\nthick: many draws;  double frame: an end"
    marks = "thick, with a star: the winner;  double frame: an end"
    return "\n".join([*parts, marks + (";  grey: dropped" if dropped else "")])


def _width_of(tree: SearchTree) -> str:
    if tree.method == "greedy search":
        return ""
    return f", {tree.width} draws" if tree.method == "sampling" else f", beam {tree.width}"
