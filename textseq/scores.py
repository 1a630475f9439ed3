"""Scores of translations: BLEU, chrF and TER by sacrebleu, each with its signature and its confidence interval.

Every number here is sacrebleu's own; this file chooses the settings, checks the input and gives the numbers names.
sacrebleu draws its resamples from the seed in the environment variable SACREBLEU_SEED (12345 where it is not set),
so the same data gives the same interval. The signature names the seed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from textseq.errors import InputError
from textseq.length_bins import LengthSpan, LengthUnit, length_bins
from textseq.metric_names import display_name, score_of

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

MetricName = Literal["bleu", "chrf", "ter"]
Tokenize = Literal["13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "none"]

DEFAULT_RESAMPLES = 1000
# sacrebleu keeps the statistics of all resamples at once: 72 bytes a line and resample for chrF, so 0.8 GB here.
RESAMPLED_LINES_LIMIT = 10_000_000
# Of these languages' lines TER counts characters; it would otherwise take a whole line for one word.
_UNSPACED_TOKENIZERS = frozenset({"zh", "ja-mecab", "ko-mecab", "char"})
_USUAL_BOUNDS: dict[LengthUnit, tuple[int, ...]] = {"words": (5, 10, 15, 20, 30), "characters": (20, 40, 60, 80, 120)}


@dataclass(frozen=True)
class Score:
    """One score of a whole corpus, with the conditions it was measured under.

    Attributes:
        metric: "bleu", "chrf" or "ter".
        value: 0 to 100 for BLEU and chrF, higher is better; 0 upwards for TER, lower is better.
        mean: mean over the bootstrap resamples; None where none were drawn.
        margin: half the width of the 95 % confidence interval around `mean`; None where none were drawn.
        signature: sacrebleu's signature, which names every setting, the seed and the version.
    """

    metric: MetricName
    value: float
    mean: float | None
    margin: float | None
    signature: str

    @property
    def name(self) -> str:
        """The metric's name as people write it: BLEU, chrF, TER."""
        return display_name(self.metric)

    def __str__(self) -> str:
        """The score as sacrebleu prints it, for example "BLEU 36.5 (μ 36.4 ± 1.1)"."""
        interval = "" if self.mean is None else f" (μ {self.mean:.1f} ± {self.margin:.1f})"
        return f"{self.name} {self.value:.1f}{interval}"


@dataclass(frozen=True)
class TranslationScores:
    """Scores of one set of translations.

    Attributes:
        lines: number of translations scored.
        scores: one score for each metric asked for, in that order.
        notes: what the reader should know about these scores, in plain sentences; usually empty.
    """

    lines: int
    scores: tuple[Score, ...]
    notes: tuple[str, ...] = ()

    COLUMNS: ClassVar[tuple[str, ...]] = ("Metric", "Score", "95 % interval", "Signature")

    def __getitem__(self, metric: str) -> Score:
        """The score of one metric; InputError where it was not scored."""
        return score_of(metric, self.scores)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """One row of text a metric, under `COLUMNS`, for a table."""
        return [
            (s.name, f"{s.value:.2f}", "" if s.mean is None else f"{s.mean:.2f} ± {s.margin:.2f}", s.signature)
            for s in self.scores
        ]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON."""
        return {
            "lines": self.lines,
            "notes": list(self.notes),
            **{
                s.metric: {"score": s.value, "mean": s.mean, "margin": s.margin, "signature": s.signature}
                for s in self.scores
            },
        }


@dataclass(frozen=True)
class Significance:
    """How sure it is that two systems differ, by paired bootstrap resampling.

    Attributes:
        metric: "bleu", "chrf" or "ter".
        system: score of the system.
        baseline: score of the baseline; `difference` is `system - baseline`.
        p_value: probability of such a difference by chance; below 0.05 is commonly called significant.
        signature: sacrebleu's signature, with the number of resamples and the seed.
    """

    metric: MetricName
    system: float
    baseline: float
    difference: float
    p_value: float
    signature: str

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class LengthScores(LengthSpan):
    """Scores of the sentences whose source has a length from `shortest` to `longest`.

    Attributes:
        lines: number of sentences; scores of a few sentences say little.
        bleu: BLEU of these sentences; None where there are none.
        chrf: chrF of these sentences; None where there are none.
        bleu_margin: half the width of the 95 % confidence interval of BLEU; None where none was asked for.
        chrf_margin: the same of chrF.
    """

    lines: int
    bleu: float | None
    chrf: float | None
    bleu_margin: float | None = None
    chrf_margin: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON."""
        return asdict(self)


