"""What a classifier takes from a translator or a language model: bit for bit, or refused in words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifiers.config import Config
from classifiers.model import ClassifierModel
from classifiers.pretrain import make_language_model, resolve
from classifiers.pretraining_config import PretrainingConfig
from classifiers.pretraining_data import prepare_pretraining_data
from classifiers.starting_point import StartingPoint
from textseq.errors import CheckpointError, ConfigurationError, RunDirectoryError
from textseq.identity import identity
from textseq.run_directory import RunDirectory, write_atomically
from textseq.special_ids import special_ids_of
from textseq.tokenization import TokenizationConfig, Tokenizer
from textseq.tokenizer_training import train_tokenizer

SIZES = ("model.embedding_units=6", "model.encoder_units=5")


@pytest.fixture(scope="module")
def lines(tiny_texts: list[tuple[str, str]]) -> list[str]:
    return [text for _, text in tiny_texts[:100]]


def randomized(model: Any) -> dict[str, np.ndarray]:
    random = np.random.RandomState(5)
    return {
        variable.path: random.normal(size=variable.shape).astype("float32") for variable in model.trainable_variables
    }


def make_translator(path: Path, lines: list[str], *settings: str) -> Path:
    """A translator's run with random weights, as `nmt train` leaves it."""
    from nmt.config import Config as TranslatorConfig
    from nmt.translator import make_model

    sizes = (*SIZES, "model.decoder_units=4", "model.attention_units=4", "tokenization.normalization=nmt_nfkc")
    config = TranslatorConfig().with_overrides([*sizes, "tokenization.vocabulary_size=300", *settings])
    run = RunDirectory.create(path, "nmt")
    names = ("joint",) if config.tokenization.joint else ("source", "target")
    tokenizers = []
    for number, name in enumerate(names):
        tokenizer = train_tokenizer(lines, TokenizationConfig(), vocabulary_size=300 + number, seed=1)
        (run.tokenizer_path / f"{name}.model").write_bytes(tokenizer.model_bytes)
        tokenizers.append(tokenizer)
    source, target = tokenizers[0], tokenizers[-1]
    write_atomically(run.config_path, config.to_toml())
    weights = randomized(make_model(config, source, target))
    own = identity(config, {"source": source, "target": target})
    run.write_best(7, {"weights": weights}, {"scores": {"bleu": 1.0}, "identity": own})
    return run.path


def make_pretraining(path: Path, lines: list[str], *settings: str) -> Path:
    """A pretraining run with random weights."""
    text = path.parent / f"{path.name}.txt"
    text.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    config = PretrainingConfig().with_overrides(
        [f"corpus.text={text}", *SIZES, "tokenization.vocabulary_size=300", "training.precision=float32", *settings]
    )
    run = RunDirectory.create(path, "pretraining")
    data = prepare_pretraining_data(config, run, lambda message: None)
    config = resolve(config, data)
    write_atomically(run.config_path, config.to_toml())
    weights = randomized(make_language_model(config, data))
    own = identity(config, {"text": data.tokenizer})
    run.write_best(9, {"weights": weights}, {"scores": {"loss": 1.0}, "identity": own})
    return run.path


