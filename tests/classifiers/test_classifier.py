"""Classifying with a run: the same alone and in a batch, one prediction for each text whatever it holds."""

from __future__ import annotations

import logging
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.classifier import LONGEST_TEXT, Classifier
from classifiers.config import Config
from classifiers.prediction import Prediction
from textseq.errors import CheckpointError, InputError, RunDirectoryError
from textseq.run_directory import RunDirectory, write_atomically


@pytest.fixture(scope="module")
def classifier(tiny_run: Path) -> Classifier:
    return Classifier.load(tiny_run)


@pytest.fixture(scope="module")
def texts(tiny_texts: list[tuple[str, str]]) -> list[str]:
    some = [text for _, text in tiny_texts[300:330]]
    return [*some[:9], "", "a", " ".join(some[9:])]


@pytest.fixture
def copied(tiny_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_run, tmp_path / "run"))


def same(one: Prediction, other: Prediction) -> None:
    assert (one.text, one.label, one.labels, one.empty) == (other.text, other.label, other.labels, other.empty)
    assert one.probability == pytest.approx(other.probability, abs=1e-5)
    assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)


def test_load_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(
        RunDirectoryError, match=r"none: no run here; expected run\.json; train one with `classifiers train`"
    ):
        Classifier.load(tmp_path / "none")


def test_load_before_there_are_weights(copied: Path) -> None:
    shutil.rmtree(copied / "best")
    with pytest.raises(
        RunDirectoryError, match=r"no trained weights yet; expected .*best; go on with `classifiers train --run"
    ):
        Classifier.load(copied)


def test_load_refuses_a_run_of_another_task(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path / "run", "nmt")
    with pytest.raises(RunDirectoryError, match="a run of the task nmt, expected classifiers"):
        Classifier.load(tmp_path / "run")


def test_load_finds_altered_weights(copied: Path) -> None:
    path = copied / "best" / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors.*copy .*best anew, or delete it"):
        Classifier.load(copied)


def test_load_refuses_an_edited_configuration(copied: Path) -> None:
    config = Config.from_toml(copied / "config.toml").with_overrides(["model.encoder_units=24"])
    write_atomically(copied / "config.toml", config.to_toml())
    with pytest.raises(RunDirectoryError, match=r"was changed after the training \(model.encoder_units: 16 -> 24\)"):
        Classifier.load(copied)


