"""What a run itself gives for a few texts: what its export has to give too."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from nmt.ceilings import LONGEST_SOURCE, LONGEST_SOURCE_BYTES, LONGEST_TARGET, LONGEST_TARGET_BYTES
from nmt.translation import Translation
from nmt.translator import Translator
from textseq.export import TOLERANCE, Golden
from textseq.export_texts import text_beyond
from textseq.inference import without_warnings

_CEILING = f"{LONGEST_SOURCE:,} tokens, {LONGEST_SOURCE_BYTES:,} bytes"
_DIGITS = 6  # of attention, far below the tolerance; whole floats would fill the file


def golden_examples(translator: Translator, texts: list[bytes]) -> dict[str, Golden]:
    """Inputs of each signature of an export, and what the run gives for them.

    Rows have each their own extent, without padding. One text more lies beyond the ceiling of bytes.

    Args:
        translator: the run.
        texts: from `textseq.export_texts`, one with a token or more.
    """
    beam = translator.config.search.beam
    texts = [*texts, text_beyond(texts[0], LONGEST_SOURCE_BYTES)]
    lines = [text.decode("utf-8", "replace") for text in texts]
    with without_warnings():
        translations = translator.translate(lines, attention=translator.aligns)
        several = translator.translate(lines, n_best=beam)
    golden = {
        "serving_default": Golden({"text": texts}, _best(translations), _CEILING),
        "n_best": _n_best(texts, several, beam),
        "score": _scores(translator, texts, translations),
    }
    if translator.aligns:
        golden["align"] = Golden({"text": texts}, {**_best(translations), **_alignments(translations)}, _CEILING)
    return golden


def _best(translations: list[Translation]) -> dict[str, list[Any]]:
    return {
        "translation": [translation.text.encode() for translation in translations],
        "score": [translation.score for translation in translations],
        "truncated": [translation.truncated for translation in translations],
    }


def _n_best(texts: list[bytes], translations: list[Translation], beam: int) -> Golden:
    """Asks each text for another number of translations, also for none and for more than the beam holds."""
    asked = [number % (beam + 3) for number in range(len(texts))]
    given = [found.n_best[: max(1, n)] for n, found in zip(asked, translations, strict=True)]
    # Where the next score is nearer than the tolerance, rounding decides which comes first.
    rows = [
        row
        for row, found in enumerate(translations)
        if all(one.score - other.score > TOLERANCE for one, other in pairwise(found.n_best[: len(given[row]) + 1]))
    ]
    return Golden(
        {"text": [texts[row] for row in rows], "n": [asked[row] for row in rows]},
        {
            "translations": [[one.text.encode() for one in given[row]] for row in rows],
            "scores": [[one.score for one in given[row]] for row in rows],
            "count": [len(given[row]) for row in rows],
            "truncated": [translations[row].truncated for row in rows],
        },
        _CEILING,
    )


def _alignments(translations: list[Translation]) -> dict[str, list[Any]]:
    return {
        "source_tokens": [[piece.encode() for piece in one.source_pieces] for one in translations],
        "target_tokens": [[piece.encode() for piece in one.target_pieces] for one in translations],
        "attention": [np.round(np.asarray(one.attention, np.float64), _DIGITS).tolist() for one in translations],
        "source_length": [len(one.source_pieces) for one in translations],
        "target_length": [len(one.target_pieces) for one in translations],
    }


def _scores(translator: Translator, texts: list[bytes], translations: list[Translation]) -> Golden:
    """Scores each text's own translation, nothing, and a translation of a text beyond the ceiling of tokens.

    The other signatures have no such text: after hundreds of steps, rounding decides between their hypotheses. Of a
    translation, one lies beyond the ceiling of bytes too.
    """
    longest = max(translations, key=lambda one: len(one.source_pieces))
    beyond = " ".join([longest.source] * (1 + LONGEST_SOURCE // len(longest.source_pieces) * 2))
    own = [one.text.encode() for one in translations]
    sources = [*texts, texts[0], beyond.encode(), texts[0]]
    targets = [*own, b"", own[0], text_beyond(own[0], LONGEST_TARGET_BYTES)]
    with without_warnings():
        scores, cuts = translator.score_and_cuts(
            *([text.decode("utf-8", "replace") for text in side] for side in (sources, targets))
        )
    return Golden(
        {"text": sources, "translation": targets},
        {"log_probability": scores, "truncated": [row in cuts for row in range(len(sources))]},
        f"{_CEILING} of the text; {LONGEST_TARGET:,} tokens, {LONGEST_TARGET_BYTES:,} bytes of the translation",
    )
