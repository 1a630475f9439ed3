"""A table of numbers as colours: labelled rows and columns, in any script."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import matplotlib
import numpy as np

from textseq.errors import InputError
from textseq.figures import (
    Plot,
    drawable_labels,
    drawable_text,
    heat_map_axes,
    plot_style,
    reads_right_to_left,
    require_plot_ending,
    write_figure,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes

_CELL_INCHES = 0.42
_SIDE_INCHES = 10.0
_FONT, _SMALLEST_FONT = 13.0, 10.0
_LINE_HEIGHT = 1.2
_SMALLEST_CELL_WITH_GRID = 0.15
_NOTHING = "#bdbdbd"


def heat_map(
    values: npt.ArrayLike,
    row_labels: Sequence[str],
    column_labels: Sequence[str],
    *,
    title: str = "",
    colour_label: str = "",
    centre: float | None = None,
    limits: tuple[float, float] | None = None,
    x_label: str = "",
    y_label: str = "",
    side_inches: float = _SIDE_INCHES,
    path: str | os.PathLike[str] | None = None,
) -> Plot:
    """Draws a table: rows down, columns across, a darker cell for a greater value.

    Around a `centre` the colours diverge, as far to both sides: red above, blue below, white at the centre. Values that
    are not finite, such as those of padded places, are grey. Columns whose labels are written from right to left run
    from right to left. Where not every label can be read, every second, third, ... one is written.

    Args:
        values: float[rows, columns].
        row_labels: the label of each row, in any script; long ones are cut short.
        column_labels: the label of each column.
        title: what stands above, one line.
        colour_label: what the colours measure, with its unit.
        centre: the value between two kinds of values, such as 0 for what is positive or negative; None for one scale
            of one colour.
        limits: the values of the lightest and the darkest colour; by default the lowest and the highest value. Around
            a centre, the one that is further from it counts.
        x_label: what the columns are.
        y_label: what the rows are.
        side_inches: what the map itself measures at most, across and down.
        path: a file to write too, .png, .svg or .pdf; None writes nothing.

    Returns:
        The figure. Its size follows the numbers of rows and columns.

    Raises:
        InputError: the shape does not fit the labels, there are none, limits that are not in order, or an ending other
            than .png, .svg or .pdf.
        OutputError: the file cannot be written.

    Example:
        >>> figure = heat_map([[0.1, -0.4]], ["unit 3"], ["not", "good"], colour_label="state", centre=0)
    """
    if path is not None:
        require_plot_ending(path)
    table = np.asarray(values, np.float64)
    rows, columns = len(row_labels), len(column_labels)
    if table.shape != (rows, columns) or table.size == 0:
        raise InputError(
            f"heat map: received shape {table.shape}; expected (rows, columns) = ({rows}, {columns}), one row and one "
            "column or more"
        )
    width, height = (min(_CELL_INCHES, side_inches / count) for count in (columns, rows))
    size = max(_SMALLEST_FONT, min(_FONT, _FONT * min(width, height) / _CELL_INCHES))
    lowest, highest = _limits(table, limits, centre)
    with matplotlib.rc_context(plot_style([*row_labels, *column_labels, title, x_label, y_label, colour_label], size)):
        across, down = drawable_labels(column_labels), drawable_labels(row_labels)
        axes, bar_axes = heat_map_axes(columns * width, rows * height, across, down, size)
        colours = matplotlib.colormaps["Blues" if centre is None else "RdBu_r"].with_extremes(bad=_NOTHING)
        image = axes.imshow(
            np.ma.masked_invalid(table), cmap=colours, vmin=lowest, vmax=highest, aspect="auto", interpolation="nearest"
        )
        right_to_left = reads_right_to_left(column_labels)
        if right_to_left:
            axes.invert_xaxis()
        _write_labels(axes, across, down, (width, height), size)
        _draw_grid(axes, rows, columns, min(width, height))
        suffix = " (read from right to left)" if right_to_left else ""
        axes.set_xlabel(drawable_text(x_label) + suffix, parse_math=False)
        axes.set_ylabel(drawable_text(y_label), parse_math=False)
        if title:
            axes.set_title(drawable_text(title), parse_math=False, loc="left", pad=14, fontsize=size + 1)
        bar = bar_axes.figure.colorbar(image, cax=bar_axes)
        bar.set_label(drawable_text(colour_label), parse_math=False)
    figure = cast(Plot, axes.figure)
    write_figure(figure, path)
    return figure


def _limits(
    table: npt.NDArray[np.float64], limits: tuple[float, float] | None, centre: float | None
) -> tuple[float, float]:
    """The values of the two ends of the colours."""
    finite = table[np.isfinite(table)]
    if limits is None:
        limits = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    elif not limits[0] < limits[1]:
        raise InputError(f"heat map: received the limits {limits[0]} and {limits[1]}; expected the lower one first")
    if centre is None:
        return limits
    spread = max(abs(limit - centre) for limit in limits) or 1.0
    return centre - spread, centre + spread


def _write_labels(
    axes: Axes, across: Sequence[str], down: Sequence[str], cell: tuple[float, float], size: float
) -> None:
    """Writes the labels; upright where a column is too narrow for them."""
    letter = size / 72  # wide enough for a Chinese character
    upright = max(map(len, across)) * letter > cell[0]
    every_column, every_row = (math.ceil(letter * _LINE_HEIGHT / side) for side in cell)
    # Without parse_math=False a pair of dollar signs would be read as a formula.
    axes.set_xticks(
        range(0, len(across), every_column), across[::every_column], rotation=90 if upright else 0, parse_math=False
    )
    axes.set_yticks(range(0, len(down), every_row), down[::every_row], parse_math=False)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")


def _draw_grid(axes: Axes, rows: int, columns: int, cell: float) -> None:
    axes.tick_params(which="both", length=0)
    if cell >= _SMALLEST_CELL_WITH_GRID:
        axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="#e4e4e4", linewidth=0.6)
