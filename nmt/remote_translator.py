"""Translating with a model that a server runs."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nmt.translation import Translation
from textseq.counted import counted
from textseq.serving.remote_model import RemoteModel

logger = logging.getLogger(__name__)

NOT_TOLD = math.nan
"""The log-probability of a translation, of which a server says the normalized score only."""


class RemoteTranslator(RemoteModel):
    """A translator on a server: TF Serving, or `nmt serve`. It needs neither TensorFlow nor Keras.

    Args:
        client: of an exported translator.

    Example:
        >>> with RemoteTranslator.connect("http://localhost:8501") as translator:  # doctest: +SKIP
        ...     print(translator.translate(["A man is sleeping."])[0])
        Ein Mann schläft.
    """

    MODEL_NAMES = ("nmt", "combined")
    """A translator, else what translates and classifies."""

    @property
    def aligns(self) -> bool:
        """Whether the exported model says where it looked: one without attention does not."""
        return self._has_signature("align")

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
        found = self._answer(lines, "align" if attention else "serving_default", {})
        translations = [self._translation(line, found, row, attention) for row, line in enumerate(lines)]
        if n_best > 1 and translations:
            several = self._answer(lines, "n_best", {"n": [n_best] * len(translations)})
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

    def _answer(self, lines: Sequence[str], signature: str, more: dict[str, list[int]]) -> dict[str, list[Any]]:
        expected = "translations" if signature == "n_best" else "translation"
        return self._ask({"text": lines, **more}, signature, [expected, "truncated"], "a translator")

    def _translation(self, line: str, found: dict[str, list[Any]], row: int, attention: bool) -> Translation:
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
            truncated=bool(found["truncated"][row]),
            **pieces,
        )


def _candidates(best: Translation, several: dict[str, list[Any]], row: int) -> Iterator[Translation]:
    """The translations of a row, best first; the rest of its columns are padding."""
    count = several["count"][row]
    for text, score in zip(several["translations"][row][:count], several["scores"][row][:count], strict=True):
        yield Translation(best.source, text, score, NOT_TOLD, truncated=best.truncated)
