"""One SavedModel of two exports: a translator, a classifier, and the two in turn."""

from __future__ import annotations

import base64
import contextlib
import importlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from textseq.errors import OutputError
from textseq.export import Golden, check_folder, publish
from textseq.serving.checked_model import check_model
from textseq.serving.exported_signatures import LABELS, ExportedSignatures
from textseq.serving.native.c_api import NativeError
from textseq.serving.native.prove import GOLDEN
from textseq.serving.refusal import Refusal
from textseq.serving.versions import served_version

TASK = "combined"
"""What a folder of combined exports is for."""

_TRANSLATION = ("translation", "score")
_CLASSIFICATION = ("label", "probability", "labels", "probabilities")
_GIVEN = "given"  # of a classifier that can give a text several labels
_BOTH = "translate_and_classify"
# What each of the two is called where it is missing, and the outputs that it must have, by signature.
_TRANSLATOR = "a translator", {"serving_default": (*_TRANSLATION, "truncated")}
_CLASSIFIER = "a classifier", {"serving_default": (*_CLASSIFICATION, "truncated"), "explain": ("words",)}
# What the combination calls the classifier's signatures.
_NAMES = {"serving_default": "classify", "explain": "explain"}


def combine(
    translator: str | os.PathLike[str], classifier: str | os.PathLike[str], out: str | os.PathLike[str]
) -> Path:
    """Writes a translator and a classifier as one SavedModel, if it proves that it answers as the two exports do.

    It has all signatures of the translator under their own names, those of the classifier as `classify` and `explain`,
    and `translate_and_classify`, which takes `text` string[batch] and gives

    - `translation` string[batch], `score` float32[batch]: as the translator does.
    - `label` string[batch], `probability` float32[batch], `labels` string[batch, classes], `probabilities`
      float32[batch, classes], and `given` bool[batch, classes] where the classifier has it: what the classifier says of
      the translation.
    - `truncated` bool[batch]: the text was too long for the translator, or the translation for the classifier.

    The proof compares `translate_and_classify` with what the two exports give one after the other, and the others with
    what their own runs gave. `assets.extra/labels.txt` is the classifier's.

    Args:
        translator: an export, or one version of it; of an export, the version that is served is taken.
        classifier: likewise.
        out: the folder that TF Serving watches; the combination becomes its next version, 1, 2, ...

    Returns:
        The folder of the version.

    Raises:
        OutputError: one of the two is no such export, or does more than compute, or `out` holds something else or
            cannot be written.
        ExportMismatch: a fresh process got other answers from the combination; nothing is published.

    Example:
        >>> combine("serving/de-en", "serving/sst2", "serving/de-sst2")  # doctest: +SKIP
        PosixPath('serving/de-sst2/1')
    """
    check_folder(out, TASK)
    # Registers the tokenizer's operations, which loading needs.
    importlib.import_module("textseq.graph_tokenization")
    with tf.device("CPU:0"):  # where the proof runs; a GPU's products are rounded otherwise
        first = _Exported(translator, *_TRANSLATOR)
        second = _Exported(classifier, *_CLASSIFIER)
        taken = sorted({*_NAMES.values(), _BOTH} & set(first.signatures))
        if taken:
            raise OutputError(
                f"{first.version}: has the signature {taken[0]} already, expected a translator alone; "
                f"combine the export of a translator"
            )
        golden = {**first.golden(first.signatures), **_renamed(second.golden(_NAMES))}
        golden[_BOTH] = _golden_in_turn(golden["serving_default"], second.signatures["serving_default"])
        functions = {**first.signatures, **_renamed(second.signatures), _BOTH: _in_turn(first, second)}
    module = tf.Module(name="combination")
    module.exports = [first.loaded, second.loaded]
    return publish(out, TASK, module, functions, golden, extra={LABELS.name: second.extra(LABELS.name)})


def check_classifier(place: str | os.PathLike[str]) -> None:
    """Checks, without loading it, that an export can be combined with a translator.

    Raises:
        OutputError: it is no export of a classifier.
    """
    _check_outputs(_version(place), *_CLASSIFIER)


def _version(place: str | os.PathLike[str]) -> Path:
    folder = Path(place)
    return folder if (folder / "saved_model.pb").is_file() else served_version(folder)


