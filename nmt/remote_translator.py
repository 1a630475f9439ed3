"""Translating with a model that a server runs."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from nmt.translation import Translation
from textseq.counted import counted
from textseq.serving.client import Client, connect
from textseq.serving.client_errors import InvalidAnswer

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

NOT_TOLD = math.nan
"""The log-probability of a translation, of which a server says the normalized score only."""

MODEL_NAMES = ("nmt", "combined")
"""What is asked where nobody names the model: a translator, else what translates and classifies."""


class RemoteTranslator:
    """A translator on a server: TF Serving, or `nmt serve`. It needs neither TensorFlow nor Keras.

    Args:
        client: of an exported translator.

    Example:
        >>> with RemoteTranslator.connect("http://localhost:8501") as translator:  # doctest: +SKIP
        ...     print(translator.translate(["A man is sleeping."])[0])
        Ein Mann schläft.
    """

    def __init__(self, client: Client) -> None:
        self.client = client

    @classmethod
    def connect(cls, url: str, model: str | None = None, **options: Any) -> Self:
        """A translator by the address of its server.

        Args:
            url: `http://HOST:PORT` for REST, `grpc://HOST:PORT` for gRPC.
            model: its name on the server; the first of `MODEL_NAMES` that is there if None.
            options: see `textseq.serving.client.Client`.

        Raises:
            InputError: no such address, or no such model.
            ServingError: the server did not answer.
        """
        return cls(connect(url, MODEL_NAMES if model is None else model, **options))

    @property
    def aligns(self) -> bool:
        """Whether the exported model says where it looked: one that was exported otherwise may not."""
        return "align" in self.client.metadata().signatures

    def translate(self, lines: Sequence[str], *, n_best: int = 1, attention: bool = False) -> list[Translation]:
        """Translates lines, each into one translation.

        Beam and normalization are those of the export. `Translation.log_probability` is not on the wire and is NaN.

        Args:
            lines: whatever they hold.
            n_best: translations of each line, at most as many as the beam of the export holds.
            attention: also where the model looked.

        Raises:
            InputError: one text in place of a list, or the server refuses the request.
            ServingError: the server did not answer as it should.
        """
        found = self._ask(lines, "align" if attention else "serving_default", {})
        translations = [self._translation(line, found, row, attention) for row, line in enumerate(lines)]
        if n_best > 1 and translations:
            several = self._ask(lines, "n_best", {"n": [n_best] * len(translations)})
            translations = [
                replace(translation, n_best=tuple(_candidates(translation, several, row)))
                for row, translation in enumerate(translations)
            ]
        cut = sum(translation.truncated for translation in translations)
        if cut:
            logger.warning(
                "%s longer than the model reads; only the first part was translated; put every sentence on a line of "
                "its own",
                counted(cut, "line") + (" is" if cut == 1 else " are"),
            )
        return translations

    def close(self) -> None:
        """Closes the connections."""
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _ask(self, lines: Sequence[str], signature: str, more: dict[str, list[int]]) -> dict[str, list[Any]]:
        answer = self.client.predict({"text": lines, **more}, signature)
        expected = "translations" if signature == "n_best" else "translation"
        if expected not in answer:
            raise InvalidAnswer(
                f"{self.client.address}: model {self.client.model} gives {', '.join(sorted(answer))}, expected "
                f"{expected}; is it a translator?"
            )
        return answer

    def _translation(self, line: str, found: dict[str, list[Any]], row: int, attention: bool) -> Translation:
        # What was exported otherwise may not say what it cut.
        truncated = bool(found["truncated"][row]) if "truncated" in found else False
        pieces: dict[str, Any] = {}
        if attention:
            source, target = found["source_length"][row], found["target_length"][row]
            looked = [weights[:source] for weights in found["attention"][row][:target]]
            pieces = {
                "source_pieces": tuple(found["source_tokens"][row][:source]),
                "target_pieces": tuple(found["target_tokens"][row][:target]),
                "attention": np.array(looked, np.float32).reshape(target, source),
            }
        return Translation(
            source=line,
            text=found["translation"][row],
            score=found["score"][row],
            log_probability=NOT_TOLD,
            truncated=truncated,
            **pieces,
        )


def _candidates(best: Translation, several: dict[str, list[Any]], row: int) -> Iterator[Translation]:
    """The translations of a row, best first; the rest of its columns are padding."""
    count = several["count"][row]
    for text, score in zip(several["translations"][row][:count], several["scores"][row][:count], strict=True):
        yield Translation(best.source, text, score, NOT_TOLD, truncated=best.truncated)
