"""The export translates as the run does, in a process that knows neither this package nor Keras."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textseq.errors import ExportMismatch, OutputError, RunDirectoryError

tf = pytest.importorskip("tensorflow")
pytest.importorskip("tensorflow_text")

from nmt.export import export  # noqa: E402
from nmt.translator import Translator  # noqa: E402

SIGNATURES = ["align", "n_best", "score", "serving_default"]

# A server knows TensorFlow and the tokenizer's operations, but neither Keras, which TensorFlow imports where it finds
# it, nor this package.
CLIENT = """
import importlib.util, json, pathlib, sys
from importlib.machinery import ModuleSpec

class Missing:
    def find_spec(self, name, path=None, target=None):
        missing = name.partition(".")[0] in ("keras", "tf_keras", "nmt", "textseq", "classifiers")
        return ModuleSpec(name, self) if missing else None

    def create_module(self, spec):
        raise ModuleNotFoundError(spec.name, name=spec.name)

    def exec_module(self, module):
        pass

place = importlib.util.find_spec("tensorflow_text").submodule_search_locations[0]
sys.meta_path.insert(0, Missing())
import tensorflow as tf
for library in pathlib.Path(place).glob("python/ops/_sentencepiece_tokenizer.*"):
    tf.load_op_library(str(library))
loaded = tf.saved_model.load(sys.argv[1])
shown = lambda values: values.decode() if isinstance(values, bytes) else (
    [shown(value) for value in values] if isinstance(values, list) else values)
answers = []
for name, inputs in json.loads(sys.stdin.read()):
    given = {key: tf.constant(values, tf.int32 if key == "n" else tf.string, shape=[len(values)])
             for key, values in inputs.items()}
    answers.append({key: shown(value.numpy().tolist()) for key, value in loaded.signatures[name](**given).items()})
print(json.dumps([sorted(loaded.signatures), answers]))
"""


@pytest.fixture(scope="module")
def translator(tiny_run: Path) -> Translator:
    return Translator.load(tiny_run)


@pytest.fixture(scope="module")
def lines(tiny_corpus: Path) -> list[str]:
    return (tiny_corpus / "test.en").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def version(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tiny_run, tmp_path_factory.mktemp("export") / "out")


def test_a_process_without_this_package(version: Path, translator: Translator, lines: list[str]) -> None:
    batches = [lines, lines[3:4], [], ["", *lines[5:7], " "]]
    calls = [
        *(("serving_default", {"text": batch}) for batch in batches),
        ("n_best", {"text": lines[:3], "n": [3, 3, 3]}),
        ("align", {"text": lines[:1]}),
        ("score", {"text": lines[:3], "translation": lines[3:6]}),
    ]
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, str(version)],
        input=json.dumps(calls),
        cwd=version,  # not where the packages lie
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    signatures, (*translated, several, aligned, scored) = json.loads(done.stdout.splitlines()[-1])
    assert signatures == SIGNATURES
    for batch, found in zip(batches, translated, strict=True):
        expected = translator.translate(batch)
        assert found["translation"] == [one.text for one in expected]
        assert found["truncated"] == [False] * len(batch)
        np.testing.assert_allclose(found["score"], [one.score for one in expected], rtol=0, atol=1e-4)
    wanted = translator.translate(lines[:3], n_best=3)
    assert several["translations"] == [[one.text for one in each.n_best] for each in wanted]
    (alignment,) = translator.translate(lines[:1], attention=True)
    assert aligned["source_tokens"] == [list(alignment.source_pieces)]
    np.testing.assert_allclose(aligned["attention"], [alignment.attention], atol=1e-4)
    np.testing.assert_allclose(scored["log_probability"], translator.score(lines[:3], lines[3:6]), atol=1e-3)


def test_what_is_in_the_export(version: Path, translator: Translator) -> None:
    variables = dict(tf.train.list_variables(str(version / "variables" / "variables")))
    weights = {name: shape for name, shape in variables.items() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"}
    # Each weight once for all signatures; no optimizer, no random state.
    assert sorted(weights.values()) == sorted(list(each.shape) for each in translator.model.trainable_variables)
    reader = tf.train.load_checkpoint(str(version / "variables" / "variables"))
    assert {reader.get_tensor(name).dtype for name in weights} == {np.dtype("float32")}
    graph = (version / "saved_model.pb").read_bytes()
    assert b"Random" not in graph
    assert b"Xla" not in graph
    # In the tokenizer's own function and where TensorFlow calls it at loading, but not in each signature.
    assert graph.count(translator.source_tokenizer.model_bytes) <= 2


def test_every_signature_is_proved(version: Path) -> None:
    golden = json.loads((version / "assets.extra" / "golden.json").read_text())["signatures"]
    report = json.loads((version / "assets.extra" / "proof.json").read_text())
    assert sorted(golden) == sorted(report["inputs"]) == SIGNATURES
    assert report["differences"] == report["imported"] == report["foreign_operations"] == []
    assert min(report["inputs"].values()) > 20
    # Also nothing at all, more than was asked for, and what is beyond the ceilings.
    assert all({"b64": ""} in each["inputs"]["text"] for each in golden.values())
    assert max(golden["n_best"]["inputs"]["n"]) > max(golden["n_best"]["outputs"]["count"])
    cut = {name: sum(each["outputs"]["truncated"]) for name, each in golden.items()}
    assert cut == {"align": 1, "n_best": cut["n_best"], "score": 3, "serving_default": 1}
    guide = (version.parent / "kit" / "README.md").read_text(encoding="utf-8")
    assert "| 512 tokens, 65,536 bytes |" in guide
    assert "| 512 tokens, 65,536 bytes of the text; 2,048 tokens, 262,144 bytes of the translation |" in guide


def test_an_altered_weight(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = importlib.import_module("nmt.export")
    golden = module.golden_examples

    def golden_then_altered(translator: Translator, texts: list[bytes]) -> Any:
        result = golden(translator, texts)
        weight = translator.model.readout_bias
        value = np.array(weight.numpy())
        value[3] += 0.05
        weight.assign(value)
        return result

    monkeypatch.setattr(module, "golden_examples", golden_then_altered)
    with pytest.raises(ExportMismatch, match=r"out/1: the export differs from the run on \d+ of \d+ golden inputs; "):
        export(tiny_run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_said_of_the_golden_texts(tiny_run: Path, caplog: pytest.LogCaptureFixture) -> None:
    from nmt.golden_examples import golden_examples

    golden_examples(Translator.load(tiny_run), [b"the dog sleeps"])
    assert not [record for record in caplog.records if record.name.startswith(("nmt", "textseq"))]


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
