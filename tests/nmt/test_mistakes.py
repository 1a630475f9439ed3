"""Mistakes by kind: against word counts, against every alignment there is, and on sentences done by hand."""

from __future__ import annotations

import functools
import itertools
import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nmt.mistakes import KINDS, MistakeReport, SentenceMistakes, align_words, differ_in_ending, find_mistakes
from textseq.errors import InputError

WORDS = st.lists(st.sampled_from(["a", "b", "klein", "kleine", "Haus"]), max_size=6).map(tuple)


def compared(hypothesis: str, reference: str, **settings: object) -> list[str]:
    report = find_mistakes([hypothesis], [reference], tokenize="none", **settings)  # type: ignore[arg-type]
    return [str(mistake) for mistake in report.sentences[0].mistakes]


@functools.cache
def best_alignment(hypothesis: tuple[str, ...], reference: tuple[str, ...]) -> tuple[int, int]:
    """(edits, -equal words), by trying every alignment."""
    if not hypothesis or not reference:
        return max(len(hypothesis), len(reference)), 0
    equal = hypothesis[0] == reference[0]
    together = best_alignment(hypothesis[1:], reference[1:])
    inserted = best_alignment(hypothesis[1:], reference)
    deleted = best_alignment(hypothesis, reference[1:])
    return min(
        (together[0] + (not equal), together[1] - equal),
        (inserted[0] + 1, inserted[1]),
        (deleted[0] + 1, deleted[1]),
    )


@settings(deadline=None)
@given(hypothesis=WORDS, reference=WORDS)
def test_the_alignment_has_the_fewest_edits_and_then_the_most_equal_words(
    hypothesis: tuple[str, ...], reference: tuple[str, ...]
) -> None:
    pairs = align_words(hypothesis, reference)
    assert all(one[0] < other[0] and one[1] < other[1] for one, other in itertools.pairwise(pairs))
    equal = sum(reference[row] == hypothesis[column] for row, column in pairs)
    edits = len(reference) + len(hypothesis) - len(pairs) - equal
    assert (edits, -equal) == best_alignment(hypothesis, reference)


@settings(deadline=None)
@given(hypothesis=WORDS, reference=WORDS)
def test_the_numbers_add_up(hypothesis: tuple[str, ...], reference: tuple[str, ...]) -> None:
    """Against the position-independent error rate, which needs nothing but counts of words."""
    report = find_mistakes([" ".join(hypothesis)], [" ".join(reference)], tokenize="none")
    counts, mistakes = report.counts, report.sentences[0].mistakes
    replaced = counts["wrong form"] + counts["wrong word"]
    assert replaced + counts["missing"] == (Counter(reference) - Counter(hypothesis)).total()
    assert replaced + counts["added"] == (Counter(hypothesis) - Counter(reference)).total()
    right = sum(reference[row] == hypothesis[column] for row, column in align_words(hypothesis, reference))
    assert report.correct_words == right
    assert right + counts["word order"] == (Counter(reference) & Counter(hypothesis)).total()
    for side, words in (("reference", reference), ("hypothesis", hypothesis)):
        places = [getattr(mistake, f"{side}_index") for mistake in mistakes]
        places = [place for place in places if place is not None]
        assert len(places) == len(set(places)) == len(words) - right
        assert all(words[getattr(mistake, f"{side}_index")] == getattr(mistake, side)
                   for mistake in mistakes if getattr(mistake, side) is not None)  # fmt: skip
    assert (report.faultless == 1) == (hypothesis == reference)


@pytest.mark.parametrize(
    ("hypothesis", "reference", "expected"),
    [
        ("das Haus ist alt", "das Haus ist alt", []),
        ("das Haus ist", "das Haus ist dort", ["missing: dort"]),
        ("das sehr Haus ist", "das Haus ist", ["added: sehr"]),
        ("ein Hund schläft", "ein Vogel schläft", ["wrong word: Hund -> Vogel"]),
        ("die kleinen Frau", "die kleine Frau", ["wrong form: kleinen -> kleine"]),
        ("heute sie kommt", "heute kommt sie", ["word order: kommt"]),
        # Both sides have "kommt": it is in the wrong place, not wrong.
        ("sie kommt heute morgen", "kommt sie heute nicht", ["word order: kommt", "wrong word: morgen -> nicht"]),
        # The form is found in another place than the one it is aligned with.
        ("schönen die Stadt", "die Stadt schöne", ["wrong form: schönen -> schöne"]),
        ("", "ein Hund", ["missing: ein", "missing: Hund"]),
        ("ein Hund", "", ["added: ein", "added: Hund"]),
        ("", "", []),
    ],
)
def test_sentences_done_by_hand(hypothesis: str, reference: str, expected: list[str]) -> None:
    assert compared(hypothesis, reference) == expected


