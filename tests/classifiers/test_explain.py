"""Attention and integrated gradients: what the weights of words must satisfy."""

from __future__ import annotations

import gc
import importlib
import math
import weakref
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from textseq.errors import InputError

tf = pytest.importorskip("tensorflow")

from classifiers.classifier import Classifier  # noqa: E402
from classifiers.explain import explain  # noqa: E402
from textseq.inference import text_lines  # noqa: E402
from textseq.words import words_of  # noqa: E402

if TYPE_CHECKING:
    from classifiers.explanation import Explanation

# The package gives its function under the name of the module.
module: Any = importlib.import_module("classifiers.explain")

TEXTS = [
    "the film is lovely.",
    "well: her song was awful, really",
    "I found that scene dull indeed, though the ending, they say, was superb and the play charming to me !",
    "Ein Film, 映画 فيلم 👩‍🚀 «1.000» €",
    "a",
]


@pytest.fixture(scope="module")
def explained(trained_classifier: Classifier) -> list[Explanation]:
    return explain(trained_classifier, TEXTS)


def log_odds(probability: float) -> float:
    return math.log(probability) - math.log1p(-probability)


def assert_close(received: list[Explanation], expected: list[Explanation], tolerance: float = 1e-4) -> None:
    for one, other in zip(received, expected, strict=True):
        assert [word.word for word in one.words] == [word.word for word in other.words]
        weights = [[word.weight for word in each.words] for each in (one, other)]
        np.testing.assert_allclose(weights[0], weights[1], rtol=0, atol=tolerance)
        assert one.rest == pytest.approx(other.rest, abs=tolerance)


def test_gradients_are_the_default_and_name_the_words(explained: list[Explanation]) -> None:
    assert [explanation.method for explanation in explained] == ["gradients"] * len(TEXTS)
    assert [word.word for word in explained[0].words] == ["the", "film", "is", "lovely", "."]
    assert all(
        explanation.prediction.text[word.start : word.end] == word.word
        for explanation in explained
        for word in explanation.words
    )
    assert explained[0].label == explained[0].prediction.label == "positive"
    assert explained[0].top(1)[0].word == "lovely"
    assert explained[1].top(1)[0].word == "awful"


def test_completeness(explained: list[Explanation], trained_classifier: Classifier) -> None:
    for explanation in explained:
        assert explanation.value is not None
        assert explanation.base_value is not None
        assert explanation.gap is not None
        total = sum(word.weight for word in explanation.words) + explanation.rest
        way = explanation.value - explanation.base_value
        assert explanation.gap == pytest.approx(way - total, abs=1e-9)
        assert abs(explanation.gap) < 0.02 * (1 + abs(way))
    finer = explain(trained_classifier, TEXTS, steps=1024)
    assert max(abs(explanation.gap or 0.0) for explanation in finer) < 2e-3


def test_the_values_are_the_log_odds_of_the_prediction(
    explained: list[Explanation], trained_classifier: Classifier
) -> None:
    for explanation in explained:
        assert explanation.value == pytest.approx(log_odds(explanation.prediction.probability), abs=1e-3)
    other = explain(trained_classifier, TEXTS, label="neutral")
    for explanation in other:
        assert explanation.label == "neutral"
        assert explanation.value == pytest.approx(log_odds(explanation.prediction.probabilities["neutral"]), abs=1e-3)


def test_the_end_of_the_text_weighs_nothing(explained: list[Explanation]) -> None:
    assert [explanation.rest for explanation in explained] == [0.0] * len(TEXTS)


def test_gradients_of_one_step_are_the_gradient_half_way(trained_classifier: Classifier) -> None:
    """Numerical differences of the log-odds, in float32 weights read in float32: a loose bound."""
    model, text = trained_classifier.model, TEXTS[0]
    ids = np.array([trained_classifier.tokenizer.encode([text])[0] + [trained_classifier.tokenizer.eos_id]], np.int32)
    start_ids = np.where(ids == trained_classifier.tokenizer.eos_id, ids, trained_classifier.tokenizer.unk_id)
    end, start = (np.array(model.embed(tf.constant(each))) for each in (ids, start_ids))
    start[..., model.sizes.embedding_units :] = 0.0  # of the n-grams
    label = trained_classifier.labels.index("positive")

    middle, step = (start + end)[0] / 2, 1e-2 * (end - start)[0]
    moved = np.eye(len(middle), dtype=np.float32)[:, :, None] * step  # one place a row
    points = np.concatenate([middle + moved, middle - moved])
    mask = np.ones(points.shape[:2], bool)
    logits = np.array(model.read(tf.constant(points), tf.constant(mask)).logits, np.float64)
    logits /= trained_classifier.calibration.temperature
    values = logits[:, label] - np.log(np.exp(np.delete(logits, label, axis=1)).sum(axis=1))
    above, below = np.split(values, 2)
    expected = (above - below) / 2e-2
    explanation = explain(trained_classifier, [text], label="positive", steps=1)[0]
    pieces = [word.pieces for word in words_of(trained_classifier.tokenizer, text)]
    received = [word.weight for word in explanation.words]
    assert received == pytest.approx([expected[one.start : one.stop].sum() for one in pieces], abs=0.02)


