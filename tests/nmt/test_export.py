"""The export translates as the run does, in a process that knows neither this package nor Keras."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textseq import export_proof
from textseq.errors import ExportMismatch, OutputError, RunDirectoryError

tf = pytest.importorskip("tensorflow")
pytest.importorskip("tensorflow_text")

from nmt.export import _serving_function, export  # noqa: E402
from nmt.source_ceiling import LONGEST_SOURCE  # noqa: E402
from nmt.translator import Translator  # noqa: E402

Serve = Callable[[list[str | bytes]], list[tuple[str, float]]]

# A server knows TensorFlow and the tokenizer's operations. TensorFlow imports Keras where it finds it.
CLIENT = f"""
import json, runpy, sys
proof = runpy.run_path({export_proof.__file__!r})
sys.meta_path.insert(0, proof["Refusal"]())
import tensorflow as tf
proof["_load_tokenizer_operations"](tf)
loaded = tf.saved_model.load(sys.argv[1])
serve = loaded.signatures["serving_default"]
_, inputs = serve.structured_input_signature
shown = lambda specs: {{name: [spec.dtype.name, spec.shape.as_list()] for name, spec in specs.items()}}
answers = []
for batch in json.loads(sys.stdin.read()):
    found = serve(text=tf.constant(batch, tf.string, shape=[len(batch)]))
    texts = [text.decode() for text in found["translation"].numpy().tolist()]
    answers.append([found["translation"].shape.as_list(), texts, found["score"].numpy().tolist()])
