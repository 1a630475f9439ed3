"""What the translator gives back: the text, how sure the model is, and where it looked."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from textseq import notebook_card
from textseq.errors import InputError
from textseq.notebook_card import escaped
from textseq.plain_number import plain_number

if TYPE_CHECKING:
    from textseq.figures import Plot

END = "</s>"
WORD_START = "\u2581"  # SentencePiece's mark for a space
_BYTE_PIECES = re.compile(r"(?:<0x[0-9A-F]{2}>)+")
_LARGEST_TABLE = 20_000  # cells; a notebook gets slow beyond


@dataclass(frozen=True)
class Translation:
    """One translation of one line.

    It prints as its text, and a notebook shows it with its attention as a heat map.

    Attributes:
        source: the line that was translated.
        text: the translation.
        score: length-normalised log-probability, by which search ranks; 0 would be certainty.
        log_probability: natural logarithm of the probability of this translation, the end of the sentence included.
        source_pieces: the source in subword pieces, with the final "</s>".
        target_pieces: the translation in subword pieces, with the final "</s>" where search reached it.
        attention: float32[target, source], how much each target piece looked at each source piece; rows sum to 1.
            None where it was not asked for.
        n_best: the best translations of this line, this one first, where several were asked for; else empty.
        truncated: the line was too long, and only the part that `source_pieces` spells was translated.

    Example:
        >>> translation = Translation("Good day", "Guten Tag", score=-0.1, log_probability=-0.3)
        >>> print(translation)
        Guten Tag
    """

    source: str
    text: str
    score: float
    log_probability: float
    source_pieces: tuple[str, ...] = ()
    target_pieces: tuple[str, ...] = ()
    attention: np.ndarray | None = field(default=None, repr=False, compare=False)
    n_best: tuple[Translation, ...] = field(default=(), repr=False)
    truncated: bool = False

    def __post_init__(self) -> None:
        """Checks that the attention fits the pieces."""
        expected = (len(self.target_pieces), len(self.source_pieces))
        if self.attention is not None and self.attention.shape != expected:
            raise InputError(
                f"attention: received shape {self.attention.shape}; expected (target, source) = {expected}, "
                "one row for each target piece and one column for each source piece"
            )

    def __str__(self) -> str:
        """The translated text."""
        return self.text

    @property
    def alignment(self) -> list[tuple[int, int]]:
        """Hard alignment of pieces: (source_index, target_index), by target index.

        Each target piece goes with the source piece it looked at most. The final "</s>" is not aligned, nor is a
        piece that looked most at the "</s>" of the source: it has no counterpart there.

        Raises:
            InputError: the translation was made without attention.
        """
        attention = self._attention("alignment")
        targets = len(_without_end(self.target_pieces))
        return _strongest(attention[:targets], len(_without_end(self.source_pieces)))

    @property
    def word_alignment(self) -> list[tuple[int, int]]:
        """Hard alignment of words: (source_index, target_index) into `source_words` and `target_words`.

        A source word has the attention of all its pieces together, a target word the mean over its pieces. Words
        are what stands between spaces; in text without spaces, as in Japanese, use `alignment`.

        Raises:
            InputError: the translation was made without attention.
        """
        attention = self._attention("word alignment")
        source_words, source_index = self._source_words
        target_words, target_index = self._target_words
        # One column more collects what went to "</s>" and to pieces of no word.
        words = np.zeros((len(target_words), len(source_words) + 1), dtype=np.float64)
        for row, target in zip(attention, target_index, strict=True):
            if target is not None:
                columns = [len(source_words) if source is None else source for source in source_index]
                np.add.at(words[target], columns, row)
        return _strongest(words, len(source_words))

    @property
    def source_words(self) -> tuple[str, ...]:
        """The source's words as its pieces spell them, so after the tokenizer's normalisation."""
        return tuple(self._source_words[0])

    @property
    def target_words(self) -> tuple[str, ...]:
        """The translation's words as its pieces spell them."""
        return tuple(self._target_words[0])

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, ready for strict JSON: numbers that are not finite become None."""
        values: dict[str, Any] = {
            "source": self.source,
            "text": self.text,
            "score": plain_number(self.score),
            "log_probability": plain_number(self.log_probability),
        }
        if self.truncated:
            values["truncated"] = True
        if self.source_pieces or self.target_pieces:
            values["source_pieces"] = list(self.source_pieces)
            values["target_pieces"] = list(self.target_pieces)
        if self.attention is not None:
            # Six decimals hold what float32 weights mean, in half the text.
            values["attention"] = [[plain_number(weight, 6) for weight in row] for row in self.attention]
            values["alignment"] = [list(pair) for pair in self.alignment]
            values["source_words"] = list(self.source_words)
            values["target_words"] = list(self.target_words)
            values["word_alignment"] = [list(pair) for pair in self.word_alignment]
        if self.n_best:
            values["n_best"] = [
                {
                    "text": candidate.text,
                    "score": plain_number(candidate.score),
                    "log_probability": plain_number(candidate.log_probability),
                }
                for candidate in self.n_best
            ]
        return values

    def plot(self, path: str | os.PathLike[str] | None = None) -> Plot:
        """Draws the attention as a heat map with matplotlib.

        Args:
            path: a file to write too, .png, .svg or .pdf.

        Returns:
            The figure, which a notebook shows.

        Raises:
            InputError: the translation was made without attention, or an ending other than .png, .svg or .pdf.
            OutputError: the file cannot be written.
        """
        from textseq.plotting import attention_heat_map

        return attention_heat_map(self._attention("plot"), self.source_pieces, self.target_pieces, path)

    def _repr_html_(self) -> str:
        score = notebook_card.remark(f"score {self.score:.3f}")
        parts = [
            notebook_card.line(notebook_card.given(self.source)),
            notebook_card.line(notebook_card.answer(escaped(self.text)), " ", score),
        ]
        if self.attention is not None and 0 < self.attention.size <= _LARGEST_TABLE:
            parts.append(self._table())
        elif self.attention is not None and self.attention.size:
            parts.append("<p>The heat map is too large to show here; plot(path) writes it to a file.</p>")
        if len(self.n_best) > 1:
            items = "".join(
                f"<li><span dir='auto'>{escaped(candidate.text)}</span> "
                f"{notebook_card.remark(f'{candidate.score:.3f}')}</li>"
                for candidate in self.n_best
            )
            parts.append(f"<ol style='margin:8px 0 0;padding-inline-start:2em'>{items}</ol>")
        return notebook_card.card(*parts)

    def _table(self) -> str:
        """The heat map as a table; the browser finds fonts for every script and sets the direction of each label."""
        from textseq.figures import reads_right_to_left

        attention = self._attention("heat map")
        # Vertical text needs no rotation, which would put Chinese and Japanese characters on their heads.
        heading = "writing-mode:vertical-rl;text-align:end;font-weight:normal;padding:2px;white-space:nowrap"
        columns = "".join(
            f"<th scope='col' style='vertical-align:bottom;padding:0;background:#fff;color:#111'>"
            f"<span dir='auto' style='{heading}'>{escaped(piece)}</span></th>"
            for piece in self.source_pieces
        )
        label = "text-align:end;font-weight:normal;padding:1px 6px;white-space:nowrap;background:#fff;color:#111"
        row_start = f"<tr style='background:#fff'><th scope='row' style='{label}'><span dir='auto'>"
        rows = "".join(
            f"{row_start}{escaped(piece)}</span></th>" + "".join(_cell(weight) for weight in row) + "</tr>"
            for piece, row in zip(self.target_pieces, attention, strict=True)
        )
        direction = "rtl" if reads_right_to_left(self.source_pieces) else "ltr"
        return (
            f"<table dir='{direction}' style='{notebook_card.SMALL_TABLE}'>"
            "<caption dir='ltr' style='text-align:start;color:#555'>attention: source across, translation down; "
            "darker is more</caption>"
            f"<thead><tr style='background:#fff'><td></td>{columns}</tr></thead><tbody>{rows}</tbody></table>"
        )

    def _attention(self, wanted: str) -> np.ndarray:
        if self.attention is None:
            raise InputError(f"{wanted}: this translation has no attention; translate with attention=True")
        return self.attention

    @cached_property
    def _source_words(self) -> tuple[list[str], list[int | None]]:
        return _words(self.source_pieces)

    @cached_property
    def _target_words(self) -> tuple[list[str], list[int | None]]:
        return _words(self.target_pieces)


def _words(pieces: tuple[str, ...]) -> tuple[list[str], list[int | None]]:
    """The words that pieces spell, and for each piece the word in which it begins (None: in no word)."""
    words: list[str] = []
    index: list[int | None] = []
    inside = False
    for piece in _without_end(pieces):
        begins: int | None = None
        for character in piece:
            if character == WORD_START:
                inside = False
                continue
            if not inside:
                words.append("")
                inside = True
            if begins is None:
                begins = len(words) - 1
            words[-1] += character
        # A piece of the mark alone belongs to the word that follows it.
        index.append(len(words) if begins is None else begins)
    index = [None if word is not None and word >= len(words) else word for word in index]
    index.extend([None] * (len(pieces) - len(index)))
    return [_BYTE_PIECES.sub(_decoded_bytes, word) for word in words], index


def _decoded_bytes(pieces: re.Match[str]) -> str:
    return bytes.fromhex(pieces.group().replace("<0x", "").replace(">", "")).decode("utf-8", errors="replace")


def _without_end(pieces: tuple[str, ...]) -> tuple[str, ...]:
    return pieces[:-1] if pieces and pieces[-1] == END else pieces


def _strongest(weights: np.ndarray, columns: int) -> list[tuple[int, int]]:
    """(column, row) of the greatest weight of each row, without rows whose greatest lies beyond `columns`."""
    if not weights.size:
        return []
    return [(int(column), row) for row, column in enumerate(weights.argmax(axis=1)) if column < columns]


def _cell(weight: float) -> str:
    weight = min(max(float(weight), 0.0), 1.0) if math.isfinite(weight) else 0.0
    shade = f"rgba(8,69,148,{weight:.2f})"
    return (
        f"<td title='{weight:.3f}' style='min-width:16px;height:16px;padding:0;border:1px solid #eee;"
        f"background:{shade}'></td>"
    )
