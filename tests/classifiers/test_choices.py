"""What is chosen from the corpus."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from classifiers.choices import choose_epochs, choose_sizes, resolve
from classifiers.config import Config

CHOSEN = {"tokenization.vocabulary_size": 6000, "batching.token_budget": 4096}


def data(texts: int, longest: int = 60, mean: int = 20) -> Any:
    """What `resolve` reads of prepared data."""
    plan = SimpleNamespace(shapes=[(8, longest)], tokens=texts * mean)
    return SimpleNamespace(training_texts=texts, plan=plan, choices=CHOSEN)


def test_resolve_fills_in_all_that_is_open() -> None:
    resolved = resolve(Config(), data(6_920))
    keys = {line.partition(":")[0] for line in Config().difference(resolved)}
    assert keys == {
        *("model.embedding_units", "model.encoder_units"),
        *("training.epochs", "training.precision", "training.unroll", "training.compiled"),
        *CHOSEN,
    }
    assert resolved.model.sizes == choose_sizes(6_920)
    assert resolved.training.epochs == choose_epochs(6_920)
    assert resolved.batching.token_budget == 4096


def test_resolve_keeps_what_is_given() -> None:
    settings = [
        *("model.embedding_units=17", "model.encoder_units=18", "training.epochs=3", "training.precision=bfloat16"),
        *("training.unroll=true", "training.compiled=false"),
        *("tokenization.vocabulary_size=500", "batching.token_budget=999"),
    ]
    config = Config().with_overrides(settings)
    assert resolve(config, data(29_000)) == config


def test_resolve_is_done_once() -> None:
    resolved = resolve(Config(), data(6_920))
    assert resolve(resolved, data(100)) == resolved


@pytest.mark.parametrize(
    ("texts", "epochs", "longest", "unroll"),
    [(6_920, 20, 60, False), (250_000, 2, 60, True), (250_000, 2, 2_000, False), (249_999, 2, 60, False)],
)
def test_unrolled_for_long_trainings_on_short_texts_only(texts: int, epochs: int, longest: int, unroll: bool) -> None:
    config = Config().with_overrides([f"training.epochs={epochs}"])
    assert resolve(config, data(texts, longest)).training.unroll is unroll


@pytest.mark.parametrize(
    ("texts", "longest", "mean", "compiled"),
    [
        (25_000, 3_000, 300, True),
        (5_000, 3_000, 500, True),
        (4_999, 3_000, 500, False),
        (6_920, 60, 20, False),
        (250_000, 60, 20, False),  # unrolled
    ],
)
def test_compiled_for_many_tokens_that_are_not_unrolled(texts: int, longest: int, mean: int, compiled: bool) -> None:
    config = Config().with_overrides(["training.epochs=2"])
    assert resolve(config, data(texts, longest, mean)).training.compiled is compiled


@pytest.mark.parametrize("given_one", ["unroll", "compiled"])
def test_one_that_is_given_is_not_joined_by_the_other(given_one: str) -> None:
    config = Config().with_overrides([f"training.{given_one}=true"])
    resolved = resolve(config, data(1_000_000)).training
    assert (resolved.unroll, resolved.compiled) == (given_one == "unroll", given_one == "compiled")
    neither = config.with_overrides(["training.unroll=false", "training.compiled=false"])
    kept = resolve(neither, data(1_000_000)).training
    assert (kept.unroll, kept.compiled) == (False, False)
