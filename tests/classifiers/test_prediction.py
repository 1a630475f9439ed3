"""What a prediction says, prints, and shows in a notebook."""

from __future__ import annotations

import json

import pytest

from classifiers.prediction import Prediction

ONE = Prediction(
    "A <fine> film.",
    "positive",
    ("positive",),
    0.9,
    {"negative": 0.1, "positive": 0.9},
)
SEVERAL = Prediction("A film.", "b", ("a", "b"), 0.9, {"a": 0.6, "b": 0.9, "c": 0.2}, multi_label=True)


def test_it_prints_as_its_answer() -> None:
    assert str(ONE) == "positive"
    assert str(SEVERAL) == "a, b"
    assert str(Prediction("x", "a", (), 0.2, {"a": 0.2}, multi_label=True)) == ""
    assert str(Prediction("x", "a", ("a",), 0.4, {"a": 0.4}, abstained=True)) == ""


def test_the_label_is_its_labels_where_a_text_has_one() -> None:
    assert Prediction("x", "a").labels == ("a",)
    assert Prediction("x", "a", multi_label=True).labels == ()


def test_to_dict_is_strict_json_and_names_what_is_unusual_only() -> None:
    assert ONE.to_dict() == {
        "text": "A <fine> film.",
        "label": "positive",
        "probability": 0.9,
        "probabilities": {"negative": 0.1, "positive": 0.9},
    }
    assert SEVERAL.to_dict()["labels"] == ["a", "b"]
    unusual = Prediction("", "a", ("a",), 0.4, {"a": 0.4}, empty=True, truncated=True, abstained=True).to_dict()
    assert (unusual["empty"], unusual["truncated"], unusual["abstained"]) == (True, True, True)
    assert json.loads(json.dumps(unusual, allow_nan=False)) == unusual


def test_to_dict_is_a_copy() -> None:
    ONE.to_dict()["probabilities"]["negative"] = 2.0
    assert ONE.probabilities["negative"] == 0.1


def test_a_notebook_shows_every_label() -> None:
    shown = ONE._repr_html_()
    assert "A &lt;fine&gt; film." in shown and "<fine>" not in shown
    assert "<strong dir='auto'>positive</strong>" in shown
    for label, value in (("negative", "0.100"), ("positive", "0.900")):
        assert label in shown and value in shown
    assert "width:180px" in shown and "width:20px" in shown
    assert shown.count("font-weight:bold") == 1


@pytest.mark.parametrize(
    ("prediction", "words"),
    [
        (Prediction("", "a", ("a",), 0.4, {"a": 0.4}, empty=True), "nothing to read"),
        (Prediction("x", "a", ("a",), 0.4, {"a": 0.4}, truncated=True), "only the first part was read"),
        (Prediction("x", "a", ("a",), 0.4, {"a": 0.4}, abstained=True), "no answer: not confident enough"),
        (Prediction("x", "a", (), 0.4, {"a": 0.4}, multi_label=True), "no label"),
    ],
)
def test_a_notebook_says_what_is_unusual(prediction: Prediction, words: str) -> None:
    assert words in prediction._repr_html_()
    assert words not in ONE._repr_html_()


def test_a_notebook_is_not_disturbed_by_what_a_text_or_a_label_holds() -> None:
    shown = Prediction("\u202e\x00<script>", "<b>", ("<b>",), 1.0, {"<b>": 1.0})._repr_html_()
    assert "<script>" not in shown and "<b>" not in shown
    assert "\u202e" not in shown and "\x00" not in shown
