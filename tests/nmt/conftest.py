"""Fixtures for tests of the translator."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from nmt.config import Config

TINY = (
    "tokenization.vocabulary_size=400",
    "model.embedding_units=16",
    "model.encoder_units=16",
    "model.decoder_units=16",
    "model.attention_units=16",
    "batching.token_budget=1024",
    "batching.shapes=1",
    "training.epochs=1",
    "training.precision=float32",
    "training.unroll=false",
    "training.tensorboard=false",
    "training.validation_sentences=10",
)
"""Settings of a network that is made, or trained, within seconds."""


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with train.en, train.de (200 phrasebook pairs), valid.en, valid.de (20), test.en and test.de (20)."""
    from nmt.phrasebook.grammar import Grammar
    from textseq.draw import Draw

    grammar = Grammar()
    drawn = (grammar.sentence(Draw(1, number)) for number in range(2000))
    pairs = list({one.source: one.target for one in drawn if one is not None}.items())
    folder = tmp_path_factory.mktemp("corpus")
    for name, start, end in (("train", 0, 200), ("valid", 200, 220), ("test", 220, 240)):
        for side, language in enumerate(("en", "de")):
            text = "".join(pair[side] + "\n" for pair in pairs[start:end])
            (folder / f"{name}.{language}").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_settings() -> tuple[str, ...]:
    """`TINY`, for tests that set them on the command line."""
    return TINY


@pytest.fixture(scope="session")
def tiny_config(tiny_corpus: Path) -> Config:
    """What `tiny_run` is made with; it also trains within seconds."""
    from nmt.config import Config

    files = {"source": "train.en", "target": "train.de", "valid_source": "valid.en", "valid_target": "valid.de"}
    corpus = [f"corpus.{key}={tiny_corpus / name}" for key, name in files.items()]
    return Config().with_overrides([*corpus, *TINY])


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, tiny_config: Config) -> Path:
    """A run of a tiny network, English to German, with random weights as its best: made in a few seconds, not trained.

    Read it; who wants to change it copies it.
    """
    from nmt.choices import resolve
    from nmt.data import prepare_data
    from nmt.translator import make_model
    from textseq.run_directory import RunDirectory, write_atomically

    run = RunDirectory.create(tmp_path_factory.mktemp("tiny") / "run", "nmt")
    data = prepare_data(tiny_config, run, lambda message: None)
    config = resolve(tiny_config, data.training_pairs, data.choices)
    write_atomically(run.config_path, config.to_toml())
    model = make_model(config, data.source_tokenizer, data.target_tokenizer)
    weights = {variable.path: variable.numpy() for variable in model.trainable_variables}
    # Larger embeddings, and an end that is likelier than other tokens: translations differ, end, and have few near
    # ties. Larger recurrent weights would amplify rounding from step to step.
    embeddings, bias = (next(path for path in weights if name in path) for name in ("embedding", "output_bias"))
    weights[embeddings] = 5 * weights[embeddings]
    weights[bias][data.special_ids.eos_id] = 5.0
    run.write_best(14, {"weights": weights}, {"scores": {"bleu": 0.5}})
    return run.path
