"""Settings that the runs of all tasks have, with their bounds and their meaning; defaults are a task's.

A configuration uses them as types, `state_dropout: StateDropout = 0.2`; a `Field` beside it says what is different.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import Field

from textseq.configuration import Configuration
from textseq.errors import ConfigurationError

Seed = Annotated[int, Field(ge=0, description="Of initial weights, data order, dropout and subword sampling.")]
CellName = Annotated[
    Literal["gru", "lstm", "simple_rnn"], Field(description="Recurrent cell: gru, lstm or simple_rnn.")
]
Units = Annotated[int | None, Field(ge=1)]
"""A size; None is chosen from the corpus."""
Layers = Annotated[int, Field(ge=1, le=16)]
Dropout = Annotated[float, Field(ge=0, lt=1)]

EmbeddingUnits = Annotated[Units, Field(description="Size of an embedded token.")]
EncoderUnits = Annotated[Units, Field(description="State of each direction of the encoder.")]
EncoderLayers = Annotated[Layers, Field(description="Stacked bidirectional layers.")]
Residual = Annotated[bool, Field(description="Add a layer's input to its output where the sizes are equal.")]
LayerNorm = Annotated[bool, Field(description="Layer normalisation inside the recurrent cells.")]
EmbeddingDropout = Annotated[Dropout, Field(description="On embedded tokens.")]
StateDropout = Annotated[Dropout, Field(description="Variational, on the recurrent state, one mask for all steps.")]
WordDropout = Annotated[Dropout, Field(description="Share of tokens replaced by unk.")]

Sizes = TypeVar("Sizes", bound=NamedTuple)


def chosen_sizes(model: Configuration, kind: type[Sizes]) -> Sizes:
    """The sizes of a network, all chosen.

    Args:
        model: the section with the sizes.
        kind: a named tuple with the names of the sizes.

    Raises:
        ConfigurationError: one is still open.
    """
    values = {name: getattr(model, name) for name in kind._fields}
    for name, value in values.items():
        if value is None:
            raise ConfigurationError(f"model.{name} is unset, expected a number of units; set it")
    return kind._make(values.values())
