"""A trained run as a SavedModel: text in, text out, beam search inside."""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf

from nmt.golden_examples import golden_examples
from nmt.serving_functions import ServingFunctions
from nmt.translation_data import text_path
from nmt.translator import Translator
from textseq.export import publish, run_to_export
from textseq.export_texts import read_golden_texts


def export(run: str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Writes the best weights of a run as a SavedModel for TF Serving, if it proves that it translates as the run does.

    It has four signatures. All take `text` string[batch], and give for each row what they would give for it alone;
    where rows differ in extent, the shorter are padded with "", 0 or float32's lowest.

    `serving_default` translates:

    - `translation` string[batch].
    - `score` float32[batch]: the length-normalised log-probability.
    - `truncated` bool[batch]: the text has more than `nmt.ceilings.LONGEST_SOURCE` tokens or `LONGEST_SOURCE_BYTES`
      bytes, and only the first are translated. Every signature has it.

    `n_best` also takes `n` int32[batch], and gives several translations, best first. The first is that of
    `serving_default` (unless `search.patience` is below 1: search then stops at the first few that finish, and goes on
    where more are asked for).

    - `translations` string[batch, columns], `scores` float32[batch, columns]; as many columns as the largest count.
    - `count` int32[batch]: translations in this row, `n`, but at least 1 and at most the beam.

    `align` gives what `serving_default` gives, and where the model looked; a model without attention has no `align`:

    - `source_tokens` string[batch, source], `target_tokens` string[batch, target]: subword pieces, with the final
      "</s>" (in the target where search reached it).
    - `source_length`, `target_length` int32[batch]: tokens in this row.
    - `attention` float32[batch, target, source]: how much each target token looked at each source token.

    `score` also takes `translation` string[batch], and gives its probability:

    - `log_probability` float32[batch], in nats, as `Translator.score` gives it.
    - `truncated` bool[batch]: here also where the translation has more than `nmt.ceilings.LONGEST_TARGET` tokens or
      `LONGEST_TARGET_BYTES` bytes, of which the first are scored.

    Beam, normalisation and limits are the run's own. Work and output are bounded by the length of the input, and that
    by the ceilings, see `nmt.serving_functions`. Bytes that are no UTF-8 are read as U+FFFD, and an empty text gives
    empty translations.

    Args:
        run: the run directory.
        out: the folder that TF Serving watches; the export becomes its next version, 1, 2, ...

    Returns:
        The folder of the version.

    Raises:
        RunDirectoryError: there is no run, it has no weights yet, or its validation text is missing.
        OutputError: `out` holds something else, or cannot be written.
        ExportMismatch: a fresh process got other translations from the export than the run gives; nothing is published.

    Example:
        >>> export("runs/en-de", "serving/en-de")  # doctest: +SKIP
        PosixPath('serving/en-de/1')
    """
    directory = run_to_export(run, out, "nmt")
    with tf.device("CPU:0"):  # where the proof runs; a GPU's products are rounded otherwise
        translator = Translator.load(run)
        path = text_path(directory.data_path, "valid", "source")
        golden = golden_examples(translator, read_golden_texts(path, translator.source_tokenizer.vocabulary()))
    functions = ServingFunctions(translator)
    return publish(out, "nmt", functions.module, functions.signatures(), golden)
