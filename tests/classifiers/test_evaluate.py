"""Scoring a run: the scores are scikit-learn's, and travel with their conditions."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

import classifiers
from classifiers.calibration import Calibration, expected_calibration_error
from classifiers.classifier import Classifier
from classifiers.evaluate import Evaluation, evaluate
from textseq.console import json_line
from textseq.errors import ConfigurationError, CorpusError, InputError, RunDirectoryError


@pytest.fixture(scope="module")
def labelled(tiny_corpus: Path) -> tuple[list[str], list[str]]:
    """Labels and texts of the test file."""
    rows = [line.split("\t", 1) for line in (tiny_corpus / "test.tsv").read_text("utf-8").splitlines()]
    return [label for label, _ in rows], [text for _, text in rows]


@pytest.fixture(scope="module")
def evaluation(tiny_run: Path, tiny_corpus: Path) -> Evaluation:
    return evaluate(tiny_run, tiny_corpus / "test.tsv", by_length=True)


def test_scores_are_those_of_scikit_learn(
    evaluation: Evaluation, tiny_run: Path, labelled: tuple[list[str], list[str]]
) -> None:
    true, texts = labelled
    classifier = Classifier.load(tiny_run)
    predictions = classifier.predict(texts)
    said = [prediction.label for prediction in predictions]
    assert list(evaluation.answers) == [(label,) for label in said]
    accuracy, macro = metrics.accuracy_score(true, said), metrics.f1_score(true, said, average="macro")
    assert (evaluation.scores["accuracy"].value, evaluation.scores["macro_f1"].value) == pytest.approx(
        (accuracy, macro)
    )
    assert evaluation.summary() == f"accuracy {accuracy:.3f}, macro F1 {macro:.3f}"
    matrix = metrics.confusion_matrix(true, said, labels=evaluation.labels)
    assert evaluation.scores.confusion == tuple(map(tuple, matrix.tolist()))
    probabilities = np.array([list(prediction.probabilities.values()) for prediction in predictions])
    area = metrics.roc_auc_score(true, probabilities, multi_class="ovr", labels=evaluation.labels)
    assert evaluation.scores["roc_area"].value == pytest.approx(area, abs=1e-5)
    answered = [one for one in zip(true, classifier.predict(texts, abstain=True), strict=True) if not one[1].abstained]
    assert evaluation.abstention.answered == len(answered)
    assert evaluation.abstention.accuracy == pytest.approx(np.mean([label == one.label for label, one in answered]))


def test_calibration_is_scored_before_and_after(
    evaluation: Evaluation, tiny_run: Path, labelled: tuple[list[str], list[str]]
) -> None:
    true, texts = labelled
    targets = np.array([[label == one for one in evaluation.labels] for label in true])
    logits = Classifier.load(tiny_run).logits(texts)
    for temperature, metric, bins in zip((1.0, 1.25), ("ece_uncalibrated", "ece"), evaluation.reliability, strict=True):
        probabilities = Calibration(temperature=temperature).probabilities(logits)
        expected = expected_calibration_error(probabilities, targets)
        assert evaluation.scores[metric].value == pytest.approx(expected, abs=1e-6)
        assert sum(one.answers * abs(one.accuracy - one.confidence) for one in bins) / 60 == pytest.approx(
            expected, abs=1e-6
        )
    assert evaluation.temperature == 1.25


def test_conditions_travel_with_the_scores(evaluation: Evaluation, tiny_run: Path, tiny_corpus: Path) -> None:
    plain = json.loads(json_line(evaluation.to_dict()))
    assert json.loads(json.dumps(evaluation.to_dict(), allow_nan=False)) == plain
    test = tiny_corpus / "test.tsv"
    sha256 = hashlib.sha256(test.read_bytes()).hexdigest()
    assert plain["test"] == {"path": str(test), "lines": 60, "sha256": sha256}
    assert (plain["run"], plain["step"], plain["seed"], plain["texts"]) == (str(tiny_run), 14, 1, 60)
    assert (plain["version"], plain["labels"]) == (classifiers.__version__, ["negative", "neutral", "positive"])
    assert plain["seconds"] > 0 and plain["texts_per_second"] > 0
    assert plain["machine"].endswith(("core", "cores"))
    assert plain["command"] == f"classifiers evaluate --run {tiny_run} --test {test} --by-length"
    assert plain["bootstrap"] == {"resamples": 1000, "seed": 1}
    assert plain["accuracy"]["low"] < plain["accuracy"]["score"] < plain["accuracy"]["high"]
    assert sum(each["texts"] for each in plain["by_length"]) == 60
    assert plain["in_training"] == 0 and plain["notes"] == list(evaluation.scores.notes)
    assert {"comparison", "baseline", "answers", "f1_threshold"}.isdisjoint(plain)


def test_the_table_shows_them(evaluation: Evaluation) -> None:
    rows = evaluation.rows()
    assert {len(row) for row in rows} == {len(Evaluation.COLUMNS)} == {4}
    shown = "\n".join(" ".join(row) for row in rows)
    for words in (
        *("accuracy 0.", "macro F1 0.", "weighted F1", "Matthews", "ROC area", "PR area", "log loss"),
        *("ECE ", "ECE uncalibrated", "1,000 resamples, seed 1", "accuracy, abstaining", "texts answered, from a"),
        *("test.tsv: 60 texts", "step 14, seed 1, temperature 1.25", "texts/s"),
    ):
        assert words in shown, words
    tables = evaluation.tables()
    assert [title for title, _, _ in tables] == ["Labels", "Confusion, true label by row", "Text length"]
    assert all(len(row) == len(columns) for _, columns, found in tables for row in found)
    assert [row[0] for row in tables[0][2]] == [*evaluation.labels, "macro mean", "weighted mean"]
    assert tables[2][2][0][:2] == ("0 to 10 words", "60")


def test_plots(evaluation: Evaluation, tmp_path: Path) -> None:
    axes = evaluation.plot(tmp_path / "confusion.png").axes[0]
    assert axes.get_title(loc="left") == f"{evaluation.summary()}, 60 texts"
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        *("negative (20)", "neutral (20)", "positive (20)")
    ]
    legend = evaluation.plot_reliability(tmp_path / "reliability.png").axes[0].get_legend()
    assert legend is not None
    names = [text.get_text() for text in legend.get_texts()][1:]
    assert names[0].startswith("before: calibration error 0.")
    assert names[1].startswith("with temperature 1.25: 0.")
    assert all((tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG") for name in ("confusion", "reliability"))


def test_other_formats_are_read_as_the_call_says(
    tiny_run: Path, tmp_path: Path, labelled: tuple[list[str], list[str]], evaluation: Evaluation
) -> None:
    true, texts = labelled
    path = tmp_path / "test.gz"
    lines = "".join(
        json.dumps({"opinion": label, "body": text}) + "\n" for label, text in zip(true, texts, strict=True)
    )
    path.write_bytes(gzip.compress(lines.encode()))
    one = evaluate(tiny_run, path, format="jsonl", text_column="body", label_column="opinion")
    assert one.scores == evaluation.scores
    assert one.test.sha256 == evaluation.test.sha256
    assert one.lengths == ()
    expected = f"classifiers evaluate --run {tiny_run} --test {path} --format jsonl --text-column body"
    assert one.command == f"{expected} --label-column opinion"


def test_an_empty_text_gets_the_prior(tiny_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "test.tsv"
    path.write_text("negative\t\npositive\tthe film is lovely.\n")
    one = evaluate(tiny_run, path)
    prior = Classifier.load(tiny_run).prior
    assert one.answers[0] == (one.labels[int(np.argmax(prior))],)
    assert one.notes[0].startswith("no text has the label 'neutral': recall and F1 are undefined")


def test_texts_of_the_training_are_counted(tiny_run: Path, tiny_corpus: Path, tmp_path: Path) -> None:
    lines = (tiny_corpus / "train.tsv").read_text().splitlines()[:3] + (
        tiny_corpus / "test.tsv"
    ).read_text().splitlines()
    path = tmp_path / "test.tsv"
    path.write_text("\n".join([lines[0].upper().replace("NEGATIVE\t", "negative\t"), *lines[1:]]) + "\n")
    one = evaluate(tiny_run, path)
    assert one.in_training == 3
    assert "3 of the texts stand in the training text as well" in one.notes
    without = Path(shutil.copytree(tiny_run, tmp_path / "run"))
    shutil.rmtree(without / "data")
    assert evaluate(without, path).in_training is None


def test_a_baseline_without_every_answer(tmp_path: Path, tiny_run: Path, tiny_corpus: Path) -> None:
    baseline = tmp_path / "abstaining"
    baseline.write_text("positive\t0.9\n\t0.4\tnot confident enough\n")
    with pytest.raises(CorpusError, match=r"abstaining:2: is left without an answer by `predict --abstain`"):
        evaluate(tiny_run, tiny_corpus / "test.tsv", baseline=baseline)


def test_a_baseline_of_right_answers_is_better(
    tiny_run: Path, tiny_corpus: Path, tmp_path: Path, labelled: tuple[list[str], list[str]], evaluation: Evaluation
) -> None:
    baseline = tmp_path / "right"
    baseline.write_text("".join(f"{label}\t0.9\n" for label in labelled[0]))
    one = evaluate(tiny_run, tiny_corpus / "test.tsv", baseline=baseline)
    assert one.comparison is not None
    accuracy = one.comparison.differences[0]
    assert (accuracy.metric, accuracy.baseline) == ("accuracy", 1.0)
    assert accuracy.run == evaluation.scores["accuracy"].value
    assert one.comparison.mcnemar.p_value < 0.01
    plain = json.loads(json_line(one.to_dict()))
    assert plain["baseline"] == str(baseline)
    assert plain["comparison"]["mcnemar"]["only_run"] == 0
    shown = "\n".join(" ".join(row) for row in one.rows())
    assert "accuracy - baseline -0." in shown and "McNemar mid-p = 0.0000" in shown
    assert f"--baseline {baseline}" in one.command


def test_a_run_is_as_good_as_itself(tiny_run: Path, tiny_corpus: Path) -> None:
    one = evaluate(tiny_run, tiny_corpus / "test.tsv", baseline=tiny_run)
    assert one.comparison is not None
    assert {each.difference for each in one.comparison.differences} == {0.0}
    assert one.comparison.mcnemar.p_value == 1.0


def test_two_labels_have_a_threshold_for_f1(tiny_config: Any, tiny_corpus: Path, tmp_path: Path, make_run: Any) -> None:
    files = []
    for part in ("train", "valid"):
        lines = (tiny_corpus / f"{part}.tsv").read_text().splitlines()
        path = tmp_path / f"{part}.tsv"
        path.write_text("".join(f"{line}\n" for line in lines if not line.startswith("neutral")))
        files.append(f"corpus.{part}={path}")
    run = make_run(tmp_path / "run", tiny_config.with_overrides(files))
    one = evaluate(run, tmp_path / "valid.tsv")
    true, texts = zip(*(line.split("\t") for line in (tmp_path / "valid.tsv").read_text().splitlines()), strict=True)
    said = [prediction.labels[0] for prediction in Classifier.load(run).predict(list(texts), for_f1=True)]
    assert one.f1_threshold == 0.45
    assert one.f1_at_threshold == pytest.approx(metrics.f1_score(true, said, average="macro"))
    assert one.to_dict()["f1_threshold"] == {"threshold": 0.45, "macro_f1": one.f1_at_threshold}
    assert any(row[-1] == "positive from a probability of 0.450" for row in one.rows())


def test_several_labels_a_text(multi_label_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "test.tsv"
    path.write_text("bad,film\tthe film is awful.\n\ta meal is green.\ngood\tour walk is lovely.\n")
    one = evaluate(multi_label_run, path, baseline=multi_label_run)
    said = Classifier.load(multi_label_run).predict(["the film is awful.", "a meal is green.", "our walk is lovely."])
    assert one.answers == tuple(prediction.labels for prediction in said)
    assert one.scores["micro_f1"].value is not None and one.comparison is not None
    assert one.test.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(InputError, match="a text can have several labels, so there is no confusion matrix to plot"):
        one.plot()
    assert one.plot_reliability()._repr_png_().startswith(b"\x89PNG")
    baseline = tmp_path / "baseline"
    baseline.write_text("film, bad\n\ngood\n")
    right = evaluate(multi_label_run, path, baseline=baseline).comparison
    assert right is not None and right.differences[0].baseline == 1.0


def test_what_is_wrong_is_found_before_the_network_is_loaded(
    tiny_run: Path, multi_label_run: Path, tiny_corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Classifier, "load", None)
    test = tiny_corpus / "test.tsv"
    for name, text in {
        "unknown": "positive\ta\nmixed\tb\n",
        "empty": "",
        "bad": "no tab\n",
        "short": "neutral\n",
    }.items():
        (tmp_path / name).write_text(text)

    def check(kind: type[Exception], words: str, *arguments: Any, **options: Any) -> None:
        with pytest.raises(kind, match=words):
            evaluate(*arguments, **options)

    check(RunDirectoryError, r"no run here; expected run\.json", tmp_path, test)
    known = "'negative', 'neutral', 'positive'"
    check(
        CorpusError, f"unknown:2: unknown label 'mixed'; the training text has {known}", tiny_run, tmp_path / "unknown"
    )
    check(CorpusError, "empty: is empty; expected", tiny_run, tmp_path / "empty")
    check(CorpusError, "bad:1: has no TAB", tiny_run, tmp_path / "bad")
    check(CorpusError, "missing: no such file", tiny_run, tmp_path / "missing")
    check(ConfigurationError, "format", tiny_run, test, format="xml")
    words = "short: has 1 lines, but .*test.tsv has 60 texts; expected the label of each"
    check(CorpusError, words, tiny_run, test, baseline=tmp_path / "short")
    check(CorpusError, "unknown label 'no tab'", tiny_run, test, baseline=tmp_path / "bad")
    check(RunDirectoryError, "no run here", tiny_run, test, baseline=tmp_path)
    words = rf"has the labels 'bad', 'film', 'good' \(several a text\), but .* has {known}; expected the same"
    check(InputError, words, tiny_run, test, baseline=multi_label_run)
