"""The reliability diagram: whether predictions are right as often as their probabilities say."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.ticker import PercentFormatter

from textseq.errors import InputError
from textseq.figures import COLOURS, MARKERS, Plot, plot_style, require_plot_ending, write_figure

if TYPE_CHECKING:
    import numpy.typing as npt

Bin = tuple[int, float, float]
_LINES = ("-", "--", ":", "-.")


def reliability_plot(curves: Mapping[str, Sequence[Bin]], path: str | os.PathLike[str] | None = None) -> Plot:
    """Draws how often predictions are right, by the probability that was given to them (Guo et al. 2017).

    A point stands for the predictions of one bin of probabilities: across their mean probability, up the share of
    them that is right, with its 95 % interval (Wilson 1927). On the diagonal, probabilities are as good as their word;
    below it they promise too much. The lower panel shows how many predictions each bin holds.

    Args:
        curves: by name, such as "before" and "after": the bins, which divide the probabilities from 0 to 1 into equal
            parts; of each, how many predictions it holds, their mean probability, and the share of them that is right,
            both from 0 to 1. At most four curves.
        path: a file to write too, .png, .svg or .pdf; None writes nothing.

    Returns:
        The figure.

    Raises:
        InputError: no curve, or more than four; no predictions; negative counts; probabilities or shares outside 0 to
            1; or an ending other than .png, .svg or .pdf.
        OutputError: the file cannot be written.

    Example:
        >>> figure = reliability_plot({"after": [(0, 0.0, 0.0), (40, 0.8, 0.75)]})
    """
    if path is not None:
        require_plot_ending(path)
    if not 1 <= len(curves) <= len(_LINES):
        raise InputError(f"reliability: received {len(curves)} curves; expected 1 to {len(_LINES)}")
    checked = {name: _checked(name, bins) for name, bins in curves.items()}
    figure = Plot(figsize=(6.4, 6.8), layout="constrained")
    FigureCanvasAgg(figure)
    lowest = min(np.flatnonzero(counts)[0] / len(counts) for counts, _, _ in checked.values())
    with matplotlib.rc_context(plot_style(list(curves))):
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        upper.plot([0, 1], [0, 1], color="#767676", linewidth=1.2, linestyle=":", label="right as often as it says")
        for number, (name, (counts, means, shares)) in enumerate(checked.items()):
            filled = counts > 0
            upper.errorbar(
                means[filled], shares[filled], yerr=_margins(shares[filled], counts[filled]), color=COLOURS[number],
                capsize=3, marker=MARKERS[number], linestyle=_LINES[number], linewidth=2, elinewidth=1.2, markersize=7,
                label=name,
            )  # fmt: skip
            edges = np.linspace(0, 1, len(counts) + 1)
            lower.stairs(counts / counts.sum(), edges, color=COLOURS[number], linestyle=_LINES[number], linewidth=2)
        upper.set_ylabel("predictions that are right")
        upper.set_ylim(-0.02, 1.02)
        lower.set_ylabel("predictions")
        lower.set_xlabel("probability of the prediction")
        lower.set_xlim(lowest, 1.01)
        lower.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
        for axes in (upper, lower):
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
            axes.grid(True, color="#dddddd", linewidth=0.8)
            axes.set_axisbelow(True)
        # Outside: a curve may run anywhere.
        legend = upper.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2)
        for text in legend.get_texts():
            text.set_parse_math(False)
    write_figure(figure, path)
    return figure


def _checked(
    name: str, bins: Sequence[Bin]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Counts, mean probabilities and shares of right predictions, float64[bins] each."""
    table = np.asarray(bins, np.float64)
    if table.ndim != 2 or table.shape[1] != 3 or not (table[:, 0] >= 0).all() or not table[:, 0].sum() > 0:
        raise InputError(
            f"{name}: received bins of shape {list(table.shape)}; expected (count, probability, share right) of each, "
            "and one prediction or more"
        )
    if not ((table[:, 1:] >= 0) & (table[:, 1:] <= 1)).all():
        raise InputError(f"{name}: received a probability or a share that is not from 0 to 1")
    return table[:, 0], table[:, 1], table[:, 2]


def _margins(shares: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """float[2, bins]: how far each share may be too high, and too low, at 95 % (Wilson's score interval)."""
    spread = 1.959964**2 / counts
    middle = (shares + spread / 2) / (1 + spread)
    half = np.sqrt(spread * shares * (1 - shares) + spread**2 / 4) / (1 + spread)
    return np.maximum(0, np.stack([shares - (middle - half), middle + half - shares]))
