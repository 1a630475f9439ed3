"""What is filled in where a configuration leaves it open, and only there."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from pydantic import Field

from textseq.configuration import Configuration
from textseq.training import choices
from textseq.training.choices import with_training_choices


class Model(Configuration):
    """Network."""

    units: int | None = Field(None, description="Size.")
    cells: int | None = Field(None, description="Size.")


class Training(Configuration):
    """Training."""

    epochs: int | None = Field(None, description="Epochs.")
    precision: str | None = Field(None, description="Type.")
    unroll: bool | None = Field(None, description="Step by step.")


class Config(Configuration):
    """All."""

    model: Model = Model()
    training: Training = Training()


class Sizes(NamedTuple):
    units: int
    cells: int


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_is_open_is_chosen_and_the_precision_is_the_processors(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choices, "fastest_precision", lambda: precision)
    config = with_training_choices(Config(), Sizes(8, 4), epochs=3, unroll=True, chosen={"model.cells": 5})
    assert config.model == Model(units=8, cells=5)
    assert config.training == Training(epochs=3, precision=precision, unroll=True)


def test_what_is_given_stays() -> None:
    given = Config().with_overrides(["model.units=2", "training.unroll=false", "training.precision=float32"])
    config = with_training_choices(given, Sizes(8, 4), epochs=3, unroll=True, chosen={"training.epochs": 9})
    assert config.model == Model(units=2, cells=4)
    assert config.training == Training(epochs=9, precision="float32", unroll=False)
