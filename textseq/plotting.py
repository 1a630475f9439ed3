"""Plots: the learning curve of a run and the attention of one sequence over another."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from textseq.errors import InputError
from textseq.figures import (
    COLOURS,
    LONGEST_SIDE_INCHES,
    MARKERS,
    Plot,
    plot_style,
    require_plot_ending,
    write_figure,
)
from textseq.heat_map_plot import heat_map
from textseq.metric_names import display_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of the scores only errors fall as things get better.
_ERRORS = frozenset({"TER", "ECE"})


def learning_curve(records: Sequence[Mapping[str, Any]], path: str | os.PathLike[str] | None = None) -> Plot:
    """Draws the loss and the validation scores over the steps of a run.

    Args:
        records: the records of metrics.jsonl, in any order: training records with "step", "loss" and "perplexity",
            validation records with "step", "validation_loss", "validation_perplexity" and scores such as
            "validation_bleu". Every further key that starts with "validation_" is a score and gets a curve. Values that
            are missing or not finite are left out.
        path: a file to write too, .png, .svg or .pdf; None writes nothing.

    Returns:
        The figure: perplexity (or loss, where records have no perplexity) on the left, scores on the right, the
        best value of each score marked.

    Raises:
        InputError: no record holds anything to draw, or an ending other than .png, .svg or .pdf.
        OutputError: the file cannot be written.

    Example:
        >>> records = [{"step": 1, "loss": 4.0}, {"step": 1, "validation_loss": 4.2, "validation_bleu": 0.3}]
        >>> figure = learning_curve(records)
    """
    if path is not None:
        require_plot_ending(path)
    quantity = "perplexity" if any(_finite(record.get("perplexity")) for record in records) else "loss"
    losses = {"training": _series(records, quantity), "validation": _series(records, f"validation_{quantity}")}
    losses = {name: points for name, points in losses.items() if points[0]}
    keys = dict.fromkeys(key for record in records for key in record if key.startswith("validation_"))
    scores = {key: _series(records, key) for key in keys if key not in ("validation_loss", "validation_perplexity")}
    scores = {display_name(key.removeprefix("validation_")): points for key, points in scores.items() if points[0]}
    if not losses and not scores:
        raise InputError(
            f"learning curve: {len(records)} records and nothing to draw in them; expected records with 'step' and "
            "one of 'loss', 'perplexity', 'validation_...'"
        )
    panels = [panel for panel in (losses, scores) if panel]
    figure = Plot(figsize=(5.5 * len(panels), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    with matplotlib.rc_context(plot_style()):
        for number, panel in enumerate(panels, start=1):
            axes = figure.add_subplot(1, len(panels), number)
            if panel is losses:
                _draw_losses(axes, panel, quantity)
            else:
                _draw_scores(axes, panel)
            axes.set_xlabel("step")
            axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
            axes.grid(True, color="#dddddd", linewidth=0.8)
            axes.set_axisbelow(True)
            axes.legend(frameon=False)
    write_figure(figure, path)
    return figure


def attention_heat_map(
    attention: np.ndarray,
    source_pieces: Sequence[str],
    target_pieces: Sequence[str],
    path: str | os.PathLike[str] | None = None,
) -> Plot:
    """Draws attention weights: source pieces across, target pieces down, a darker cell for a greater weight.

    An axis whose text is written from right to left runs from right to left (the source) too, so that it can be read.

    Args:
        attention: float[target, source], weights from 0 to 1.
        source_pieces: the label of each column.
        target_pieces: the label of each row.
        path: a file to write too, .png, .svg or .pdf; None writes nothing.

    Returns:
        The figure. Its size follows the number of pieces.

    Raises:
        InputError: the shape does not fit the pieces, there are none, or an ending other than .png, .svg or .pdf.
        OutputError: the file cannot be written.

    Example:
        >>> figure = attention_heat_map(np.eye(2), ["▁Guten", "▁Tag"], ["▁Good", "▁day"])
    """
    if path is not None:
        require_plot_ending(path)
    attention = np.asarray(attention)
    if attention.shape != (len(target_pieces), len(source_pieces)) or attention.size == 0:
        raise InputError(
            f"attention: received shape {attention.shape}; expected (target, source) = "
            f"({len(target_pieces)}, {len(source_pieces)}), one row and one column or more"
        )
    return heat_map(
        attention,
        target_pieces,
        source_pieces,
        colour_label="attention weight",
        limits=(0.0, 1.0),
        x_label="source",
        y_label="target",
        side_inches=LONGEST_SIDE_INCHES,
        path=path,
    )


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _series(records: Sequence[Mapping[str, Any]], key: str) -> tuple[list[int], list[float]]:
    """Steps and values of one key, by step; the last record counts where a step was recorded twice."""
    points = {r["step"]: r[key] for r in records if _finite(r.get("step")) and _finite(r.get(key))}
    steps = sorted(points)
    return steps, [float(points[step]) for step in steps]


def _draw_losses(axes: Axes, panel: dict[str, tuple[list[int], list[float]]], quantity: str) -> None:
    for (name, (steps, values)), colour in zip(panel.items(), COLOURS, strict=False):
        validation = name == "validation"
        axes.plot(
            steps, values, color=colour, label=name, linewidth=2.2 if validation else 1.3,
            linestyle="--" if validation else "-", marker="o" if validation or len(steps) == 1 else None, markersize=5,
        )  # fmt: skip
    if quantity == "perplexity":
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.set_ylabel("perplexity (logarithmic)")
    else:
        axes.set_ylabel("loss (nats)")


def _draw_scores(axes: Axes, panel: dict[str, tuple[list[int], list[float]]]) -> None:
    for number, (name, (steps, values)) in enumerate(panel.items()):
        best = min(values) if name in _ERRORS or name.endswith("perplexity") else max(values)
        axes.plot(
            steps, values, color=COLOURS[number % len(COLOURS)], marker=MARKERS[number % len(MARKERS)], markersize=5,
            linewidth=2, label=f"{name}, best {best:.4g}",
        )  # fmt: skip
        axes.plot(
            [steps[values.index(best)]], [best], color=COLOURS[number % len(COLOURS)], linestyle="none",
            marker="o", markersize=12, fillstyle="none", markeredgewidth=1.8,
        )  # fmt: skip
    axes.set_ylabel("validation score")
