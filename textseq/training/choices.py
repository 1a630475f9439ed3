"""What every task fills in where its configuration leaves it open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeVar

from textseq.configuration import Configuration
from textseq.training.precision import fastest_precision

ConfigurationType = TypeVar("ConfigurationType", bound=Configuration)


def with_training_choices(
    config: ConfigurationType, sizes: NamedTuple, *, epochs: int, unroll: bool, chosen: Mapping[str, object]
) -> ConfigurationType:
    """The configuration with the sizes of its network and the settings of its training, as far as these are open.

    Args:
        config: as it was given.
        sizes: of the network, by the names of [model].
        epochs: to train.
        unroll: whether recurrent loops are laid out step by step.
        chosen: what else was chosen, by dotted key.
    """
    return config.with_choices(
        {
            **{f"model.{name}": units for name, units in sizes._asdict().items()},
            "training.epochs": epochs,
            "training.precision": fastest_precision(),
            "training.unroll": unroll,
            **chosen,
        }
    )