def rewritten(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    directory = RunDirectory.open(run, "classifiers")
    best = directory.read_best()
    assert best is not None
    change(best.state)
    directory.write_best(best.step, best.tensors, best.state)


@pytest.mark.parametrize(
    "beside",
    [
        {"labels": ["a"]},
        {"labels": ["a", "a", "b"]},
        {"labels": [1, 2, 3]},
        {"labels": None},
        {"prior": [0.5, 0.5]},
        {"prior": [0.5, 0.5, 2.0]},
        {"prior": ["x", 0, 0]},
        {"multi_label": True},
        {"calibration": {}},
    ],
)
def test_load_refuses_what_is_no_inventory_of_labels(copied: Path, beside: dict[str, Any]) -> None:
    rewritten(copied, lambda state: state["beside"].update(beside))
    with pytest.raises(CheckpointError, match=r"best: state\.json does not hold the labels and the calibration of a"):
        Classifier.load(copied)


def test_load_refuses_weights_without_labels_beside_them(copied: Path) -> None:
    rewritten(copied, lambda state: state.pop("beside"))
    with pytest.raises(CheckpointError, match="expected them beside the weights, as `classifiers train` writes them"):
        Classifier.load(copied)


def test_load_reads_what_stands_beside_the_weights(classifier: Classifier) -> None:
    assert classifier.step == 14
    assert classifier.labels == ("negative", "neutral", "positive")
    np.testing.assert_allclose(classifier.prior, 1 / 3, atol=0.02)
    assert classifier.calibration.temperature == 1.25
    assert not classifier.multi_label


def test_alone_is_as_in_a_batch_in_any_order(classifier: Classifier, texts: list[str]) -> None:
    together = classifier.predict(texts)
    assert [one.text for one in together] == texts
    assert len({round(one.probability, 4) for one in together}) >= 6
    order = random.Random(1).sample(range(len(texts)), len(texts))
    for index, one in zip(order, classifier.predict([texts[index] for index in order]), strict=True):
        same(one, together[index])
    for index, text in enumerate(texts):
        same(classifier.predict([text])[0], together[index])


def test_small_batches_change_nothing(
    classifier: Classifier, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = classifier.predict(texts)
    monkeypatch.setattr("classifiers.classifier.TOKENS_A_BATCH", 40)
    for one, other in zip(classifier.predict(texts), whole, strict=True):
        same(one, other)


def test_logits_are_the_model_s(classifier: Classifier, texts: list[str]) -> None:
    logits = classifier.logits(texts)
    assert (logits.shape, logits.dtype) == ((len(texts), 3), np.float32)
    for text, row in zip(texts, logits, strict=True):
        ids = [*classifier.tokenizer.encode([text])[0], classifier.tokenizer.eos_id]
        np.testing.assert_allclose(np.array(classifier.model(np.array([ids], np.int32)))[0], row, atol=1e-5)


def test_probabilities_are_calibrated_logits(classifier: Classifier, texts: list[str]) -> None:
    probabilities = classifier.probabilities(texts)
    assert (probabilities.shape, probabilities.dtype) == ((len(texts), 3), np.float64)
    exponentials = np.exp(classifier.logits(texts) / 1.25)
    expected = exponentials / exponentials.sum(axis=1, keepdims=True)
    expected[texts.index("")] = classifier.prior
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-12)


def test_the_label_is_the_most_probable(classifier: Classifier, texts: list[str]) -> None:
    predictions = classifier.predict(texts)
    for one, row in zip(predictions, classifier.probabilities(texts), strict=True):
        assert one.label == classifier.labels[row.argmax()]
        assert one.labels == (one.label,)
        assert one.probability == pytest.approx(row.max())
        assert list(one.probabilities) == list(classifier.labels)
        assert list(one.probabilities.values()) == pytest.approx(row.tolist())
        assert (one.truncated, one.abstained, one.multi_label) == (False, False, False)
    assert len({one.label for one in predictions}) >= 2


@pytest.mark.parametrize("text", ["", " ", "\t \n", "\u3000"])
def test_an_empty_text_gets_the_prior_and_it_is_said(classifier: Classifier, text: str) -> None:
    first, empty, last = classifier.predict(["a film", text, "a book"])
    assert (first.empty, empty.empty, last.empty) == (False, True, False)
    assert tuple(empty.probabilities.values()) == classifier.prior
    assert empty.to_dict()["empty"] is True


def test_abstaining_is_asked_for(classifier: Classifier, texts: list[str]) -> None:
    assert not any(one.abstained for one in classifier.predict(texts))
    predictions = classifier.predict(texts, abstain=True)
    assert [one.abstained for one in predictions] == [one.probability < 0.5 for one in predictions]
    assert {one.abstained for one in predictions} == {True, False}
    assert all(str(one) == ("" if one.abstained else one.label) for one in predictions)


def test_several_labels_are_those_above_their_thresholds(multi_label_run: Path, texts: list[str]) -> None:
    classifier = Classifier.load(multi_label_run)
    assert classifier.labels == ("bad", "film", "good")
    predictions = classifier.predict(texts, abstain=True)
    for one, row in zip(predictions, classifier.probabilities(texts), strict=True):
        assert one.multi_label
        assert one.labels == tuple(label for label, value in zip(classifier.labels, row, strict=True) if value > 0.4)
        assert one.label == classifier.labels[row.argmax()]
        sure = np.prod([value if value > 0.4 else 1 - value for value in row])
        assert one.abstained == (sure < 0.5)
    assert len({len(one.labels) for one in predictions}) >= 2
    empty = predictions[texts.index("")]
    assert tuple(empty.probabilities.values()) == classifier.prior


def test_the_threshold_for_f1_is_asked_for(
    tmp_path: Path, tiny_config: Config, tiny_texts: list[tuple[str, str]], make_run: Any
) -> None:
    path = tmp_path / "two.tsv"
    lines = [f"{label}\t{text}\n" for label, text in tiny_texts if label != "neutral"]
    path.write_text("".join(lines), encoding="utf-8")
    config = tiny_config.with_overrides([f"corpus.train={path}", "corpus.valid=none"])
    classifier = Classifier.load(make_run(tmp_path / "run", config))
    texts = [text for _, text in tiny_texts]
    plain, for_f1 = classifier.predict(texts), classifier.predict(texts, for_f1=True)
    assert all((one.label == "positive") == (one.probabilities["positive"] > 0.5) for one in plain)
    assert all((one.label == "positive") == (one.probabilities["positive"] > 0.45) for one in for_f1)
    assert all(one.probability == one.probabilities[one.label] for one in for_f1)
    assert [one.label for one in plain] != [one.label for one in for_f1]


def test_one_text_in_place_of_a_list(classifier: Classifier) -> None:
    for call in (classifier.predict, classifier.probabilities, classifier.logits):
        with pytest.raises(InputError, match=r"received one text, expected a list of lines; write \['A man'\]"):
            call("A man")


@pytest.mark.parametrize("lines", [[None], ["a", 3], [b"a"], 5, None])
def test_what_is_no_text_is_refused(classifier: Classifier, lines: Any) -> None:
    with pytest.raises(InputError, match=r"received (NoneType|int|bytes|5|None)"):
        classifier.predict(lines)


def test_no_texts(classifier: Classifier) -> None:
    assert classifier.predict([]) == []
    assert classifier.probabilities([]).shape == (0, 3)
    assert classifier.logits([]).shape == (0, 3)


HOSTILE = [
    "",
    " \t ",
    "nul \x00 nul",
    "\x00",
    "lone \ud800 surrogate",
    "\udfff",
    "old\rmac",
    "two\nlines",
    "\u2028",
    "\x85",
    "ሰው",
    "</s>",
    "<pad>",
    "x" * 100_000,
    "语" * 20_000,
]


def test_one_prediction_for_each_text_whatever_it_holds(classifier: Classifier) -> None:
    predictions = classifier.predict(HOSTILE)
    assert len(predictions) == len(HOSTILE)
    assert [one.empty for one in predictions[:2]] == [True, True]
    assert predictions[4].text == "lone \ufffd surrogate"
    for one in predictions:
        one.text.encode()
        assert sum(one.probabilities.values()) == pytest.approx(1.0)
        assert one._repr_html_()


def test_a_text_beyond_the_ceiling_is_cut_and_it_is_said(
    classifier: Classifier, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("classifiers.classifier.LONGEST_TEXT", 21)
    fits = "é" * 0 + "语" * 6  # by bytes, three tokens each, besides one for the start of a word
    pieces = len(classifier.tokenizer.encode([fits])[0])
    assert pieces == 19
    short, whole, long = classifier.predict(["a", fits, fits + " film" * 20])
    assert (short.truncated, whole.truncated, long.truncated) == (False, False, True)
    tokens = len(classifier.tokenizer.encode([long.text])[0])
    assert caplog.messages == [
        f"1 of 3 texts have more than 20 tokens, the longest {tokens}; only so many are read of each: "
        "divide them into parts"
    ]
    ids = classifier.tokenizer.encode([long.text])[0][:20]
    logits = np.array(classifier.model(np.array([[*ids, classifier.tokenizer.eos_id]], np.int32)))
    np.testing.assert_allclose(classifier.logits([long.text]), logits, atol=1e-5)


def test_nothing_is_said_of_ordinary_texts(
    classifier: Classifier, texts: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="classifiers"):
        classifier.predict(texts)
    assert caplog.messages == []


@pytest.mark.slow
def test_the_end_of_a_long_text_counts_up_to_the_ceiling(
    classifier: Classifier, caplog: pytest.LogCaptureFixture
) -> None:
    word = "语 "
    tokens = len(classifier.tokenizer.encode([word * 100])[0])
    long = word * (100 * (LONGEST_TEXT + 4_000) // tokens)
    (cut,) = classifier.predict([long])
    assert cut.truncated
    assert "more than 65535 tokens" in caplog.text
    within = long[: len(long) * 9 // 10]
    whole, other = classifier.probabilities([within + "awful", within + "lovely"])
    assert np.abs(whole - other).max() > 1e-4


def test_a_pickled_classifier_answers_alike(classifier: Classifier, texts: list[str]) -> None:
    copy = pickle.loads(pickle.dumps(classifier))
    np.testing.assert_allclose(copy.probabilities(texts), classifier.probabilities(texts), atol=1e-7)
    assert (copy.labels, copy.step, copy.calibration) == (classifier.labels, classifier.step, classifier.calibration)
    assert copy.config == classifier.config
