"""Bars in groups: a few numbers side by side, each written above its bar."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg

from textseq.errors import InputError
from textseq.figures import (
    COLOURS,
    LONGEST_SIDE_INCHES,
    Plot,
    drawable_text,
    plot_style,
    require_plot_ending,
    write_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Groups = Mapping[str, Mapping[str, float]]

# Bars differ in more than their colour.
_HATCHES = ("", "//", "..", "\\\\", "xx", "--", "oo")
_GROUP_SHARE = 0.8  # of the room of a group; the rest parts it from the next
_BAR_INCHES = 0.62
_LETTER_INCHES = 0.115


def bar_plot(
    groups: Groups,
    *,
    y_label: str,
    title: str = "",
    errors: Groups | None = None,
    path: str | os.PathLike[str] | None = None,
) -> Plot:
    """Draws numbers as bars from zero: groups side by side, in each group the same bars in the same colours.

    Args:
        groups: by the name of the group, which stands below it: the bars by name, which the legend shows. A group may
            lack bars that others have. Bars of one name only need no legend and get none. At most seven names.
        y_label: what the numbers are, with their unit.
        title: above the bars.
        errors: of some or all of the bars, how far they may be wrong in either direction, drawn as a line through the
            top of the bar.
        path: a file to write too, .png, .svg or .pdf; None writes nothing.

    Returns:
        The figure. Its width follows the number of bars.

    Raises:
        InputError: no bar; more than seven names; a number that is not finite; an error below 0 or of a bar that is
            not there; or an ending other than .png, .svg or .pdf.
        OutputError: the file cannot be written.

    Example:
        >>> figure = bar_plot({"1 hour": {"naive": 4.0, "GRU": 1.5}, "1 day": {"naive": 9.0}}, y_label="squared error")
    """
    if path is not None:
        require_plot_ending(path)
    names = _checked_names(groups, errors or {})
    bars = sum(len(group) for group in groups.values())
    letters = sum(max(map(len, [*textwrap.wrap(group, 18), ""])) + 2 for group in groups)
    width = 1.6 + max(_BAR_INCHES * (bars + len(groups)), _LETTER_INCHES * letters)
    figure = Plot(figsize=(min(LONGEST_SIDE_INCHES, max(5.5, width)), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    with matplotlib.rc_context(plot_style([*groups, *names, title, y_label])):
        axes = figure.add_subplot()
        _draw_bars(axes, groups, names, errors or {})
        labels = ["\n".join(textwrap.wrap(drawable_text(group), 18)) for group in groups]
        # Without parse_math=False a pair of dollar signs would be read as a formula.
        axes.set_xticks(range(len(groups)), labels, parse_math=False)
        axes.tick_params(axis="x", length=0)
        axes.set_ylabel(drawable_text(y_label), parse_math=False)
        axes.set_title(drawable_text(title), parse_math=False, loc="left", fontsize=14)
        axes.axhline(0, color="#333333", linewidth=1)
        axes.margins(x=0.02, y=0.14 if len(names) == 1 else 0.24)
        axes.grid(True, axis="y", color="#dddddd", linewidth=0.8)
        axes.set_axisbelow(True)
        _end_ticks_with_the_bars(axes)
        axes.spines[["top", "right"]].set_visible(False)
        if len(names) > 1:
            legend = axes.legend(frameon=False, ncols=min(len(names), 4), loc="best")
            for text in legend.get_texts():
                text.set_parse_math(False)
    write_figure(figure, path)
    return figure


def _draw_bars(axes: Axes, groups: Groups, names: list[str], errors: Groups) -> None:
    width = _GROUP_SHARE / len(names)
    for number, name in enumerate(names):
        present = [(place, group) for place, group in enumerate(groups) if name in groups[group]]
        # A group that lacks bars has those that it has side by side, in its middle.
        places = [place + width * _shift(list(groups[group]), name, names) for place, group in present]
        values = [float(groups[group][name]) for _, group in present]
        spreads = [float(errors.get(group, {}).get(name, math.nan)) for _, group in present]
        bars = axes.bar(
            places, values, 0.94 * width, label=drawable_text(name), color=COLOURS[number], hatch=_HATCHES[number],
            edgecolor="white", linewidth=0.8, yerr=None if all(map(math.isnan, spreads)) else spreads,
            error_kw={"ecolor": "#222222", "elinewidth": 1.5, "capsize": 4},
        )  # fmt: skip
        axes.bar_label(bars, [_short(value) for value in values], padding=2, fontsize=11)


def _end_ticks_with_the_bars(axes: Axes) -> None:
    """Takes the ticks away that only the room for numbers and legend has, such as 120 %."""
    ticks = axes.get_yticks()
    lowest, highest = axes.dataLim.intervaly
    beyond = (ticks[1] - ticks[0]) / 2
    axes.set_yticks([tick for tick in ticks if lowest - beyond < tick < highest + beyond])


def _shift(present: list[str], name: str, names: list[str]) -> float:
    """How many bars away from the middle of its group a bar stands."""
    order = [other for other in names if other in present]
    return order.index(name) - (len(order) - 1) / 2


def _short(value: float) -> str:
    """Three digits, and no exponent for thousands."""
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _checked_names(groups: Groups, errors: Groups) -> list[str]:
    """The names of the bars, in the order in which they come first."""
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    if not 1 <= len(names) <= len(COLOURS):
        raise InputError(f"bar plot: received bars of {len(names)} names; expected 1 to {len(COLOURS)}")
    for group, values in groups.items():
        for name, value in values.items():
            if not math.isfinite(value):
                raise InputError(f"bar plot: {group}, {name}: received {value}; expected a finite number")
    for group, spreads in errors.items():
        for name, spread in spreads.items():
            if name not in groups.get(group, {}):
                raise InputError(f"bar plot: received an error of {group}, {name}; expected one of a bar that is drawn")
            if not (math.isfinite(spread) and spread >= 0):
                raise InputError(f"bar plot: {group}, {name}: received an error of {spread}; expected 0 or more")
    return names
