"""A language model trained in one call, and its perplexity against the sum by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from textseq.errors import InputError
from textseq.language_model import LanguageModel
from textseq.special_ids import special_ids_of
from textseq.text_training import perplexity, train_language_model
from textseq.tokenization import TokenizationConfig, Tokenizer
from textseq.tokenizer_training import train_tokenizer

LINES = ["the cat sleeps", "the dog sleeps", "a cat reads", "a dog reads the book", "", "the book sleeps"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(LINES, TokenizationConfig(byte_fallback=False), vocabulary_size=60, seed=1)


def made(tokenizer: Tokenizer, **options: Any) -> LanguageModel:
    settings: dict[str, Any] = {"embedding_units": 8, "encoder_units": 12, "cell": "gru", "seed": 3, **options}
    return LanguageModel(vocabulary_size=tokenizer.vocabulary_size, special_ids=special_ids_of(tokenizer), **settings)


@pytest.mark.parametrize("forward_only", [True, False])
@pytest.mark.parametrize("token_budget", [10, 4096])
def test_perplexity_is_that_of_every_token(tokenizer: Tokenizer, forward_only: bool, token_budget: int) -> None:
    model = made(tokenizer, forward_only=forward_only)
    nats, tokens = 0.0, 0
    for ids in tokenizer.encode(LINES):
        row = np.array([[tokenizer.bos_id, *ids, tokenizer.eos_id]])
        for direction, logits in zip(model.directions, model(row), strict=True):
            scores = np.array(logits[0], "float64")
            labels = row[0, :-1] if direction.reverse else row[0, 1:]
            chosen = scores[np.arange(len(labels)), labels]
            nats += (np.log(np.exp(scores).sum(-1)) - chosen).sum() / len(model.directions)
        tokens += len(ids) + 1
    assert perplexity(model, tokenizer, LINES, token_budget=token_budget) == pytest.approx(
        math.exp(nats / tokens), rel=1e-4
    )


def test_long_texts_are_read_in_windows(tokenizer: Tokenizer) -> None:
    text = " ".join(LINES * 5)
    model = made(tokenizer, forward_only=True)
    whole, windows = (perplexity(model, tokenizer, [text], longest=longest) for longest in (500, 5))
    assert whole != windows
    assert windows == pytest.approx(whole, rel=0.3)
    train_language_model(model, tokenizer, [text], epochs=1, longest=5)


@pytest.mark.parametrize("forward_only", [True, False])
def test_the_first_step_reports_the_perplexity_before_it(tokenizer: Tokenizer, forward_only: bool) -> None:
    before = perplexity(made(tokenizer, forward_only=forward_only), tokenizer, LINES)
    (first,) = train_language_model(
        made(tokenizer, forward_only=forward_only), tokenizer, LINES, epochs=1, token_budget=4096
    )
    assert first == pytest.approx(before, rel=1e-4), "one batch holds all"


def test_an_epoch_reports_the_mean_of_all_its_tokens(tokenizer: Tokenizer) -> None:
    """Batches differ in size; without a learning rate, each is scored by the same weights."""
    model = made(tokenizer, forward_only=True)
    (only,) = train_language_model(model, tokenizer, LINES, epochs=1, learning_rate=0.0, token_budget=10, longest=10)
    assert only == pytest.approx(perplexity(model, tokenizer, LINES, longest=10), rel=1e-5)


@pytest.mark.parametrize("forward_only", [True, False])
def test_it_learns(tokenizer: Tokenizer, forward_only: bool) -> None:
    model, same = (made(tokenizer, forward_only=forward_only) for _ in range(2))
    history = train_language_model(model, tokenizer, LINES, epochs=30, learning_rate=3e-2, token_budget=64)
    assert len(history) == 30
    assert history[-1] < 3 < 20 < history[0]
    assert perplexity(model, tokenizer, LINES) < 3
    assert train_language_model(same, tokenizer, LINES, epochs=30, learning_rate=3e-2, token_budget=64) == history


def test_wrong_calls_say_what_was_wrong(tokenizer: Tokenizer) -> None:
    model = made(tokenizer)
    with pytest.raises(InputError, match="language model: received 0 texts and 5 epochs; expected 1 or more of both"):
        train_language_model(model, tokenizer, [])
    with pytest.raises(InputError, match="received 6 texts and 0 epochs"):
        train_language_model(model, tokenizer, LINES, epochs=0)
    with pytest.raises(InputError, match="perplexity: received 0 texts; expected 1 or more"):
        perplexity(model, tokenizer, [])
    with pytest.raises(InputError, match="received one text, expected a list of lines"):
        perplexity(model, tokenizer, "one")
