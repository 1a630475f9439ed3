"""What is chosen from the corpus where the configuration leaves it open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from classifiers.config import Config, Sizes
from textseq.power_law import power_law
from textseq.training.choices import with_training_choices
from textseq.training.unrolling import worth_unrolling

if TYPE_CHECKING:
    from classifiers.classification_data import ClassificationData

# Up to so many texts, such a network.
_SMALL = 3_000
# Tokens of the longest text: graphs of longer ones would hold thousands of steps.
_UNROLLED_LENGTH = 128
# Tokens that a training reads in all its epochs. Compiled loops save a third of a step's processor time, but each batch
# shape, of which there are up to sixteen, takes two to five seconds to compile.
_COMPILED_FROM = 5_000_000


def choose_sizes(texts: int) -> Sizes:
    """Sizes of the network for a number of training texts."""
    return Sizes(64, 64) if texts <= _SMALL else Sizes(128, 128)


def choose_epochs(texts: int) -> int:
    """Epochs for a number of training texts: a small corpus is read more often, a large one needs more updates.

    Example:
        >>> [choose_epochs(texts) for texts in (500, 6_000, 25_000, 1_000_000)]
        [38, 11, 5, 3]
    """
    return round(power_law(texts, at=6_000, value=11.0, power=-0.5, least=3.0, most=40.0))


def resolve(config: Config, data: ClassificationData) -> Config:
    """Fills in every value that the configuration leaves open.

    Recurrent loops are unrolled or compiled, never both: XLA would take minutes for an unrolled one.

    Args:
        config: as it was given.
        data: prepared; what preparing it has chosen, it has by dotted key.
    """
    epochs = config.training.epochs or choose_epochs(data.training_texts)
    training, longest = config.training, data.plan.shapes[-1][1]
    unroll = training.unroll
    if unroll is None:
        long = worth_unrolling(epochs * data.training_texts)
        unroll = long and longest <= _UNROLLED_LENGTH and not training.compiled
    compiled = not unroll and epochs * data.plan.tokens >= _COMPILED_FROM
    return with_training_choices(
        config,
        choose_sizes(data.training_texts),
        epochs=epochs,
        unroll=unroll,
        chosen={"training.compiled": compiled, **data.choices},
    )