assert not {{"keras", "nmt", "textseq"}} & set(sys.modules)
print(json.dumps([list(loaded.signatures), shown(inputs), shown(serve.structured_outputs), answers]))
"""


@pytest.fixture(scope="module")
def translator(tiny_run: Path) -> Translator:
    return Translator.load(tiny_run)


@pytest.fixture(scope="module")
def lines(tiny_corpus: Path) -> list[str]:
    return (tiny_corpus / "test.en").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def serve(translator: Translator) -> Serve:
    """The exported function, without the way over the disk."""
    module = tf.Module()
    function = _serving_function(translator, module)

    def call(texts: list[str | bytes]) -> list[tuple[str, float]]:
        found = function(text=tf.constant(texts, tf.string, shape=[len(texts)]))
        return [(text.decode(), score) for text, score in zip(*(found[key].numpy() for key in KEYS), strict=True)]

    return call


KEYS = ("translation", "score")


@pytest.fixture(scope="module")
def version(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tiny_run, tmp_path_factory.mktemp("export") / "out")


def assert_equal(received: list[tuple[str, float]], translator: Translator, texts: list[str]) -> None:
    expected = translator.translate(texts)
    assert [text for text, _ in received] == [translation.text for translation in expected]
    np.testing.assert_allclose(
        [score for _, score in received], [translation.score for translation in expected], rtol=0, atol=1e-4
    )


def test_a_process_without_this_package(version: Path, translator: Translator, lines: list[str]) -> None:
    batches = [lines, lines[3:4], [], ["", *lines[5:7], " "]]
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, str(version)],
        input=json.dumps(batches),
        cwd=version,  # not where the packages lie
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    signatures, inputs, outputs, answers = json.loads(done.stdout.splitlines()[-1])
    assert signatures == ["serving_default"]
    assert inputs == {"text": ["string", [None]]}
    assert outputs == {"translation": ["string", [None]], "score": ["float32", [None]]}
    for batch, (shape, texts, scores) in zip(batches, answers, strict=True):
        assert shape == [len(batch)]
        assert_equal(list(zip(texts, scores, strict=True)), translator, batch)


def test_what_is_in_the_export(version: Path, translator: Translator) -> None:
    variables = dict(tf.train.list_variables(str(version / "variables" / "variables")))
    weights = {name: shape for name, shape in variables.items() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"}
    # No optimizer, no random state.
    assert sorted(weights.values()) == sorted(list(each.shape) for each in translator.model.trainable_variables)
    reader = tf.train.load_checkpoint(str(version / "variables" / "variables"))
    assert {reader.get_tensor(name).dtype for name in weights} == {np.dtype("float32")}
    graph = (version / "saved_model.pb").read_bytes()
    assert b"Random" not in graph
    assert b"Xla" not in graph
    report = json.loads((version / export_proof.PROOF).read_text())
    assert report["differences"] == report["imported"] == report["foreign_operations"] == []
    assert report["inputs"]["serving_default"] > 20


def test_alone_and_in_any_batch(serve: Serve, translator: Translator, lines: list[str]) -> None:
    together = serve([*lines])
    assert_equal(together, translator, lines)
    alone = [serve([line])[0] for line in lines]
    assert [text for text, _ in alone] == [text for text, _ in together]
    np.testing.assert_allclose([score for _, score in alone], [score for _, score in together], rtol=0, atol=1e-4)


def test_a_batch_without_texts(serve: Serve) -> None:
    assert serve([]) == []


@pytest.mark.parametrize("text", ["", " ", "\t \n", "\u3000", "\u200b", "\ufeff", "\x00", "\x1f", "\u2028 \u00ad"])
def test_texts_without_words(text: str, serve: Serve, translator: Translator, lines: list[str]) -> None:
    assert_equal(serve([text, lines[0]]), translator, [text, lines[0]])
    if not text.strip():
        assert serve([text])[0][0] == ""


def test_bytes_that_are_no_text(serve: Serve, translator: Translator) -> None:
    texts = [b"A man \xff sleeps.", b"\xe2\x82", b"\xed\xa0\x80 the \xc0\x80 dog", b"a\x00b\r\nc", b"\xf0\x9f\x98"]
    assert_equal(serve([*texts]), translator, [text.decode("utf-8", "replace") for text in texts])


def test_a_text_beyond_the_ceiling(serve: Serve, translator: Translator) -> None:
    ids = translator.source_tokenizer.encode(["the dog " * LONGEST_SOURCE])[0]
    assert len(ids) > LONGEST_SOURCE
    long = "the dog " * LONGEST_SOURCE
    longer = long + "sleeps " * 1000
    received = serve([long, longer, "the dog"])
    assert received[0][0] == received[1][0]
    assert received[0][1] == pytest.approx(received[1][1], abs=1e-4)
    assert_equal(received, translator, [long, longer, "the dog"])


def test_an_altered_weight(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = importlib.import_module("nmt.export")
    golden = module._golden

    def golden_then_altered(translator: Translator, texts: list[bytes]) -> Any:
        result = golden(translator, texts)
        weight = translator.model.readout_bias
        value = np.array(weight.numpy())
        value[3] += 0.05
        weight.assign(value)
        return result

    monkeypatch.setattr(module, "_golden", golden_then_altered)
    with pytest.raises(ExportMismatch, match=r"out/1: the export differs from the run on \d+ of \d+ golden inputs; "):
        export(tiny_run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_else(tiny_run: Path) -> None:
    before = sorted(tiny_run.rglob("*"))
    with pytest.raises(OutputError, match=r"holds something else \(best, checkpoints, config.toml, ...\)") as caught:
        export(tiny_run, tiny_run)
    assert caught.value.exit_code == 2
    assert sorted(tiny_run.rglob("*")) == before


def test_no_validation_text(tiny_run: Path, tmp_path: Path) -> None:
    run = copied(tiny_run, tmp_path)
    (run / "data" / "valid.source.txt").unlink()
    with pytest.raises(RunDirectoryError, match=r"valid.source.txt: missing or empty; expected the validation lines"):
        export(run, tmp_path / "out")


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="no run here"):
        export(tmp_path / "run", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def copied(run: Path, folder: Path) -> Path:
    return shutil.copytree(run, folder / "run")
