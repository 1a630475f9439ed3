"""What the quickstarts of all tasks report."""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from textseq.run_directory import RunDirectory
from textseq.run_evaluation import RunEvaluation
from textseq.training.session import Progress

SCORING = "scoring the test split, whose combinations of words were never seen in training"
EXPORTING = "exporting, and comparing the export with the run"


class Quickstart:
    """The folders of a quickstart, its messages and its clock, which starts now.

    Args:
        out: the folder for everything.
        task: of its run.
        progress: told of messages and metrics, if anyone is.

    Attributes:
        folder: for everything.
        data: for the text.
        run: the run directory, which is made.
        progress: told of messages and metrics.

    Raises:
        OutputError: the folder cannot be written.
        RunDirectoryError: the folder holds something else.
    """

    def __init__(self, out: str | os.PathLike[str], task: str, progress: Progress | None) -> None:
        self.folder = Path(out)
        self.data, self.run = self.folder / "data", self.folder / "run"
        self.progress = progress or (lambda record: None)
        self._started = time.monotonic()
        RunDirectory.create(self.run, task)  # refuses what holds something else, before anything is written

    def tell(self, message: str) -> None:
        """Says what happens, in one line."""
        self.progress({"message": message})

    def made(self, export: Path) -> dict[str, Any]:
        """What every `QuickstartReport` tells of places and time, once the export is there."""
        minutes = (time.monotonic() - self._started) / 60.0
        return {
            "run": self.run,
            "export": export,
            "learning_curve": self.run / "learning_curve.png",
            "minutes": minutes,
        }


@dataclass(frozen=True, kw_only=True)
class QuickstartReport(ABC):
    """What a quickstart made.

    Attributes:
        run: the run directory.
        export: the version of the export.
        learning_curve: a picture.
        evaluation: of the test split.
        references: the right answers for some of the test split.
        minutes: that all took.
    """

    run: Path
    export: Path
    learning_curve: Path
    evaluation: RunEvaluation
    references: tuple[str, ...]
    minutes: float

    MORE_FILES: ClassVar[Mapping[str, str]]
    """The attributes that are files of this task alone, and how they are called."""

    @abstractmethod
    def _sample_dicts(self) -> list[dict[str, Any]]:
        """What was answered, beside each of the references, as JSON."""

    @abstractmethod
    def _commands(self) -> Sequence[str]:
        """What to type next."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            **{name: str(getattr(self, name)) for name in ("run", "export", "learning_curve", *self.MORE_FILES)},
            "minutes": self.minutes,
            "evaluation": self.evaluation.to_dict(),
            "samples": [
                {**sample, "reference": reference}
                for sample, reference in zip(self._sample_dicts(), self.references, strict=True)
            ],
        }

    def next_steps(self) -> str:
        """What was made and what to type next."""
        files = {"learning_curve": "learning curve", **self.MORE_FILES, "export": "SavedModel"}
        width = max(map(len, files.values())) + 2
        made = [f"{shown:{width}}{getattr(self, name)}" for name, shown in files.items()]
        score = f"test split: {self.evaluation.summary()}, in {self.minutes:.1f} minutes"
        return "\n".join([score, *made, "", "Next:", *(f"  {command}" for command in self._commands())]) + "\n"


def beside_reference(said: str, reference: str) -> str:
    """The right answer as a table shows it beside what was said: only where it is another."""
    return "the same" if said == reference else reference
