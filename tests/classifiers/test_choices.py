"""What is chosen from the corpus."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers import choices
from classifiers.choices import choose_epochs, choose_sizes, resolve
from classifiers.config import Config

CHOSEN = {"tokenization.vocabulary_size": 6000, "batching.token_budget": 4096}


def data(texts: int, longest: int = 60) -> Any:
    """What `resolve` reads of prepared data."""
    return SimpleNamespace(training_texts=texts, plan=SimpleNamespace(shapes=[(8, longest)]), choices=CHOSEN)


@given(st.integers(0, 10**8), st.integers(0, 10**8))
def test_more_text_never_gives_a_smaller_network_or_more_epochs(one: int, other: int) -> None:
    less, more = sorted((one, other))
    assert all(small <= large for small, large in zip(choose_sizes(less), choose_sizes(more), strict=True))
    assert choose_epochs(less) >= choose_epochs(more)


@given(st.integers(0, 10**10))
def test_epochs_are_bounded(texts: int) -> None:
    assert 3 <= choose_epochs(texts) <= 40


def test_resolve_fills_in_all_that_is_open() -> None:
    resolved = resolve(Config(), data(6_920))
    keys = {line.partition(":")[0] for line in Config().difference(resolved)}
    assert keys == {
        *("model.embedding_units", "model.encoder_units"),
        *("training.epochs", "training.precision", "training.unroll"),
        *CHOSEN,
    }
    assert resolved.model.sizes == choose_sizes(6_920)
    assert resolved.training.epochs == choose_epochs(6_920)
    assert resolved.batching.token_budget == 4096


def test_resolve_keeps_what_is_given() -> None:
    settings = [
        *("model.embedding_units=17", "model.encoder_units=18", "training.epochs=3", "training.precision=bfloat16"),
        *("training.unroll=true", "tokenization.vocabulary_size=500", "batching.token_budget=999"),
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


def test_precision_is_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    for precision in ("float32", "bfloat16"):
        monkeypatch.setattr(choices, "fastest_precision", lambda precision=precision: precision)
        assert resolve(Config(), data(10)).training.precision == precision
