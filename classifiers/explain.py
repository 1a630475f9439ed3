"""Explaining predictions: a weight for each word, from attention or from integrated gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from classifiers.classifier import LONGEST_TEXT_BYTES, Classifier, EncodedTexts
from classifiers.explanation import Explanation, Method, WordWeight
from classifiers.labels import listed
from classifiers.prediction import Prediction
from textseq.errors import InputError
from textseq.inference import batched_indices, padded, text_lines
from textseq.text_start import text_start
from textseq.words import words_of

STEPS = 32
"""Points of the integral's path."""

TOKENS_A_PASS = 8192
"""Tokens that are differentiated at once, all points of the path counted; a longer text takes its points singly."""

Floats = npt.NDArray[np.float64]


class _TokenWeights(NamedTuple):
    """The weights of one text's tokens, its final eos included."""

    weights: Floats
    """float64[tokens]."""
    base_value: float | None = None
    value: float | None = None


def explain(
    classifier: Classifier,
    texts: Sequence[str],
    method: str | None = None,
    label: str | None = None,
    *,
    steps: int = STEPS,
) -> list[Explanation]:
    """Explains the prediction for each text by a weight for each of its words.

    "gradients" are integrated gradients (Sundararajan, Taly, Yan 2017, arXiv:1703.01365, equation 1) of the label's
    log-odds f, as calibrated, by the embedded tokens x, on the straight way from a baseline x':

    ```
    weight_i = (x_i - x'_i) . integral_0^1 of grad_i f(x' + a (x - x')) da
    ```

    The integral is a mean over the midpoints of `steps` equal parts (equation 3). The weights sum to f(x) - f(x') but
    for the error of that mean, which is `Explanation.gap`. The baseline is a text of the same length whose every
    token is unknown: the embedding of unk, which word dropout has trained to say nothing, or zeros where the run was
    trained without word dropout, for then unk's embedding never met a text. N-grams add nothing to the baseline: they
    are looked up before words are dropped, so unk's have learnt nothing, or share a hash with others. The final eos
    stays, and so weighs 0.

    "attention" is what the attention pooling looks at. A state there has read the whole text in both directions, so a
    weight says where a conclusion was drawn, not what it was drawn from; and it says nothing of the n-grams, nor, where
    attention is one pooling of several, of the others.

    Args:
        classifier: a trained one.
        texts: as for `Classifier.predict`.
        method: "gradients" or "attention"; None is "gradients".
        label: the label to explain, with gradients; None is the predicted one. Of several it is the most probable one
            that is said, that is, above its threshold; where none is said, the most probable.
        steps: points of the path.

    Returns:
        One explanation for each text, in order; that of a text without tokens has no words.

    Raises:
        InputError: an unknown method or label, attention from a run without attention pooling, or one text in place
            of a list.

    Example:
        >>> explain(Classifier.load("runs/sst2"), ["A great film."])[0].top(1)  # doctest: +SKIP
        (WordWeight(word='great', weight=3.1, start=2, end=7),)
    """
    chosen = _checked_method(classifier, method, label)
    if steps < 1:
        raise InputError(f"steps: received {steps}, expected 1 or more; {STEPS} is usual")
    lines = text_lines(texts)
    return explain_encoded(classifier, lines, classifier.encode(lines), chosen, label, steps=steps)


def explain_encoded(
    classifier: Classifier,
    lines: Sequence[str],
    encoded: EncodedTexts,
    method: Method = "gradients",
    label: str | None = None,
    *,
    steps: int = STEPS,
) -> list[Explanation]:
    """Explains the prediction for texts that are cut into ids already; see `explain`.

    Args:
        classifier: a trained one.
        lines: text without lone surrogates.
        encoded: their ids, from `Classifier.encode`, or fewer of them.
        method: "gradients" or "attention".
        label: one of the classifier's; None as for `explain`.
        steps: points of the path.
    """
    predictions = classifier.predict_encoded(lines, encoded)
    named = [_predicted_label(prediction) if label is None else label for prediction in predictions]
    ids = encoded.ids
    found: list[_TokenWeights]
    if method == "attention":
        found = _attention(classifier, ids)
    else:
        found = _integrated_gradients(classifier, ids, [classifier.labels.index(one) for one in named], steps)
    return [
        _explanation(classifier, *each, method)
        for each in zip(predictions, named, (len(one) - 1 for one in ids), found, strict=True)
    ]


