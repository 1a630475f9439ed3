"""The parts of a card are whole HTML, whatever the text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.html_document import Document
from textseq import notebook_card
from textseq.figures import visible_text


@given(st.text())
def test_a_text_is_one_line_of_text_in_its_card(text: str) -> None:
    read = Document(notebook_card.card(notebook_card.line(notebook_card.given(text))))
    assert [tag for tag, _ in read.elements] == ["div", "p", "span"]
    assert read.text == visible_text(text)


def test_each_part_has_its_place() -> None:
    shown = notebook_card.line(
        notebook_card.answer("<i>yes</i>"), " ", notebook_card.remark(notebook_card.escaped("p < 1")), below=6
    )
    assert shown == (
        "<p style='margin:0 0 6px'><strong dir='auto'><i>yes</i></strong> "
        "<small style='color:#555'>p &lt; 1</small></p>"
    )
