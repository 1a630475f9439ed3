"""Explanations: how they print, show and become JSON."""

from __future__ import annotations

import io
import json
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from classifiers.explanation import Explanation, WordWeight, html_page
from classifiers.prediction import Prediction
from tests.html_document import Document


def film(**changes: object) -> Explanation:
    prediction = Prediction(
        "A great film, but long.", "positive", probability=0.91, probabilities={"negative": 0.09, "positive": 0.91}
    )
    values: dict[str, object] = {
        "prediction": prediction,
        "words": (
            WordWeight("A", 0.01, 0, 1),
            WordWeight("great", 2.3, 2, 7),
            WordWeight("film", 0.2, 8, 12),
            WordWeight("but", -0.5, 14, 17),
            WordWeight("long", -0.25, 18, 22),
        ),
        "label": "positive",
        "method": "gradients",
        "base_value": 0.5,
        "value": 2.3,
    }
    return Explanation(**{**values, **changes})  # type: ignore[arg-type]


def attention() -> Explanation:
    words = (WordWeight("great", 0.7, 2, 7), WordWeight("film", 0.1, 8, 12))
    return film(words=words, method="attention", rest=0.2, base_value=None, value=None)


def of_text(text: str, label: str = "positive", weight: float = 1.0) -> Explanation:
    prediction = Prediction(text, label, probability=0.5, probabilities={label: 0.5})
    words = (WordWeight(text, weight, 0, len(text)),) if text else ()
    return Explanation(prediction, words, label, "gradients")


def printed(explanation: Explanation, *, colour: bool, width: int = 200) -> str:
    stream = io.StringIO()
    system = "truecolor" if colour else None
    console = Console(file=stream, color_system=system, force_terminal=colour, width=width, legacy_windows=False)  # type: ignore[arg-type]
    console.print(explanation)
    return stream.getvalue()


def test_the_top_words() -> None:
    assert [word.word for word in film().top(2)] == ["great", "film"]
    assert [word.word for word in film().top(against=True)] == ["but", "long"]
    assert film(words=()).top() == ()
    twice = film(words=(WordWeight("x", 1.0, 0, 1), WordWeight("x", 1.0, 2, 3)))
    assert [word.start for word in twice.top()] == [0, 2]


def test_the_gap_is_what_the_weights_leave() -> None:
    assert film().gap == pytest.approx(2.3 - 0.5 - 1.76)
    assert film(rest=0.04).gap == pytest.approx(0.0, abs=1e-12)
    assert attention().gap is None


def test_plain_text_lists_the_top_words() -> None:
    assert str(film()).splitlines() == [
        "positive 0.91, by gradients",
        "for positive: great +2.30, film +0.20, A +0.01",
        "against positive: but -0.50, long -0.25",
    ]
    assert str(attention()).splitlines() == ["positive 0.91, by attention", "most attention: great 0.70, film 0.10"]


def test_another_label_than_the_answer_is_named() -> None:
    assert str(film(label="negative")).startswith("positive by gradients for negative 0.09\nfor negative: great")


def test_several_labels_and_none() -> None:
    probabilities = {"joy": 0.9, "love": 0.6, "anger": 0.1}
    prediction = Prediction("yes!", "joy", ("joy", "love"), 0.9, probabilities, multi_label=True)
    assert str(Explanation(prediction, (), "joy", "gradients")) == "joy, love by gradients for joy 0.90"
    nothing = Prediction("hm", "joy", (), 0.2, {"joy": 0.2}, multi_label=True)
    assert str(Explanation(nothing, (), "joy", "gradients")) == "no label by gradients for joy 0.20"
    assert "no label" in Explanation(nothing, (), "joy", "gradients")._repr_html_()


def test_empty_and_truncated_texts_say_so() -> None:
    probabilities = {"positive": 0.6}
    empty = Explanation(Prediction("", "positive", (), 0.6, probabilities, empty=True), (), "positive", "gradients")
    assert str(empty) == "positive 0.60, empty: prior"
    assert printed(empty, colour=False).split() == ["positive", "0.60,", "empty:", "prior"]
    cut = Explanation(Prediction("a", "positive", (), 0.6, probabilities, truncated=True), (), "positive", "gradients")
    assert str(cut) == "positive 0.60, by gradients, too long: only the first part was read"
    assert "only the first part was read" in cut._repr_html_()


def test_the_terminal_shows_the_whole_text_with_legend_and_top_words() -> None:
    lines = printed(film(), colour=False).splitlines()
    assert lines[0] == "positive 0.91, by gradients"
    assert lines[1] == "A great film, but long."
    assert re.fullmatch(r"for positive +against it *", lines[2])
    assert lines[3:] == str(film()).splitlines()[1:]


