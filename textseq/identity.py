"""What weights were trained with: stored beside them, so that an edited run is refused rather than served."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from textseq.configuration import Configuration
from textseq.errors import RunDirectoryError
from textseq.tokenization import Tokenizer

# Where the text lies may change, and search has no part in training.
_LEFT_OUT = {"corpus", "search"}
DECIDING_SECTIONS = ("model", "tokenization", "tokenizer", "data")
"""What the meaning of the weights depends on; the rest decides only how training goes on."""


def identity(config: Configuration, tokenizers: Mapping[str, Tokenizer], **more: Any) -> dict[str, Any]:
    """The settings by dotted key, and the tokenizers' fingerprints, as JSON values.

    Args:
        config: resolved.
        tokenizers: of the run, by name; stored as "tokenizer.NAME".
        more: what else the weights belong to, such as the labels in their order; stored as "data.NAME".
    """
    values: dict[str, Any] = {}
    for name, value in config.model_dump(mode="json", exclude=_LEFT_OUT).items():
        if isinstance(value, dict):
            values |= {f"{name}.{key}": one for key, one in value.items()}
        else:
            values[name] = value
    values |= {f"tokenizer.{name}": tokenizer.fingerprint for name, tokenizer in tokenizers.items()}
    # Through JSON, so that a tuple equals the list that is read back.
    return values | {f"data.{name}": json.loads(json.dumps(value)) for name, value in more.items()}


def check_identity(stored: Mapping[str, Any], now: Mapping[str, Any], place: object, *, deciding_only: bool) -> None:
    """Compares what weights were trained with and what the run says now.

    Args:
        stored: beside the weights; empty where an older release wrote them.
        now: of the run's config.toml, tokenizers and data.
        place: the run, for the message.
        deciding_only: compare only `DECIDING_SECTIONS`.

    Raises:
        RunDirectoryError: they differ; the message shows how.
    """
    different = {
        key: f"{key}: {_shown(value)} -> {_shown(now.get(key))}"
        for key, value in stored.items()
        if now.get(key) != value and (not deciding_only or key.partition(".")[0] in DECIDING_SECTIONS)
    }
    if different:
        data = any(key.startswith("data.") for key in different)
        raise RunDirectoryError(
            f"{place}: {'config.toml, tokenizer/ or data/' if data else 'config.toml or tokenizer/'} was changed after "
            f"the training ({'; '.join(different.values())}); bring the old ones back"
        )


def _shown(value: object) -> str:
    return value[:12] if isinstance(value, str) and len(value) == 64 else json.dumps(value)
