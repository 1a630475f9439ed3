"""The functions of an export, without the way over the disk: their explanations are those of the run."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
pytest.importorskip("tensorflow_text")

from classifiers.classifier import LONGEST_TEXT_BYTES, Classifier  # noqa: E402
from classifiers.explain import explain_encoded  # noqa: E402
from classifiers.golden_examples import golden_examples  # noqa: E402
from classifiers.serving_functions import LONGEST_EXPLAINED, LONGEST_EXPLAINED_BYTES, ServingFunctions  # noqa: E402
from textseq.inference import text_lines  # noqa: E402
from textseq.text_start import text_start  # noqa: E402

module: Any = importlib.import_module("classifiers.serving_functions")

TEXTS = [
    "the film is lovely.",
    "well: her song was awful, really",
    "",
    "I found that scene dull indeed, though the ending, they say, was superb and the play charming to me !",
    "Ein Film, 映画 فيلم 👩‍🚀 «1.000» €",
    " \t",
    "a",
]

Rows = dict[str, Any]


def called(classifier: Classifier) -> Any:
    functions = ServingFunctions(classifier)
    traced = tf.function(
        functions._explain, input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False
    )
    # The function keeps the resources of the tokenizer alive.
    return lambda texts: {name: value.numpy() for name, value in traced(tf.constant(texts, tf.string)).items()}


@pytest.fixture(scope="module")
def explained(trained_classifier: Classifier) -> Any:
    return called(trained_classifier)


def assert_equal(received: Rows, classifier: Classifier, texts: list[str], longest: int = LONGEST_EXPLAINED) -> None:
    lines = text_lines(texts)
    starts = [text_start(line, module.LONGEST_EXPLAINED_BYTES) for line in lines]
    expected = explain_encoded(classifier, starts, classifier.encode(starts).cut(longest))
    counts = received["word_count"].tolist()
    assert counts == [len(each.words) for each in expected]
    assert received["words"].shape == received["weights"].shape == (len(texts), max(counts, default=0))
    assert [label.decode() for label in received["label"]] == [each.label for each in expected]
    cut = [start != line for start, line in zip(starts, lines, strict=True)]
    assert received["truncated"].tolist() == [
        each.prediction.truncated or larger for each, larger in zip(expected, cut, strict=True)
    ]
    probabilities = [each.prediction.probabilities[each.label] for each in expected]
    np.testing.assert_allclose(received["probability"], probabilities, rtol=0, atol=1e-5)
    for words, weights, count, each in zip(received["words"], received["weights"], counts, expected, strict=True):
        assert [word.decode() for word in words[:count]] == [word.word for word in each.words]
        np.testing.assert_allclose(weights[:count], [word.weight for word in each.words], rtol=0, atol=5e-5)
        assert set(words[count:]) <= {b""}
        assert not weights[count:].any()


def test_explanations_are_those_of_the_run(explained: Any, trained_classifier: Classifier) -> None:
    received = explained(TEXTS)
    assert_equal(received, trained_classifier, TEXTS)
    assert [word.decode() for word in received["words"][0, :5]] == ["the", "film", "is", "lovely", "."]
    assert received["words"][0, received["weights"][0].argmax()] == b"lovely"
    assert {name: value.dtype.name for name, value in received.items()} == {
        "label": "object",
        "probability": "float32",
        "words": "object",
        "weights": "float32",
        "word_count": "int32",
        "truncated": "bool",
    }


def test_alone_and_beside_a_long_text(explained: Any, trained_classifier: Classifier) -> None:
    for text in TEXTS:
        assert_equal(explained([text]), trained_classifier, [text])
    texts = [TEXTS[0], " ".join(TEXTS) * 6, TEXTS[1]]
    assert_equal(explained(texts), trained_classifier, texts)


def test_no_texts(explained: Any, trained_classifier: Classifier) -> None:
    assert_equal(explained([]), trained_classifier, [])


def test_bounded_passes_and_a_ceiling(trained_classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TOKENS_A_PASS", 64)
    monkeypatch.setattr(module, "LONGEST_EXPLAINED", 20)
    received = called(trained_classifier)(TEXTS)
    assert_equal(received, trained_classifier, TEXTS, 20)
    assert 0 < received["truncated"].sum() < len(TEXTS)


@pytest.mark.parametrize("most", [16, 17, 18, 19])
def test_a_ceiling_of_bytes(trained_classifier: Classifier, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(module, "LONGEST_EXPLAINED_BYTES", most)
    texts = ["the film is 語語 fine", "lovely", "lovely" + " " * 20 + "awful", "größer ሰው 😀😀"]
    received = called(trained_classifier)(texts)
    assert_equal(received, trained_classifier, texts)
    assert received["truncated"].tolist() == [True, False, True, True]


def test_several_labels(multi_label_run: Path) -> None:
    classifier = Classifier.load(multi_label_run)
    assert_equal(called(classifier)(TEXTS), classifier, TEXTS)


def test_of_several_labels_one_that_is_said_is_explained(multi_label_run: Path) -> None:
    classifier = Classifier.load(multi_label_run)
    # The least probable label of the first text is said of every text, the others never.
    rarest = int(classifier.probabilities(TEXTS[:1])[0].argmin())
    thresholds = tuple(0.0 if label == rarest else 1.0 for label in range(3))
    classifier.calibration = replace(classifier.calibration, thresholds=thresholds)
    received = called(classifier)(TEXTS)
    assert_equal(received, classifier, TEXTS)
    assert {label.decode() for label in received["label"]} == {classifier.labels[rarest]}
    golden = golden_examples(classifier, [text.encode() for text in TEXTS])["explain"].outputs
    assert set(golden["label"]) == {classifier.labels[rarest].encode()}
    np.testing.assert_allclose(golden["probability"][: len(TEXTS)], received["probability"], rtol=0, atol=1e-5)


def test_golden_examples_go_beyond_the_ceiling(
    trained_classifier: Classifier, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("classifiers.golden_examples.LONGEST_EXPLAINED", 30)
    golden = golden_examples(trained_classifier, [text.encode() for text in TEXTS])
    assert golden["serving_default"].outputs["truncated"] == [*[False] * len(TEXTS), True]
    assert golden["explain"].outputs["truncated"][-2:] == [True, True]
    for name, most in (("serving_default", LONGEST_TEXT_BYTES), ("explain", LONGEST_EXPLAINED_BYTES)):
        text = golden[name].inputs["text"][-1]
        assert text.startswith(TEXTS[0].encode() + b"  ") and len(text) > most
        assert golden[name].ceiling.endswith(f" tokens, {most:,} bytes")
        first, last = golden[name].outputs["probability"][0], golden[name].outputs["probability"][-1]
        assert first == pytest.approx(last, abs=1e-6)
    assert golden["explain"].outputs["words"][2] == []
    assert not caplog.records