@pytest.fixture(scope="module")
def translator(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> Path:
    return make_translator(tmp_path_factory.mktemp("translator") / "run", lines)


@pytest.fixture(scope="module")
def language_model(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> Path:
    return make_pretraining(tmp_path_factory.mktemp("pretraining") / "run", lines)


def classifier_of(config: Config, tokenizer: Tokenizer) -> ClassifierModel:
    return ClassifierModel(
        config.model,
        vocabulary_size=tokenizer.vocabulary_size,
        classes=2,
        special_ids=special_ids_of(tokenizer),
        name="classifier",
    )


def weights_of(run: Path) -> dict[str, np.ndarray]:
    best = RunDirectory.open_any(run, {"nmt": "", "pretraining": ""}).read_best()
    assert best is not None
    return best.tensors["weights"]


@pytest.mark.parametrize("settings", [(), ("model.encoder_layers=2", "model.residual=true", "model.layer_norm=true")])
@pytest.mark.parametrize("joint", ["true", "false"])
def test_a_translator_s_weights_arrive_bit_for_bit(
    tmp_path: Path, lines: list[str], joint: str, settings: tuple[str, ...]
) -> None:
    run = make_translator(tmp_path / "run", lines, f"tokenization.joint={joint}", *settings)
    start = StartingPoint.load(run)
    assert start.kind == "translator"
    name = "joint" if joint == "true" else "source"
    assert start.tokenizer == Tokenizer.load(run / "tokenizer" / f"{name}.model")
    model = classifier_of(start.apply(Config()), start.tokenizer)
    start.assign(model)
    stored = weights_of(run)
    np.testing.assert_array_equal(model.embedding.embeddings, stored["source_embedding/embeddings"])
    arrived = {variable.path: np.array(variable) for variable in model.encoder.trainable_variables}
    assert set(arrived) == {path for path in stored if path.startswith("encoder/")}
    for path, array in arrived.items():
        np.testing.assert_array_equal(array, stored[path])


@pytest.mark.parametrize("settings", [(), ("model.cell=gru", "model.layer_norm=true"), ("model.cell=simple_rnn",)])
def test_a_language_model_s_weights_arrive_bit_for_bit(
    tmp_path: Path, lines: list[str], settings: tuple[str, ...]
) -> None:
    run = make_pretraining(tmp_path / "run", lines, *settings)
    start = StartingPoint.load(run)
    assert start.kind == "language model"
    assert start.tokenizer == Tokenizer.load(run / "tokenizer/text.model")
    model = classifier_of(start.apply(Config()), start.tokenizer)
    start.assign(model)
    stored = weights_of(run)
    arrived = [*model.embedding.trainable_variables, *model.encoder.trainable_variables]
    assert len(arrived) == len(start.weights)
    for variable in arrived:
        np.testing.assert_array_equal(np.array(variable), stored[variable.path])


def test_the_classifier_reads_as_the_translator_does(translator: Path) -> None:
    """The states of the encoder, not only its weights."""
    from nmt.translator import Translator

    start = StartingPoint.load(translator)
    model = classifier_of(start.apply(Config()), start.tokenizer)
    start.assign(model)
    ids = np.array([[*start.tokenizer.encode(["the film is great"])[0], start.tokenizer.eos_id]], "int32")
    original = Translator.load(translator).model
    np.testing.assert_array_equal(
        model.encoder(model.embedding(ids), mask=model.token_mask(ids)),
        original.encoder(original.source_embedding(ids), mask=ids != start.tokenizer.pad_id),
    )


def test_settings_are_taken_over(translator: Path, language_model: Path) -> None:
    start = StartingPoint.load(translator)
    assert sorted(start.model_settings) == [
        'model.cell="gru"',
        "model.embedding_units=6",
        "model.encoder_layers=1",
        "model.encoder_units=5",
        "model.layer_norm=false",
        "model.residual=false",
    ]
    config = start.apply(Config())
    assert (config.model.cell, config.model.sizes, config.from_run) == ("gru", (6, 5), str(translator))
    assert (config.tokenization.vocabulary_size, config.tokenization.normalization) == (300, "nmt_nfkc")
    assert config.tokenization.sampling == Config().tokenization.sampling
    assert start.apply(config) == config
    other = StartingPoint.load(language_model).apply(Config().with_overrides(["training.epochs=3"]))
    assert (other.model.cell, other.model.encoder_layers, other.training.epochs) == ("lstm", 1, 3)


def test_upper_layers_start_from_zero(translator: Path) -> None:
    start = StartingPoint.load(translator)
    config = start.apply(Config().with_overrides(["model.encoder_layers=3"]))
    assert config.model.encoder_layers == 3
    model, fresh = (classifier_of(config, start.tokenizer) for _ in range(2))
    start.assign(model)
    for variable, other in zip(model.trainable_variables, fresh.trainable_variables, strict=True):
        taken = variable.path in start.weights
        same = np.array_equal(np.array(variable), np.array(other))
        assert same != taken, variable.path


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["model.embedding_units=7"], r"model.embedding_units is 7, but 6 in .*run, which the training starts from;"),
        (["model.cell=simple_rnn"], r'model.cell is "simple_rnn", but "gru" in '),
        (["model.layer_norm=true"], r"model.layer_norm is true, but false in "),
        (["tokenization.normalization=nfkc"], r'tokenization.normalization is "nfkc", but "nmt_nfkc" in '),
        (["tokenization.vocabulary_size=5000"], r"tokenization.vocabulary_size is 5000, but 300 in "),
        (["model.convolution_filters=8"], r"model.convolution_filters is 8, but 0 in .*, whose encoder reads embedded"),
        (["model.encoder_units=9", "model.residual=true"], r"encoder_units is 9, but 5 in .*; model.residual is true,"),
    ],
)
def test_another_network_is_refused_with_both_values(translator: Path, settings: list[str], words: str) -> None:
    start = StartingPoint.load(translator)
    with pytest.raises(ConfigurationError, match=words) as caught:
        start.apply(Config().with_overrides(settings))
    assert "leave these settings out, or train without --from-run" in str(caught.value)