def test_a_substitution_is_preferred_for_a_form() -> None:
    # "kleinen" stands for the second "kleine", as the alignment has it, not for the first that would do.
    report = find_mistakes(["x b kleinen"], ["kleine b kleiner"], tokenize="none")
    assert [(str(one), one.reference_index, one.hypothesis_index) for one in report.sentences[0].mistakes] == [
        ("wrong word: x -> kleine", 0, 0),
        ("wrong form: kleinen -> kleiner", 2, 2),
    ]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("kleine", "kleinen", True), ("Haus", "Häuser", True), ("der", "den", True), ("Gehen", "gehe", True),
        ("hat", "habe", False), ("ist", "sind", False), ("Hund", "Hand", False), ("in", "im", False),
        ("2019", "2018", False), ("a", "b", False), ("man", "mal", True), (".", ".", False),
    ],
)  # fmt: skip
def test_words_that_differ_in_their_endings(one: str, other: str, expected: bool) -> None:
    assert differ_in_ending(one, other) is differ_in_ending(other, one) is expected


def test_a_lemmatizer_decides_where_it_is_given() -> None:
    lemmas = {"ist": "sein", "sind": "sein"}
    assert compared("sie ist da", "sie sind da") == ["wrong word: ist -> sind"]
    assert compared("sie ist da", "sie sind da", base_form=lambda word: lemmas.get(word, word)) == [
        "wrong form: ist -> sind"
    ]
    assert compared("alte Tür", "alten Tür", base_form=str) == ["wrong word: alte -> alten"]


def test_case_and_punctuation() -> None:
    assert compared("der hund", "der Hund") == ["wrong form: hund -> Hund"]
    assert compared("der hund", "der Hund", lowercase=True) == []
    (sentence,) = find_mistakes(["Ein Hund?"], ["Ein Hund."]).sentences
    assert sentence.hypothesis == ("Ein", "Hund", "?")
    assert [str(mistake) for mistake in sentence.mistakes] == ["wrong word: ? -> ."]
    (sentence,) = find_mistakes(["犬"], ["犬が"], tokenize="char").sentences
    assert [str(mistake) for mistake in sentence.mistakes] == ["missing: が"]


@pytest.fixture
def report() -> MistakeReport:
    return find_mistakes(
        ["die kleinen Frau singt laut", "die kleinen Frau", "ein Hund schläft", "gut"],
        ["die kleine Frau singt", "die kleine Frau", "ein Vogel schläft", "gut"],
        sources=["the small woman sings", "the small woman", "a bird sleeps", "good"],
        tokenize="none",
    )


def test_a_report(report: MistakeReport) -> None:
    assert report.counts == {"missing": 0, "added": 1, "wrong word": 1, "wrong form": 2, "word order": 0}
    assert (report.total, report.faultless, report.reference_words, report.hypothesis_words) == (4, 1, 11, 12)
    assert report.correct_words == 8
    assert report.shares["wrong form"] == 0.5
    assert report.frequent("wrong form") == [("kleinen -> kleine", 2)]
    assert report.frequent("missing") == []
    # The second sentence has nothing else wrong.
    assert [one.line for one in report.examples("wrong form")] == [2, 1]
    assert [one.line for one in report.examples("added", 1)] == [1]


def test_a_report_as_text(report: MistakeReport) -> None:
    assert str(report).splitlines() == [
        "4 sentences, 1 without a mistake; 8 of 11 reference words are right and in their place",
        "mistake     count  share  per 100 reference words  most frequent",
        "missing     0      0%     0.0",
        "added       1      25%    9.1                      laut (1)",
        "wrong word  1      25%    9.1                      Hund -> Vogel (1)",
        "wrong form  2      50%    18.2                     kleinen -> kleine (2)",
        "word order  0      0%     0.0",
    ]
    assert str(report.sentences[0]).splitlines() == [
        "source       the small woman sings",
        "translation  die kleinen Frau singt laut",
        "reference    die kleine Frau singt",
        "mistakes     wrong form: kleinen -> kleine; added: laut",
    ]
    alone = SentenceMistakes(1, None, ("gut",), ("gut",), ())
    assert str(alone).splitlines() == ["translation  gut", "reference    gut", "mistakes     none"]


def test_a_report_as_values(report: MistakeReport) -> None:
    values = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert values["sentences"] == 4
    assert list(values["mistakes"]) == list(KINDS)
    assert values["mistakes"]["wrong form"]["share"] == 0.5
    assert values["mistakes"]["wrong form"]["examples"][0]["mistakes"][0] == {
        "kind": "wrong form", "reference": "kleine", "hypothesis": "kleinen", "reference_index": 1,
        "hypothesis_index": 1,
    }  # fmt: skip


def test_nothing_to_compare() -> None:
    report = find_mistakes([], [])
    assert report.total == report.reference_words == 0
    assert report.shares["missing"] == 0
    assert str(report).startswith("0 sentences, 0 without a mistake; 0 of 0")


def test_what_is_refused(report: MistakeReport) -> None:
    with pytest.raises(InputError, match=r"received 1 hypotheses and 2 references; expected as many of each"):
        find_mistakes(["a"], ["a", "b"])
    with pytest.raises(InputError, match=r"received 1 hypotheses and 1 references and 0 sources; expected as many"):
        find_mistakes(["a"], ["a"], sources=[])
    with pytest.raises(InputError, match="references: received one text; expected a list of texts"):
        find_mistakes(["a"], "a")
    with pytest.raises(InputError, match="tokenize: received '14a'"):
        find_mistakes(["a"], ["a"], tokenize="14a")
    for ask in (report.examples, report.frequent):
        with pytest.raises(InputError, match="received the kind 'wrong'; expected one of 'missing', 'added', "):
            ask("wrong")  # type: ignore[arg-type]
