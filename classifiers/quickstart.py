"""From nothing to a classifier in three minutes, on the English reviews that ship with the package."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifiers.classifier import Classifier
from classifiers.config import Config
from classifiers.evaluate import Evaluation, evaluate
from classifiers.explanation import html_page
from classifiers.export import export
from classifiers.prediction import Prediction
from classifiers.reviews import reviews
from classifiers.train import train
from textseq.atomic_files import write_atomically
from textseq.run_directory import RunDirectory
from textseq.training.session import Progress

# A small network that learns the reviews well within three minutes on two cores.
SETTINGS = (
    "tokenization.vocabulary_size=2000",
    "tokenization.sampling=0.0",
    "batching.token_budget=1536",
    "model.embedding_units=96",
    "model.encoder_units=96",
    "model.embedding_dropout=0.2",
    "model.state_dropout=0.0",
    "model.pooled_dropout=0.2",
    "model.word_dropout=0.05",
    "training.epochs=12",
    "training.learning_rate=0.003",
    "training.warmup_steps=100",
    "training.average_decay=0.99",
)

_SHOWN = 9
"""Reviews of the test split that the report shows and explains."""


@dataclass(frozen=True)
class QuickstartReport:
    """What the quickstart made."""

    run: Path
    export: Path
    learning_curve: Path
    confusion_matrix: Path
    explanations: Path
    evaluation: Evaluation
    samples: tuple[Prediction, ...]
    references: tuple[str, ...]
    minutes: float

    COLUMNS = ("review", "label", "probability", "reference")

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "run": str(self.run),
            "export": str(self.export),
            "learning_curve": str(self.learning_curve),
            "confusion_matrix": str(self.confusion_matrix),
            "explanations": str(self.explanations),
            "minutes": self.minutes,
            "evaluation": self.evaluation.to_dict(),
            "samples": [
                {**sample.to_dict(), "reference": reference}
                for sample, reference in zip(self.samples, self.references, strict=True)
            ],
        }

    def rows(self) -> list[tuple[str, str, float, str]]:
        """As rows of a table: reviews of the test split with label, probability and reference."""
        return [
            (sample.text, sample.label, sample.probability, "the same" if sample.label == reference else reference)
            for sample, reference in zip(self.samples, self.references, strict=True)
        ]

    def next_steps(self) -> str:
        """What was made and what to type next."""
        return (
            f"test split: {self.evaluation.summary()}, in {self.minutes:.1f} minutes\n"
            f"learning curve    {self.learning_curve}\n"
            f"confusion matrix  {self.confusion_matrix}\n"
            f"explanations      {self.explanations}\n"
            f"SavedModel        {self.export}\n\n"
            "Next:\n"
            f"  echo 'The coffee was cold, but we were not at all bored.' | classifiers predict --run {self.run}\n"
            f"  echo 'The plot was anything but dull.' | classifiers explain --run {self.run}\n"
            "  classifiers train --train YOUR.tsv --run runs/mine\n"
        )


def quickstart(
    out: str | os.PathLike[str] = "quickstart/classifiers", *, progress: Progress | None = None
) -> QuickstartReport:
    """Trains, scores, explains, plots and exports on the reviews; run again, it goes on where it stopped.

    Args:
        out: the folder for everything: text in `data`, the run in `run`, the export in `export`.
        progress: told of messages and metrics; see `textseq.progress.TrainingProgress`.

    Raises:
        OutputError: the folder cannot be written.
        RunDirectoryError: the folder holds something else.

    Example:
        >>> report = quickstart("quickstart")  # doctest: +SKIP
        >>> report.confusion_matrix  # doctest: +SKIP
        PosixPath('quickstart/confusion_matrix.png')
    """
    progress = progress or (lambda record: None)
    started, folder = time.monotonic(), Path(out)
    data, run = folder / "data", folder / "run"
    RunDirectory.create(run, "classifiers")  # refuses a folder that holds something else, before anything is written
    corpus = reviews()
    corpus.write(data)
    progress({"message": f"reviews: {len(corpus.train):,} English texts of three classes in {data}"})
    files = [f"corpus.{part}={data / part}.tsv" for part in ("train", "valid", "test")]
    train(Config().with_overrides([*files, *SETTINGS]), run, progress=progress)
    progress({"message": "scoring the test split, whose combinations of words were never seen in training"})
    evaluation = evaluate(run, data / "test.tsv")
    confusion_matrix, explanations = folder / "confusion_matrix.png", folder / "explanations.html"
    evaluation.plot(confusion_matrix)
    shown = corpus.test[:_SHOWN]
    explained = Classifier.load(run).explain([review.text for review in shown])
    write_atomically(explanations, html_page(explained, title="Reviews of the test split"))
    progress({"message": "exporting, and comparing the export with the run"})
    return QuickstartReport(
        run=run,
        export=export(run, folder / "export"),
        learning_curve=run / "learning_curve.png",
        confusion_matrix=confusion_matrix,
        explanations=explanations,
        evaluation=evaluation,
        samples=tuple(explanation.prediction for explanation in explained),
        references=tuple(review.label for review in shown),
        minutes=(time.monotonic() - started) / 60.0,
    )
