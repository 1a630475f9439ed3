"""What all plots share: a figure that a notebook shows, colours, fonts for any script, files.

Figures are made without pyplot, so nothing global changes and no window opens. Text is drawn in whatever fonts are
installed: characters that the first font lacks are looked up in the others, and what no font can draw is shown as a
box. matplotlib 3.11 and newer orders and joins right-to-left scripts itself; for older ones (Python 3.10) the letters
are put in order here, but Arabic letters stay unjoined.
"""

from __future__ import annotations

import functools
import io
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from textseq.atomic_files import write_atomically
from textseq.errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette without its yellow: apart for every kind of colour vision, and each curve has its own marker.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
BASE_FONT = "DejaVu Sans"  # comes with matplotlib
BOX = "\u25a1"
# Scripts that need a font of their own are looked up in these first: they are even and come with common systems.
_PREFERRED_FONTS = (
    "Noto Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR", "IPAexGothic",
    "Hiragino Sans", "Hiragino Sans GB", "PingFang SC", "Yu Gothic", "Microsoft YaHei", "Malgun Gothic", "Meiryo",
    "WenQuanYi Zen Hei", "Noto Sans Arabic", "Noto Sans Devanagari", "Noto Sans Ethiopic", "Noto Sans Cherokee",
    "Nirmala UI", "Ebrima", "Gadugi", "Segoe UI", "Kohinoor Devanagari", "Kefa", "Plantagenet Cherokee",
    "Arial Unicode MS",
)  # fmt: skip
LONGEST_SIDE_INCHES = 60.0
_SHORTEST_BAR_INCHES = 2.0
_LONGEST_LABEL = 32  # characters
_DIRECTION_MARKS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_SHAPES_TEXT = tuple(int(part) for part in matplotlib.__version__.split(".")[:2]) >= (3, 11)


class Plot(Figure):
    """A matplotlib figure that a notebook shows by itself, without pyplot."""

    def _repr_png_(self) -> bytes:
        return _rendered(self, "png")


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


def drawable_text(text: str) -> str:
    """The `visible_text` with a box for each character that no font can draw, in the order that matplotlib needs."""
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


def plot_style(texts: Sequence[str] = (), font_size: float = 13) -> Any:
    """Settings under which a plot is drawn, with the fonts that `texts` need."""
    needed = {_font_for(character) for text in texts for character in visible_text(text)}
    families = [BASE_FONT, *sorted(family for family in needed if family and family != BASE_FONT)]
    return {"font.family": families, "font.size": font_size, "text.usetex": False, "svg.fonttype": "path"}


def drawable_labels(pieces: Sequence[str]) -> list[str]:
    """The texts as labels of an axis: `drawable_text`, long ones cut short."""
    shown = [drawable_text(piece) for piece in pieces]
    return [label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "\u2026" for label in shown]


def heat_map_axes(
    width: float, height: float, across: Sequence[str], down: Sequence[str], font_size: float
) -> tuple[Axes, Axes]:
    """Axes for a map and for its colour bar, on a figure with room for the labels on the left and above.

    Args:
        width: of the map, in inches.
        height: of the map, in inches.
        across: labels above it, written upwards.
        down: labels on its left.
        font_size: of the labels, in points.
    """
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


def _rendered(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    # "tight": no label is cut off, however wide its letters are, and no margin is left over.
    figure.savefig(buffer, format=kind, dpi=150, bbox_inches="tight", pad_inches=0.1)
    return buffer.getvalue()


def write_figure(figure: Figure, path: str | os.PathLike[str] | None) -> None:
    """Writes a figure, whole or not at all; None writes nothing.

    Raises:
        InputError: an ending other than .png, .svg or .pdf.
        OutputError: the file cannot be written.
    """
    if path is not None:
        write_atomically(path, _rendered(figure, require_plot_ending(path)))


def require_plot_ending(path: str | os.PathLike[str]) -> str:
    """The kind of plot that a file name asks for: "png", "svg" or "pdf".

    Raises:
        InputError: another ending.
    """
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in ("png", "svg", "pdf"):
        raise InputError(f"{os.fspath(path)}: received the ending '.{kind}'; a plot is written as .png, .svg or .pdf")
    return kind
