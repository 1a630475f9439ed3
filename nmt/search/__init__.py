"""Search: from a source sentence to its translations, by any model that encodes, starts and steps.

`SearchConfig` is light. Everything else needs Keras, which is loaded when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nmt.search.config import SearchConfig

if TYPE_CHECKING:
    from nmt.search.beam import beam_search
    from nmt.search.interface import Constraint, SpecialIds, StepModel
    from nmt.search.prefix import force_prefix
    from nmt.search.result import SearchResult
    from nmt.search.sampling import sample
    from nmt.search.scoring import ForcedScores, score

__all__ = [
    "Constraint",
    "ForcedScores",
    "SearchConfig",
    "SearchResult",
    "SpecialIds",
    "StepModel",
    "beam_search",
    "force_prefix",
    "sample",
    "score",
]

_HOMES = {
    "Constraint": "interface",
    "ForcedScores": "scoring",
    "SearchResult": "result",
    "SpecialIds": "interface",
    "StepModel": "interface",
    "beam_search": "beam",
    "force_prefix": "prefix",
    "sample": "sampling",
    "score": "scoring",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
