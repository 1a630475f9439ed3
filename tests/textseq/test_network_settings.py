"""Settings that all networks share: bounds, descriptions, and sizes that are still open."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from pydantic import Field

from textseq.configuration import Configuration
from textseq.errors import ConfigurationError
from textseq.network_settings import CellName, EncoderLayers, StateDropout, Units, WordDropout, chosen_sizes


class Network(Configuration):
    """A network."""

    cell: CellName = "lstm"
    inner: Units = Field(None, description="Inner.")
    outer: Units = Field(None, description="Outer.")
    layers: EncoderLayers = 1
    state_dropout: StateDropout = 0.2
    word_dropout: WordDropout = Field(0.0, description="Both sides.")


class Sizes(NamedTuple):
    """Its sizes."""

    outer: int
    inner: int


def test_a_description_is_shared_unless_the_field_has_its_own() -> None:
    described = {name: field.description for name, field in Network.model_fields.items()}
    assert described["layers"] == "Stacked bidirectional layers."
    assert (described["inner"], described["word_dropout"]) == ("Inner.", "Both sides.")
    assert "# Variational, on the recurrent state, one mask for all steps.\nstate_dropout = 0.2" in Network().to_toml()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("cell=rnn", "cell: received \"rnn\", expected 'gru', 'lstm' or 'simple_rnn'"),
        ("inner=0", "inner: received 0, expected 1 or more"),
        ("layers=17", "layers: received 17, expected 16 or less"),
        ("state_dropout=1", "state_dropout: received 1, expected less than 1"),
        ("word_dropout=-0.5", "word_dropout: received -0.5, expected 0"),
    ],
)
def test_a_bound_holds_also_where_the_field_has_its_own_description(override: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Network().with_overrides([override])


def test_sizes_are_taken_by_name() -> None:
    assert chosen_sizes(Network(inner=2, outer=3), Sizes) == Sizes(outer=3, inner=2)
    with pytest.raises(ConfigurationError, match=r"^model.inner is unset, expected a number of units; set it$"):
        chosen_sizes(Network(outer=3), Sizes)
