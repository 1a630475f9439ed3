"""A trained run as a SavedModel: text in, text out, beam search inside."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from nmt.search import beam_search
from nmt.source_ceiling import LONGEST_SOURCE
from nmt.translation_data import text_path
from nmt.translator import Translator
from textseq.backend import require_tensorflow
from textseq.export import Golden, check_folder, publish
from textseq.export_texts import read_golden_texts, serving_ids
from textseq.graph_tokenization import GraphTokenizer
from textseq.run_directory import RunDirectory


def export(run: str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Writes the best weights of a run as a SavedModel for TF Serving, if it proves that it translates as the run does.

    `serving_default` takes `text` string[batch] and gives `translation` string[batch] and `score` float32[batch].
    Beam and length normalisation are the run's own. Bytes that are no UTF-8 are read as U+FFFD, an empty text gives
    an empty translation, and of a text of more than `LONGEST_SOURCE` tokens the first are translated.

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
    require_tensorflow("an export")
    check_folder(out, "nmt")
    directory = RunDirectory.open(run, "nmt")
    with tf.device("CPU:0"):  # where the proof runs; a GPU's products are rounded otherwise
        translator = Translator.load(run)
        golden = _golden(translator, read_golden_texts(text_path(directory.data_path, "valid", "source")))
    module = tf.Module(name="translator")
    function = _serving_function(translator, module)
    return publish(out, "nmt", module, {"serving_default": function}, {"serving_default": golden})


def _serving_function(translator: Translator, module: tf.Module) -> Callable[..., dict[str, tf.Tensor]]:
    """Returns `serving_default`, and has the module keep what it needs."""
    source, target = translator.source_tokenizer, translator.target_tokenizer
    config = translator.config.with_overrides(["search.n_best=1"]).search
    encoder = GraphTokenizer(source.model_bytes)
    decoder = encoder if target is source else GraphTokenizer(target.model_bytes)
    # The weights alone, not the model: dropout's random state stays out, and loading needs no Keras.
    module.weights = [variable.value for variable in translator.model.trainable_variables]
    module.tokenizers = [encoder, decoder]

    def serve(text: tf.Tensor) -> dict[str, tf.Tensor]:
        source_ids, lengths, _ = serving_ids(encoder, text, LONGEST_SOURCE, source.eos_id, source.pad_id)
        found = beam_search(translator.model, source_ids, config, target)
        translation = decoder.decode(found.ids[:, 0], found.lengths[:, 0])
        return {
            "translation": tf.where(lengths == 0, "", translation),
            "score": found.scores[:, 0],
        }

    signature = [tf.TensorSpec([None], tf.string, name="text")]
    return tf.function(serve, input_signature=signature, autograph=False).get_concrete_function()


def _golden(translator: Translator, texts: list[bytes]) -> Golden:
    translations = translator.translate([text.decode("utf-8", "replace") for text in texts])
    return Golden(
        inputs={"text": texts},
        outputs={
            "translation": [translation.text.encode() for translation in translations],
            "score": [translation.score for translation in translations],
        },
    )
