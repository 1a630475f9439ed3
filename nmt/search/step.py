"""What every step of a search holds."""

from __future__ import annotations

from nmt.search.config import SearchConfig
from nmt.search.interface import Constraint, SpecialIds, StepModel


class SearchStep:
    """Base of one step of all sentences in work; subclasses are called with the time and what is known so far.

    Args:
        model: encodes, starts and steps.
        config: of the search.
        special_ids: pad, bos and eos.
        constraint: changes the log-probabilities of each step, or None.
    """

    def __init__(
        self, model: StepModel, config: SearchConfig, special_ids: SpecialIds, constraint: Constraint | None
    ) -> None:
        self.model = model
        self.config = config
        self.special_ids = special_ids
        self.constraint = constraint