def translation_scores(
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    metrics: Sequence[MetricName] = ("bleu", "chrf", "ter"),
    tokenize: Tokenize = "13a",
    lowercase: bool = False,
    resamples: int | None = None,
) -> TranslationScores:
    """Scores translations against one reference each, with signatures and 95 % confidence intervals.

    Args:
        hypotheses: the translations, as plain text (not tokenized).
        references: the reference of each translation.
        metrics: which scores, in the order wanted.
        tokenize: sacrebleu's BLEU tokenizer: "13a" (the default everywhere), "intl", "zh", "ja-mecab" (needs
            `pip install "sacrebleu[ja]"`), "ko-mecab" (`"sacrebleu[ko]"`), "char", or "none" for text that is
            tokenized already. With "zh", "ja-mecab", "ko-mecab" and "char", TER splits East Asian text too.
        lowercase: whether BLEU and chrF ignore case. TER always does, as sacrebleu's default has it.
        resamples: bootstrap resamples for the interval; 0 for none. None takes 1000, and fewer from 10,000 lines
            on so that memory stays below 1 GB; the signature says how many.

    Raises:
        InputError: no lines, numbers of lines that differ, an unknown metric or tokenizer, a tokenizer that is not
            installed, a seed in SACREBLEU_SEED that is no number.

    Example:
        >>> scores = translation_scores(["the cat sat on the mat"], ["the cat sat on the mat"])
        >>> scores["bleu"].value > 99.9
        True
    """
    hypotheses, references = _checked_lines({"hypotheses": hypotheses, "references": references})
    resamples = _checked_resamples(resamples, len(hypotheses))
    scores = tuple(
        _corpus_score(name, _metric(name, tokenize, lowercase), hypotheses, references, resamples) for name in metrics
    )
    return TranslationScores(lines=len(hypotheses), scores=scores, notes=_notes(hypotheses, metrics, tokenize))


def validation_score(
    metric: MetricName,
    hypotheses: Sequence[str],
    references: Sequence[str],
    *,
    tokenize: Tokenize = "13a",
    lowercase: bool = False,
) -> float:
    """One score without interval, for early stopping: the same value as `translation_scores` gives.

    Args:
        metric: "bleu", "chrf" or "ter".
        hypotheses: the translations.
        references: the reference of each translation.
        tokenize: as for `translation_scores`.
        lowercase: as for `translation_scores`.

    Returns:
        The score. BLEU and chrF rise as translations get better, TER falls.

    Raises:
        InputError: as for `translation_scores`.
    """
    hypotheses, references = _checked_lines({"hypotheses": hypotheses, "references": references})
    return float(_metric(metric, tokenize, lowercase).corpus_score(hypotheses, [references]).score)


def paired_significance(
    system: Sequence[str],
    baseline: Sequence[str],
    references: Sequence[str],
    *,
    metrics: Sequence[MetricName] = ("bleu", "chrf", "ter"),
    tokenize: Tokenize = "13a",
    lowercase: bool = False,
    resamples: int | None = None,
) -> list[Significance]:
    """Tests whether two systems differ, by sacrebleu's paired bootstrap (Koehn 2004).

    Args:
        system: translations of the system.
        baseline: translations of the same lines by the other system.
        references: the reference of each line.
        metrics: which scores to compare.
        tokenize: as for `translation_scores`.
        lowercase: as for `translation_scores`.
        resamples: number of resamples, 2 or more; None chooses as `translation_scores` does.

    Returns:
        One result a metric. Where the two scores are equal the p-value is 1: sacrebleu itself reports its smallest
        p-value for two identical systems, which would read as significant.

    Raises:
        InputError: as for `translation_scores`.
    """
    system, baseline, references = _checked_lines({"system": system, "baseline": baseline, "references": references})
    resamples = _checked_resamples(resamples, len(system))
    if resamples == 0:
        raise InputError("resamples: received 0; a test of significance needs 2 or more (1000 is usual)")
    sacrebleu_metrics = {name: _metric(name, tokenize, lowercase) for name in metrics}
    from sacrebleu.significance import PairedTest

    results: list[Significance] = []
    for name, metric in sacrebleu_metrics.items():
        named_systems: list[tuple[str, Sequence[str]]] = [("baseline", baseline), ("system", system)]
        test = PairedTest(named_systems, {name: metric}, [references], test_type="bs", n_samples=resamples)
        signatures, scores = test()
        (key,) = signatures
        of_baseline, of_system = (float(result.score) for result in scores[key])  # type: ignore[union-attr]
        p_value = 1.0 if of_system == of_baseline else float(scores[key][1].p_value)  # type: ignore[union-attr,arg-type]
        difference = of_system - of_baseline
        results.append(Significance(name, of_system, of_baseline, difference, p_value, str(signatures[key])))
    return results