def _check_outputs(version: Path, noun: str, needed: Mapping[str, Iterable[str]]) -> None:
    signatures = ExportedSignatures.read(version).signatures
    for name, outputs in needed.items():
        found = signatures[name].outputs if name in signatures else {}
        missing = [output for output in outputs if output not in found]
        if missing:
            raise OutputError(
                f"{version}: the signature {name} does not give {', '.join(missing)}, expected {noun}; "
                f"name another export, or export the run anew"
            )


class _Exported:
    """One of the two exports, loaded.

    Args:
        place: an export, or one version of it.
        noun: what is expected there.
        needed: outputs that it must have, by signature.
    """

    def __init__(self, place: str | os.PathLike[str], noun: str, needed: Mapping[str, Iterable[str]]) -> None:
        self.version = _version(place)
        try:
            check_model(self.version)  # a stranger's too: what it holds is run below, long before the proof
            with _without_messages():
                self.loaded = tf.saved_model.load(str(self.version))
        except (Refusal, NativeError, OSError, ValueError, tf.errors.OpError) as error:
            reason = (str(getattr(error, "message", error)).splitlines() or ["no message"])[0]
            raise OutputError(
                f"{self.version}: cannot be loaded as an export: {reason}; export the run anew"
            ) from error
        self.signatures: dict[str, Any] = dict(self.loaded.signatures)
        _check_outputs(self.version, noun, needed)

    def golden(self, names: Iterable[str]) -> dict[str, Golden]:
        """What the export was proved on, by signature.

        Raises:
            OutputError: it is missing.
        """
        path = self.version / GOLDEN
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))["signatures"]
            return {name: _golden(kept[name]) for name in names}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise OutputError(
                f"{path}: cannot be read as the golden inputs of an export ({type(error).__name__}: {error}); "
                f"export the run anew"
            ) from error

    def extra(self, name: str) -> bytes:
        """A file for clients.

        Raises:
            OutputError: it is missing.
        """
        path = (self.version / GOLDEN).with_name(name)
        try:
            return path.read_bytes()
        except OSError as error:
            raise OutputError(f"{path}: {error.strerror or error}, expected a file; export the run anew") from error


@contextlib.contextmanager
def _without_messages() -> Iterator[None]:
    """Keeps off the terminal that exports come without custom gradients: nobody asks for a gradient here."""
    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _renamed(of_signature: Mapping[str, Any]) -> dict[str, Any]:
    return {name: of_signature[own] for own, name in _NAMES.items()}


def _in_turn(translator: _Exported, classifier: _Exported) -> Callable[..., Any]:
    translate, classify = (each.signatures["serving_default"] for each in (translator, classifier))

    def translate_and_classify(text: tf.Tensor) -> dict[str, tf.Tensor]:
        translated = translate(text=text)
        classified = classify(text=translated["translation"])
        return {
            **{name: translated[name] for name in _TRANSLATION},
            **{name: classified[name] for name in _classification(classified)},
            "truncated": translated["truncated"] | classified["truncated"],
        }

    signature = [tf.TensorSpec([None], tf.string, name="text")]
    return tf.function(translate_and_classify, input_signature=signature, autograph=False).get_concrete_function()


def _golden_in_turn(translated: Golden, classify: Callable[..., Any]) -> Golden:
    """What the classifier gives for the golden translations."""
    outputs = {name: translated.outputs[name] for name in _TRANSLATION}
    found = classify(text=tf.constant(list(outputs["translation"]), tf.string))
    outputs |= {name: found[name].numpy().tolist() for name in _classification(found)}
    cut = zip(translated.outputs["truncated"], found["truncated"].numpy().tolist(), strict=True)
    return Golden(translated.inputs, {**outputs, "truncated": [any(each) for each in cut]}, translated.ceiling)


def _classification(outputs: Iterable[str]) -> tuple[str, ...]:
    return (*_CLASSIFICATION, _GIVEN) if _GIVEN in outputs else _CLASSIFICATION


def _golden(kept: Mapping[str, Any]) -> Golden:
    return Golden(_decoded(kept["inputs"]), _decoded(kept["outputs"]), kept["ceiling"])


def _decoded(columns: Mapping[str, Any]) -> dict[str, Any]:
    def decoded(value: Any) -> Any:
        if isinstance(value, list):
            return [decoded(each) for each in value]
        return base64.b64decode(value["b64"]) if isinstance(value, dict) else value

    return {name: decoded(values) for name, values in columns.items()}
