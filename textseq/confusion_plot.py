"""The confusion matrix as a plot: which label was taken for which."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import matplotlib
import numpy as np

from textseq.errors import InputError
from textseq.figures import (
    LONGEST_SIDE_INCHES,
    Plot,
    drawable_labels,
    drawable_text,
    heat_map_axes,
    plot_style,
    require_plot_ending,
    write_figure,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes

# Above each number of labels, the side of a cell in inches and the size of its text in points.
_CELLS = ((0, 1.0, 14.0), (6, 0.8, 12.0), (12, 0.64, 10.5))
_MANY = 12
_SMALLEST_CELL_WITH_TEXT = 0.55
_DARK = 0.55


def confusion_plot(
    counts: npt.ArrayLike,
    labels: Sequence[str],
    path: str | os.PathLike[str] | None = None,
    *,
    title: str = "",
) -> Plot:
    """Draws a confusion matrix: the true label down, the predicted label across, a darker cell for a greater share.

    Each cell shows which share of the texts with its true label it holds, in per cent, and how many they are. The
    diagonal, where prediction and truth agree, is framed. A label without texts has an empty row.

    Args:
        counts: int[labels, labels], texts by true label (row) and predicted label (column).
        labels: the label of each row and column, in any script; long ones are cut short.
        path: a file to write too, .png, .svg or .pdf; None writes nothing.
        title: what stands above, one line.

    Returns:
        The figure. Its size follows the number of labels.

    Raises:
        InputError: the shape does not fit the labels, there are none, counts that are negative or no whole numbers, or
            an ending other than .png, .svg or .pdf.
        OutputError: the file cannot be written.

    Example:
        >>> figure = confusion_plot([[90, 10], [5, 95]], ["negative", "positive"])
    """
    if path is not None:
        require_plot_ending(path)
    matrix = _checked(counts, labels)
    _, inches, size = next(rule for rule in reversed(_CELLS) if len(labels) > rule[0])
    cell = min(inches, LONGEST_SIDE_INCHES / len(labels))
    totals = matrix.sum(axis=1)
    shares = matrix / np.maximum(totals, 1)[:, None]
    side = cell * len(labels)
    with matplotlib.rc_context(plot_style([*labels, title], size)):
        across = drawable_labels(labels)
        down = [f"{label} ({total:,})" for label, total in zip(across, totals.tolist(), strict=True)]
        axes, bar_axes = heat_map_axes(side, side, across, down, size)
        image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto", interpolation="nearest")
        _draw_grid(axes, len(labels))
        upright = max(map(len, across)) * 0.7 * size / 72 > cell
        # Without parse_math=False a pair of dollar signs would be read as a formula.
        axes.set_xticks(range(len(labels)), across, rotation=90 if upright else 0, parse_math=False)
        axes.set_yticks(range(len(labels)), down, parse_math=False)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("predicted label")
        axes.set_ylabel("true label (texts)")
        axes.tick_params(which="both", length=0)
        if title:
            axes.set_title(drawable_text(title), parse_math=False, loc="left", pad=14, fontsize=size + 1)
        if cell >= _SMALLEST_CELL_WITH_TEXT:
            _write_cells(axes, matrix, shares, size)
        bar = bar_axes.figure.colorbar(image, cax=bar_axes, label="share of the row")
        bar.set_ticks([0, 0.25, 0.5, 0.75, 1.0], labels=["0 %", "25 %", "50 %", "75 %", "100 %"])
    figure = cast(Plot, axes.figure)
    write_figure(figure, path)
    return figure


def _checked(counts: npt.ArrayLike, labels: Sequence[str]) -> npt.NDArray[np.int64]:
    matrix = np.asarray(counts)
    if matrix.shape != (len(labels), len(labels)) or matrix.size == 0:
        raise InputError(
            f"confusion matrix: received shape {matrix.shape}; expected (labels, labels) = "
            f"({len(labels)}, {len(labels)}), one label or more"
        )
    if not np.issubdtype(matrix.dtype, np.integer) or matrix.min() < 0:
        received = f"a count of {matrix.min()}" if np.issubdtype(matrix.dtype, np.integer) else str(matrix.dtype)
        raise InputError(f"confusion matrix: received {received}; expected whole numbers of 0 or more")
    return matrix.astype(np.int64)


def _draw_grid(axes: Axes, labels: int) -> None:
    from matplotlib.patches import Rectangle

    axes.set_xticks(np.arange(labels + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(labels + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#d0d0d0", linewidth=0.6)
    for index in range(labels):
        corner = (index - 0.5, index - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="black", linewidth=1.4, zorder=3))


def _write_cells(axes: Axes, matrix: npt.NDArray[np.int64], shares: npt.NDArray[np.float64], size: float) -> None:
    """Writes share and count into each cell; of many labels the empty cells stay blank."""
    for row, column in np.ndindex(*matrix.shape):
        count, share = int(matrix[row, column]), float(shares[row, column])
        if not count:
            if len(matrix) <= _MANY and matrix[row].any():
                axes.text(column, row, "0", ha="center", va="center", color="#767676")
            continue
        colour = "white" if share > _DARK else "black"
        axes.text(column, row - 0.16, _per_cent(share), ha="center", va="center", color=colour)
        axes.text(column, row + 0.22, f"{count:,}", ha="center", va="center", color=colour, fontsize=size * 0.85)


def _per_cent(share: float) -> str:
    if share < 0.01:
        return "<1 %"
    # What is not quite all of them is not shown as 100 %.
    return f"{min(round(100 * share), 99) if share < 1 else 100} %"
