"""What a run itself gives for a few texts: what its export has to give too."""

from __future__ import annotations

from typing import Any

from classifiers.classifier import LONGEST_TEXT, LONGEST_TEXT_BYTES, Classifier
from classifiers.explain import explain_encoded
from classifiers.prediction import Prediction
from classifiers.serving_functions import LONGEST_EXPLAINED, LONGEST_EXPLAINED_BYTES
from textseq.export import Golden
from textseq.export_texts import text_beyond
from textseq.inference import without_warnings
from textseq.text_start import text_start


def golden_examples(classifier: Classifier, texts: list[bytes]) -> dict[str, Golden]:
    """Inputs of each signature of an export, and what the run gives for them.

    Rows of words and weights have each their own extent, without padding. For each signature, one text more lies beyond
    its ceiling of bytes.

    Args:
        classifier: the run.
        texts: from `textseq.export_texts`.
    """
    with without_warnings():
        return {"serving_default": _predictions(classifier, texts), "explain": _explanations(classifier, texts)}


def _predictions(classifier: Classifier, texts: list[bytes]) -> Golden:
    texts = [*texts, text_beyond(texts[0], LONGEST_TEXT_BYTES)]
    predictions = classifier.predict(_lines(texts))
    outputs: dict[str, list[Any]] = {
        "label": [_answer(classifier, prediction).encode() for prediction in predictions],
        "probability": [prediction.probability for prediction in predictions],
        "labels": [[label.encode() for label in classifier.labels] for _ in predictions],
        "probabilities": [list(prediction.probabilities.values()) for prediction in predictions],
        "truncated": [prediction.truncated for prediction in predictions],
    }
    if classifier.multi_label:
        outputs["given"] = [[label in prediction.labels for label in classifier.labels] for prediction in predictions]
    return Golden({"text": texts}, outputs, f"{LONGEST_TEXT:,} tokens, {LONGEST_TEXT_BYTES:,} bytes")


def _explanations(classifier: Classifier, texts: list[bytes]) -> Golden:
    """Explains also a text beyond the ceiling of tokens."""
    longest = max(texts, key=len)
    beyond = b" ".join([longest] * (1 + LONGEST_EXPLAINED // len(longest.split())))
    lines = _lines([*texts, beyond, text_beyond(texts[0], LONGEST_EXPLAINED_BYTES)])
    starts = [text_start(line, LONGEST_EXPLAINED_BYTES) for line in lines]
    found = explain_encoded(classifier, starts, classifier.encode(starts).cut(LONGEST_EXPLAINED))
    outputs: dict[str, list[Any]] = {
        "label": [each.label.encode() for each in found],
        "probability": [each.prediction.probabilities[each.label] for each in found],
        "words": [[word.word.encode() for word in each.words] for each in found],
        "weights": [[word.weight for word in each.words] for each in found],
        "word_count": [len(each.words) for each in found],
        "truncated": [
            each.prediction.truncated or start != line for each, start, line in zip(found, starts, lines, strict=True)
        ],
    }
    ceiling = f"{LONGEST_EXPLAINED:,} tokens, {LONGEST_EXPLAINED_BYTES:,} bytes"
    return Golden({"text": [line.encode() for line in lines]}, outputs, ceiling)


def _lines(texts: list[bytes]) -> list[str]:
    return [text.decode("utf-8", "replace") for text in texts]


def _answer(classifier: Classifier, prediction: Prediction) -> str:
    if not classifier.multi_label:
        return prediction.label
    return classifier.config.corpus.label_separator.join(prediction.labels)
