"""What weights were trained with: stored beside them, so that an edited run is refused rather than served."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nmt.config import Config
from textseq.errors import RunDirectoryError
from textseq.tokenization import Tokenizer

# Where the text lies may change, and search has no part in training.
_LEFT_OUT = {"corpus", "search"}
DECIDING_SECTIONS = ("model", "tokenization", "tokenizer")
"""What the meaning of the weights depends on; the rest decides only how training goes on."""


def identity(config: Config, source_tokenizer: Tokenizer, target_tokenizer: Tokenizer) -> dict[str, Any]:
    """The settings by dotted key, and the tokenizers' fingerprints, as JSON values."""
    sections = config.model_dump(mode="json", exclude=_LEFT_OUT)
    values = {"seed": sections.pop("seed")}
    values |= {f"{section}.{key}": value for section, keys in sections.items() for key, value in keys.items()}
    return {
        **values,
        "tokenizer.source": source_tokenizer.fingerprint,
        "tokenizer.target": target_tokenizer.fingerprint,
    }


def check_identity(stored: Mapping[str, Any], now: Mapping[str, Any], place: object, *, deciding_only: bool) -> None:
    """Compares what weights were trained with and what the run says now.

    Args:
        stored: beside the weights; empty where an older release wrote them.
        now: of the run's config.toml and tokenizers.
        place: the run, for the message.
        deciding_only: compare only `DECIDING_SECTIONS`.

    Raises:
        RunDirectoryError: they differ; the message shows how.
    """
    different = [
        f"{key}: {_shown(value)} -> {_shown(now.get(key))}"
        for key, value in stored.items()
        if now.get(key) != value and (not deciding_only or key.partition(".")[0] in DECIDING_SECTIONS)
    ]
    if different:
        raise RunDirectoryError(
            f"{place}: config.toml or tokenizer/ was changed after the training ({'; '.join(different)}); "
            "bring the old ones back"
        )


def _shown(value: object) -> str:
    return value[:12] if isinstance(value, str) and len(value) == 64 else json.dumps(value)