def test_alone_and_in_any_batch(explained: list[Explanation], trained_classifier: Classifier) -> None:
    alone = [explain(trained_classifier, [text])[0] for text in TEXTS]
    assert_close(alone, explained)


def test_bounded_passes_change_nothing(
    explained: list[Explanation], trained_classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes: list[tuple[int, ...]] = []
    along = module._along

    def counted(classifier: Classifier, token_ids: np.ndarray, labels: np.ndarray, places: np.ndarray) -> Any:
        passes.append((len(places), *token_ids.shape))
        return along(classifier, token_ids, labels, places)

    monkeypatch.setattr(module, "_along", counted)
    monkeypatch.setattr(module, "TOKENS_A_PASS", 64)
    assert_close(explain(trained_classifier, TEXTS), explained)
    # A text that is longer than the budget takes its points one by one.
    assert all(math.prod(each) <= 64 or each[:2] == (1, 1) for each in passes)


def test_words_that_the_model_never_saw_apart_do_not_crash(trained_classifier: Classifier) -> None:
    texts = ["", " \t", "\x00", "\ud800", "x" * 300, "\u200b", "<pad> </s>"]
    explanations = explain(trained_classifier, texts)
    assert [explanation.prediction.text for explanation in explanations] == [text_lines([text])[0] for text in texts]
    for explanation in explanations:
        assert explanation.prediction.empty == (explanation.value is None)
        if explanation.prediction.empty:
            assert explanation.words == ()
            assert explanation.gap is None
        else:
            assert abs(explanation.gap or 0.0) < 0.05 * (
                1 + abs((explanation.value or 0) - (explanation.base_value or 0))
            )
    assert explain(trained_classifier, []) == []


def test_attention_is_shared_out(trained_classifier: Classifier) -> None:
    explanations = explain(trained_classifier, TEXTS, "attention")
    for explanation in explanations:
        assert explanation.method == "attention"
        assert explanation.gap is None
        assert sum(word.weight for word in explanation.words) + explanation.rest == pytest.approx(1.0, abs=1e-5)
        assert min(word.weight for word in explanation.words) >= 0.0
        assert explanation.rest > 0.0  # of the end of the text
    alone = [explain(trained_classifier, [text], "attention")[0] for text in TEXTS]
    assert_close(alone, explanations, 1e-5)


def test_attention_is_that_of_the_pooling(trained_classifier: Classifier) -> None:
    model, tokenizer = trained_classifier.model, trained_classifier.tokenizer
    ids = tf.constant([tokenizer.encode([TEXTS[0]])[0] + [tokenizer.eos_id]])
    weights = np.array(model.read(model.embed(ids), model.token_mask(ids)).attention_weights)[0]
    explanation = explain(trained_classifier, TEXTS[:1], "attention")[0]
    assert explanation.rest == pytest.approx(weights[-1], abs=1e-5)
    expected = [weights[list(word.pieces)].sum() for word in words_of(tokenizer, TEXTS[0])]
    assert [word.weight for word in explanation.words] == pytest.approx(expected, abs=1e-5)


def test_several_labels(multi_label_run: Path) -> None:
    classifier = Classifier.load(multi_label_run)
    for explanation in explain(classifier, TEXTS, steps=256):
        assert explanation.label == explanation.prediction.label
        assert explanation.value == pytest.approx(log_odds(explanation.prediction.probability), abs=1e-3)
        assert abs(explanation.gap or 0.0) < 0.02 * (1 + abs(explanation.value or 0.0))


def test_of_several_labels_the_most_probable_that_is_said_is_explained(multi_label_run: Path) -> None:
    classifier = Classifier.load(multi_label_run)
    probabilities = classifier.probabilities(TEXTS[:1])[0]
    first, second, third = (int(label) for label in np.argsort(-probabilities))
    for unsaid, expected in (((first,), second), ((first, second), third), ((first, second, third), first)):
        thresholds = tuple(1.0 if label in unsaid else 0.0 for label in range(3))
        classifier.calibration = replace(classifier.calibration, thresholds=thresholds)
        for method in ("gradients", "attention"):
            explanation = explain(classifier, TEXTS[:1], method)[0]
            assert explanation.label == classifier.labels[expected]
            assert explanation.prediction.label == classifier.labels[first]


def test_without_word_dropout_the_baseline_is_zero(trained_classifier: Classifier) -> None:
    config = trained_classifier.config.with_overrides(["model.word_dropout=0.0"])
    other = Classifier(
        trained_classifier.model,
        trained_classifier.tokenizer,
        config,
        labels=trained_classifier.labels,
        prior=(1, 0, 0),
    )
    trained = trained_classifier.model.config
    try:
        trained_classifier.model.config = config.model
        explanation = explain(other, TEXTS[:1], steps=256)[0]
    finally:
        trained_classifier.model.config = trained
    assert abs(explanation.gap or 0.0) < 0.02 * (1 + abs(explanation.value or 0.0))
    ids = trained_classifier.tokenizer.encode(TEXTS[:1])[0]
    model = trained_classifier.model
    eos = model.embed(tf.constant([[trained_classifier.tokenizer.eos_id]]))
    point = tf.concat([tf.zeros([1, len(ids), eos.shape[-1]]), eos], axis=1)
    logits = np.array(model.read(point, tf.ones([1, len(ids) + 1], tf.bool)).logits, np.float64)[0]
    label = other.labels.index(explanation.label)
    assert explanation.base_value == pytest.approx(
        logits[label] - np.log(np.exp(np.delete(logits, label)).sum()), abs=1e-3
    )


def test_ngrams_add_nothing_to_the_baseline(trained_classifier: Classifier) -> None:
    """Pairs of unk share a row of the table with whatever has the same hash: what it has learnt is not theirs."""
    model, unk_id = trained_classifier.model, trained_classifier.tokenizer.unk_id
    expected = [one.base_value for one in explain(trained_classifier, TEXTS, label="neutral")]
    table = model.ngrams.table.numpy()
    taught = table.copy()
    taught[int(model.ngrams._rows(tf.constant([[unk_id, unk_id]]), 2)[0, 0])] = [3.0, -1.0, -2.0]
    try:
        model.ngrams.table.assign(taught)
        received = [one.base_value for one in explain(trained_classifier, TEXTS, label="neutral")]
    finally:
        model.ngrams.table.assign(table)
    assert received == pytest.approx(expected, abs=1e-4)


def test_a_run_without_attention_pooling(trained_classifier: Classifier) -> None:
    config = trained_classifier.config.with_overrides(['model.pooling=["max", "mean"]'])
    other = Classifier(
        trained_classifier.model,
        trained_classifier.tokenizer,
        config,
        labels=trained_classifier.labels,
        prior=(1, 0, 0),
    )
    message = (
        r"method attention: this run has no attention pooling, its model.pooling is max, mean; explain it by "
        r"gradients, or train one with attention in model.pooling"
    )
    with pytest.raises(InputError, match=message) as caught:
        explain(other, TEXTS, "attention")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "shap"}, r"method: received 'shap', expected gradients or attention"),
        ({"label": "pos"}, r"unknown label 'pos'; the run knows 'negative', 'neutral', 'positive'"),
        ({"label": "positive", "method": "attention"}, r"received 'positive' with method attention, which is the same"),
        ({"steps": 0}, r"steps: received 0, expected 1 or more; 32 is usual"),
    ],
)
def test_wrong_calls(arguments: dict[str, Any], message: str, trained_classifier: Classifier) -> None:
    with pytest.raises(InputError, match=message):
        explain(trained_classifier, TEXTS, **arguments)
    with pytest.raises(InputError, match="received one text, expected a list"):
        explain(trained_classifier, "a film")


def test_the_classifier_explains(trained_classifier: Classifier, explained: list[Explanation]) -> None:
    assert_close(trained_classifier.explain(TEXTS), explained)


def test_a_classifier_that_goes_takes_its_functions_along(trained_classifier: Classifier) -> None:
    other = Classifier(
        trained_classifier.model,
        trained_classifier.tokenizer,
        trained_classifier.config,
        labels=trained_classifier.labels,
        prior=(1, 0, 0),
    )
    module._functions(other)
    assert other in module._FUNCTIONS
    gone = weakref.ref(other)
    del other
    gc.collect()
    assert gone() is None
