"""Curves over a common axis as a plot."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter, NullLocator, ScalarFormatter

from textseq.errors import InputError
from textseq.figures import (
    COLOURS,
    MARKERS,
    Plot,
    drawable_text,
    plot_style,
    require_plot_ending,
    write_figure,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

Curve = tuple["npt.ArrayLike", "npt.ArrayLike"]
_LINES = ("-", "--", ":", "-.")
_MOST_MARKERS = 20  # of one curve
_FEW_PLACES = 10
_APART = 1.35
_PLAIN = (1e-3, 1e6)
_WIDE = 100.0  # largest over smallest from which powers of ten are ticks enough
_NARROW = 8.0


def line_plot(
    curves: Mapping[str, Curve],
    *,
    x_label: str,
    y_label: str,
    title: str = "",
    logarithmic: str = "",
    markers: bool = True,
    path: str | os.PathLike[str] | None = None,
) -> Plot:
    """Draws curves, each in its own colour and with its own marker (or, without markers, its own kind of line).

    Values that are not finite, and on a logarithmic axis those that are not above zero, leave a gap in their curve. A
    curve of many points has a marker at some of them.

    Args:
        curves: by the name that stands in the legend: the places across and the values up, float[points] each. A
            single curve of the name "" needs no legend.
        x_label: what runs across, with its unit.
        y_label: what runs up, with its unit.
        title: what stands above; may hold line breaks.
        logarithmic: the axes with a logarithmic scale: "", "x", "y" or "xy".
        markers: whether points are marked.
        path: a file to write too, .png, .svg or .pdf; None writes nothing.

    Returns:
        The figure.

    Raises:
        InputError: no curve, a curve whose lengths differ or with nothing to draw, an unknown `logarithmic`, or an
            ending other than .png, .svg or .pdf.
        OutputError: the file cannot be written.

    Example:
        >>> figure = line_plot({"loss": ([1, 2, 3], [4.0, 2.0, 1.5])}, x_label="epoch", y_label="loss (nats)")
    """
    if path is not None:
        require_plot_ending(path)
    if logarithmic not in ("", "x", "y", "xy"):
        raise InputError(f"line plot: received logarithmic={logarithmic!r}; expected '', 'x', 'y' or 'xy'")
    if not curves:
        raise InputError("line plot: received no curve; expected one or more")
    checked = {name: _checked(name, curve, logarithmic) for name, curve in curves.items()}
    figure = Plot(figsize=(7.2, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    with matplotlib.rc_context(plot_style([*curves, x_label, y_label, title])):
        axes = figure.add_subplot()
        for number, (name, (places, values)) in enumerate(checked.items()):
            repeats = number // len(COLOURS) if markers else number
            axes.plot(
                places, values, color=COLOURS[number % len(COLOURS)], linewidth=2, label=drawable_text(name),
                linestyle=_LINES[repeats % len(_LINES)], marker=MARKERS[number % len(MARKERS)] if markers else None,
                markersize=6, markevery=max(1, -(-len(places) // _MOST_MARKERS)),
            )  # fmt: skip
        _scale(axes, [places for places, _ in checked.values()], logarithmic)
        # Without parse_math=False a pair of dollar signs would be read as a formula.
        axes.set_xlabel(drawable_text(x_label), parse_math=False)
        axes.set_ylabel(drawable_text(y_label), parse_math=False)
        if title:
            lines = [drawable_text(line) for line in title.split("\n")]
            axes.set_title("\n".join(lines), parse_math=False, loc="left", fontsize=14)
        axes.grid(True, color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
        if list(curves) != [""]:
            for text in axes.legend(frameon=True, framealpha=0.85, edgecolor="none", fontsize=12).get_texts():
                text.set_parse_math(False)
    write_figure(figure, path)
    return figure


def _checked(name: str, curve: Curve, logarithmic: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Places and values, float64[points] each, NaN where nothing can be drawn."""
    places, values = (np.array(axis, np.float64) for axis in curve)
    if places.ndim != 1 or places.shape != values.shape:
        raise InputError(
            f"curve '{name}': received places of shape {places.shape} and values of shape {values.shape}; expected as "
            "many of one as of the other"
        )
    for axis, numbers in (("x", places), ("y", values)):
        numbers[~np.isfinite(numbers)] = np.nan
        if axis in logarithmic:
            numbers[np.less_equal(numbers, 0)] = np.nan
    if not np.isfinite(places + values).any():
        above = ", above zero on a logarithmic axis" if logarithmic else ""
        raise InputError(f"curve '{name}': nothing to draw in {len(places)} points; expected finite numbers{above}")
    return places, values


def _scale(axes: Axes, places: list[npt.NDArray[np.float64]], logarithmic: str) -> None:
    if "y" in logarithmic:
        axes.set_yscale("log")
        _plain_ticks(axes.yaxis)
    every = np.unique(np.concatenate(places))
    every = every[np.isfinite(every)]
    if "x" in logarithmic:
        axes.set_xscale("log")
        _plain_ticks(axes.xaxis)
        # Few places that do not crowd are the ticks: 10, 20, 50, 100 says more than powers of ten.
        if len(every) <= _FEW_PLACES and (every[1:] >= _APART * every[:-1]).all():
            axes.xaxis.set_major_locator(FixedLocator(every.tolist()))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_formatter(ScalarFormatter())
    elif (every == np.round(every)).all():
        axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))


def _plain_ticks(axis: Axis) -> None:
    """Writes 200, 500, 1000 along a logarithmic axis that is short, where matplotlib would write powers of ten."""
    low, high = axis.get_view_interval()
    if not (_PLAIN[0] <= low and high <= _PLAIN[1] and high < _WIDE * low):
        return
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)) if high > _NARROW * low else MaxNLocator(6, steps=(1, 2, 5, 10)))
    axis.set_major_formatter(lambda value, _: f"{value:.6g}")
    axis.set_minor_formatter(NullFormatter())
