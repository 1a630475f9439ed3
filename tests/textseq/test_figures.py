"""What plots share: fonts for any script, text that can be drawn, files written whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq import figures
from textseq.errors import InputError, OutputError
from textseq.figures import Plot, drawable_labels, reads_right_to_left, require_plot_ending, visible_text, write_figure
from textseq.plotting import attention_heat_map


def weights(rows: int, columns: int) -> np.ndarray:
    return np.full((rows, columns), 1 / columns)


def test_a_font_is_taken_from_those_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert figures._font_for("ü") == "DejaVu Sans"
    assert figures._font_for("\U0010ffff") is None
    # A font with letters that DejaVu Sans lacks stands for one that a user installs.
    monkeypatch.setattr(figures, "_font_for", lambda character: "STIXGeneral" if character == "ü" else "DejaVu Sans")
    figure = attention_heat_map(weights(1, 1), ["ü"], ["x"])
    assert figure.axes[0].get_xticklabels()[0].get_fontfamily() == ["DejaVu Sans", "STIXGeneral"]


def test_damaged_fonts_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "damaged.ttf").write_bytes(b"no font")
    assert figures._opened(str(tmp_path / "damaged.ttf")) is None
    assert figures._opened(str(tmp_path / "missing.ttf")) is None


@given(st.text())
def test_visible_text_holds_nothing_that_disturbs(text: str) -> None:
    shown = visible_text(text)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in shown)
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029") & set(shown)
    assert visible_text(shown) == shown
    if text.isprintable():
        assert shown == text


def test_reading_direction() -> None:
    assert reads_right_to_left(["▁الرجل", "5", "</s>"])
    assert reads_right_to_left(["▁שלום"])
    assert not reads_right_to_left(["▁a", "</s>"])
    assert not reads_right_to_left(["", "5", "▁", "</s>"])


def test_labels_are_cut_short_and_made_visible() -> None:
    assert drawable_labels(["a\u202eb", "m" * 32, "m" * 33]) == ["a[U+202E]b", "m" * 32, "m" * 31 + "…"]


def test_a_figure_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    figure = Plot(figsize=(1, 1))
    write_figure(figure, None)
    for ending, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        write_figure(figure, tmp_path / f"figure.{ending.upper()}")
        assert (tmp_path / f"figure.{ending.upper()}").read_bytes().startswith(start)
    with pytest.raises(OutputError, match="missing"):
        write_figure(figure, tmp_path / "missing" / "figure.png")
    assert require_plot_ending("a.b/c.PDF") == "pdf"
    with pytest.raises(InputError, match=r"c.jpg: received the ending '.jpg'; a plot is written as .png, .svg or .pdf"):
        write_figure(figure, tmp_path / "c.jpg")
