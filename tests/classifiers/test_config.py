"""What the configuration of a classifier refuses beyond the bounds of its fields."""

from __future__ import annotations

import pytest

from classifiers.config import Config
from textseq.errors import ConfigurationError


def test_a_pooling_is_named_once() -> None:
    with pytest.raises(ConfigurationError, match=r"model\.pooling: max is listed 2 times; list it once"):
        Config().with_overrides(['model.pooling=["max", "mean", "max"]'])


def test_open_sizes_are_named() -> None:
    with pytest.raises(ConfigurationError, match=r"model\.embedding_units is unset, expected a number of units"):
        Config().model.sizes  # noqa: B018


@pytest.mark.parametrize(
    ("buckets", "message"),
    [
        ("3", r"received 3, expected a power of two, such as 2"),
        ("33554432", r"received 33554432, expected 16777216 or"),
    ],
)
def test_buckets_are_a_power_of_two_that_a_hash_can_fill(buckets: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"model\.ngram_buckets: {message}"):
        Config().with_overrides([f"model.ngram_buckets={buckets}"])