def scores_by_length(
    sources: Sequence[str],
    hypotheses: Sequence[str],
    references: Sequence[str],
    bounds: Sequence[int] | None = None,
    *,
    unit: LengthUnit | None = None,
    tokenize: Tokenize = "13a",
    lowercase: bool = False,
    resamples: int = 0,
) -> list[LengthScores]:
    """BLEU and chrF of the sentences of each source length.

    Args:
        sources: the lines that were translated.
        hypotheses: the translation of each line.
        references: the reference of each line.
        bounds: greatest length of each bin, rising; a last bin takes what is longer. (10, 20) makes the bins
            0 to 10, 11 to 20, 21 or more. None takes 5, 10, 15, 20, 30 words, or 20, 40, 60, 80, 120 characters.
        unit: count "words" or "characters". None takes words, or characters where the sources hardly have spaces,
            as in Japanese, Chinese and Thai.
        tokenize: as for `translation_scores`.
        lowercase: as for `translation_scores`.
        resamples: bootstrap resamples of each bin for its margins; 0 for none.

    Returns:
        `len(bounds) + 1` bins from short to long; every line is in exactly one.

    Raises:
        InputError: as for `translation_scores`, or bounds that do not rise from 0.

    Example:
        >>> bins = scores_by_length(["a", "a b c"], ["x", "y"], ["x", "z"], bounds=[2])
        >>> [(bin.label, bin.lines) for bin in bins]
        [('0 to 2 words', 1), ('3 or more words', 1)]
    """
    sources, hypotheses, references = _checked_lines(
        {"sources": sources, "hypotheses": hypotheses, "references": references}
    )
    found = length_bins(sources, bounds, unit, _USUAL_BOUNDS)
    resamples = _checked_resamples(resamples, len(sources))
    metrics: dict[MetricName, Metric] = {name: _metric(name, tokenize, lowercase) for name in ("bleu", "chrf")}
    bins: list[LengthScores] = []
    for span, chosen in found:
        texts, expected = [hypotheses[i] for i in chosen], [references[i] for i in chosen]
        scores = [_corpus_score(name, one, texts, expected, resamples) for name, one in metrics.items() if chosen]
        numbers: list[float | None] = [score.value for score in scores] or [None, None]
        numbers += [score.margin for score in scores]
        bins.append(LengthScores(span.shortest, span.longest, span.unit, len(chosen), *numbers))
    return bins


def _checked_lines(named: dict[str, Sequence[str]]) -> list[list[str]]:
    """The sequences as lists, once they are known to be lines of text, as many in each, and not none."""
    for name, lines in named.items():
        if isinstance(lines, str) or not all(isinstance(line, str) for line in lines):
            kinds = sorted({type(line).__name__ for line in lines} - {"str"})
            received = "one text; write [text] for a single line" if isinstance(lines, str) else ", ".join(kinds)
            raise InputError(f"{name}: expected a list of lines of text; received {received}")
    counts = {name: len(lines) for name, lines in named.items()}
    if len(set(counts.values())) > 1:
        received = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise InputError(f"received {received}; expected as many of each: line i belongs to line i")
    if not all(counts.values()):
        raise InputError(f"received no lines in {' and '.join(counts)}; expected one line or more to score")
    return [list(lines) for lines in named.values()]


def _checked_resamples(resamples: int | None, lines: int) -> int:
    seed = os.environ.get("SACREBLEU_SEED", "12345")
    if seed.lower() != "none" and not seed.isdecimal():
        raise InputError(f"environment variable SACREBLEU_SEED: received {seed!r}; expected a whole number, or none")
    if resamples is None:
        return min(DEFAULT_RESAMPLES, max(2, RESAMPLED_LINES_LIMIT // lines))
    if resamples < 0 or resamples == 1:
        raise InputError(f"resamples: received {resamples}; expected 0 for no interval, or 2 or more (1000 is usual)")
    return resamples


def _metric(name: str, tokenize: str, lowercase: bool) -> Metric:
    from sacrebleu.metrics import BLEU, CHRF, TER

    if tokenize not in get_args(Tokenize):
        raise InputError(f"tokenize: received {tokenize!r}; expected one of {', '.join(get_args(Tokenize))}")
    if name == "bleu":
        try:
            # `force` silences a hint about tokenized text in sacrebleu's log; `_notes` gives it to the caller.
            return BLEU(lowercase=lowercase, tokenize=tokenize, force=True)
        except (ImportError, RuntimeError) as error:
            extra = tokenize.partition("-")[0]
            mend = f'run pip install "sacrebleu[{extra}]", or choose "char"'
            raise InputError(f"tokenize: {tokenize!r} needs a package that is missing; {mend}") from error
    if name == "chrf":
        return CHRF(lowercase=lowercase)
    if name == "ter":
        unspaced = tokenize in _UNSPACED_TOKENIZERS
        return TER(normalized=unspaced, asian_support=unspaced)
    raise InputError(f"metric: received {name!r}; expected one of {', '.join(get_args(MetricName))}")


def _corpus_score(name: MetricName, metric: Metric, texts: list[str], references: list[str], resamples: int) -> Score:
    result = metric.corpus_score(texts, [references], n_bootstrap=resamples)
    signature = str(metric.get_signature())
    value = float(result.score)
    if resamples < 2:
        return Score(name, value, None, None, signature)
    # sacrebleu shows the interval in its JSON only, and there not when the mean is 0: then every resample was 0.
    shown = json.loads(result.format(width=12, is_json=True, signature=signature))
    return Score(name, value, shown.get("confidence_mean", 0.0), shown.get("confidence_var", 0.0), signature)


def _notes(hypotheses: list[str], metrics: Sequence[str], tokenize: str) -> tuple[str, ...]:
    tokenized = sum(line.endswith(" .") for line in hypotheses)
    if "bleu" not in metrics or tokenize == "none" or tokenized < 100:
        return ()
    return (
        f"{tokenized} of {len(hypotheses)} translations end in a full stop after a space, as tokenized text does; "
        "BLEU is comparable with others only on plain text",
    )
