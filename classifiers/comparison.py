"""Whether two classifiers differ on the same texts: McNemar's test, and paired intervals of the differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from classifiers.bootstrap import (
    DEFAULT_RESAMPLES,
    DEFAULT_SEED,
    LabelCounts,
    Said,
    count_scores,
    interval,
    resampled_scores,
)
from textseq.errors import InputError
from textseq.metric_names import display_name


@dataclass(frozen=True)
class McNemar:
    """McNemar's test of two classifiers on the same texts; it looks at the texts that only one of them has right.

    Attributes:
        both: texts that both have right.
        only_run: texts that only the run has right.
        only_baseline: texts that only the baseline has right.
        neither: texts that neither has right.
        p_value: mid-p (Fagerland, Lydersen and Laake 2013, doi:10.1186/1471-2288-13-91): probability of such a
            difference by chance; below 0.05 is commonly called significant. 1 where the classifiers do not differ.
        exact_p_value: of the exact test, which is conservative: it finds fewer differences than there are.
    """

    both: int
    only_run: int
    only_baseline: int
    neither: int
    p_value: float
    exact_p_value: float


@dataclass(frozen=True)
class Difference:
    """A score of a run less that of the baseline.

    Attributes:
        metric: such as "macro_f1".
        run: score of the run.
        baseline: score of the baseline.
        low: lower end of the 95 % confidence interval of `run - baseline`, both on the same resamples.
        high: upper end.
    """

    metric: str
    run: float
    baseline: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """`run - baseline`."""
        return self.run - self.baseline

    @property
    def name(self) -> str:
        """Such as "macro F1 - baseline"."""
        return f"{display_name(self.metric)} - baseline"


@dataclass(frozen=True)
class Comparison:
    """A run compared with a baseline.

    Attributes:
        differences: of accuracy and macro F1, with several labels a text of micro F1 too.
        mcnemar: the test of the texts that are right; with several labels a text, those whose labels are all right.
    """

    differences: tuple[Difference, ...]
    mcnemar: McNemar

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Rows of a table, under the columns of `ClassificationScores`."""
        test = self.mcnemar
        words = (
            f"McNemar mid-p = {test.p_value:.4f}, exact p = {test.exact_p_value:.4f}; right here only "
            f"{test.only_run:,}, there only {test.only_baseline:,}"
        )
        return [
            (
                one.name,
                f"{one.difference:+.4f}",
                f"{one.low:+.4f} to {one.high:+.4f}",
                words if one.metric == "accuracy" else f"baseline {one.baseline:.4f}",
            )
            for one in self.differences
        ]

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON."""
        differences: Mapping[str, Any] = {
            one.metric: {**asdict(one), "difference": one.difference} for one in self.differences
        }
        return {**differences, "mcnemar": asdict(self.mcnemar)}


def mcnemar(run: npt.ArrayLike, baseline: npt.ArrayLike) -> McNemar:
    """Tests whether two classifiers have as many texts right (McNemar 1947).

    Where they are equally good, each of the n texts that only one has right is as likely the run's as the baseline's,
    so the smaller number k of the two is binomial: exact p = 2 P(X <= k), at most 1; mid-p = 2 P(X <= k) - P(X = k).

    Args:
        run: bool[texts], whether the run has each right.
        baseline: bool[texts], whether the baseline has.

    Raises:
        InputError: the shapes differ, or there is no text.

    Example:
        >>> test = mcnemar([True] * 8 + [False], [False] * 8 + [True])
        >>> round(test.p_value, 4), round(test.exact_p_value, 4)
        (0.0215, 0.0391)
    """
    first, second = np.asarray(run, bool), np.asarray(baseline, bool)
    if first.shape != second.shape or first.ndim != 1 or not first.size:
        raise InputError(
            f"McNemar's test: received {list(first.shape)} and {list(second.shape)}; expected as many answers of each "
            "classifier, to the same texts, one or more"
        )
    from scipy.stats import binom

    only_run, only_baseline = int((first & ~second).sum()), int((second & ~first).sum())
    smaller, either = min(only_run, only_baseline), only_run + only_baseline
    tails = 2 * float(binom.cdf(smaller, either, 0.5))
    return McNemar(
        both=int((first & second).sum()),
        only_run=only_run,
        only_baseline=only_baseline,
        neither=int((~first & ~second).sum()),
        p_value=min(1.0, tails - float(binom.pmf(smaller, either, 0.5))),
        exact_p_value=min(1.0, tails),
    )


def compare(
    targets: Said,
    run: Said,
    baseline: Said,
    *,
    multi_label: bool = False,
    resamples: int = DEFAULT_RESAMPLES,
    seed: int = DEFAULT_SEED,
) -> Comparison:
    """Compares the labels that two classifiers say of the same texts.

    Args:
        targets: bool[texts, classes], the labels that each text has.
        run: bool[texts, classes], what the run says.
        baseline: bool[texts, classes], what the baseline says.
        multi_label: a text can have several labels or none.
        resamples: bootstrap resamples for the intervals, 2 or more.
        seed: another seed, other resamples.

    Raises:
        InputError: the shapes differ, or there is no text.
    """
    if not targets.shape == run.shape == baseline.shape:
        shapes = ", ".join(str(list(each.shape)) for each in (targets, run, baseline))
        raise InputError(f"comparison: received targets, run and baseline of shapes {shapes}; expected the same of all")
    test = mcnemar((run == targets).all(axis=1), (baseline == targets).all(axis=1))
    of = [count_scores(LabelCounts.of(targets, said), multi_label=multi_label) for said in (run, baseline)]
    # The same seed draws the same texts for both.
    options: dict[str, Any] = {"multi_label": multi_label, "resamples": resamples, "seed": seed}
    drawn = [resampled_scores(targets, said, **options) for said in (run, baseline)]
    differences = []
    for metric in ("accuracy", "macro_f1", "micro_f1") if multi_label else ("accuracy", "macro_f1"):
        found = interval(drawn[0][metric] - drawn[1][metric])
        if found is not None:
            differences.append(Difference(metric, float(of[0][metric]), float(of[1][metric]), *found))
    return Comparison(tuple(differences), test)
