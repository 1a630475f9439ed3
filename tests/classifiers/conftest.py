"""Fixtures for tests of the classifier."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from classifiers.classifier import Classifier
    from classifiers.config import Config

TINY = (
    "tokenization.vocabulary_size=300",
    "model.embedding_units=16",
    "model.encoder_units=16",
    "model.attention_units=8",
    "model.ngram_buckets=256",
    'model.pooling=["max", "mean", "attention"]',
    "batching.token_budget=1024",
    "batching.shapes=1",
    "training.epochs=1",
    "training.precision=float32",
    "training.unroll=false",
    "training.compiled=false",
    "training.tensorboard=false",
)
"""Settings of a network that is made, or trained, within seconds."""

LABELS = ("negative", "neutral", "positive")
_WORDS = {
    "negative": ("awful", "dull", "boring", "weak", "clumsy"),
    "neutral": ("long", "green", "recent", "short", "blue"),
    "positive": ("lovely", "great", "superb", "charming", "witty"),
}
_SUBJECTS = ("the film", "this book", "her song", "the ending", "that scene", "our walk", "a meal", "the play")
_FRAMES = (
    "{} is {}.",
    "{}, they say, was {}",
    "I found {} {} indeed",
    "{} seems {} to me !",
    "well: {} was {}, really",
)


def labelled_texts() -> list[tuple[str, str]]:
    """600 different texts with their label, in a fixed mixed order, the labels in turn."""
    made = {
        label: [
            (label, frame.format(subject, word))
            for frame, subject, word in itertools.product(_FRAMES, _SUBJECTS, words)
        ]
        for label, words in _WORDS.items()
    }
    mixed = {label: [texts[(37 * place) % len(texts)] for place in range(len(texts))] for label, texts in made.items()}
    return [one for row in zip(*mixed.values(), strict=True) for one in row]


@pytest.fixture(scope="session")
def tiny_texts() -> list[tuple[str, str]]:
    """600 (label, text), all texts different; "negative", "neutral" and "positive" in turn."""
    return labelled_texts()


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.tsv (240 texts), valid.tsv (60) and test.tsv (60), as label TAB text."""
    folder = tmp_path_factory.mktemp("corpus")
    texts = labelled_texts()
    for name, start, end in (("train", 0, 240), ("valid", 240, 300), ("test", 300, 360)):
        lines = "".join(f"{label}\t{text}\n" for label, text in texts[start:end])
        (folder / f"{name}.tsv").write_text(lines, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_settings() -> tuple[str, ...]:
    """`TINY`, for tests that set them on the command line."""
    return TINY


@pytest.fixture(scope="session")
def tiny_config(tiny_corpus: Path) -> Config:
    """What `tiny_run` is made with; it also trains within seconds."""
    from classifiers.config import Config

    corpus = [f"corpus.{name}={tiny_corpus / name}.tsv" for name in ("train", "valid")]
    return Config().with_overrides([*corpus, *TINY])


MakeRun = Callable[[Path, "Config"], Path]


@pytest.fixture(scope="session")
def make_run() -> MakeRun:
    """A function that makes a run at a path, with random weights as its best, and a calibration that is not neutral."""

    def make(path: Path, config: Config) -> Path:
        from classifiers.calibration import Calibration
        from classifiers.choices import resolve
        from classifiers.classifier import identity_of, make_model
        from classifiers.data import prepare_data
        from textseq.run_directory import RunDirectory, write_atomically

        run = RunDirectory.create(path, "classifiers")
        data = prepare_data(config, run, lambda message: None)
        config = resolve(config, data)
        write_atomically(run.config_path, config.to_toml())
        labels = data.labels.labels
        model = make_model(config, data.tokenizer, len(labels))
        weights = {variable.path: variable.numpy() for variable in model.trainable_variables}
        # Larger embeddings and outputs: predictions differ, and few are near ties.
        for name in ("embedding", "output_kernel"):
            place = next(path for path in weights if name in path)
            weights[place] = 4 * weights[place]
        thresholds = {True: tuple(0.4 for _ in labels), False: (0.45,) if len(labels) == 2 else ()}
        calibration = Calibration(
            temperature=1.25,
            thresholds=thresholds[data.labels.multi_label],
            abstain_below=0.5,
            error_before=0.1,
            error_after=0.05,
            multi_label=data.labels.multi_label,
        )
        beside = {
            "labels": list(labels),
            "prior": list(data.labels.prior),
            "multi_label": data.labels.multi_label,
            "calibration": calibration.to_dict(),
        }
        own = identity_of(config, data.tokenizer, labels)
        run.write_best(14, {"weights": weights}, {"scores": {"macro_f1": 0.5}, "identity": own, "beside": beside})
        return run.path

    return make


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tiny_config: Config, make_run: MakeRun) -> Path:
    """A run of a tiny network, three labels, with random weights as its best: made in a few seconds, not trained.

    Read it; who wants to change it copies it.
    """
    return make_run(tmp_path_factory.mktemp("tiny") / "run", tiny_config)


@pytest.fixture(scope="session")
def multi_label_run(tmp_path_factory: pytest.TempPathFactory, make_run: MakeRun) -> Path:
    """As `tiny_run`, but a text can have several of the labels "bad", "film" and "good", or none."""
    from classifiers.config import Config

    folder = tmp_path_factory.mktemp("multi")
    names = {"negative": "bad", "neutral": "", "positive": "good"}
    texts = [
        (",".join(filter(None, (names[label], "film" if "film" in text else ""))), text)
        for label, text in labelled_texts()
    ]
    settings = ["corpus.multi_label=true", *TINY]
    for name, start, end in (("train", 0, 240), ("valid", 240, 300)):
        path = folder / f"{name}.tsv"
        path.write_text("".join(f"{labels}\t{text}\n" for labels, text in texts[start:end]), encoding="utf-8")
        settings.append(f"corpus.{name}={path}")
    return make_run(folder / "run", Config().with_overrides(settings))


@pytest.fixture(scope="session")
def trained_classifier() -> Classifier:
    """A classifier that has learnt the first 300 of `tiny_texts`, in some seconds; attention is among its poolings."""
    import keras
    import tensorflow as tf

    from classifiers.calibration import Calibration
    from classifiers.classifier import Classifier, make_model
    from classifiers.config import Config
    from textseq.inference import padded
    from textseq.tokenizer_training import train_tokenizer

    texts = labelled_texts()[:300]
    config = Config().with_overrides(list(TINY))
    tokenizer = train_tokenizer([text for _, text in texts], config.tokenization, vocabulary_size=300, seed=1)
    model = make_model(config, tokenizer, len(LABELS))
    ids = padded([[*one, tokenizer.eos_id] for one in tokenizer.encode([text for _, text in texts])], tokenizer.pad_id)
    targets = tf.constant([LABELS.index(label) for label, _ in texts])
    optimizer = keras.optimizers.Adam(0.02)

    @tf.function(autograph=False)
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = model(ids, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    optimizer.build(model.trainable_variables)
    for _ in range(60):
        step()
    calibration = Calibration(temperature=1.25)
    return Classifier(model, tokenizer, config, labels=LABELS, prior=(0.5, 0.25, 0.25), calibration=calibration)
