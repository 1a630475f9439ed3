"""What is chosen from the corpus where the configuration leaves it open."""

from __future__ import annotations

import bisect
from collections.abc import Mapping

from nmt.config import Config, ModelConfig, Sizes
from textseq.errors import ConfigurationError
from textseq.power_law import power_law
from textseq.training.choices import with_training_choices
from textseq.training.unrolling import worth_unrolling

# Up to so many sentence pairs, such a network. That of Multi30k's 29,000 pairs is measured in benchmarks/README.md;
# the others keep the number of weights in step with the text.
_SIZES = [
    (4_000, Sizes(128, 128, 192, 128)),
    (15_000, Sizes(192, 224, 256, 192)),
    (80_000, Sizes(256, 320, 320, 256)),
    (500_000, Sizes(384, 512, 512, 384)),
]
_LARGEST = Sizes(512, 768, 768, 512)


def choose_sizes(pairs: int) -> Sizes:
    """Sizes of the network for a number of training pairs."""
    place = bisect.bisect_left([bound for bound, _ in _SIZES], pairs)
    return _SIZES[place][1] if place < len(_SIZES) else _LARGEST


def choose_epochs(pairs: int) -> int:
    """Epochs for a number of training pairs: a small corpus is read more often, a large one needs more updates.

    Example:
        >>> [choose_epochs(pairs) for pairs in (1_000, 29_000, 133_000, 10_000_000)]
        [100, 30, 14, 4]
    """
    return round(power_law(pairs, at=29_000, value=30.0, power=-0.5, least=4.0, most=100.0))


def resolve(config: Config, pairs: int, chosen: Mapping[str, int]) -> Config:
    """Fills in every value that the configuration leaves open.

    Args:
        config: as it was given.
        pairs: number of training pairs after cleaning.
        chosen: what preparing the data has chosen, by dotted key.

    Raises:
        ConfigurationError: the number of attention heads does not fit the sizes.
    """
    epochs = config.training.epochs or choose_epochs(pairs)
    unroll = worth_unrolling(epochs * pairs)
    resolved = with_training_choices(config, choose_sizes(pairs), epochs=epochs, unroll=unroll, chosen=chosen)
    check_heads(resolved.model)
    return resolved


def check_heads(model: ModelConfig) -> None:
    """Checks that the attention heads divide the sizes, as far as these are given.

    Raises:
        ConfigurationError: they do not.
    """
    heads = model.attention_heads
    encoder_units = None if model.encoder_units is None else 2 * model.encoder_units
    for name, units in (("attention_units", model.attention_units), ("2 * encoder_units", encoder_units)):
        if units is not None and units % heads:
            raise ConfigurationError(
                f"model.attention_heads: received {heads}, expected a divisor of {name}, which is {units}; "
                f"change model.attention_heads or model.{name.removeprefix('2 * ')}"
            )
