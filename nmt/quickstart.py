"""From nothing to a translator in a few minutes, on the English-German phrasebook that ships with the package."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import textseq.quickstart
from nmt.config import Config
from nmt.evaluate import evaluate
from nmt.export import export
from nmt.phrasebook import phrasebook
from nmt.train import train
from nmt.translation import Translation
from nmt.translator import Translator
from textseq.quickstart import EXPORTING, SCORING, Quickstart, beside_reference
from textseq.training.session import Progress

# A small network that learns the phrasebook well within five minutes on two cores.
SETTINGS = (
    "tokenization.vocabulary_size=2000",
    "batching.token_budget=2048",
    "model.embedding_units=128",
    "model.encoder_units=128",
    "model.decoder_units=192",
    "model.attention_units=96",
    "model.embedding_dropout=0.1",
    "model.state_dropout=0.0",
    "model.memory_dropout=0.1",
    "model.readout_dropout=0.1",
    "training.epochs=8",
    "training.learning_rate=0.003",
    "training.warmup_steps=100",
    "training.average_decay=0.99",
    "training.validation_sentences=200",
)

_SHOWN = 8
"""Sentences of the test split that the report shows."""


@dataclass(frozen=True, kw_only=True)
class QuickstartReport(textseq.quickstart.QuickstartReport):
    """What the quickstart made."""

    heat_map: Path
    samples: tuple[Translation, ...]

    COLUMNS = ("English", "translation", "reference")
    MORE_FILES: ClassVar = {"heat_map": "attention"}

    def rows(self) -> list[tuple[str, str, str]]:
        """As rows of a table: sentences of the test split with their translation and reference."""
        return [
            (sample.source, sample.text, beside_reference(sample.text, reference))
            for sample, reference in zip(self.samples, self.references, strict=True)
        ]

    def _sample_dicts(self) -> list[dict[str, Any]]:
        return [{"source": sample.source, "translation": sample.text} for sample in self.samples]

    def _commands(self) -> Sequence[str]:
        return (
            f"echo 'I have to get up early.' | nmt translate --run {self.run}",
            f"nmt translate --run {self.run} --n-best 3 --json",
            f"nmt serve {self.export.parent}",
            "nmt train --source YOUR.en --target YOUR.xx --run runs/mine",
        )


def quickstart(out: str | os.PathLike[str] = "quickstart/nmt", *, progress: Progress | None = None) -> QuickstartReport:
    """Trains, scores, translates, plots and exports on the phrasebook; run again, it goes on where it stopped.

    Args:
        out: the folder for everything: text in `data`, the run in `run`, the export in `export`.
        progress: told of messages and metrics; see `textseq.progress.TrainingProgress`.

    Raises:
        OutputError: the folder cannot be written.
        RunDirectoryError: the folder holds something else.

    Example:
        >>> report = quickstart("quickstart")  # doctest: +SKIP
        >>> report.heat_map  # doctest: +SKIP
        PosixPath('quickstart/attention.png')
    """
    begun = Quickstart(out, "nmt", progress)
    data, run = begun.data, begun.run
    book = phrasebook()
    book.write(data)
    begun.tell(f"phrasebook: {len(book.train):,} English-German pairs in {data}")
    corpus = {
        "source": data / "train.en",
        "target": data / "train.de",
        "valid_source": data / "valid.en",
        "valid_target": data / "valid.de",
    }
    config = Config().with_overrides([f"corpus.{side}={path}" for side, path in corpus.items()])
    train(config.with_overrides(SETTINGS), run, progress=begun.progress)
    begun.tell(SCORING)
    evaluation = evaluate(run, data / "test.en", data / "test.de")
    samples = Translator.load(run).translate([pair.source for pair in book.test[:_SHOWN]], attention=True)
    heat_map = begun.folder / "attention.png"
    max(samples, key=lambda sample: len(sample.source)).plot(heat_map)
    begun.tell(EXPORTING)
    return QuickstartReport(
        **begun.made(export(run, begun.folder / "export")),
        heat_map=heat_map,
        evaluation=evaluation,
        samples=tuple(samples),
        references=tuple(pair.target for pair in book.test[:_SHOWN]),
    )
