"""The scores of a run, with the conditions they were measured under."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from classifiers.calibration import ReliabilityBin
from classifiers.comparison import Comparison
from classifiers.config import Config
from classifiers.length_scores import LengthScores
from classifiers.score import shown_number
from classifiers.scores import ClassificationScores, Table
from textseq.errors import InputError
from textseq.run_directory import RunDirectory
from textseq.run_evaluation import RunEvaluation
from textseq.text_file import TextFile

if TYPE_CHECKING:
    from textseq.figures import Plot

PathLike = str | os.PathLike[str]


def require_confusion(run: PathLike) -> None:
    """Checks that the evaluation of a run will have a confusion matrix, without loading the network.

    Raises:
        InputError: a text can have several labels, so there is none.
        RunDirectoryError: there is no run.
    """
    directory = RunDirectory.open(run, "classifiers")
    if Config.from_toml(directory.config_path).corpus.multi_label:
        raise _no_confusion(os.fspath(run))


def _no_confusion(run: str) -> InputError:
    return InputError(f"{run}: a text can have several labels, so there is no confusion matrix to plot")


@dataclass(frozen=True)
class Abstention:
    """What comes of abstaining where the confidence is low.

    Attributes:
        below: the confidence below which there is no answer; fitted on the validation text.
        answered: texts that are answered.
        accuracy: of the answers; None where there is none.
    """

    below: float
    answered: int
    accuracy: float | None


@dataclass(frozen=True, kw_only=True)
class Evaluation(RunEvaluation):
    """Scores of a run, with the conditions they were measured under (see `RunEvaluation` for more of these).

    Attributes:
        scores: accuracy, F1 and all else, with 95 % confidence intervals.
        test: the text that was scored; its sum is of "label TAB text" lines, which for a .tsv are the file's own.
        temperature: that logits were divided by; fitted on the validation text.
        abstention: what comes of abstaining.
        f1_threshold: with two labels, the probability from which the second is said for the largest macro F1 on the
            validation text; None otherwise.
        f1_at_threshold: macro F1 with that threshold in place of one half; None as above.
        comparison: the comparison with the baseline; None without one.
        lengths: accuracy and macro F1 by text length; empty where not asked for.
        in_training: texts that stand in the training text of the run as well; None where its data/ is gone.
        reading: what the call said of the file's format and columns, by option; empty for the run's own.
        answers: the labels said of each text.
        reliability: the bins of a reliability diagram, before calibration and after.
    """

    scores: ClassificationScores
    test: TextFile
    temperature: float
    abstention: Abstention
    f1_threshold: float | None
    f1_at_threshold: float | None
    comparison: Comparison | None
    lengths: tuple[LengthScores, ...]
    in_training: int | None
    reading: tuple[tuple[str, str], ...] = ()
    answers: tuple[tuple[str, ...], ...] = field(default=(), repr=False)
    reliability: tuple[tuple[ReliabilityBin, ...], tuple[ReliabilityBin, ...]] = field(default=((), ()), repr=False)

    EXAMPLES: ClassVar[str] = "texts"

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the run knows, in order."""
        return self.scores.labels

    @property
    def texts_per_second(self) -> float:
        """Speed of predicting."""
        return self._per_second

    @property
    def command(self) -> str:
        """The command that measures the same."""
        options = ["--test", self.test.path]
        for option, value in self.reading:
            options += [f"--{option.replace('_', '-')}", value]
        return self._command("classifiers", *options)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader should know about the scores."""
        if not self.in_training:
            return self.scores.notes
        return (*self.scores.notes, f"{self.in_training:,} of the texts stand in the training text as well")

    def summary(self) -> str:
        """The scores in a few words, such as "accuracy 0.912, macro F1 0.911"."""
        shown = [self.scores[metric] for metric in ("accuracy", "macro_f1")]
        return ", ".join(f"{one.name} {one.value:.3f}" for one in shown if one.value is not None)

    def plot(self, path: PathLike | None = None) -> Plot:
        """Draws the confusion matrix.

        Args:
            path: a file to write too, .png, .svg or .pdf; None writes nothing.

        Raises:
            InputError: a text can have several labels, so there is none; or another ending.
            OutputError: the file cannot be written.
        """
        if self.scores.confusion is None:
            raise _no_confusion(self.run)
        from textseq.confusion_plot import confusion_plot

        title = f"{self.summary()}, {self.scores.texts:,} texts"
        return confusion_plot(self.scores.confusion, self.labels, path, title=title)

    def plot_reliability(self, path: PathLike | None = None) -> Plot:
        """Draws how often predictions are right by their probability, before calibration and after.

        Args:
            path: a file to write too, .png, .svg or .pdf; None writes nothing.

        Raises:
            InputError: another ending.
            OutputError: the file cannot be written.
        """
        from textseq.reliability_plot import reliability_plot

        names = (
            f"before: calibration error {shown_number(self.scores['ece_uncalibrated'].value)}",
            f"with temperature {self.temperature:.2f}: {shown_number(self.scores['ece'].value)}",
        )
        return reliability_plot(dict(zip(names, self.reliability, strict=True)), path)

    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON; the answers themselves are left out."""
        values = {
            **self.scores.to_dict(),
            "notes": list(self.notes),
            "run": self.run,
            "step": self.step,
            "seed": self.seed,
            "test": asdict(self.test),
            "temperature": self.temperature,
            "abstention": asdict(self.abstention),
            "in_training": self.in_training,
            **self._measured(),
        }
        if self.f1_threshold is not None:
            values["f1_threshold"] = {"threshold": self.f1_threshold, "macro_f1": self.f1_at_threshold}
        if self.comparison is not None:
            values["baseline"] = self.baseline
            values["comparison"] = self.comparison.to_dict()
        if self.lengths:
            values["by_length"] = [one.to_dict() for one in self.lengths]
        return values

    def rows(self) -> list[tuple[str, str, str, str]]:
        """The rows of a table, under `COLUMNS`."""
        rows = self.scores.rows()
        if self.f1_threshold is not None:
            conditions = f"{self.labels[1]} from a probability of {self.f1_threshold:.3f}"
            rows.append(("macro F1, threshold", shown_number(self.f1_at_threshold), "", conditions))
        answered = self.abstention
        conditions = f"{answered.answered:,} texts answered, from a confidence of {answered.below:.3f}"
        rows.append(("accuracy, abstaining", shown_number(answered.accuracy), "", conditions))
        if self.comparison is not None:
            rows += self.comparison.rows()
        text = f"{self.test.path}: {self.test.lines:,} texts"
        return rows + self._last_rows(text, f"temperature {self.temperature:.2f}", self.notes)

    @property
    def _answered(self) -> int:
        return self.scores.texts

    def tables(self) -> list[Table]:
        """More tables: of each label, the confusion matrix, and the scores by text length where they were asked for."""
        columns = ("text length", "texts", "accuracy", "macro F1")
        rows: list[tuple[str, ...]] = [
            (one.label, f"{one.texts:,}", shown_number(one.accuracy), shown_number(one.macro_f1))
            for one in self.lengths
        ]
        return self.scores.tables() + ([("Text length", columns, rows)] if rows else [])
