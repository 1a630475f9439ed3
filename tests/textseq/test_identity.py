"""What weights belong to, and what is refused when it was changed."""

from __future__ import annotations

import json

import pytest
from pydantic import Field

from textseq.configuration import Configuration
from textseq.errors import RunDirectoryError
from textseq.identity import check_identity, identity
from textseq.tokenization import TokenizationConfig, Tokenizer
from textseq.tokenizer_training import train_tokenizer


class Corpus(Configuration):
    """Where the text is."""

    text: str = Field("a.txt", description="Text.")


class Model(Configuration):
    """The network."""

    units: int = Field(4, description="Units.")
    pooling: tuple[str, ...] = Field(("max", "mean"), description="Poolings.")


class Training(Configuration):
    """How it is trained."""

    epochs: int = Field(3, description="Epochs.")


class Config(Configuration):
    """All."""

    seed: int = Field(1, description="Seed.")
    corpus: Corpus = Corpus()
    model: Model = Model()
    training: Training = Training()


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["some text to learn from"], TokenizationConfig(), vocabulary_size=300, seed=1)


def test_settings_tokenizers_and_more(tokenizer: Tokenizer) -> None:
    own = identity(Config(), {"text": tokenizer}, labels=("bad", "good"))
    assert own == {
        "seed": 1,
        "model.units": 4,
        "model.pooling": ["max", "mean"],
        "training.epochs": 3,
        "tokenizer.text": tokenizer.fingerprint,
        "data.labels": ["bad", "good"],
    }
    assert json.loads(json.dumps(own)) == own
    check_identity(json.loads(json.dumps(own)), own, "run", deciding_only=False)


def test_where_the_text_lies_does_not_count(tokenizer: Tokenizer) -> None:
    moved = Config(corpus=Corpus(text="b.txt"))
    assert identity(moved, {"text": tokenizer}) == identity(Config(), {"text": tokenizer})


def test_an_edited_configuration() -> None:
    stored = {"training.learning_rate": 0.001, "model.cell": "gru"}
    now = {**stored, "training.learning_rate": 0.5}
    with pytest.raises(RunDirectoryError) as caught:
        check_identity(stored, now, "run", deciding_only=False)
    assert str(caught.value) == (
        "run: config.toml or tokenizer/ was changed after the training (training.learning_rate: 0.001 -> 0.5); "
        "bring the old ones back"
    )
    check_identity(stored, now, "run", deciding_only=True)


def test_what_an_older_release_stored_is_enough() -> None:
    check_identity({}, {"model.cell": "gru"}, "run", deciding_only=False)
    check_identity({"model.cell": "gru"}, {"model.cell": "gru", "model.news": 1}, "run", deciding_only=False)


def test_another_tokenizer_and_other_labels() -> None:
    stored = {"tokenizer.text": "a" * 64, "data.labels": ["bad", "good"]}
    now = {"tokenizer.text": "b" * 64, "data.labels": ["good", "bad"]}
    with pytest.raises(RunDirectoryError) as caught:
        check_identity(stored, now, "run", deciding_only=True)
    assert str(caught.value) == (
        "run: config.toml, tokenizer/ or data/ was changed after the training (tokenizer.text: aaaaaaaaaaaa -> "
        'bbbbbbbbbbbb; data.labels: ["bad", "good"] -> ["good", "bad"]); bring the old ones back'
    )
