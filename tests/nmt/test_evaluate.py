"""Scoring a run: the scores are sacrebleu's, and travel with their conditions."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import sacrebleu

import nmt
from nmt.evaluate import Evaluation, evaluate
from nmt.translator import Translator
from textseq.console import json_line
from textseq.errors import CorpusError, InputError, RunDirectoryError


@pytest.fixture(scope="module")
def texts(tiny_corpus: Path) -> tuple[list[str], list[str]]:
    sources, references = ((tiny_corpus / f"test.{side}").read_text("utf-8").splitlines() for side in ("en", "de"))
    return sources, references


@pytest.fixture(scope="module")
def evaluation(tiny_run: Path, tiny_corpus: Path) -> Evaluation:
    return evaluate(tiny_run, tiny_corpus / "test.en", tiny_corpus / "test.de", beam=2, by_length=True)


def test_scores_are_those_of_sacrebleu(
    evaluation: Evaluation, tiny_run: Path, texts: tuple[list[str], list[str]]
) -> None:
    sources, references = texts
    hypotheses = [str(one) for one in Translator.load(tiny_run).translate(sources, beam=2)]
    assert list(evaluation.hypotheses) == hypotheses
    values = [score.value for score in evaluation.scores.scores]
    expected = [
        sacrebleu.corpus_bleu(hypotheses, [references]).score,
        sacrebleu.corpus_chrf(hypotheses, [references]).score,
        sacrebleu.corpus_ter(hypotheses, [references]).score,
    ]
    assert values == pytest.approx(expected)
    bleu, chrf, ter = expected
    assert evaluation.summary() == f"BLEU {bleu:.1f}, chrF {chrf:.1f}, TER {ter:.1f}"


def test_conditions_travel_with_the_scores(evaluation: Evaluation, tiny_run: Path, tiny_corpus: Path) -> None:
    plain = json.loads(json_line(evaluation.to_dict()))
    assert json.loads(json.dumps(evaluation.to_dict(), allow_nan=False)) == plain
    for metric in ("bleu", "chrf", "ter"):
        assert plain[metric]["signature"].startswith("nrefs:1|bs:1000|seed:12345|")
        assert {"score", "mean", "margin"} < plain[metric].keys()
    source, reference = tiny_corpus / "test.en", tiny_corpus / "test.de"
    for name, path in (("source", source), ("reference", reference)):
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        assert plain[name] == {"path": str(path), "lines": 20, "sha256": sha256}
    assert (plain["run"], plain["step"], plain["seed"], plain["beam"]) == (str(tiny_run), 14, 1, 2)
    assert (plain["version"], plain["lines"]) == (nmt.__version__, 20)
    assert plain["seconds"] > 0 and plain["sentences_per_second"] > 0
    assert plain["machine"].endswith(("core", "cores"))
    assert plain["command"] == (
        f"nmt evaluate --run {tiny_run} --source {source} --reference {reference} --beam 2 --by-length"
    )
    assert sum(each["lines"] for each in plain["by_length"]) == 20
    assert "significance" not in plain and "hypotheses" not in plain


def test_the_table_shows_them(evaluation: Evaluation) -> None:
    rows = evaluation.rows()
    assert {len(row) for row in rows} == {len(Evaluation.COLUMNS)} == {4}
    shown = "\n".join(" ".join(row) for row in rows)
    for words in (
        "BLEU",
        "chrF",
        "TER",
        "±",
        "seed:12345",
        "20 lines",
        "step 14, seed 1, beam 2",
        "sentences/s",
        "words",
    ):
        assert words in shown


def test_the_sum_is_that_of_the_text_however_it_is_packed(
    tiny_run: Path, tiny_corpus: Path, tmp_path: Path, evaluation: Evaluation
) -> None:
    import lzma

    packed = tmp_path / "test.en.xz"
    packed.write_bytes(lzma.compress((tiny_corpus / "test.en").read_bytes()))
    again = evaluate(tiny_run, packed, tiny_corpus / "test.de", beam=2)
    assert again.source.sha256 == evaluation.source.sha256
    assert again.hypotheses == evaluation.hypotheses
    assert again.lengths == ()


def test_lowercase_and_tokenizer_reach_the_signature(tiny_run: Path, tiny_corpus: Path) -> None:
    one = evaluate(tiny_run, tiny_corpus / "test.en", tiny_corpus / "test.de", beam=1, lowercase=True, tokenize="char")
    assert "case:lc|" in one.scores["bleu"].signature and "tok:char" in one.scores["bleu"].signature
    assert one.command.endswith("--beam 1 --lowercase --tokenize char")


def test_the_run_s_own_beam_is_named(tiny_run: Path, tiny_corpus: Path) -> None:
    assert evaluate(tiny_run, tiny_corpus / "test.en", tiny_corpus / "test.de").beam == 5


def test_a_baseline_of_perfect_translations_is_better(tiny_run: Path, tiny_corpus: Path) -> None:
    reference = tiny_corpus / "test.de"
    one = evaluate(tiny_run, tiny_corpus / "test.en", reference, beam=1, baseline=reference)
    bleu = one.significance[0]
    assert (bleu.metric, bleu.baseline) == ("bleu", pytest.approx(100.0))
    assert bleu.difference == pytest.approx(bleu.system - 100.0)
    assert bleu.p_value < 0.01
    plain = json.loads(json_line(one.to_dict()))
    assert plain["baseline"] == str(reference)
    assert plain["significance"]["bleu"]["p_value"] == bleu.p_value
    shown = "\n".join(" ".join(row) for row in one.rows())
    assert "BLEU - baseline -" in shown and "p = 0.00" in shown
    assert f"--baseline {reference}" in one.command


def test_a_run_is_as_good_as_itself(tiny_run: Path, tiny_corpus: Path) -> None:
    one = evaluate(tiny_run, tiny_corpus / "test.en", tiny_corpus / "test.de", beam=1, baseline=tiny_run)
    assert [(each.difference, each.p_value) for each in one.significance] == [(0.0, 1.0)] * 3


def test_what_is_wrong_is_found_before_the_network_is_loaded(
    tiny_run: Path, tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Translator, "load", None)
    short = tmp_path / "short"
    short.write_text("ein Mann\n")
    (tmp_path / "empty").write_text("")
    source, reference = tiny_corpus / "test.en", tiny_corpus / "test.de"

    def check(kind: type[Exception], words: str, *arguments: Any, **options: Any) -> None:
        with pytest.raises(kind, match=words):
            evaluate(*arguments, **options)

    check(RunDirectoryError, "no run here; expected run.json", tmp_path, source, reference)
    check(CorpusError, "test.en: has 20 lines, but .*short has 1; expected", tiny_run, source, short)
    check(CorpusError, "missing: no such file", tiny_run, tmp_path / "missing", reference)
    check(CorpusError, "is a directory; expected a text file", tiny_run, source, tmp_path)
    empty = tmp_path / "empty"
    check(CorpusError, "empty: is empty; expected one sentence a line", tiny_run, empty, empty)
    words = "short: has 1 lines, but .*test.en has 20; expected the translation of each"
    check(CorpusError, words, tiny_run, source, reference, baseline=short)
    check(CorpusError, "none: no such file", tiny_run, source, reference, baseline=tmp_path / "none")
    check(RunDirectoryError, "no run here", tiny_run, source, reference, baseline=tmp_path)
    check(
        InputError, "tokenize: received 'klingon'; expected one of 13a", tiny_run, source, reference, tokenize="klingon"
    )
    monkeypatch.setenv("SACREBLEU_SEED", "x")
    check(InputError, "SACREBLEU_SEED: received 'x'", tiny_run, source, reference)
