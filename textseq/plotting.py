"""Plots: the learning curve of a run and the attention of one sequence over another.

Figures are made without pyplot, so nothing global changes and no window opens. Text is drawn in whatever fonts are
installed: characters that the first font lacks are looked up in the others, and what no font can draw is shown as a
box. matplotlib 3.11 and newer orders and joins right-to-left scripts itself; for older ones (Python 3.10) the letters
are put in order here, but Arabic letters stay unjoined.
"""

from __future__ import annotations

import functools
import io
import math
import os
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from textseq.atomic_files import write_atomically
from textseq.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette without its yellow: apart for every kind of colour vision, and each curve has its own marker.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
BASE_FONT = "DejaVu Sans"  # comes with matplotlib
BOX = "\u25a1"
SCORE_NAMES = {"bleu": "BLEU", "chrf": "chrF", "ter": "TER", "f1": "F1"}
# Scripts that need a font of their own are looked up in these first: they are even and come with common systems.
_PREFERRED_FONTS = (
    "Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR", "IPAexGothic",
    "Hiragino Sans", "Hiragino Sans GB", "PingFang SC", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic", "Meiryo",
    "WenQuanYi Zen Hei", "Noto Sans Arabic", "Noto Sans Devanagari", "Noto Sans Ethiopic", "Noto Sans Cherokee",
    "Nirmala UI", "Ebrima", "Gadugi", "Segoe UI", "Kohinoor Devanagari", "Kefa", "Plantagenet Cherokee",
    "Arial Unicode MS",
)  # fmt: skip
_CELL_INCHES = 0.42
_LONGEST_SIDE_INCHES = 60.0
_SHORTEST_BAR_INCHES = 2.0
_LONGEST_LABEL = 32  # characters
_DIRECTION_MARKS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_SHAPES_TEXT = tuple(int(part) for part in matplotlib.__version__.split(".")[:2]) >= (3, 11)


