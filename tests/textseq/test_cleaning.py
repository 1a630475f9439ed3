"""Cleaning: what goes, what stays, and that each line is counted once."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from textseq.cleaning import (
    FIRST_LINES,
    PAIR_REASONS,
    CleaningConfig,
    CleaningReport,
    HashSet,
    HeldOut,
    PairCleaningReport,
    clean_line,
    clean_pairs,
    has_control_characters,
)
from textseq.corpus import Pair, hash_texts, read_pairs
from textseq.errors import CorpusError


def numbered(*sides: tuple[str, str]) -> list[Pair]:
    return [Pair(source, target, number) for number, (source, target) in enumerate(sides, start=1)]


def clean(
    pairs: list[Pair], held_out: HeldOut | None = None, **options: object
) -> tuple[list[tuple[str, str]], PairCleaningReport]:
    report = PairCleaningReport()
    config = CleaningConfig.model_validate(options)
    kept = [(pair.source, pair.target) for pair in clean_pairs(pairs, config, report, held_out)]
    assert report.read == len(pairs) and report.kept == len(kept)
    assert report.read == report.kept + sum(report.removed.values())
    return kept, report


def reason_of(source: str, target: str, **options: object) -> str | None:
    _, report = clean(numbered((source, target)), None, **options)
    return next((reason for reason, count in report.removed.items() if count), None)


@pytest.mark.parametrize("blank", ["", " ", "\t", "\u3000", "\u00a0 \u2028"])
def test_an_empty_side(blank: str) -> None:
    assert reason_of(blank, "b") == reason_of("a", blank) == "empty_side"


@pytest.mark.parametrize("code", [*range(0x00, 0x09), *range(0x0A, 0x20), *range(0x7F, 0xA0), 0xD800, 0xDFFF])
def test_control_characters_anywhere_remove_the_pair(code: int) -> None:
    for text in (f"a{chr(code)}b", f"{chr(code)}a", f"a{chr(code)}", chr(code)):
        assert reason_of(text, "b") == reason_of("b", text) == "control_characters"


@pytest.mark.parametrize("text", ["a\u200db", "a\u200cb", "\u200fא", "e\u0301", "👩\u200d👩", "a\u00adb", "a\ufffdb"])
def test_invisible_characters_that_text_needs_stay(text: str) -> None:
    assert clean(numbered((text, "b")))[0] == [(text, "b")]


def test_clean_line_strips_ends_and_replaces_separators_only() -> None:
    assert clean_line(" \u3000A\tman  is\u2028here\u00a0. \u2029") == "A man  is here\u00a0."
    assert clean_line("\x85a\x1c") == "\x85a\x1c"


@given(st.text())
def test_clean_line_twice_is_clean_line_once(text: str) -> None:
    assert clean_line(clean_line(text)) == clean_line(text)


def test_length_limits_are_inclusive() -> None:
    assert reason_of("a" * 1000, "b" * 1000) is None
    assert reason_of("a" * 1001, "b" * 1000) == "too_long"
    assert reason_of("a" * 8, "b" * 9, max_characters=8) == "too_long"


def test_length_ratio_has_a_floor() -> None:
    assert reason_of("a", "b" * 60) is None
    assert reason_of("a", "b" * 61) == reason_of("b" * 61, "a") == "length_ratio"
    assert reason_of("a" * 20, "b" * 120) is None
    assert reason_of("a" * 20, "b" * 121) == "length_ratio"
    assert reason_of("a", "b" * 999, max_length_ratio=1e9) is None
    assert reason_of("a", "b" * 7, min_compared_characters=1) == "length_ratio"


def test_duplicates_are_pairs_not_sides() -> None:
    kept, report = clean(numbered(("a", "b"), ("a", "c"), ("d", "b"), (" a", "b "), ("A", "b"), ("a", "b")))
    assert kept == [("a", "b"), ("a", "c"), ("d", "b"), ("A", "b")]
    assert report.removed["duplicate"] == 2 and report.first_lines["duplicate"] == [4, 6]
    assert len(clean(numbered(("a", "b"), ("a", "b")), drop_duplicates=False)[0]) == 2


HELD_OUT = HeldOut(numbered(("Hi there.", "Hallo du."), ("Run!", "Lauf!")))
TRAIN = numbered(
    ("hi  there.", "hallo DU."),  # the pair, but for case and spacing
    ("Hi there.", "Guten Tag."),
    ("Go!", "Lauf!"),
    ("Run!", "Hallo du."),  # both sides held out, but not as one pair
    ("Stop!", "Halt!"),
)


@pytest.mark.parametrize(
    ("policy", "removed", "kept"),
    [
        ("nothing", (0, 0, 0), (1, 2, 1)),
        ("pair", (1, 0, 0), (0, 2, 1)),
        ("source", (1, 2, 0), (0, 0, 1)),
        ("line", (1, 2, 1), (0, 0, 0)),
    ],
)
def test_held_out_lines(policy: str, removed: tuple[int, ...], kept: tuple[int, ...]) -> None:
    _, report = clean(TRAIN, HELD_OUT, drop_held_out=policy)
    overlaps = ("held_out_pair", "held_out_source", "held_out_target")
    assert tuple(report.removed[overlap] for overlap in overlaps) == removed
    assert tuple(report.kept_overlaps[overlap] for overlap in overlaps) == kept
    assert report.kept == 5 - sum(removed)


def test_a_pair_counts_once_under_its_first_reason() -> None:
    _, report = clean(numbered(("", "\x00"), ("\x00", "b" * 2000), ("Run!", "Lauf!"), ("Run!", "Lauf!")), HELD_OUT)
    assert {reason: count for reason, count in report.removed.items() if count} == {
        "empty_side": 1,
        "control_characters": 1,
        "held_out_pair": 2,
    }


sides = st.text(st.sampled_from("ab \t\x00\x85\u2028é日"), max_size=12)


@given(st.lists(st.tuples(sides, sides)), st.booleans())
def test_what_is_kept_is_clean_and_cleaning_again_changes_nothing(pairs: list[tuple[str, str]], dups: bool) -> None:
    kept, _ = clean(numbered(*pairs), max_characters=8, drop_duplicates=dups)
    assert clean(numbered(*kept), max_characters=8, drop_duplicates=dups)[0] == kept
    if dups:
        assert len(set(kept)) == len(kept)
    for side in (side for pair in kept for side in pair):
        assert side.strip() == side and 0 < len(side) <= 8 and not set("\x00\x85\t\u2028") & set(side)


def test_line_numbers_are_those_of_the_file() -> None:
    pairs = [Pair("", "b", number) for number in range(100, 200)]
    _, report = clean([*pairs, Pair("a", "b", 200)])
    assert report.first_lines["empty_side"] == [100, 101, 102, 103, 104] and FIRST_LINES == 5
    rows = {words: (count, places) for words, count, places in report.rows()}
    assert rows["read"] == (101, "") and rows["kept"] == (1, "")
    assert rows["removed: one side is empty"] == (100, "lines 100, 101, 102, 103, 104, ...")
    assert rows["removed: control characters"] == (0, "")
    assert len(report.rows()) == 2 + len(PAIR_REASONS)


def test_the_table_tells_overlaps_that_were_kept() -> None:
    _, report = clean(TRAIN, HELD_OUT)
    words = "among them: identical to a validation or test line, "
    assert report.rows()[-2:] == [(f"{words}source side", 2, ""), (f"{words}target side", 1, "")]
    assert ("removed: identical to a validation or test line, both sides", 1, "line 1") in report.rows()


def test_report_goes_through_json() -> None:
    _, report = clean(numbered(("", "b"), ("a", "b"), ("a", "b")))
    assert PairCleaningReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report


@dataclass
class WordReport(CleaningReport):
    """A report of another corpus."""

    REASONS: ClassVar[Mapping[str, str]] = {"rude": "rude words", "held_out_word": "also a test word"}
    EXAMPLE: ClassVar[str] = "word"


def test_a_report_has_the_reasons_of_its_class() -> None:
    report = WordReport(read=3, kept=3)
    report.withdraw("rude", 2)
    report.kept_overlaps["held_out_word"] += 1
    assert report.rows() == [
        ("read", 3, ""),
        ("removed: rude words", 1, "line 2"),
        ("removed: also a test word", 0, ""),
        ("kept", 2, ""),
        ("among them: also a test word", 1, ""),
    ]
    assert WordReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    assert set(PairCleaningReport().removed) == set(PAIR_REASONS)
    told: list[str] = []
    report.tell(told.append)
    assert told == [
        "cleaning: read: 3",
        "cleaning: removed: rude words: 1 (line 2)",
        "cleaning: kept: 2",
        "cleaning: among them: also a test word: 1",
    ]
    one = WordReport(read=1)
    one.remove("rude", 7)
    with pytest.raises(CorpusError, match=r"x: none of 1 word is left after cleaning \(rude words: 1 \(line 7\)\); "):
        one.require_some("x")


@pytest.mark.parametrize(("text", "found"), [("a\x07", True), ("\x85", True), ("\ud800", True), ("a\u200db é", False)])
def test_control_characters_are_found(text: str, found: bool) -> None:
    assert has_control_characters(text) is found


def test_nothing_left() -> None:
    _, report = clean(numbered(("", "b"), ("a", "\x00"), ("", "c")))
    words = (
        r"x.en: none of 3 pairs is left after cleaning \(one side is empty: 2 \(lines 1, 3\); "
        r"control characters: 1 \(line 2\)\); mend the files or loosen \[cleaning\]"
    )
    with pytest.raises(CorpusError, match=words):
        report.require_some("x.en")
    clean(numbered(("a", "b")))[1].require_some("x.en")


@pytest.mark.parametrize(
    "options", [{"max_characters": 0}, {"max_length_ratio": 0.5}, {"drop_held_out": "all"}, {"max_chars": 5}]
)
def test_configuration_out_of_range(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CleaningConfig.model_validate(options)


@given(st.lists(st.one_of(st.integers(0, 5), st.integers(0, 2**64 - 1), st.integers(1, 50).map(lambda i: i * 1024))))
def test_hash_set_is_a_set(values: list[int]) -> None:
    mine, oracle = HashSet(), set()
    for value in values:
        stored = value or 1  # 0 and 1 are one value, which costs a probability of 2^-64
        assert (value in mine) == (stored in oracle)
        assert mine.add(value) == (stored not in oracle)
        oracle.add(stored)
        assert value in mine and len(mine) == len(oracle)


def test_hash_set_grows_within_its_stated_memory() -> None:
    hashes = [hash_texts(str(number)) for number in range(50_000)]
    tracemalloc.start()
    try:
        mine = HashSet()
        assert all(mine.add(value) for value in hashes)
        assert tracemalloc.get_traced_memory()[0] < 25 * len(hashes)
    finally:
        tracemalloc.stop()
    assert not any(mine.add(value) for value in hashes)
    assert hash_texts("another") not in mine


REAL = [
    ("multi30k/{}.en", "multi30k/{}.de", "val", 0.999),
    ("small_parallel_enja/{}.ja", "small_parallel_enja/{}.en", "dev", 0.999),
    ("chren/{}.chr", "chren/{}.en", "dev", 0.99),
    ("mafand/en-hau/{}.en", "mafand/en-hau/{}.hau", "dev", 0.97),  # 1.7 % are duplicates or validation lines
    ("mafand/en-yor/{}.en", "mafand/en-yor/{}.yor", "dev", 0.98),
]


@pytest.mark.parametrize(("source", "target", "held_out", "least"), REAL)
def test_real_corpora_survive(corpora: Path, source: str, target: str, held_out: str, least: float) -> None:
    held = HeldOut(read_pairs(corpora / source.format(held_out), corpora / target.format(held_out)))
    report = PairCleaningReport()
    pairs = read_pairs(corpora / source.format("train"), corpora / target.format("train"))
    for _ in clean_pairs(pairs, CleaningConfig(), report, held):
        pass
    assert report.kept >= least * report.read
    guessed = sum(report.removed[reason] for reason in ("too_long", "length_ratio", "control_characters"))
    assert guessed <= 0.01 * report.read


def test_japanese_without_spaces_survives_the_length_ratio(corpora: Path) -> None:
    folder = corpora / "small_parallel_enja"
    report = PairCleaningReport()
    pairs = (
        Pair(pair.source, pair.target.replace(" ", ""), pair.line)
        for pair in read_pairs(folder / "train.en", folder / "train.ja")
    )
    for _ in clean_pairs(pairs, CleaningConfig(), report):
        pass
    assert report.removed["length_ratio"] <= 5