def _predicted_label(prediction: Prediction) -> str:
    # A label with a low threshold can be said while a more probable one is not.
    return max(prediction.labels, key=prediction.probabilities.__getitem__, default=prediction.label)


def _checked_method(classifier: Classifier, method: str | None, label: str | None) -> Method:
    if label is not None and label not in classifier.labels:
        raise InputError(f"unknown label {label!r}; the run knows {listed(classifier.labels)}")
    if method is None or method == "gradients":
        return "gradients"
    if method != "attention":
        raise InputError(f"method: received {method!r}, expected gradients or attention")
    poolings = classifier.config.model.pooling
    if "attention" not in poolings:
        raise InputError(
            f"method attention: this run has no attention pooling, its model.pooling is {', '.join(poolings)}; "
            f"explain it by gradients, or train one with attention in model.pooling"
        )
    if label is not None:
        raise InputError(
            f"label: received {label!r} with method attention, which is the same for every label; "
            f"leave it out, or explain by gradients"
        )
    return "attention"


def _explanation(
    classifier: Classifier, prediction: Prediction, label: str, pieces: int, found: _TokenWeights, method: Method
) -> Explanation:
    if prediction.empty:
        return Explanation(prediction, (), label, method)
    words = tuple(
        WordWeight(word.text, float(found.weights[word.pieces.start : word.pieces.stop].sum()), word.start, word.end)
        for word in words_of(classifier.tokenizer, text_start(prediction.text, LONGEST_TEXT_BYTES), pieces)
    )
    # Words share out all pieces; without a word, pieces of blanks are left over.
    rest = float(found.weights[pieces:].sum() if words else found.weights.sum())
    return Explanation(prediction, words, label, method, rest, found.base_value, found.value)


def _attention(classifier: Classifier, ids: Sequence[Sequence[int]]) -> list[_TokenWeights]:
    found = [np.zeros(len(one), np.float64) for one in ids]
    for indices in batched_indices(_lengths(ids), TOKENS_A_PASS):
        token_ids = padded([ids[index] for index in indices], classifier.tokenizer.pad_id)
        weights = _functions(classifier).attention(tf.constant(token_ids)).numpy()
        for index, row in zip(indices, weights, strict=True):
            found[index][:] = row[: len(ids[index])]
    return [_TokenWeights(weights) for weights in found]


