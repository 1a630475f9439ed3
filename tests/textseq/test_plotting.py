"""Plots are drawn without warnings (which are errors here), whatever the text, and hold what they were given."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textseq import figures
from textseq.errors import InputError, OutputError
from textseq.figures import BOX
from textseq.plotting import attention_heat_map, learning_curve

ENGLISH = ("▁A", "▁man", "▁sleep", "s", "▁for", "▁$", "5", "▁or", "▁$", "6", ".", "</s>")
SCRIPTS = {
    "German": ("▁Ein", "▁Mann", "▁schläf", "t", ".", "</s>"),
    "Japanese": ("▁", "猫", "が", "眠って", "い", "ます", "。", "</s>"),
    "Arabic": ("▁الرجل", "▁ينام", "▁على", "▁المقعد", ".", "</s>"),
    "Hebrew": ("▁האיש", "▁ישן", ".", "</s>"),
    "Devanagari": ("▁आदमी", "▁सो", "▁रहा", "▁है", "।", "</s>"),
    "Ethiopic": ("▁ሰው", "▁ተኝቷል", "።", "</s>"),
    "Cherokee": ("▁ᎠᏍᎦᏯ", "▁ᎦᎵᎭ", ".", "</s>"),
    "Vietnamese": ("▁Người", "▁đàn", "▁ông", "▁ngủ", ".", "</s>"),
    "emoji": ("▁😀", "👩\u200d🚀", "<0xF0>", "</s>"),
    "odd": ("\x00", "\t\n", "\u202eabc", "\ud800", "$x^2$", "\\alpha", "", "a\u0301\u0302", "\U0010ffff"),
}
RECORDS: list[dict[str, Any]] = [
    *({"step": s, "epoch": 0, "loss": 9 / s, "perplexity": math.exp(9 / s)} for s in range(10, 100, 10)),
    {
        "step": 50,
        "epoch": 1,
        "validation_loss": 0.4,
        "validation_perplexity": 1.5,
        "validation_bleu": 31.0,
        "validation_chrf": 50.0,
    },
    {
        "step": 90,
        "epoch": 2,
        "validation_loss": 0.3,
        "validation_perplexity": 1.3,
        "validation_bleu": 30.5,
        "validation_chrf": 52.5,
    },
]


def weights(rows: int, columns: int) -> np.ndarray:
    values = np.random.RandomState(7).rand(rows, columns).astype(np.float32)
    return values / values.sum(axis=1, keepdims=True)


def legend(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def labels(axis: Any) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


@pytest.mark.parametrize("script", SCRIPTS)
def test_heat_map_of_every_script_is_drawn_without_a_warning(script: str, tmp_path: Path) -> None:
    pieces = SCRIPTS[script]
    for number, (source, target) in enumerate([(pieces, ENGLISH), (ENGLISH, pieces)]):
        path = tmp_path / f"{number}.png"
        attention_heat_map(weights(len(target), len(source)), source, target, path)
        assert matplotlib.image.imread(path).ndim == 3


def test_heat_map_shows_the_weights_and_the_pieces() -> None:
    attention = weights(len(SCRIPTS["German"]), len(ENGLISH))
    axes, bar = attention_heat_map(attention, ENGLISH, SCRIPTS["German"]).axes
    np.testing.assert_array_equal(axes.images[0].get_array(), attention)
    assert axes.images[0].get_clim() == (0, 1)
    assert labels(axes.xaxis) == list(ENGLISH)
    assert labels(axes.yaxis) == list(SCRIPTS["German"])
    assert not any(label.get_parse_math() for label in axes.get_xticklabels())
    assert (axes.get_xlabel(), axes.get_ylabel(), bar.get_ylabel()) == ("source", "target", "attention weight")
    assert axes.get_ylim()[0] > axes.get_ylim()[1], "the translation reads from top to bottom"


def test_right_to_left_source_runs_from_right_to_left() -> None:
    arabic = SCRIPTS["Arabic"]
    axes = attention_heat_map(weights(len(ENGLISH), len(arabic)), arabic, ENGLISH).axes[0]
    assert axes.xaxis_inverted()
    assert axes.get_xlabel() == "source (read from right to left)"
    assert not attention_heat_map(weights(len(arabic), len(ENGLISH)), ENGLISH, arabic).axes[0].xaxis_inverted()


def test_older_matplotlib_gets_right_to_left_letters_in_visual_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "_SHAPES_TEXT", False)
    axes = attention_heat_map(weights(1, 2), ["▁שלוֹם", "abc"], ["x"]).axes[0]
    assert labels(axes.xaxis) == ["םוֹלש▁", "abc"]


def test_characters_without_a_font_become_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "_font_for", lambda character: "DejaVu Sans" if character < "\u3000" else None)
    axes = attention_heat_map(weights(1, 2), ["▁猫が", "ok"], ["x"]).axes[0]
    assert labels(axes.xaxis) == ["▁" + BOX * 2, "ok"]


def test_long_sentences_stay_within_what_can_be_drawn() -> None:
    figure = attention_heat_map(weights(3, 700), ["▁a"] * 700, ["▁b"] * 3)
    assert max(figure.get_size_inches()) < 65


def test_long_pieces_are_shortened_and_fit() -> None:
    figure = attention_heat_map(weights(1, 2), ["▁" + "m" * 31, "m" * 33], ["▁" + "猫" * 40])
    assert labels(figure.axes[0].xaxis) == ["▁" + "m" * 31, "m" * 31 + "…"]
    assert figure._repr_png_().startswith(b"\x89PNG")


@settings(max_examples=15, deadline=None)
@given(st.lists(st.text(max_size=4), min_size=1, max_size=3))
def test_any_text_can_be_a_piece(pieces: list[str]) -> None:
    image = attention_heat_map(weights(1, len(pieces)), pieces, ["▁x"])._repr_png_()
    assert image.startswith(b"\x89PNG")


def test_learning_curve_shows_every_series_and_the_best(tmp_path: Path) -> None:
    figure = learning_curve(list(reversed(RECORDS)), tmp_path / "curve.png")
    losses, scores = figure.axes
    training, validation = losses.get_lines()
    assert np.asarray(training.get_xdata()).tolist() == list(range(10, 100, 10))
    assert np.asarray(validation.get_ydata()).tolist() == [1.5, 1.3]
    assert (losses.get_xlabel(), losses.get_ylabel()) == ("step", "perplexity (logarithmic)")
    assert legend(scores) == ["BLEU, best 31", "chrF, best 52.5"]
    assert scores.get_lines()[0].get_linestyle() == "-"
    assert np.asarray(scores.get_lines()[1].get_xdata()).tolist() == [50], (
        "the ring stands at the step of the best BLEU"
    )
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_best_error_rate_is_the_lowest() -> None:
    figure = learning_curve([{"step": 1, "validation_ter": 60.0}, {"step": 2, "validation_ter": 70.0}])
    assert legend(figure.axes[0]) == ["TER, best 60"]


@pytest.mark.parametrize(
    "records",
    [
        [{"step": 1, "loss": 2.0}],
        [{"step": 1, "validation_accuracy": 0.5}],
        [
            {"step": 1, "perplexity": float("inf"), "loss": 3.0},
            {"step": 2, "loss": float("nan"), "validation_bleu": None},
        ],
        [{"step": 3, "perplexity": 2.0}, {"step": 3, "perplexity": 3.0, "note": "text"}],
    ],
)
def test_learning_curve_of_few_or_broken_records(records: list[dict[str, Any]], tmp_path: Path) -> None:
    figure = learning_curve(records, tmp_path / "curve.svg")
    assert len(figure.axes) == 1
    assert all(np.isfinite(line.get_ydata()).all() for line in figure.axes[0].get_lines())


def test_all_curves_differ_in_more_than_colour() -> None:
    figure = learning_curve(
        [{"step": s, "validation_bleu": s, "validation_chrf": s + 1, "validation_f1": s + 2} for s in (1, 2)]
    )
    curves = figure.axes[0].get_lines()[::2]
    assert len({line.get_marker() for line in curves}) == len({line.get_color() for line in curves}) == 3


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: learning_curve([]), "learning curve: 0 records and nothing to draw in them; expected records with"),
        (lambda: learning_curve([{"step": 1, "loss": float("nan")}]), "1 records and nothing to draw"),
        (lambda: learning_curve(RECORDS, "curve.bmp"), r"curve.bmp: received the ending '.bmp'; a plot is written as"),
        (lambda: attention_heat_map(np.eye(2), ["a"], ["b", "c"]), r"received shape \(2, 2\); expected .* \(2, 1\)"),
        (lambda: attention_heat_map(np.zeros((0, 1)), ["a"], []), "expected .* one row and one column or more"),
        (lambda: attention_heat_map(np.eye(1), ["a"], ["b"], "map"), "map: received the ending '.'; a plot"),
    ],
)
def test_wrong_calls_say_what_was_wrong(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="missing"):
        learning_curve(RECORDS, tmp_path / "missing" / "curve.png")


def test_plots_leave_pyplot_and_settings_alone() -> None:
    # rc_context is how the settings are changed for a while; reading them all would itself load pyplot.
    code = (
        "import sys, matplotlib, numpy as np; before = matplotlib.rcParams.copy()\n"
        "from textseq.plotting import attention_heat_map\n"
        "attention_heat_map(np.eye(1), ['a'], ['b'])._repr_png_()\n"
        "print('matplotlib.pyplot' in sys.modules, matplotlib.rcParams.copy() == before)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert result.stdout.split() == ["False", "True"]


def test_a_notebook_shows_the_figure() -> None:
    image = matplotlib.image.imread(io.BytesIO(learning_curve(RECORDS)._repr_png_()))
    assert image.shape[1] > 1000
