"""A trained run as a SavedModel: text in, labels out, calibration inside."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from classifiers.classifier import LONGEST_TEXT, Classifier
from classifiers.parts import text_path
from classifiers.prediction import Prediction
from textseq.backend import require_tensorflow
from textseq.console import one_line
from textseq.export import Golden, check_folder, publish
from textseq.export_texts import read_golden_texts, serving_ids
from textseq.graph_tokenization import GraphTokenizer
from textseq.run_directory import RunDirectory

LABELS = "labels.txt"
"""In `assets.extra` of an export: the labels, one a line, in the order of `probabilities`."""


def export(run: str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Writes the best weights of a run as a SavedModel for TF Serving, if it proves that it answers as the run does.

    `serving_default` takes `text` string[batch] and gives

    - `label` string[batch]: the most probable label. Where a text can have several, all that are above their
      thresholds, in the labels' order, with `corpus.label_separator` between them; empty where there is none.
    - `probability` float32[batch]: of the most probable label.
    - `probabilities` float32[batch, classes]: of every label, in the order of `assets.extra/labels.txt`.

    Probabilities are calibrated as the run's are. Bytes that are no UTF-8 are read as U+FFFD, an empty text gets the
    labels' shares in the training text, and of a text of more than `LONGEST_TEXT` tokens the first are read. Nothing
    abstains: the threshold for it is `calibration.abstain_below` of the run.

    Args:
        run: the run directory.
        out: the folder that TF Serving watches; the export becomes its next version, 1, 2, ...

    Returns:
        The folder of the version.

    Raises:
        RunDirectoryError: there is no run, it has no weights yet, its tokenizer was changed after the training, or its
            validation text is missing.
        OutputError: `out` holds something else, or cannot be written.
        ExportMismatch: a fresh process got other answers from the export than the run gives; nothing is published.

    Example:
        >>> export("runs/sst2", "serving/sst2")  # doctest: +SKIP
        PosixPath('serving/sst2/1')
    """
    require_tensorflow("an export")
    check_folder(out, "classifiers")
    directory = RunDirectory.open(run, "classifiers")
    with tf.device("CPU:0"):  # where the proof runs; a GPU's products are rounded otherwise
        classifier = Classifier.load(run)
        golden = _golden(classifier, read_golden_texts(text_path(directory.data_path, "valid")))
    module = tf.Module(name="classifier")
    function = _serving_function(classifier, module)
    labels = "".join(f"{one_line(label)}\n" for label in classifier.labels)
    return publish(
        out,
        "classifiers",
        module,
        {"serving_default": function},
        {"serving_default": golden},
        extra={LABELS: labels.encode()},
    )


def _serving_function(classifier: Classifier, module: tf.Module) -> Callable[..., dict[str, tf.Tensor]]:
    """Returns `serving_default`, and has the module keep what it needs."""
    tokenizer, model = classifier.tokenizer, classifier.model
    encoder = GraphTokenizer(tokenizer.model_bytes)
    labels = tf.constant(list(classifier.labels))
    # In float64, as in the run: rounding must not move a probability across its threshold.
    temperature = tf.constant(classifier.calibration.temperature, tf.float64)
    prior = tf.constant([classifier.prior], tf.float64)
    # The weights alone, not the model: dropout's random state stays out, and loading needs no Keras.
    module.weights = [variable.value for variable in model.trainable_variables]
    module.tokenizer = encoder

    def serve(text: tf.Tensor) -> dict[str, tf.Tensor]:
        token_ids, lengths, _ = serving_ids(encoder, text, LONGEST_TEXT, tokenizer.eos_id, tokenizer.pad_id)
        logits = tf.cast(model(token_ids, training=False), tf.float64) / temperature
        probabilities = tf.sigmoid(logits) if classifier.multi_label else tf.nn.softmax(logits)
        probabilities = tf.where((lengths == 0)[:, tf.newaxis], prior, probabilities)
        return {
            "label": _joined_labels(classifier, probabilities, labels)
            if classifier.multi_label
            else tf.gather(labels, tf.argmax(probabilities, axis=1)),
            "probability": tf.cast(tf.reduce_max(probabilities, axis=1), tf.float32),
            "probabilities": tf.cast(probabilities, tf.float32),
        }

    signature = [tf.TensorSpec([None], tf.string, name="text")]
    return tf.function(serve, input_signature=signature, autograph=False).get_concrete_function()


def _joined_labels(classifier: Classifier, probabilities: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """The labels of each text that are above their thresholds, as one string[batch]."""
    thresholds = classifier.calibration.thresholds or (0.5,)
    said = tf.where(probabilities > tf.constant([thresholds], tf.float64))  # int64[labels that are said, 2]
    return tf.strings.unsorted_segment_join(
        tf.gather(labels, said[:, 1]),
        said[:, 0],
        tf.shape(probabilities)[0],
        separator=classifier.config.corpus.label_separator,
    )


def _golden(classifier: Classifier, texts: list[bytes]) -> Golden:
    predictions = classifier.predict([text.decode("utf-8", "replace") for text in texts])
    return Golden(
        inputs={"text": texts},
        outputs={
            "label": [_answer(classifier, prediction).encode() for prediction in predictions],
            "probability": [prediction.probability for prediction in predictions],
            "probabilities": [list(prediction.probabilities.values()) for prediction in predictions],
        },
    )


def _answer(classifier: Classifier, prediction: Prediction) -> str:
    if not classifier.multi_label:
        return prediction.label
    return classifier.config.corpus.label_separator.join(prediction.labels)