def test_the_terminal_colours_by_sign_and_size() -> None:
    text = film().__rich__()
    styles = {text.plain[span.start : span.end]: str(span.style) for span in text.spans}
    assert "on #084594" in styles["great"]
    assert "on #deebf7" in styles["film"]
    assert "on #fee6ce" in styles["but"]
    assert "A" not in styles  # too faint
    assert "\x1b[" in printed(film(), colour=True)
    assert "\x1b[" not in printed(film(), colour=False)


def test_markup_in_a_text_is_text() -> None:
    assert "[bold]x[/bold]" in printed(of_text("[bold]x[/bold]"), colour=False)


@pytest.mark.parametrize("weight", [math.nan, math.inf, 0.0])
def test_weights_that_are_no_size(weight: float) -> None:
    explanation = of_text("word", weight=weight)
    assert "word" in printed(explanation, colour=True)
    assert "word" in Document(explanation._repr_html_()).text
    json.dumps(explanation.to_dict(), allow_nan=False)


def test_json() -> None:
    plain = json.loads(json.dumps(film().to_dict(), allow_nan=False))
    assert plain["prediction"]["label"] == plain["label"] == "positive"
    assert plain["words"][1] == {"word": "great", "weight": 2.3, "start": 2, "end": 7}
    assert plain["gap"] == pytest.approx(0.04)
    assert attention().to_dict()["gap"] is None
    assert attention().to_dict()["rest"] == 0.2


def test_html_shows_words_by_sign_and_size() -> None:
    document = Document(film()._repr_html_())
    assert "A great film, but long." in document.text
    spans = {attrs["title"]: attrs["style"] or "" for tag, attrs in document.elements if attrs.get("title")}
    assert list(spans) == ["+2.30", "+0.20", "-0.50", "-0.25"]  # A is too faint

    def strength(title: str) -> float:
        found = re.search(r"rgba\([0-9,]+,([0-9.]+)\)", spans[title])
        assert found is not None
        return float(found[1])

    assert strength("+2.30") > strength("-0.50") > strength("-0.25") > strength("+0.20")
    blue, orange = "rgba(0,114,178,", "rgba(230,159,0,"
    assert blue in spans["+2.30"]
    assert "solid" in spans["+2.30"]
    assert orange in spans["-0.50"]
    assert "dashed" in spans["-0.50"]  # the sign without colour
    # Readable on light and dark pages: the card brings its own background, and each word its own colours.
    assert "color:#111;background:#fff" in (document.elements[0][1]["style"] or "")
    assert all(style.startswith("color:#111;") for style in spans.values())
    assert "log-odds +0.50 without the words, +2.30 with them" in document.text


def test_html_of_attention() -> None:
    document = Document(attention()._repr_html_())
    assert "less more attention" in document.text
    assert "most attention: great" in document.text
    assert "rgba(230" not in attention()._repr_html_()


def test_html_sets_the_direction_of_the_text() -> None:
    def direction(text: str) -> str | None:
        return next(
            attrs["dir"]
            for tag, attrs in Document(of_text(text)._repr_html_()).elements
            if tag == "p" and "dir" in attrs
        )

    assert direction("الفيلم رائع!") == "rtl"
    assert direction("A film.") == "ltr"


@settings(deadline=None)  # the first one imports matplotlib
@given(st.text(st.one_of(st.sampled_from("<>&'\"\u202e\x00\n/ "), st.characters()), max_size=30), st.text(max_size=9))
def test_html_is_whole_and_harmless_whatever_the_text(text: str, label: str) -> None:
    nasty = f"{text}</span><script>alert('\"')</script>&amp;"
    explanation = of_text(nasty, label=f"{label}<b>'\"")
    page = html_page([explanation], title=nasty)
    page.encode("utf-8")
    document = Document(page)
    assert {tag for tag, _ in document.elements} <= {
        *("html", "head", "meta", "title", "body", "section", "div", "p", "span", "strong", "small", "bdi")
    }
    assert all(set(attrs) <= {"style", "dir", "title", "charset", "name", "content"} for _, attrs in document.elements)
    assert "<script>alert" in document.text
    assert not {"\x00", "\u202e"} & set(page)


@settings(deadline=None)  # the first one imports matplotlib
@given(st.text(max_size=30), st.text(max_size=9))
def test_every_text_can_be_printed(text: str, label: str) -> None:
    shown = printed(of_text(text, label), colour=True)
    shown.encode("utf-8")
    assert "\x07" not in shown
    json.dumps(of_text(text, label).to_dict(), allow_nan=False)


def test_a_page_of_several() -> None:
    page = html_page([film(), attention()], "Reviews & more")
    document = Document(page)
    assert page.startswith("<!DOCTYPE html>")
    assert sum(tag == "section" for tag, _ in document.elements) == 2
    assert "<title>Reviews &amp; more</title>" in page
