"""What a result looks like in a notebook: a card, and texts of any script and any content in it, as HTML.

Colours stand in every part, so that it reads the same in a dark notebook.
"""

from __future__ import annotations

import html

SMALL_TABLE = "border-collapse:collapse;width:auto;font-size:13px"
"""The style of a table in a card."""


def card(*parts: str) -> str:
    """The card around its parts."""
    style = "color:#111;background:#fff;padding:8px;font-family:sans-serif;overflow-x:auto"
    return f"<div style='{style}'>{''.join(parts)}</div>"


def line(*parts: str, below: int = 4) -> str:
    """A line of a card, with so many pixels below it."""
    return f"<p style='margin:0 0 {below}px'>{''.join(parts)}</p>"


def given(text: str) -> str:
    """What was read, in grey; not HTML yet."""
    return f"<span dir='auto' style='color:#555'>{escaped(text)}</span>"


def answer(shown: str) -> str:
    """What came of it, in bold; HTML."""
    return f"<strong dir='auto'>{shown}</strong>"


def remark(shown: str) -> str:
    """A number or a note beside it, small and grey; HTML."""
    return f"<small style='color:#555'>{shown}</small>"


def escaped(text: str) -> str:
    r"""A text as HTML shows it, with everything visible that would disturb the line (see `figures.visible_text`).

    Example:
        >>> escaped("a < b\t")
        'a &lt; b␉'
    """
    from textseq.figures import visible_text

    return html.escape(visible_text(text))
