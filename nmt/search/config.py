"""What can be set about search."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from textseq.configuration import Configuration


class SearchConfig(Configuration):
    """How translations are looked for: beam search (beam 1 is greedy search) and sampling."""

    beam: int = Field(5, ge=1, le=1000, description="Live hypotheses a sentence; 1 is greedy search.")
    n_best: int = Field(1, ge=1, description="Translations returned a sentence, best first; at most the beam.")
    length_normalization: Literal["gnmt", "average", "none"] = Field(
        "gnmt",
        description="What divides a log-probability to make its score: gnmt ((5 + length) / 6) ** length_penalty, "
        "average (length), none.",
    )
    length_penalty: float = Field(
        1.0, ge=0, description="The exponent of gnmt; 0 prefers short, 1 is nearly the average."
    )
    patience: float | None = Field(
        1.0,
        gt=0,
        json_schema_extra={"none": "wait until no live hypothesis can win"},
        description="A sentence is done when patience * beam hypotheses have finished, or earlier when no live one can "
        "win; none waits for the latter.",
    )
    maximum_length_factor: float = Field(
        2.0,
        ge=0,
        le=1000,
        description="A translation's length is at most factor * source length + extra, in tokens with the final </s>. "
        "The factor counts in hundredths.",
    )
    maximum_length_extra: int = Field(10, ge=1, description="The extra of the line above.")
    samples: int = Field(1, ge=1, description="Sampling: translations drawn a sentence.")
    temperature: float = Field(
        1.0, gt=0, description="Sampling: below 1 sharpens the distribution, above 1 flattens it."
    )
    top_k: int = Field(0, ge=0, description="Sampling: only the k most probable tokens; 0 is all.")
    top_p: float = Field(
        1.0, gt=0, le=1, description="Sampling: only the most probable tokens that together reach this probability."
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Sampling: another seed draws other translations.")

    @model_validator(mode="after")
    def _n_best_fits_the_beam(self) -> SearchConfig:
        if self.n_best > self.beam:
            raise ValueError(
                f"n_best is {self.n_best} with a beam of {self.beam}; expected at most the beam; "
                f"lower n_best or raise beam"
            )
        return self