def _integrated_gradients(
    classifier: Classifier, ids: Sequence[Sequence[int]], labels: Sequence[int], steps: int
) -> list[_TokenWeights]:
    # The ends of the way are points too, for f there; they have no part in the mean.
    places = np.concatenate([[0.0], (np.arange(steps) + 0.5) / steps, [1.0]])
    shares = np.concatenate([[0.0], np.full(steps, 1.0 / steps), [0.0]])
    found: list[_TokenWeights] = [_TokenWeights(np.zeros(len(one))) for one in ids]
    for indices in batched_indices(_lengths(ids), max(1, TOKENS_A_PASS // len(places))):
        token_ids = padded([ids[index] for index in indices], classifier.tokenizer.pad_id)
        at_once = max(1, TOKENS_A_PASS // token_ids.size)
        total, values = np.zeros(token_ids.shape, np.float64), []
        for start in range(0, len(places), at_once):
            some = slice(start, start + at_once)
            weights, value = _along(classifier, token_ids, np.array(labels)[indices], places[some])
            total += np.einsum("prl,p->rl", weights, shares[some])
            values.append(value)
        value = np.concatenate(values)  # [points, rows]
        for row, index in enumerate(indices):
            found[index] = _TokenWeights(total[row, : len(ids[index])], float(value[0, row]), float(value[-1, row]))
    return found


def _along(
    classifier: Classifier, token_ids: npt.NDArray[np.int32], labels: npt.NDArray[np.int64], places: Floats
) -> tuple[Floats, Floats]:
    """The weights float64[points, rows, length] and the log-odds float64[points, rows] at some points of the way."""
    points, (rows, length) = len(places), token_ids.shape
    weights, values = _functions(classifier).gradients(
        tf.constant(np.tile(token_ids, (points, 1))),
        tf.constant(np.repeat(places, rows), tf.float32),
        tf.constant(np.tile(labels, points), tf.int32),
        tf.constant(classifier.calibration.temperature, tf.float32),
    )
    # [points * rows, ...] -> [points, rows, ...]
    return (
        weights.numpy().astype(np.float64).reshape(points, rows, length),
        values.numpy().astype(np.float64).reshape(points, rows),
    )


class _Functions(NamedTuple):
    """What is compiled once for a classifier."""

    attention: Callable[..., Any]
    gradients: Callable[..., Any]


# A classifier is compiled for on first use, and its functions go when it goes.
_FUNCTIONS: WeakKeyDictionary[Classifier, _Functions] = WeakKeyDictionary()


def _functions(classifier: Classifier) -> _Functions:
    if classifier not in _FUNCTIONS:
        # The functions may not hold the classifier, or it would never go.
        _FUNCTIONS[classifier] = _compiled(classifier.model, classifier.multi_label)
    return _FUNCTIONS[classifier]


def _compiled(model: Any, multi_label: bool) -> _Functions:
    def attention(token_ids: tf.Tensor) -> tf.Tensor:
        return model.read(model.embed(token_ids), model.token_mask(token_ids)).attention_weights

    ids, points, numbers, number = (
        tf.TensorSpec(shape, dtype)
        for shape, dtype in (([None, None], tf.int32), ([None], tf.float32), ([None], tf.int32), ([], tf.float32))
    )
    gradients = path_gradients(model, multi_label)
    return _Functions(
        tf.function(attention, input_signature=[ids], autograph=False),
        tf.function(gradients, input_signature=[ids, points, numbers, number], autograph=False),
    )


def path_gradients(model: Any, multi_label: bool) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """What is integrated: a function of TensorFlow tensors, for graphs of a model's own.

    Args:
        model: a `ClassifierModel`.
        multi_label: whether a text can have several labels.

    Returns:
        A function of int32[rows, length] ids, float32[rows] places on the way from the baseline (0) to the text (1),
        int32[rows] labels and the temperature float32[]. It gives float32[rows, length], the gradient at the place
        times the way, and float32[rows], the log-odds there.
    """
    special = model.special_ids

    def baseline(token_ids: tf.Tensor, embedded: tf.Tensor) -> tf.Tensor:
        kept = tf.logical_or(token_ids == special.eos_id, token_ids == special.pad_id)
        if model.config.word_dropout == 0:
            return tf.where(kept[:, :, tf.newaxis], embedded, 0.0)
        unknown = model.embedding(tf.where(kept, token_ids, special.unk_id))
        _, added = model.divided(embedded)
        return unknown if added is None else tf.concat([unknown, tf.zeros_like(added)], axis=-1)

    def log_odds(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        own = tf.gather(logits, labels, batch_dims=1)
        if multi_label:
            return own
        others = tf.where(tf.one_hot(labels, model.classes, True, False), logits.dtype.min, logits)
        return own - tf.reduce_logsumexp(others, axis=1)

    def gradients(
        token_ids: tf.Tensor, places: tf.Tensor, labels: tf.Tensor, temperature: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        embedded = model.embed(token_ids)
        start = baseline(token_ids, embedded)
        way = embedded - start
        point = start + places[:, tf.newaxis, tf.newaxis] * way
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(point)
            logits = tf.cast(model.read(point, model.token_mask(token_ids)).logits, tf.float32)
            value = log_odds(logits / temperature, labels)
        return tf.reduce_sum(tape.gradient(value, point) * way, axis=-1), value

    return gradients


def _lengths(ids: Sequence[Sequence[int]]) -> npt.NDArray[np.int64]:
    return np.array([len(one) for one in ids], np.int64).reshape(-1, 1)
