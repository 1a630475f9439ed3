"""Cleaning: every text is counted once, and repetitions are found as a plain dictionary finds them."""

from __future__ import annotations

import json
from collections.abc import Iterable

import hypothesis
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from classifiers.cleaning import (
    CleanText,
    HeldOutTexts,
    TextCleaningReport,
    clean_texts,
    key_of,
    repetitions,
)
from classifiers.config import CleaningConfig
from classifiers.corpus import LabelledText
from textseq.errors import CorpusError

# A busy machine is no reason to fail.
unhurried = hypothesis.settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def clean(
    texts: Iterable[str],
    report: TextCleaningReport | None = None,
    held_out: HeldOutTexts | None = None,
    **settings: int | bool,
) -> list[CleanText]:
    rows = [LabelledText(text, ("a",), line, "x.tsv") for line, text in enumerate(texts, start=1)]
    report = TextCleaningReport() if report is None else report
    return list(clean_texts(rows, CleaningConfig(**settings), report, held_out or HeldOutTexts()))


def test_reasons_are_counted_with_their_lines() -> None:
    report = TextCleaningReport()
    held_out = HeldOutTexts()
    held_out.add("validation", key_of("Held  OUT"))
    held_out.add("test", key_of("tested"))
    held_out.add("test", key_of("held out"))
    texts = ["good", " \t ", "nul \0", "x" * 21, "held out", " Tested ", "kept\tand \u2028 blank ", "\u200a"]
    kept = clean(texts, report, held_out, max_characters=20)
    assert [(text.text, text.place, text.labels) for text in kept] == [
        ("good", 1, ("a",)),
        ("kept and   blank", 7, ("a",)),
    ]
    assert {reason: count for reason, count in report.removed.items() if count} == {
        "empty": 2, "control_characters": 1, "too_long": 1, "held_out_validation": 1, "held_out_test": 1,
    }  # fmt: skip
    assert report.first_lines["empty"] == [2, 8]
    assert (report.read, report.kept) == (8, 2)
    assert ("removed: also a test text", 1, "line 6") in report.rows()
    assert ("removed: empty", 2, "lines 2, 8") in report.rows()


def test_held_out_texts_can_be_kept_and_are_counted_all_the_same() -> None:
    report, held_out = TextCleaningReport(), HeldOutTexts()
    held_out.add("test", key_of("a b"))
    assert [text.text for text in clean(["A b", "c"], report, held_out, drop_held_out=False)] == ["A b", "c"]
    assert report.kept_overlaps["held_out_test"] == 1
    assert ("among them: also a test text", 1, "") in report.rows()


def test_characters_of_a_wrong_encoding_are_counted_and_kept() -> None:
    report = TextCleaningReport()
    assert [text.text for text in clean(["dash \x96 dash", "nel \x85", "bell \x07 \x96", "plain"], report)] == [
        "dash \x96 dash",
        "nel \x85",
        "plain",
    ]
    assert (report.noted["c1_characters"], report.removed["control_characters"]) == (2, 1)
    assert ("among them: with characters U+0080 to U+009F (Windows-1252 read as Latin-1)", 2, "") in report.rows()


def test_lone_surrogates_are_control_characters() -> None:
    report = TextCleaningReport()
    assert clean(["a \ud800"], report) == []
    assert report.removed["control_characters"] == 1
    with pytest.raises(
        CorpusError, match=r"x.tsv: none of 1 text is left after cleaning \(control characters: 1 \(line"
    ):
        report.require_some("x.tsv")


def test_places_in_a_folder_are_numbers_of_texts() -> None:
    report = TextCleaningReport(of_folder=True)
    rows = [LabelledText(text, ("a",), 1, f"{text}.txt") for text in ("a", "", "b", "")]
    kept = list(clean_texts(rows, CleaningConfig(), report, HeldOutTexts()))
    assert [text.place for text in kept] == [1, 3]
    assert ("removed: empty", 2, "texts 2, 4") in report.rows()


def test_report_comes_back_from_json() -> None:
    report = TextCleaningReport(of_folder=True)
    clean(["a", "", "x\x91"], report)
    report.noted["cut"] += 1
    report.kept_overlaps["contradicting"] = 4
    report.withdraw("duplicate", 9)
    restored = TextCleaningReport.from_dict(json.loads(json.dumps(report.to_dict())))
    assert restored == report
    assert restored.rows() == report.rows()
    assert ("among them: stands there with different labels", 4, "") in report.rows()


@unhurried
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 3)), max_size=40))
def test_repetitions_are_those_of_an_oracle(rows: list[tuple[int, int]]) -> None:
    keys = np.array([key for key, _ in rows], dtype=np.uint64)
    contradicting, duplicate = repetitions(keys, np.array([labels for _, labels in rows], dtype=np.int64))
    assert contradicting.tolist() == [any(key == row[0] and labels != row[1] for row in rows) for key, labels in rows]
    assert duplicate.tolist() == [row in rows[:place] for place, row in enumerate(rows)]


def test_key_ignores_case_width_and_space() -> None:
    assert key_of(" Ｇood  Film") == key_of("good film")
    assert key_of("good film") != key_of("goodfilm")
