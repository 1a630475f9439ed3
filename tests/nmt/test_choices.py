"""What is chosen from the corpus."""

from __future__ import annotations

import pytest

from nmt.choices import check_heads, choose_epochs, choose_sizes, resolve
from nmt.config import Config
from textseq.errors import ConfigurationError

CHOSEN = {"tokenization.vocabulary_size": 6000, "batching.token_budget": 4096}
CHOICES = (
    *("model.embedding_units", "model.encoder_units", "model.decoder_units", "model.attention_units"),
    *("training.epochs", "training.precision", "training.unroll", *CHOSEN),
)


def test_sizes_of_known_corpora() -> None:
    assert choose_sizes(29_000) == (256, 320, 320, 256)
    assert choose_sizes(1) == choose_sizes(4_000) == (128, 128, 192, 128)
    assert choose_sizes(4_001) == (192, 224, 256, 192)
    assert choose_sizes(500_001) == choose_sizes(10**9) == (512, 768, 768, 512)


def test_epochs_of_known_corpora() -> None:
    assert [choose_epochs(pairs) for pairs in (1_000, 29_000, 133_000, 10_000_000)] == [100, 30, 14, 4]


def test_resolve_fills_in_all_that_is_open() -> None:
    resolved = resolve(Config(), 29_000, CHOSEN)
    differences = [line.partition(":")[0] for line in Config().difference(resolved)]
    assert sorted(differences) == sorted(CHOICES)
    assert resolved.model.sizes == choose_sizes(29_000)
    assert resolved.training.epochs == 30
    assert resolved.tokenization.vocabulary_size == 6000
    assert resolved.batching.token_budget == 4096


def test_resolve_keeps_what_is_given() -> None:
    given_values = [
        *("model.embedding_units=17", "training.epochs=3", "training.precision=bfloat16", "training.unroll=true"),
        *("tokenization.vocabulary_size=500", "batching.token_budget=999"),
    ]
    config = Config().with_overrides(given_values)
    resolved = resolve(config, 29_000, CHOSEN)
    assert config.with_overrides(given_values) == resolved.with_overrides(
        [f"model.{name}=none" for name in ("encoder_units", "decoder_units", "attention_units")]
    )


def test_resolve_is_done_once() -> None:
    resolved = resolve(Config(), 29_000, CHOSEN)
    assert resolve(resolved, 1_000, {}) == resolved


@pytest.mark.parametrize(("pairs", "epochs", "unroll"), [(29_000, 30, True), (1_000, 3, False), (250_000, 2, True)])
def test_unrolled_for_long_trainings_only(pairs: int, epochs: int, unroll: bool) -> None:
    config = Config().with_overrides([f"training.epochs={epochs}"])
    assert resolve(config, pairs, {}).training.unroll is unroll


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            ("model.attention_heads=3",),
            "model.attention_heads: received 3, expected a divisor of attention_units, which is 256; "
            "change model.attention_heads or model.attention_units",
        ),
        (
            ("model.attention_heads=3", "model.attention_units=6"),
            "model.attention_heads: received 3, expected a divisor of 2 * encoder_units, which is 640; "
            "change model.attention_heads or model.encoder_units",
        ),
    ],
)
def test_heads_must_fit(settings: tuple[str, ...], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolve(Config().with_overrides(settings), 29_000, CHOSEN)
    assert str(caught.value) == words


def test_sizes_that_are_open_are_not_checked() -> None:
    check_heads(Config().with_overrides(["model.attention_heads=3"]).model)
    check_heads(Config().with_overrides(["model.attention_heads=3", "model.attention_units=6"]).model)
    with pytest.raises(ConfigurationError, match=r"a divisor of 2 \* encoder_units, which is 40; "):
        check_heads(Config().with_overrides(["model.attention_heads=3", "model.encoder_units=20"]).model)
