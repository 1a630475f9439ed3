"""What a run itself gives for a few texts: what its export has to give too."""

from __future__ import annotations

from typing import Any

from classifiers.classifier import LONGEST_TEXT, Classifier
from classifiers.explain import explain_encoded
from classifiers.prediction import Prediction
from classifiers.serving_functions import LONGEST_EXPLAINED
from textseq.export import Golden


def golden_examples(classifier: Classifier, texts: list[bytes]) -> dict[str, Golden]:
    """Inputs of each signature of an export, and what the run gives for them.

    Rows of words and weights have each their own extent, without padding.

    Args:
        classifier: the run.
        texts: from `textseq.export_texts`.
    """
    predictions = classifier.predict(_lines(texts))
    outputs: dict[str, list[Any]] = {
        "label": [_answer(classifier, prediction).encode() for prediction in predictions],
        "probability": [prediction.probability for prediction in predictions],
        "probabilities": [list(prediction.probabilities.values()) for prediction in predictions],
        "truncated": [prediction.truncated for prediction in predictions],
    }
    return {
        "serving_default": Golden({"text": texts}, outputs, f"{LONGEST_TEXT:,} tokens"),
        "explain": _explanations(classifier, texts),
    }


def _explanations(classifier: Classifier, texts: list[bytes]) -> Golden:
    """Explains also a text beyond the ceiling."""
    longest = max(texts, key=len)
    lines = _lines([*texts, b" ".join([longest] * (1 + LONGEST_EXPLAINED // len(longest.split())))])
    found = explain_encoded(classifier, lines, classifier.encode(lines).cut(LONGEST_EXPLAINED))
    outputs: dict[str, list[Any]] = {
        "label": [each.label.encode() for each in found],
        "probability": [each.prediction.probabilities[each.label] for each in found],
        "words": [[word.word.encode() for word in each.words] for each in found],
        "weights": [[word.weight for word in each.words] for each in found],
        "word_count": [len(each.words) for each in found],
        "truncated": [each.prediction.truncated for each in found],
    }
    return Golden({"text": [line.encode() for line in lines]}, outputs, f"{LONGEST_EXPLAINED:,} tokens")


def _lines(texts: list[bytes]) -> list[str]:
    return [text.decode("utf-8", "replace") for text in texts]


def _answer(classifier: Classifier, prediction: Prediction) -> str:
    if not classifier.multi_label:
        return prediction.label
    return classifier.config.corpus.label_separator.join(prediction.labels)
