"""Scores are sacrebleu's: its command line, run on the same data, is the oracle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq.errors import InputError
from textseq.scores import (
    RESAMPLED_LINES_LIMIT,
    Significance,
    paired_significance,
    scores_by_length,
    translation_scores,
    validation_score,
)

REFERENCES = [
    "Ein Mann schläft auf einer grünen Bank.",
    "Zwei Hunde laufen über die Wiese.",
    "Die Frau, die singt, trägt einen roten Hut!",
    "Kinder spielen im Park mit einem Ball.",
] * 5
HYPOTHESES = [
    "Ein Mann schläft auf der Bank.",
    "Zwei Hunde laufen auf der Wiese herum.",
    "Eine Frau singt und trägt einen roten hut.",
    "Kinder spielen Ball im Park.",
] * 5
BASELINE = [
    line.replace(" ", " so ", 1) if i % 7 == 0 else REFERENCES[i] if i == 5 else line
    for i, line in enumerate(HYPOTHESES)
]


@pytest.fixture(autouse=True)
def default_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SACREBLEU_SEED", raising=False)


def sacrebleu_command(folder: Path, texts: dict[str, list[str]], options: list[str]) -> list[dict[str, Any]]:
    for name, lines in texts.items():
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    command = [sys.executable, "-m", "sacrebleu", "references", *options, "--width", "6", "--format", "json", "--quiet"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=True)
    answer = json.loads(result.stdout)
    return answer if isinstance(answer, list) else [answer]


@pytest.mark.parametrize(
    ("tokenize", "lowercase", "options"),
    [
        ("13a", False, []),
        ("intl", True, ["-lc", "--chrf-lowercase"]),
        ("char", False, ["--ter-normalized", "--ter-asian-support"]),
        ("none", False, []),
    ],
)
def test_scores_equal_the_sacrebleu_command(tmp_path: Path, tokenize: Any, lowercase: bool, options: list[str]) -> None:
    expected = sacrebleu_command(
        tmp_path,
        {"references": REFERENCES, "hypotheses": HYPOTHESES},
        ["-i", "hypotheses", "-m", "bleu", "chrf", "ter", "--confidence", "-tok", tokenize, *options],
    )
    scores = translation_scores(HYPOTHESES, REFERENCES, tokenize=tokenize, lowercase=lowercase)
    assert [score.metric for score in scores.scores] == ["bleu", "chrf", "ter"]
    for score, of_command in zip(scores.scores, expected, strict=True):
        assert score.value == pytest.approx(of_command["score"], abs=1e-5)
        assert score.mean == pytest.approx(of_command["confidence_mean"], abs=1e-5)
        assert score.margin == pytest.approx(of_command["confidence_var"], abs=1e-5)
        assert score.signature == of_command["signature"]


def test_significance_equals_the_sacrebleu_command(tmp_path: Path) -> None:
    # BLEU alone: sacrebleu 2.6.0 fails to write the paired test of chrF and TER as JSON (their numbers are float32).
    of_baseline, of_system = sacrebleu_command(
        tmp_path,
        {"references": REFERENCES, "hypotheses": HYPOTHESES, "baseline": BASELINE},
        ["-i", "baseline", "hypotheses", "-m", "bleu", "--paired-bs"],
    )
    bleu, chrf, ter = paired_significance(HYPOTHESES, BASELINE, REFERENCES)
    assert (bleu.metric, chrf.metric, ter.metric) == ("bleu", "chrf", "ter")
    assert bleu.baseline == pytest.approx(of_baseline["BLEU"]["score"], abs=1e-5)
    assert bleu.system == pytest.approx(of_system["BLEU"]["score"], abs=1e-5)
    assert bleu.p_value == pytest.approx(of_system["BLEU"]["p_value"], abs=1e-5)
    assert "bs:1000|seed:12345" in bleu.signature
    for result in (bleu, chrf, ter):
        assert result.system == pytest.approx(validation_score(result.metric, HYPOTHESES, REFERENCES))
        assert result.baseline == pytest.approx(validation_score(result.metric, BASELINE, REFERENCES))
        assert result.difference == result.system - result.baseline
        assert 0.001 < result.p_value < 0.999


def test_real_corpus_against_sacrebleu_command_in_good_time(corpora: Path, tmp_path: Path) -> None:
    references = (corpora / "multi30k" / "test_2016_flickr.de").read_text(encoding="utf-8").splitlines()[:1000]
    hypotheses = [" ".join(word for i, word in enumerate(line.split()) if i % 6 != 3) for line in references]
    start = time.process_time()
    scores = translation_scores(hypotheses, references)
    seconds = time.process_time() - start
    expected = sacrebleu_command(
        tmp_path,
        {"references": references, "hypotheses": hypotheses},
        ["-i", "hypotheses", "-m", "bleu", "chrf", "ter", "--confidence"],
    )
    assert [score.value for score in scores.scores] == pytest.approx([e["score"] for e in expected], abs=1e-5)
    assert [score.signature for score in scores.scores] == [e["signature"] for e in expected]
    assert seconds < 15


def test_the_same_twice_and_another_seed_another_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    first = translation_scores(HYPOTHESES, REFERENCES)
    assert first == translation_scores(HYPOTHESES, REFERENCES)
    monkeypatch.setenv("SACREBLEU_SEED", "7")
    other = translation_scores(HYPOTHESES, REFERENCES)
    assert "seed:7" in other["bleu"].signature
    assert other["bleu"].value == first["bleu"].value
    assert other["bleu"].mean != first["bleu"].mean


def test_identical_translations_score_best_without_a_margin() -> None:
    scores = translation_scores(REFERENCES, REFERENCES)
    assert scores["bleu"].value == pytest.approx(100)
    assert scores["chrf"].value == pytest.approx(100)
    assert (scores["ter"].value, scores["ter"].mean, scores["ter"].margin) == (0, 0, 0)


def test_empty_translations_score_zero() -> None:
    scores = translation_scores(["", " "], ["ein Hund", "eine Katze"])
    assert (scores["bleu"].value, scores["chrf"].value, scores["ter"].value) == (0, 0, 100)
    assert (scores["bleu"].mean, scores["bleu"].margin) == (0, 0)


def test_no_resamples_no_interval() -> None:
    scores = translation_scores(HYPOTHESES, REFERENCES, resamples=0, metrics=["chrf"])
    assert scores["chrf"].mean is None
    assert "bs:" not in scores["chrf"].signature
    assert scores.rows()[0][2] == ""
    assert str(scores["chrf"]) == f"chrF {scores['chrf'].value:.1f}"


def test_large_corpora_get_fewer_resamples_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textseq.scores.RESAMPLED_LINES_LIMIT", 50 * len(HYPOTHESES))
    assert RESAMPLED_LINES_LIMIT == 10_000_000
    assert "bs:50|" in translation_scores(HYPOTHESES, REFERENCES, metrics=["bleu"])["bleu"].signature
    assert "bs:50|" in paired_significance(HYPOTHESES, BASELINE, REFERENCES, metrics=["bleu"])[0].signature
    assert "bs:60|" in translation_scores(HYPOTHESES, REFERENCES, metrics=["bleu"], resamples=60)["bleu"].signature


def test_dictionary_and_rows() -> None:
    scores = translation_scores(HYPOTHESES, REFERENCES)
    answer = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert answer["lines"] == 20
    assert answer["bleu"]["score"] == scores["bleu"].value
    assert set(answer["ter"]) == {"score", "mean", "margin", "signature"}
    rows = scores.rows()
    assert [row[0] for row in rows] == ["BLEU", "chrF", "TER"]
    assert all(len(row) == len(scores.COLUMNS) for row in rows)
    assert "±" in str(scores["bleu"])


@pytest.mark.parametrize("metric", ["bleu", "chrf", "ter"])
def test_validation_score_is_the_same_value(metric: Any) -> None:
    assert validation_score(metric, HYPOTHESES, REFERENCES) == translation_scores(HYPOTHESES, REFERENCES)[metric].value
    lowercased = validation_score(metric, [line.lower() for line in REFERENCES], REFERENCES, lowercase=True)
    assert lowercased == pytest.approx(0 if metric == "ter" else 100)


def test_tokenized_text_is_noted() -> None:
    tokenized = [line.replace(".", " .") for line in ["Ein Hund."] * 120]
    scores = translation_scores(tokenized, ["Ein Hund."] * 120, resamples=0)
    assert scores.notes == (
        "120 of 120 translations end in a full stop after a space, as tokenized text does; "
        "BLEU is comparable with others only on plain text",
    )
    assert translation_scores(tokenized, ["Ein Hund."] * 120, resamples=0, tokenize="none").notes == ()


def test_equal_systems_are_not_significant() -> None:
    result: Significance = paired_significance(HYPOTHESES, HYPOTHESES, REFERENCES, metrics=["bleu"])[0]
    assert (result.difference, result.p_value) == (0, 1)
    json.dumps(result.to_dict(), allow_nan=False)


@given(st.lists(st.text("ab c", max_size=12), min_size=1, max_size=12), st.sets(st.integers(0, 9), max_size=4))
def test_every_line_is_in_the_one_bin_of_its_length(sources: list[str], bounds: set[int]) -> None:
    bins = scores_by_length(sources, sources, sources, sorted(bounds), unit="words")
    assert len(bins) == len(bounds) + 1
    assert sum(length_bin.lines for length_bin in bins) == len(sources)
    for length_bin in bins:
        longest = float("inf") if length_bin.longest is None else length_bin.longest
        expected = sum(length_bin.shortest <= len(line.split()) <= longest for line in sources)
        assert length_bin.lines == expected
        assert (length_bin.bleu is None) == (expected == 0)


def test_scores_of_a_bin_are_those_of_its_lines() -> None:
    sources = ["one two"] * 4 + ["one two three four"] * 16
    bins = scores_by_length(sources, HYPOTHESES, REFERENCES, [2, 3])
    assert [(b.label, b.lines) for b in bins] == [("0 to 2 words", 4), ("3 to 3 words", 0), ("4 or more words", 16)]
    assert bins[0].bleu == validation_score("bleu", HYPOTHESES[:4], REFERENCES[:4])
    assert bins[2].chrf == validation_score("chrf", HYPOTHESES[4:], REFERENCES[4:])
    assert bins[1].to_dict() == {
        "shortest": 3, "longest": 3, "unit": "words", "lines": 0, "bleu": None, "chrf": None,
        "bleu_margin": None, "chrf_margin": None,
    }  # fmt: skip


def test_margins_of_a_bin_are_those_of_its_lines() -> None:
    sources = ["one two"] * 4 + ["one two three four"] * 16
    short, empty, long = scores_by_length(sources, HYPOTHESES, REFERENCES, [2, 3], resamples=200)
    expected = translation_scores(HYPOTHESES[4:], REFERENCES[4:], resamples=200)
    assert (long.bleu_margin, long.chrf_margin) == (expected["bleu"].margin, expected["chrf"].margin)
    assert short.bleu_margin is not None and short.bleu_margin > 0
    assert (empty.bleu, empty.bleu_margin, empty.chrf_margin) == (None, None, None)
    without = scores_by_length(sources, HYPOTHESES, REFERENCES, [2, 3])
    assert [one.bleu for one in without] == [short.bleu, None, long.bleu]
    assert {one.bleu_margin for one in without} == {None}


def test_text_without_spaces_is_counted_in_characters() -> None:
    bins = scores_by_length(["猫が公園のベンチの上で静かに眠っています。"] * 2, ["a", "b"], ["a", "b"])
    assert {length_bin.unit for length_bin in bins} == {"characters"}
    assert [length_bin.lines for length_bin in bins] == [0, 2, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: translation_scores([], []), "received no lines in hypotheses and references"),
        (lambda: translation_scores(["a"], ["a", "b"]), "received 1 hypotheses, 2 references; expected as many of"),
        (lambda: validation_score("bleu", ["a", "b"], ["a"]), "received 2 hypotheses, 1 references"),
        (lambda: validation_score("bleu", "a", ["a"]), r"hypotheses: expected a list .* write \[text\] for a single"),
        (
            lambda: validation_score("bleu", ["a", cast(str, None)], ["a", "b"]),
            "hypotheses: expected a list of lines of text; received NoneType",
        ),  # type: ignore[list-item]
        (lambda: validation_score("meteor", ["a"], ["a"]), "metric: received 'meteor'; expected one of bleu, chrf"),  # type: ignore[arg-type]
        (lambda: validation_score("bleu", ["a"], ["a"], tokenize="spm"), "tokenize: received 'spm'; expected one of"),  # type: ignore[arg-type]
        (lambda: translation_scores(["a"], ["a"], resamples=1), "resamples: received 1; expected 0 for no interval"),
        (lambda: paired_significance(["a"], ["a"], ["a"], resamples=1), "resamples: received 1; expected 0 for"),
        (lambda: paired_significance(["a"], ["a"], ["a"], resamples=0), "received 0; a test of significance needs 2"),
        (lambda: paired_significance(["a"], ["a"], ["a", "b"]), "1 system, 1 baseline, 2 references"),
        (lambda: scores_by_length(["a"], ["a"], ["a"], [3, 3]), r"bounds: received \[3, 3\]; expected lengths of 0"),
        (lambda: scores_by_length(["a"], ["a"], []), "received 1 sources, 1 hypotheses, 0 references"),
        (lambda: translation_scores(["a"], ["a"], metrics=["bleu"])["ter"], "received 'ter'; these scores hold bleu"),
    ],
)
def test_wrong_calls_say_what_was_wrong(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_wrong_seed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACREBLEU_SEED", "seven")
    with pytest.raises(InputError, match="SACREBLEU_SEED: received 'seven'; expected a whole number, or none"):
        translation_scores(["a"], ["a"])


def test_a_tokenizer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "MeCab", None)
    monkeypatch.delitem(sys.modules, "sacrebleu.tokenizers.tokenizer_ja_mecab", raising=False)
    with pytest.raises(InputError, match=r'\'ja-mecab\' needs a package that is missing; run pip install "sacrebleu\['):
        validation_score("bleu", ["猫"], ["猫"], tokenize="ja-mecab")


def test_importing_does_not_import_sacrebleu() -> None:
    code = "import sys, textseq.scores; print([m for m in ('sacrebleu', 'numpy', 'matplotlib') if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert result.stdout.strip() == "[]"
