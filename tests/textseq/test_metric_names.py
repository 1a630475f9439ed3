from __future__ import annotations

import pytest

from textseq.metric_names import display_name


@pytest.mark.parametrize(
    ("metric", "name"),
    [("bleu", "BLEU"), ("chrf", "chrF"), ("macro_f1", "macro F1"), ("loss", "loss"), ("words_right", "words right")],
)
def test_what_people_read(metric: str, name: str) -> None:
    assert display_name(metric) == name
