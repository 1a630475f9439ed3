"""From nothing to a classifier in three minutes, on the English reviews that ship with the package."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import textseq.quickstart
from classifiers.classifier import Classifier
from classifiers.config import Config
from classifiers.evaluate import evaluate
from classifiers.explanation import html_page
from classifiers.export import export
from classifiers.prediction import Prediction
from classifiers.reviews import reviews
from classifiers.train import train
from textseq.atomic_files import write_atomically
from textseq.quickstart import EXPORTING, SCORING, Quickstart, beside_reference
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


@dataclass(frozen=True, kw_only=True)
class QuickstartReport(textseq.quickstart.QuickstartReport):
    """What the quickstart made."""

    confusion_matrix: Path
    explanations: Path
    samples: tuple[Prediction, ...]

    COLUMNS = ("review", "label", "probability", "reference")
    MORE_FILES: ClassVar = {"confusion_matrix": "confusion matrix", "explanations": "explanations"}

    def rows(self) -> list[tuple[str, str, float, str]]:
        """As rows of a table: reviews of the test split with label, probability and reference."""
        return [
            (sample.text, sample.label, sample.probability, beside_reference(sample.label, reference))
            for sample, reference in zip(self.samples, self.references, strict=True)
        ]

    def _sample_dicts(self) -> list[dict[str, Any]]:
        return [sample.to_dict() for sample in self.samples]

    def _commands(self) -> Sequence[str]:
        return (
            f"echo 'The coffee was cold, but we were not at all bored.' | classifiers predict --run {self.run}",
            f"echo 'The plot was anything but dull.' | classifiers explain --run {self.run}",
            f"classifiers serve {self.export.parent}",
            "classifiers train --train YOUR.tsv --run runs/mine",
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
    begun = Quickstart(out, "classifiers", progress)
    data, run = begun.data, begun.run
    corpus = reviews()
    corpus.write(data)
    begun.tell(f"reviews: {len(corpus.train):,} English texts of three classes in {data}")
    files = [f"corpus.{part}={data / part}.tsv" for part in ("train", "valid", "test")]
    train(Config().with_overrides([*files, *SETTINGS]), run, progress=begun.progress)
    begun.tell(SCORING)
    evaluation = evaluate(run, data / "test.tsv")
    confusion_matrix, explanations = begun.folder / "confusion_matrix.png", begun.folder / "explanations.html"
    evaluation.plot(confusion_matrix)
    shown = corpus.test[:_SHOWN]
    explained = Classifier.load(run).explain([review.text for review in shown])
    write_atomically(explanations, html_page(explained, title="Reviews of the test split"))
    begun.tell(EXPORTING)
    return QuickstartReport(
        **begun.made(export(run, begun.folder / "export")),
        confusion_matrix=confusion_matrix,
        explanations=explanations,
        evaluation=evaluation,
        samples=tuple(explanation.prediction for explanation in explained),
        references=tuple(review.label for review in shown),
    )
