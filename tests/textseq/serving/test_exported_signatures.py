"""A version's signatures are those that TensorFlow wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.textseq.serving.export_stand_in import SIGNATURES, made_export
from textseq.serving.exported_signatures import ExportedSignatures
from textseq.serving.native import messages


def test_the_signatures_of_a_version(tmp_path: Path) -> None:
    exported = ExportedSignatures.read(made_export(tmp_path, 1) / "1")
    assert exported.tensorflow_version == "2.21.0"
    assert list(exported.signatures) == sorted(SIGNATURES)  # without TensorFlow's own
    for name, (takes, gives) in SIGNATURES.items():
        signature = exported.signatures[name]
        assert {key: each.dtype for key, each in signature.inputs.items()} == takes
        assert {key: each.dtype for key, each in signature.outputs.items()} == gives


def test_what_tensorflow_writes(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")

    class Shouter(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
        def shout(self, text: Any) -> Any:
            return {"loud": tf.strings.upper(text), "pair": tf.zeros([tf.shape(text)[0], 2])}

    module = Shouter()
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.shout})
    exported = ExportedSignatures.read(tmp_path)
    assert exported.tensorflow_version == tf.__version__
    [(name, signature)] = exported.signatures.items()
    assert name == "serving_default"
    assert signature.inputs["text"].dtype == messages.DT_STRING
    assert [each.size for each in signature.outputs["pair"].tensor_shape.dim] == [-1, 2]
