"""Two exports in one: it answers as they do, one by one and in turn, or it is not published."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from textseq.errors import ExportMismatch, OutputError

tf = pytest.importorskip("tensorflow")
pytest.importorskip("tensorflow_text")

from textseq.export import Golden, publish  # noqa: E402
from textseq.export_texts import ended_ids  # noqa: E402
from textseq.graph_tokenization import GraphTokenizer  # noqa: E402
from textseq.serving import combination  # noqa: E402
from textseq.serving.combination import combine  # noqa: E402
from textseq.serving.native.operations import refused_operations  # noqa: E402
from textseq.tokenization import TokenizationConfig  # noqa: E402
from textseq.tokenizer_training import train_tokenizer  # noqa: E402

TEXTS = [b"", b"a great film", b"a man sleeps", b"\xff\x00 film", "größer ሰው".encode(), b"great great great great film"]
LABELS = b"short\nlong\n"
CEILINGS = {"translator": 6, "classifier": 9}
SPECS = [tf.TensorSpec([None], tf.string, name="text")]


def tokens(encoder: GraphTokenizer, text: Any, part: str) -> tuple[Any, Any]:
    _, lengths, truncated = ended_ids(encoder.encode(text), CEILINGS[part], 3, 0)
    return tf.cast(lengths, tf.float32), truncated


def published(out: Path, part: str, signatures: dict[str, Any], module: Any, **extra: bytes) -> Path:
    """Golden examples are what the functions give, as those of a run would be."""
    functions = {
        name: tf.function(function, input_signature=SPECS, autograph=False).get_concrete_function()
        for name, function in signatures.items()
    }
    golden = {}
    for name, function in functions.items():
        outputs = {key: value.numpy().tolist() for key, value in function(text=tf.constant(TEXTS)).items()}
        golden[name] = Golden({"text": TEXTS}, outputs)
    files = {f"{key}.txt": content for key, content in extra.items()}
    return publish(out, part, module, functions, golden, extra=files).parent


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It says a text twice in capital letters."""
    tokenizer = train_tokenizer(
        ["a man sleeps in the great film"] * 20, TokenizationConfig(), vocabulary_size=290, seed=1
    )
    module = tf.Module()
    module.encoder, module.weight = GraphTokenizer(tokenizer.model_bytes), tf.Variable(-0.5)

    def translate(text: Any) -> dict[str, Any]:
        lengths, truncated = tokens(module.encoder, text, "translator")
        said = tf.strings.upper(module.encoder.decode(module.encoder.encode(text)))
        return {
            "translation": tf.strings.reduce_join(tf.stack([said, said], axis=1), axis=1, separator=" "),
            "score": lengths * module.weight,
            "truncated": truncated,
        }

    def align(text: Any) -> dict[str, Any]:
        return {**translate(text), "source_length": module.encoder.encode(text).row_lengths()}

    folder = tmp_path_factory.mktemp("translator") / "out"
    return published(folder, "nmt", {"serving_default": translate, "align": align}, module)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It tells long texts from short ones, by a tokenizer of its own."""
    tokenizer = train_tokenizer(["A GREAT FILM", "SLEEPS"] * 20, TokenizationConfig(), vocabulary_size=280, seed=1)
    module = tf.Module()
    module.encoder, module.weight = GraphTokenizer(tokenizer.model_bytes), tf.Variable(0.25)

    def classify(text: Any) -> dict[str, Any]:
        lengths, truncated = tokens(module.encoder, text, "classifier")
        long = tf.sigmoid(module.weight * (lengths - 4.5))
        probabilities = tf.stack([1 - long, long], axis=1)
        return {
            "label": tf.where(long > 0.5, "long", "short"),
            "probability": tf.maximum(long, 1 - long),
            "labels": tf.gather([["short", "long"]], tf.zeros_like(text, tf.int32)),
            "probabilities": probabilities,
            "given": probabilities > 0.5,
            "truncated": truncated,
        }

    def explain(text: Any) -> dict[str, Any]:
        return {**classify(text), "words": text[:, tf.newaxis]}

    folder = tmp_path_factory.mktemp("classifier") / "out"
    return published(folder, "classifiers", {"serving_default": classify, "explain": explain}, module, labels=LABELS)


@pytest.fixture(scope="module")
def version(translator: Path, classifier: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return combine(translator, classifier / "1", tmp_path_factory.mktemp("combined") / "out")


def called(place: Path, signature: str, texts: list[bytes]) -> dict[str, list[Any]]:
    function = tf.saved_model.load(str(place)).signatures[signature]
    return {key: value.numpy().tolist() for key, value in function(text=tf.constant(texts)).items()}


def test_it_is_published_and_proved(version: Path) -> None:
    assert json.loads((version.parent / "export.json").read_text())["task"] == "combined"
    report = json.loads((version / "assets.extra" / "proof.json").read_text())
    assert report["differences"] == []
    names = ["align", "classify", "explain", "serving_default", "translate_and_classify"]
    assert sorted(report["inputs"]) == names
    assert set(report["inputs"].values()) == {len(TEXTS)}
    assert (version / "assets.extra" / "labels.txt").read_bytes() == LABELS
    assert refused_operations(version) == []


@pytest.mark.parametrize("signature", ["serving_default", "align"])
def test_the_translator_in_it(version: Path, translator: Path, signature: str) -> None:
    texts = [*TEXTS, b"sleeps in"]
    assert called(version, signature, texts) == called(translator / "1", signature, texts)


@pytest.mark.parametrize(("signature", "own"), [("classify", "serving_default"), ("explain", "explain")])
def test_the_classifier_in_it(version: Path, classifier: Path, signature: str, own: str) -> None:
    texts = [*TEXTS, b"A FILM"]
    assert called(version, signature, texts) == called(classifier / "1", own, texts)


def test_one_after_the_other(version: Path, translator: Path, classifier: Path) -> None:
    texts = [*TEXTS, b"sleeps in", b"film " * 20]
    received = called(version, "translate_and_classify", texts)
    translated = called(translator / "1", "serving_default", texts)
    classified = called(classifier / "1", "serving_default", translated["translation"])
    classification = ("label", "probability", "labels", "probabilities", "given")
    assert set(received) == {"translation", "score", *classification, "truncated"}
    assert [received[key] for key in ("translation", "score")] == [translated[key] for key in ("translation", "score")]
    for key in classification:
        assert received[key] == classified[key]
    cut = list(zip(translated["truncated"], classified["truncated"], strict=True))
    assert received["truncated"] == [one or other for one, other in cut]
    assert {(True, True), (False, False), (False, True)} <= set(cut)
    assert {b"long", b"short"} == set(received["label"])


def test_versions_are_numbered_and_the_served_one_is_taken(
    translator: Path, classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(translator, tmp_path / "translator")
    shutil.copytree(copy / "1", copy / "10")
    shutil.rmtree(copy / "1" / "variables")
    taken = []
    monkeypatch.setattr(combination, "publish", lambda out, task, module, *_, **__: taken.append(task))
    combine(copy, classifier, tmp_path / "out")
    assert taken == ["combined"]


def test_other_answers_than_those_of_the_two_are_not_published(
    translator: Path, classifier: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(classifier, tmp_path / "classifier")
    golden = copy / "1" / "assets.extra" / "golden.json"
    content = json.loads(golden.read_text())
    content["signatures"]["explain"]["outputs"]["probability"][2] += 0.01
    golden.write_text(json.dumps(content))
    with pytest.raises(ExportMismatch, match="nothing was published"):
        combine(translator, copy, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_such_export(translator: Path, classifier: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(OutputError, match=r"no export here; expected export.json"):
        combine(tmp_path, classifier, out)
    with pytest.raises(
        OutputError, match=r"out/1: the signature serving_default does not give translation, score, expected a trans"
    ):
        combine(classifier, classifier, out)
    with pytest.raises(
        OutputError, match=r"does not give label, probability, labels, probabilities, expected a classifier; "
    ):
        combine(translator, translator, out)
    assert not out.exists()


def test_a_combination_is_no_translator(version: Path, classifier: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"has the signature classify already, expected a translator alone"):
        combine(version, classifier, tmp_path / "out")


def test_damaged_exports(translator: Path, classifier: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(classifier, tmp_path / "classifier")
    (copy / "1" / "assets.extra" / "labels.txt").unlink()
    with pytest.raises(OutputError, match=r"labels.txt: No such file or directory, expected a file; export the run an"):
        combine(translator, copy, tmp_path / "out")
    (copy / "1" / "assets.extra" / "golden.json").write_text("{}")
    with pytest.raises(OutputError, match=r"golden.json: cannot be read as the golden inputs of an export"):
        combine(translator, copy, tmp_path / "out")
    (copy / "1" / "saved_model.pb").write_bytes(b"\xff\xff")
    with pytest.raises(OutputError, match=r"classifier/1: cannot be loaded as an export: "):
        combine(translator, copy, tmp_path / "out")


def test_a_strangers_export_that_writes_files(translator: Path, classifier: Path, tmp_path: Path) -> None:
    copy, written = shutil.copytree(classifier, tmp_path / "classifier"), tmp_path / "written"
    module = tf.Module()

    def classify(text: Any) -> dict[str, Any]:
        with tf.control_dependencies([tf.io.write_file(str(written), "x")]):
            some = tf.ones_like(text, tf.float32)
        both = tf.stack([some, some], axis=1)
        answer = {"label": text, "probability": some, "probabilities": both, "truncated": some > 1}
        return {**answer, "words": text[:, tf.newaxis]}

    module.classify = tf.function(classify, input_signature=SPECS, autograph=False)
    shutil.rmtree(copy / "1" / "variables")
    signatures = {"serving_default": module.classify, "explain": module.classify}
    tf.saved_model.save(module, str(copy / "1"), signatures=signatures)
    with pytest.raises(OutputError, match=r"the graph holds WriteFile in .*, expected only operations that compute; "):
        combine(translator, copy, tmp_path / "out")
    assert not written.exists()


def test_a_folder_of_other_exports(translator: Path, classifier: Path) -> None:
    with pytest.raises(OutputError, match="holds exports of nmt, expected combined"):
        combine(translator, classifier, translator)
