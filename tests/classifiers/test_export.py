"""The export answers as the run does, in a process that knows neither this package nor Keras."""

from __future__ import annotations

import base64
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

from textseq.errors import ExportMismatch, OutputError, RunDirectoryError

tf = pytest.importorskip("tensorflow")
pytest.importorskip("tensorflow_text")

from classifiers.classifier import LONGEST_TEXT, Classifier  # noqa: E402
from classifiers.export import export  # noqa: E402
from classifiers.serving_functions import ServingFunctions  # noqa: E402
from textseq.serving.native.prove import PROOF  # noqa: E402
from textseq.tokenization import TokenizationConfig  # noqa: E402
from textseq.tokenizer_training import train_tokenizer  # noqa: E402

module: Any = importlib.import_module("classifiers.export")
serving_functions: Any = importlib.import_module("classifiers.serving_functions")

Answers = tuple[list[str], list[float], list[list[float]]]
Serve = Callable[[list[str | bytes]], Answers]
NAMES = ("label", "probability", "probabilities")

# A server knows TensorFlow and the tokenizer's operations, but neither Keras, which TensorFlow imports where it finds
# it, nor this package.
CLIENT = """
import importlib.machinery, importlib.util, json, pathlib, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        missing = name.partition(".")[0] in ("keras", "tf_keras", "nmt", "textseq", "classifiers")
        return importlib.machinery.ModuleSpec(name, self) if missing else None

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
specs = lambda named: {name: [spec.dtype.name, spec.shape.as_list()] for name, spec in named.items()}
described = {
    name: [specs(function.structured_input_signature[1]), specs(function.structured_outputs)]
    for name, function in loaded.signatures.items()
}
answers = []
for name, batch in json.loads(sys.stdin.read()):
    found = loaded.signatures[name](text=tf.constant(batch, tf.string, shape=[len(batch)]))
    answers.append({key: shown(value.numpy().tolist()) for key, value in found.items()})
print(json.dumps([described, answers]))
"""
TEXT = {"text": ["string", [None]]}
ANSWER = {"label": ["string", [None]], "probability": ["float32", [None]], "truncated": ["bool", [None]]}
SIGNATURES = {
    "serving_default": [TEXT, {**ANSWER, "labels": ["string", [None, 3]], "probabilities": ["float32", [None, 3]]}],
    "explain": [
        TEXT,
        {
            **ANSWER,
            "words": ["string", [None, None]],
            "weights": ["float32", [None, None]],
            "word_count": ["int32", [None]],
        },
    ],
}


@pytest.fixture(scope="module")
def classifier(tiny_run: Path) -> Classifier:
    return Classifier.load(tiny_run)


@pytest.fixture(scope="module")
def several(multi_label_run: Path) -> Classifier:
    return Classifier.load(multi_label_run)


@pytest.fixture(scope="module")
def lines(tiny_texts: list[tuple[str, str]]) -> list[str]:
    return [text for _, text in tiny_texts[300:340]]


@pytest.fixture(scope="module")
def serve(classifier: Classifier) -> Serve:
    return called(classifier)


@pytest.fixture(scope="module")
def version(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tiny_run, tmp_path_factory.mktemp("export") / "out")


def called(classifier: Classifier) -> Serve:
    """The exported function, without the way over the disk."""
    functions = ServingFunctions(classifier)
    signature = [tf.TensorSpec([None], tf.string, name="text")]
    classify = tf.function(functions._classify, input_signature=signature, autograph=False)

    def call(texts: list[str | bytes]) -> Answers:
        found = classify(tf.constant(texts, tf.string, shape=[len(texts)]))
        assert not found["truncated"].numpy()[[len(text) < LONGEST_TEXT for text in texts]].any()
        assert [found[name].shape.as_list()[0] for name in NAMES] == [len(texts)] * 3
        assert found["labels"].numpy().tolist() == [[label.encode() for label in classifier.labels]] * len(texts)
        labels, probability, probabilities = (found[name].numpy() for name in NAMES)
        return [label.decode() for label in labels], probability.tolist(), probabilities.tolist()

    return call


def assert_equal(received: Answers, classifier: Classifier, texts: list[str]) -> None:
    expected = classifier.predict(texts)
    separator = classifier.config.corpus.label_separator
    labels, probability, probabilities = received
    assert labels == [separator.join(each.labels) if classifier.multi_label else each.label for each in expected]
    np.testing.assert_allclose(probability, [each.probability for each in expected], rtol=0, atol=1e-5)
    wanted = classifier.probabilities(texts)
    np.testing.assert_allclose(np.reshape(probabilities, wanted.shape), wanted, rtol=0, atol=1e-5)


