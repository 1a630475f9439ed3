"""Scoring a run on text with known translations."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textseq.corpus import read_lines, read_pairs
from textseq.errors import CorpusError
from textseq.metric_names import display_name
from textseq.run_directory import RunDirectory
from textseq.run_evaluation import RunEvaluation
from textseq.scores import (
    LengthScores,
    Significance,
    Tokenize,
    TranslationScores,
    paired_significance,
    scores_by_length,
    translation_scores,
)
from textseq.text_file import TextFile

if TYPE_CHECKING:
    from nmt.translator import Translator

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, kw_only=True)
class Evaluation(RunEvaluation):
    """Scores of a run, with the conditions they were measured under (see `RunEvaluation` for more of these).

    Attributes:
        scores: BLEU, chrF and TER, each with its signature and 95 % confidence interval.
        beam: hypotheses kept alive; 1 is greedy search.
        source: the text that was translated.
        reference: what it was compared with.
        lowercase: whether case was ignored.
        tokenize: sacreBLEU's tokenizer of BLEU.
        significance: the comparison with the baseline, by metric; empty without one.
        lengths: BLEU and chrF by source length; empty where not asked for.
        hypotheses: the translations, line by line.
    """

    scores: TranslationScores
    beam: int
    source: TextFile
    reference: TextFile
    lowercase: bool
    tokenize: str
    significance: tuple[Significance, ...]
    lengths: tuple[LengthScores, ...]
    hypotheses: tuple[str, ...] = field(default=(), repr=False)

    EXAMPLES: ClassVar[str] = "sentences"

    @property
    def sentences_per_second(self) -> float:
        """Speed of translating."""
        return self._per_second

    @property
    def command(self) -> str:
        """The command that measures the same."""
        options = ["--source", self.source.path, "--reference", self.reference.path, "--beam", str(self.beam)]
        options += ["--lowercase"] if self.lowercase else []
        options += ["--tokenize", self.tokenize] if self.tokenize != "13a" else []
        return self._command("nmt", *options)

    def summary(self) -> str:
        """The scores in a few words, such as "BLEU 36.5, chrF 60.2, TER 47.1"."""
        return ", ".join(f"{score.name} {score.value:.1f}" for score in self.scores.scores)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON; the translations themselves are left out."""
        values = {
            **self.scores.to_dict(),
            "run": self.run,
            "step": self.step,
            "seed": self.seed,
            "beam": self.beam,
            "source": asdict(self.source),
            "reference": asdict(self.reference),
            **self._measured(),
        }
        if self.baseline is not None:
            values["baseline"] = self.baseline
            values["significance"] = {one.metric: one.to_dict() for one in self.significance}
        if self.lengths:
            values["by_length"] = [one.to_dict() for one in self.lengths]
        return values

    def rows(self) -> list[tuple[str, str, str, str]]:
        """The rows of a table, under `COLUMNS`."""
        rows = self.scores.rows()
        for one in self.significance:
            shown = f"p = {one.p_value:.4f}"
            rows.append((f"{display_name(one.metric)} - baseline", f"{one.difference:+.2f}", shown, one.signature))
        for length in self.lengths:
            if length.lines:
                text = f"{length.lines:,} lines, chrF {length.chrf:.2f}"
                rows.append((f"BLEU, {length.label}", f"{length.bleu:.2f}", "", text))
        files = f"{self.source.path}, {self.reference.path}: {self.source.lines:,} lines"
        return rows + self._last_rows(files, f"beam {self.beam}", self.scores.notes)

    @property
    def _answered(self) -> int:
        return self.source.lines


def evaluate(
    run: PathLike,
    source: PathLike,
    reference: PathLike,
    *,
    beam: int | None = None,
    lowercase: bool = False,
    tokenize: str = "13a",
    baseline: PathLike | None = None,
    by_length: bool = False,
) -> Evaluation:
    """Translates a text and scores the translations against a reference.

    Everything that can be wrong with the call is found before the network is loaded.

    Args:
        run: the run directory.
        source: file of sentences to translate, plain, .gz, .xz, or "-" for standard input.
        reference: file of their human translations, line by line.
        beam: hypotheses kept alive; 1 is greedy search; None is the run's own.
        lowercase: score without regard to case.
        tokenize: sacreBLEU's tokenizer for BLEU; see `textseq.scores.translation_scores`.
        baseline: another system's translations of the same lines, or another run directory; adds the paired
            significance of each difference.
        by_length: add the scores by source length.

    Raises:
        CorpusError: a file cannot be used, is empty, or has another number of lines.
        InputError: an unknown tokenizer, or one that is not installed.
        RunDirectoryError: there is no run, or it has no weights yet.

    Example:
        >>> evaluation = evaluate("runs/en-de", "test.en", "test.de")  # doctest: +SKIP
        >>> evaluation.summary()  # doctest: +SKIP
        'BLEU 36.5, chrF 60.2, TER 47.1'
    """
    RunDirectory.open(run, "nmt")
    settings: dict[str, Any] = {"tokenize": cast(Tokenize, tokenize), "lowercase": lowercase}
    # sacrebleu would refuse a tokenizer after the minutes that translating takes.
    translation_scores(["a"], ["a"], **settings)
    pairs = list(read_pairs(source, reference))
    sources, references = [pair.source for pair in pairs], [pair.target for pair in pairs]
    others = None if baseline is None else _baseline_lines(baseline, source, len(sources))
    # TensorFlow takes seconds to import; by here it is sure to be needed.
    from nmt.translator import Translator
    from textseq.training.machine import machine

    translator = Translator.load(run)
    started = time.perf_counter()
    hypotheses = _texts(translator, sources, beam)
    seconds = time.perf_counter() - started
    significance: list[Significance] = []
    if baseline is not None:
        if others is None:
            others = _texts(Translator.load(baseline), sources, beam)
        significance = paired_significance(hypotheses, others, references, **settings)
    lengths = scores_by_length(sources, hypotheses, references, **settings) if by_length else []
    return Evaluation(
        scores=translation_scores(hypotheses, references, **settings),
        run=os.fspath(run),
        step=translator.step,
        seed=translator.config.seed,
        beam=translator.config.search.beam if beam is None else beam,
        source=TextFile.of(source, sources),
        reference=TextFile.of(reference, references),
        lowercase=lowercase,
        tokenize=tokenize,
        baseline=None if baseline is None else os.fspath(baseline),
        significance=tuple(significance),
        lengths=tuple(lengths),
        seconds=seconds,
        machine=machine(),
        hypotheses=tuple(hypotheses),
    )


def _texts(translator: Translator, lines: list[str], beam: int | None) -> list[str]:
    return [translation.text for translation in translator.translate(lines, beam=beam)]


def _baseline_lines(baseline: PathLike, source: PathLike, expected: int) -> list[str] | None:
    """The translations in a file; None where the baseline is a run, which is yet to translate."""
    if os.path.isdir(baseline):
        RunDirectory.open(baseline, "nmt")
        return None
    lines = list(read_lines(baseline))
    if len(lines) != expected:
        raise CorpusError(
            f"has {len(lines):,} lines, but {os.fspath(source)} has {expected:,}; expected the translation of each",
            baseline,
        )
    return lines
