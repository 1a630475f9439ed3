"""Text that a language model writes: by probability, by the seed, and to the end."""

from __future__ import annotations

import numpy as np
import pytest

from textseq.errors import InputError
from textseq.language_model import LanguageModel
from textseq.special_ids import special_ids_of
from textseq.text_generation import generate_text
from textseq.tokenization import TokenizationConfig, Tokenizer
from textseq.tokenizer_training import train_tokenizer

LINES = ["the cat sleeps", "the dog sleeps", "a cat reads", "a dog reads the book"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(LINES, TokenizationConfig(byte_fallback=False), vocabulary_size=60, seed=1)


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer) -> LanguageModel:
    model = LanguageModel(
        vocabulary_size=tokenizer.vocabulary_size,
        special_ids=special_ids_of(tokenizer),
        embedding_units=6,
        encoder_units=6,
        cell="gru",
        forward_only=True,
    )
    bias = np.full(tokenizer.vocabulary_size, -1.0, "float32")
    bias[tokenizer.encode(["sleeps"])[0]] = 2.0
    bias[[tokenizer.pad_id, tokenizer.bos_id]] = 30.0  # the likeliest by far, and never to be written
    bias[tokenizer.eos_id] = -30.0
    model.output_bias.assign(bias)
    return model


def test_a_prompt_is_kept_and_gone_on_with(model: LanguageModel, tokenizer: Tokenizer) -> None:
    written = generate_text(model, tokenizer, ["the cat", ""], tokens=6)
    assert written[0].startswith("the cat")
    assert len(written[0]) > len("the cat")
    assert written[1]
    assert generate_text(model, tokenizer, ["the cat", ""], tokens=0) == ["the cat", ""]
    assert generate_text(model, tokenizer, []) == []


def test_the_draw_is_a_function_of_seed_and_place(model: LanguageModel, tokenizer: Tokenizer) -> None:
    first = generate_text(model, tokenizer, ["the"] * 3, tokens=12, seed=5)
    assert generate_text(model, tokenizer, ["the", "a dog", "the"], tokens=12, seed=5)[2] == first[2]
    assert len(set(first)) == 3
    assert generate_text(model, tokenizer, ["the"] * 3, tokens=12, seed=6) != first


def test_temperature_zero_takes_the_likeliest(model: LanguageModel, tokenizer: Tokenizer) -> None:
    cold = [generate_text(model, tokenizer, ["a"], tokens=8, temperature=0.0, seed=seed) for seed in range(3)]
    assert cold[0] == cold[1] == cold[2]
    nearly = generate_text(model, tokenizer, ["a"], tokens=8, temperature=1e-4)
    assert nearly == cold[0]


def test_the_frequencies_are_the_model_s(model: LanguageModel, tokenizer: Tokenizer) -> None:
    """The first token of 400 draws against its probability."""
    states = model.start(1)
    log_probabilities = np.array(model.step(np.array([tokenizer.bos_id], "int32"), states)[0][0], "float64")
    log_probabilities[[tokenizer.pad_id, tokenizer.bos_id]] = -np.inf
    probabilities = np.exp(log_probabilities) / np.exp(log_probabilities).sum()
    likeliest = int(probabilities.argmax())
    texts = generate_text(model, tokenizer, [""] * 400, tokens=1)
    share = np.mean([text == tokenizer.decode([likeliest]) for text in texts])
    assert share == pytest.approx(probabilities[likeliest], abs=0.08)


def test_eos_ends_the_text(model: LanguageModel, tokenizer: Tokenizer) -> None:
    bias = np.array(model.output_bias)
    ending = bias.copy()
    ending[tokenizer.eos_id] = 60.0
    model.output_bias.assign(ending)
    try:
        assert generate_text(model, tokenizer, ["a dog"], tokens=50) == ["a dog"]
    finally:
        model.output_bias.assign(bias)


def test_what_cannot_be_done(model: LanguageModel, tokenizer: Tokenizer) -> None:
    with pytest.raises(InputError, match=r"received one text, expected a list of lines"):
        generate_text(model, tokenizer, "the cat")
    with pytest.raises(InputError, match=r"temperature: received -1.0, expected 0 \(the most probable token\) or more"):
        generate_text(model, tokenizer, ["a"], temperature=-1.0)