def test_a_process_without_this_package(version: Path, classifier: Classifier, lines: list[str]) -> None:
    batches = [lines, lines[3:4], [], ["", *lines[5:7], " "]]
    calls = [*(("serving_default", batch) for batch in batches), ("explain", lines[:1])]
    done = subprocess.run(
        [sys.executable, "-c", CLIENT, str(version)],
        input=json.dumps(calls),
        cwd=version,  # not where the packages lie
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    signatures, (*answers, explained) = json.loads(done.stdout.splitlines()[-1])
    assert signatures == SIGNATURES
    for batch, answer in zip(batches, answers, strict=True):
        assert_equal((answer["label"], answer["probability"], answer["probabilities"]), classifier, batch)
        assert answer["truncated"] == [False] * len(batch)
    (explanation,) = classifier.explain(lines[:1])
    assert explained["words"] == [[word.word for word in explanation.words]]
    np.testing.assert_allclose(explained["weights"], [[word.weight for word in explanation.words]], rtol=0, atol=1e-4)


def test_what_is_in_the_export(version: Path, classifier: Classifier) -> None:
    variables = dict(tf.train.list_variables(str(version / "variables" / "variables")))
    weights = {name: shape for name, shape in variables.items() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"}
    # No optimizer, no random state.
    assert sorted(weights.values()) == sorted(list(each.shape) for each in classifier.model.trainable_variables)
    graph = (version / "saved_model.pb").read_bytes()
    assert b"Random" not in graph
    assert b"Xla" not in graph
    labels = (version / "assets.extra" / "labels.txt").read_text(encoding="utf-8")
    assert labels == "negative\nneutral\npositive\n"


def test_every_signature_is_proved(version: Path) -> None:
    golden = json.loads((version / "assets.extra" / "golden.json").read_text())["signatures"]
    report = json.loads((version / PROOF).read_text())
    assert sorted(golden) == sorted(report["inputs"]) == ["explain", "serving_default"]
    assert report["differences"] == report["imported"] == report["foreign_operations"] == []
    assert report["refused_operations"] == []
    assert min(report["inputs"].values()) > 20
    assert {name: sum(each["outputs"]["truncated"]) for name, each in golden.items()} == {
        "explain": 2,
        "serving_default": 1,
    }
    guide = (version.parent / "kit" / "README.md").read_text(encoding="utf-8")
    assert "| 65,536 tokens, 2,097,152 bytes |" in guide and "| 1,024 tokens, 131,072 bytes |" in guide
    assert 0 in golden["explain"]["outputs"]["word_count"]


def test_alone_and_in_any_batch(serve: Serve, classifier: Classifier, lines: list[str]) -> None:
    together = serve([*lines])
    assert np.ptp(together[1]) > 1e-3  # the texts differ by more than the rounding below
    assert_equal(together, classifier, lines)
    for place, line in enumerate(lines[:10]):
        label, probability, probabilities = serve([line])
        assert label == [together[0][place]]
        assert probability == pytest.approx([together[1][place]], abs=1e-5)
        assert probabilities[0] == pytest.approx(together[2][place], abs=1e-5)


def test_every_label_is_said(trained_classifier: Classifier, lines: list[str]) -> None:
    received = called(trained_classifier)([*lines])
    assert set(received[0]) == set(trained_classifier.labels)
    assert_equal(received, trained_classifier, lines)


def test_a_batch_without_texts(serve: Serve, several: Classifier) -> None:
    assert serve([]) == ([], [], [])
    assert called(several)([]) == ([], [], [])


@pytest.mark.parametrize("text", ["", " ", "\t \n", "\u3000", "\u200b", "\ufeff", "\x00", "\x1f", "\u2028 \u00ad"])
def test_texts_without_words(text: str, serve: Serve, classifier: Classifier, lines: list[str]) -> None:
    received = serve([text, lines[0]])
    assert_equal(received, classifier, [text, lines[0]])
    if not text.strip():
        assert received[2][0] == pytest.approx(list(classifier.prior))


def test_bytes_that_are_no_text(serve: Serve, classifier: Classifier) -> None:
    texts = [b"A film \xff dull.", b"\xe2\x82", b"\xed\xa0\x80 the \xc0\x80 play", b"a\x00b\r\nc", b"\xf0\x9f\x98"]
    assert_equal(serve([*texts]), classifier, [text.decode("utf-8", "replace") for text in texts])


def test_the_temperature_is_inside(serve: Serve, classifier: Classifier, lines: list[str]) -> None:
    assert classifier.calibration.temperature == 1.25
    logits = classifier.logits(lines).astype(np.float64) / 1.25
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(serve([*lines])[2], expected, rtol=0, atol=1e-5)


def test_several_labels_are_joined(several: Classifier, lines: list[str]) -> None:
    texts = [*lines, "", "x"]
    received = called(several)([*texts])
    assert_equal(received, several, texts)
    assert any("," in label for label in received[0])


def test_no_label_is_an_empty_string(several: Classifier, lines: list[str]) -> None:
    high = several.calibration.to_dict() | {"thresholds": [1.0, 1.0, 1.0]}
    strict = Classifier(
        several.model,
        several.tokenizer,
        several.config,
        labels=several.labels,
        prior=several.prior,
        calibration=type(several.calibration).from_dict(high),
    )
    labels, probability, _ = called(strict)([*lines[:3]])
    assert labels == ["", "", ""]
    assert min(probability) > 0.0


def test_an_export_of_several_labels(multi_label_run: Path, tmp_path: Path) -> None:
    folder = export(multi_label_run, tmp_path / "out")
    assert (folder / "assets.extra" / "labels.txt").read_text(encoding="utf-8") == "bad\nfilm\ngood\n"
    outputs = json.loads((folder / "assets.extra" / "golden.json").read_text())["signatures"]["serving_default"][
        "outputs"
    ]
    given = {tuple(each) for each in outputs["given"]}
    assert len(given) > 1 and all(len(each) == 3 for each in given)
    for answer, row in zip(outputs["label"], outputs["given"], strict=True):
        said = base64.b64decode(answer["b64"]).decode().split(",")
        assert said == ([label for label, yes in zip(("bad", "film", "good"), row, strict=True) if yes] or [""])


@pytest.mark.slow
def test_a_text_beyond_the_ceiling(serve: Serve, classifier: Classifier) -> None:
    long = "the film " * LONGEST_TEXT
    longer = long + "awful " * 1000
    received = serve([long, longer, "the film"])
    assert received[0][0] == received[0][1]
    assert received[2][0] == pytest.approx(received[2][1], abs=1e-5)
    assert_equal(received, classifier, [long, longer, "the film"])


def test_a_broken_vocabulary_in_the_run(tiny_run: Path, tmp_path: Path) -> None:
    run = copied(tiny_run, tmp_path)
    model = next((run / "tokenizer").iterdir())
    other = train_tokenizer(["quite another text"] * 20, TokenizationConfig(), vocabulary_size=300, seed=1)
    model.write_bytes(other.model_bytes)
    with pytest.raises(RunDirectoryError, match="tokenizer"):
        export(run, tmp_path / "out")
    model.write_bytes(model.read_bytes()[:100])
    with pytest.raises(RunDirectoryError, match="not a SentencePiece model"):
        export(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_broken_vocabulary_in_the_export(
    tiny_run: Path, tmp_path: Path, classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = classifier.tokenizer.vocabulary_size
    other = train_tokenizer(["quite another film, lovely"] * 20, TokenizationConfig(), vocabulary_size=size, seed=1)
    encoder = serving_functions.GraphTokenizer
    monkeypatch.setattr(serving_functions, "GraphTokenizer", lambda model_bytes: encoder(other.model_bytes))
    with pytest.raises(ExportMismatch, match=r"out/1: the export differs from the run on \d+ of \d+ golden inputs; "):
        export(tiny_run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_an_altered_weight(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    golden = module.golden_examples

    def golden_then_altered(classifier: Classifier, texts: list[bytes]) -> Any:
        result = golden(classifier, texts)
        weight = classifier.model.output_bias
        value = np.array(weight.numpy())
        value[1] += 0.01
        weight.assign(value)
        return result

    monkeypatch.setattr(module, "golden_examples", golden_then_altered)
    with pytest.raises(ExportMismatch, match=r"received probabilit(y|ies) \S+.*, expected "):
        export(tiny_run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_else(tiny_run: Path) -> None:
    before = sorted(tiny_run.rglob("*"))
    with pytest.raises(OutputError, match="holds something else") as caught:
        export(tiny_run, tiny_run)
    assert caught.value.exit_code == 2
    assert sorted(tiny_run.rglob("*")) == before


def test_no_validation_text(tiny_run: Path, tmp_path: Path) -> None:
    run = copied(tiny_run, tmp_path)
    (run / "data" / "valid.text.txt").unlink()
    with pytest.raises(RunDirectoryError, match=r"valid.text.txt: missing or empty; expected the validation lines"):
        export(run, tmp_path / "out")


def test_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError, match="no run here"):
        export(tmp_path / "run", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def copied(run: Path, folder: Path) -> Path:
    return shutil.copytree(run, folder / "run")
