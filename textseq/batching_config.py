"""How sentences become batches: the settings."""

from __future__ import annotations

from pydantic import Field

from textseq.configuration import Configuration


class BatchingConfig(Configuration):
    """How sentences become batches."""

    token_budget: int | None = Field(
        default=None,
        ge=2,
        description="Most tokens of one batch, padding counted, all sides together. Chosen from the corpus when unset.",
    )
    max_length: int = Field(
        default=128, ge=2, description="Most tokens of one side of a sentence, the end-of-sentence token counted."
    )
    shapes: int = Field(
        default=16, ge=1, le=64, description="Most distinct batch shapes; each is traced and compiled once."
    )
    padding_waste: float = Field(
        default=0.095,
        ge=0.0,
        lt=1.0,
        description="No further shapes are added once padding takes at most this part of all cells.",
    )
