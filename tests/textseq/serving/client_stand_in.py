"""A client of a model server that answers from a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textseq.serving.model_description import ModelMetadata, SignatureDescription


class ClientStandIn:
    """Answers each signature with the outputs given for it, and keeps what was asked."""

    address = "http://there"

    def __init__(self, model: str, answers: Mapping[str, Mapping[str, list[Any]]]) -> None:
        self.model = model
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.closed = False

    def predict(self, inputs: Mapping[str, Sequence[Any]], signature: str) -> dict[str, list[Any]]:
        self.asked.append((signature, dict(inputs)))
        return dict(self.answers[signature])

    def metadata(self) -> ModelMetadata:
        return ModelMetadata(self.model, 1, {name: SignatureDescription({}, {}) for name in self.answers})

    def close(self) -> None:
        self.closed = True
