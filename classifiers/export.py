"""A trained run as a SavedModel: text in, labels out, calibration inside."""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf

from classifiers.classifier import Classifier
from classifiers.golden_examples import golden_examples
from classifiers.parts import text_path
from classifiers.serving_functions import ServingFunctions
from textseq.console import one_line
from textseq.export import publish, run_to_export
from textseq.export_texts import read_golden_texts
from textseq.serving.exported_signatures import LABELS


def export(run: str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Writes the best weights of a run as a SavedModel for TF Serving, if it proves that it answers as the run does.

    It has two signatures. Both take `text` string[batch], and give for each row what they would give for it alone.

    `serving_default` gives

    - `label` string[batch]: the most probable label. Where a text can have several, all that are above their
      thresholds, in the labels' order, with `corpus.label_separator` between them; empty where there is none.
    - `probability` float32[batch]: of the most probable label.
    - `labels` string[batch, classes]: every label, the same in each row, so that an answer can be read alone.
    - `probabilities` float32[batch, classes]: of every label, in the order of `labels`.
    - `given` bool[batch, classes], where a text can have several: which labels are above their thresholds.
    - `truncated` bool[batch]: the text has more than `classifier.LONGEST_TEXT` tokens or `LONGEST_TEXT_BYTES` bytes,
      and only the first were read.

    `explain` gives what `classifiers explain` gives, by integrated gradients:

    - `label` string[batch], `probability` float32[batch]: the label that is explained: the most probable one. Where a
      text can have several, the most probable of those above their thresholds, if there are any.
    - `words` string[batch, words], `weights` float32[batch, words]: each word as it stands in the text, and what it
      adds to the log-odds of the label, in nats; shorter rows are padded with "" and 0.
    - `word_count` int32[batch]: words in this row; 0 for a text without tokens.
    - `truncated` bool[batch]: the text has more than `serving_functions.LONGEST_EXPLAINED` tokens or
      `LONGEST_EXPLAINED_BYTES` bytes. Only the first were read, for the label as well as for the weights.

    Probabilities are calibrated as the run's are. Bytes that are no UTF-8 are read as U+FFFD, and a text without tokens
    gets the labels' shares in the training text. Nothing abstains: the threshold for it is `calibration.abstain_below`
    of the run.

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
    directory = run_to_export(run, out, "classifiers")
    with tf.device("CPU:0"):  # where the proof runs; a GPU's products are rounded otherwise
        classifier = Classifier.load(run)
        path = text_path(directory.data_path, "valid")
        golden = golden_examples(classifier, read_golden_texts(path, classifier.tokenizer.vocabulary()))
    functions = ServingFunctions(classifier)
    labels = "".join(f"{one_line(label)}\n" for label in classifier.labels)
    return publish(
        out, "classifiers", functions.module, functions.signatures(), golden, extra={LABELS.name: labels.encode()}
    )