class Plot(Figure):
    """A matplotlib figure that a notebook shows by itself, without pyplot."""

    def _repr_png_(self) -> bytes:
        return _rendered(self, "png")


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
        _kind(path)
    quantity = "perplexity" if any(_finite(record.get("perplexity")) for record in records) else "loss"
    losses = {"training": _series(records, quantity), "validation": _series(records, f"validation_{quantity}")}
    losses = {name: points for name, points in losses.items() if points[0]}
    keys = dict.fromkeys(key for record in records for key in record if key.startswith("validation_"))
    scores = {key: _series(records, key) for key in keys if key not in ("validation_loss", "validation_perplexity")}
    scores = {_score_name(key): points for key, points in scores.items() if points[0]}
    if not losses and not scores:
        raise InputError(
            f"learning curve: {len(records)} records and nothing to draw in them; expected records with 'step' and "
            "one of 'loss', 'perplexity', 'validation_...'"
        )
    panels = [panel for panel in (losses, scores) if panel]
    figure = Plot(figsize=(5.5 * len(panels), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    with matplotlib.rc_context(_style()):
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
    _write(figure, path)
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
        _kind(path)
    attention = np.asarray(attention)
    if attention.shape != (len(target_pieces), len(source_pieces)) or attention.size == 0:
        raise InputError(
            f"attention: received shape {attention.shape}; expected (target, source) = "
            f"({len(target_pieces)}, {len(source_pieces)}), one row and one column or more"
        )
    rows, columns = attention.shape
    cell = min(_CELL_INCHES, _LONGEST_SIDE_INCHES / max(rows, columns))
    size = max(2.0, 13 * cell / _CELL_INCHES)
    with matplotlib.rc_context(_style([*source_pieces, *target_pieces], size)):
        across_labels, down_labels = _labels(source_pieces), _labels(target_pieces)
        axes, bar_axes = _heat_map_axes(columns * cell, rows * cell, across_labels, down_labels, size)
        image = axes.imshow(attention, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto", interpolation="nearest")
        across = reads_right_to_left(source_pieces)
        if across:
            axes.invert_xaxis()
        # Without parse_math=False a pair of dollar signs would be read as a formula.
        axes.set_xticks(range(columns), across_labels, rotation=90, parse_math=False)
        axes.set_yticks(range(rows), down_labels, parse_math=False)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("source (read from right to left)" if across else "source")
        axes.set_ylabel("target")
        axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="#e4e4e4", linewidth=0.6)
        axes.tick_params(which="both", length=0)
        bar_axes.figure.colorbar(image, cax=bar_axes, label="attention weight")
    figure = cast(Plot, axes.figure)
    _write(figure, path)
    return figure


def visible_text(text: str) -> str:
    r"""`text` with everything made visible that would draw nothing or disturb the layout around it.

    Control characters become their pictures, lone surrogates U+FFFD, and marks that change the direction of text
    their names in brackets. Everything else, combining marks and joiners included, stays.

    Example:
        >>> visible_text("a\tb\u202ec")
        'a␉b[U+202E]c'
    """
    return "".join(_visible_character(character) for character in text)


def reads_right_to_left(texts: Sequence[str]) -> bool:
    """Whether most of the letters are of a script that is written from right to left, such as Arabic or Hebrew."""
    classes = [unicodedata.bidirectional(character) for text in texts if text != "</s>" for character in text]
    return sum(kind in ("R", "AL") for kind in classes) > sum(kind == "L" for kind in classes)


def _visible_character(character: str) -> str:
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    if 0x80 <= code <= 0x9F or unicodedata.bidirectional(character) in _DIRECTION_MARKS or code in (0x2028, 0x2029):
        return f"[U+{code:04X}]"
    return character


def _drawable_text(text: str) -> str:
    """`visible_text` with a box for each character that no font can draw, in the order that matplotlib needs."""
    drawable = "".join(
        character if character.isspace() or _font_for(character) else BOX for character in visible_text(text)
    )
    if _SHAPES_TEXT or not reads_right_to_left([drawable]):
        return drawable
    clusters: list[str] = []
    for character in drawable:
        if clusters and unicodedata.combining(character):
            clusters[-1] += character
        else:
            clusters.append(character)
    return "".join(reversed(clusters))


@functools.lru_cache(maxsize=65536)
def _font_for(character: str) -> str | None:
    """The first font family that can draw the character; None where there is none."""
    for family, file in _font_files():
        font = _opened(file)
        if font is not None and font.get_char_index(ord(character)):
            return family
    return None


@functools.lru_cache(maxsize=1)
def _font_files() -> tuple[tuple[str, str], ...]:
    """One upright, regular file of each installed family: matplotlib's own first, then the preferred ones."""
    files: dict[str, str] = {}
    for entry in font_manager.fontManager.ttflist:
        # "Last Resort" draws a box for anything; matplotlib's mathematical fonts encode letters in their own way.
        special = entry.name.startswith(("Last Resort", "STIX", "cm", "DejaVu Math", "DejaVu Sans Display"))
        if entry.style == "normal" and entry.weight in (400, "normal", "regular") and not special:
            files.setdefault(entry.name, entry.fname)
    first = [BASE_FONT, *_PREFERRED_FONTS]
    order = [name for name in first if name in files] + sorted(files.keys() - set(first))
    return tuple((name, files[name]) for name in order)


@functools.lru_cache(maxsize=256)
def _opened(file: str) -> Any:
    try:
        return font_manager.get_font(file)
    except (OSError, RuntimeError):  # a font that is damaged, or of bitmaps only
        return None


def _style(texts: Sequence[str] = (), font_size: float = 13) -> Any:
    """Settings under which a plot is drawn, with the fonts that `texts` need."""
    needed = {_font_for(character) for text in texts for character in visible_text(text)}
    families = [BASE_FONT, *sorted(family for family in needed if family and family != BASE_FONT)]
    return {"font.family": families, "font.size": font_size, "text.usetex": False, "svg.fonttype": "path"}


def _labels(pieces: Sequence[str]) -> list[str]:
    shown = [_drawable_text(piece) for piece in pieces]
    return [label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "\u2026" for label in shown]


def _heat_map_axes(
    width: float, height: float, across: Sequence[str], down: Sequence[str], font_size: float
) -> tuple[Axes, Axes]:
    """Axes for a map of this size in inches and for its colour bar, with room for the labels around them."""
    letter = font_size / 72  # wide enough for a Chinese character
    left, top = (0.6 + letter * max(map(len, labels)) for labels in (down, across))
    bar = max(_SHORTEST_BAR_INCHES, min(4.0, height))
    figure_width, figure_height = left + width + 1.5, top + max(height, bar) + 0.2
    figure = Plot(figsize=(figure_width, figure_height))
    FigureCanvasAgg(figure)

    def placed(x: float, box_width: float, box_height: float) -> Axes:
        bottom = figure_height - top - box_height
        return figure.add_axes(
            (x / figure_width, bottom / figure_height, box_width / figure_width, box_height / figure_height)
        )

    return placed(left, width, height), placed(left + width + 0.3, 0.25, bar)


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _series(records: Sequence[Mapping[str, Any]], key: str) -> tuple[list[int], list[float]]:
    """Steps and values of one key, by step; the last record counts where a step was recorded twice."""
    points = {r["step"]: r[key] for r in records if _finite(r.get("step")) and _finite(r.get(key))}
    steps = sorted(points)
    return steps, [float(points[step]) for step in steps]


def _score_name(key: str) -> str:
    name = key.removeprefix("validation_")
    return SCORE_NAMES.get(name, name.replace("_", " "))


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
        # Of the scores only the error rate falls as things get better.
        best = min(values) if name == "TER" else max(values)
        axes.plot(
            steps, values, color=COLOURS[number % len(COLOURS)], marker=MARKERS[number % len(MARKERS)], markersize=5,
            linewidth=2, label=f"{name}, best {best:.4g}",
        )  # fmt: skip
        axes.plot(
            [steps[values.index(best)]], [best], color=COLOURS[number % len(COLOURS)], linestyle="none",
            marker="o", markersize=12, fillstyle="none", markeredgewidth=1.8,
        )  # fmt: skip
    axes.set_ylabel("validation score")


def _rendered(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    # "tight": no label is cut off, however wide its letters are, and no margin is left over.
    figure.savefig(buffer, format=kind, dpi=150, bbox_inches="tight", pad_inches=0.1)
    return buffer.getvalue()


def _write(figure: Figure, path: str | os.PathLike[str] | None) -> None:
    if path is not None:
        write_atomically(path, _rendered(figure, _kind(path)))


def _kind(path: str | os.PathLike[str]) -> str:
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in ("png", "svg", "pdf"):
        raise InputError(f"{os.fspath(path)}: received the ending '.{kind}'; a plot is written as .png, .svg or .pdf")
    return kind
