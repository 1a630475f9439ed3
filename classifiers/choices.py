"""What is chosen from the corpus where the configuration leaves it open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from classifiers.config import Config, Sizes
from textseq.training.precision import fastest_precision

if TYPE_CHECKING:
    from classifiers.classification_data import ClassificationData

# Up to so many texts, such a network.
_SMALL = 3_000
# Texts that a training reads in all its epochs, and tokens of the longest: unrolled graphs take about a minute to build
# and save a tenth of the time of every step; of long texts they would hold thousands of steps.
_UNROLLED_FROM, _UNROLLED_LENGTH = 500_000, 128


def choose_sizes(texts: int) -> Sizes:
    """Sizes of the network for a number of training texts."""
    return Sizes(64, 64) if texts <= _SMALL else Sizes(128, 128)


def choose_epochs(texts: int) -> int:
    """Epochs for a number of training texts: a small corpus is read more often, a large one needs more updates.

    Example:
        >>> [choose_epochs(texts) for texts in (500, 6_000, 25_000, 1_000_000)]
        [40, 20, 8, 3]
    """
    return round(min(40.0, max(3.0, 20.0 * (6_000 / max(1, texts)) ** 0.642)))


def resolve(config: Config, data: ClassificationData) -> Config:
    """Fills in every value that the configuration leaves open.

    Args:
        config: as it was given.
        data: prepared; what preparing it has chosen, it has by dotted key.
    """
    epochs = config.training.epochs or choose_epochs(data.training_texts)
    longest = data.plan.shapes[-1][1]
    return config.with_choices(
        {
            **{f"model.{key}": value for key, value in choose_sizes(data.training_texts)._asdict().items()},
            "training.epochs": epochs,
            "training.precision": fastest_precision(),
            "training.unroll": epochs * data.training_texts >= _UNROLLED_FROM and longest <= _UNROLLED_LENGTH,
            **data.choices,
        }
    )