def test_fewer_layers_are_refused(tmp_path: Path, lines: list[str]) -> None:
    start = StartingPoint.load(make_translator(tmp_path / "run", lines, "model.encoder_layers=3"))
    with pytest.raises(ConfigurationError, match=r"model.encoder_layers is 2, but 3 or more in "):
        start.apply(Config().with_overrides(["model.encoder_layers=2"]))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["model.encoder_units=9"], r"encoder/layer_0_backward/input_bias is \(15,\), the classifier's is \(27,\)"),
        (["model.layer_norm=true"], r"run: has no encoder/layer_0_.*_gain, which the classifier has; train with the"),
        (["model.cell=lstm"], r"input_bias is \(15,\), the classifier's is \(20,\)"),
    ],
)
def test_weights_that_do_not_fit_change_nothing(translator: Path, settings: list[str], words: str) -> None:
    start = StartingPoint.load(translator)
    model = classifier_of(start.apply(Config()).with_overrides(settings), start.tokenizer)
    before = [np.array(variable) for variable in model.trainable_variables]
    with pytest.raises(CheckpointError, match=words):
        start.assign(model)
    for variable, array in zip(model.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(np.array(variable), array)


def test_the_fingerprint_is_that_of_weights_and_tokenizer(tmp_path: Path, translator: Path, lines: list[str]) -> None:
    start = StartingPoint.load(translator)
    assert StartingPoint.load(translator).fingerprint == start.fingerprint
    assert len(start.fingerprint) == 64
    other = make_translator(tmp_path / "other", [*lines, "another word"])
    assert StartingPoint.load(other).fingerprint != start.fingerprint


def copied(run: Path, tmp_path: Path) -> Path:
    shutil.copytree(run, tmp_path / "copy")
    return tmp_path / "copy"


def test_what_is_no_starting_point(tmp_path: Path, language_model: Path) -> None:
    commands = r"train one with `nmt train` or `classifiers pretrain`"
    with pytest.raises(RunDirectoryError, match=rf"nowhere: no run here; expected run.json; {commands}"):
        StartingPoint.load(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunDirectoryError, match=r"file: is a file; expected the folder of a run"):
        StartingPoint.load(tmp_path / "file")
    RunDirectory.create(tmp_path / "classifier", "classifiers")
    words = r"classifier: a run of the task classifiers, expected nmt or pretraining; choose another folder"
    with pytest.raises(RunDirectoryError, match=words):
        StartingPoint.load(tmp_path / "classifier")
    run = copied(language_model, tmp_path)
    shutil.rmtree(run / "best")
    words = r"no trained weights yet; expected .*best; go on with `classifiers pretrain --run .*copy`"
    with pytest.raises(RunDirectoryError, match=words):
        StartingPoint.load(run)


def test_altered_weights(tmp_path: Path, translator: Path) -> None:
    run = copied(translator, tmp_path)
    weights = run / "best/weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(CheckpointError, match=r"weights.safetensors: altered; its SHA-256 differs"):
        StartingPoint.load(run)


def test_an_altered_configuration_or_tokenizer(tmp_path: Path, translator: Path) -> None:
    run = copied(translator, tmp_path)
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(text.replace('cell = "gru"', 'cell = "lstm"'))
    words = r'config.toml or tokenizer/ was changed after the training \(model.cell: "gru" -> "lstm"\); bring the old'
    with pytest.raises(RunDirectoryError, match=words):
        StartingPoint.load(run)
    (run / "config.toml").write_text(text.replace("encoder_units = 5\n", ""))
    with pytest.raises(RunDirectoryError, match=r"config.toml: has no model.encoder_units; expected the configuration"):
        StartingPoint.load(run)
    (run / "config.toml").write_text(text)
    StartingPoint.load(run)
    other = train_tokenizer(["other text here"] * 9, TokenizationConfig(), vocabulary_size=290, seed=1)
    (run / "tokenizer/joint.model").write_bytes(other.model_bytes)
    with pytest.raises(RunDirectoryError, match=r"tokenizer/ was changed after the training \(tokenizer.source: "):
        StartingPoint.load(run)
    (run / "tokenizer/joint.model").unlink()
    with pytest.raises(RunDirectoryError, match=r"joint.model: expected a SentencePiece model, but no such file"):
        StartingPoint.load(run)


@pytest.mark.parametrize(
    ("lost", "words"),
    [
        ("source_embedding", r"source_embedding/embeddings is nothing, expected \(\d+, 6\); restore config.toml"),
        ("encoder", r"not those of a translator with this configuration: no encoder among them; restore"),
    ],
)
def test_lost_weights_of_an_older_release(tmp_path: Path, translator: Path, lost: str, words: str) -> None:
    run = copied(translator, tmp_path)
    weights = {name: array for name, array in weights_of(run).items() if not name.startswith(lost)}
    RunDirectory.open(run, "nmt").write_best(7, {"weights": weights}, {"scores": {}})
    with pytest.raises(CheckpointError, match=words):
        StartingPoint.load(run)


def test_a_mark_that_is_no_text(tmp_path: Path, translator: Path) -> None:
    run = copied(translator, tmp_path)
    marker = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**marker, "task": ["nmt"]}))
    with pytest.raises(RunDirectoryError, match=r"a run of the task \['nmt'\], expected nmt or pretraining"):
        StartingPoint.load(run)
