"""What the evaluation of a run tells in every task beside its scores: the conditions that they were measured under."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textseq import __version__

Row = tuple[str, str, str, str]


@dataclass(frozen=True, kw_only=True)
class RunEvaluation(ABC):
    """Base of a task's evaluation of a run.

    Attributes:
        run: the run directory.
        step: training step of the weights.
        seed: of the training.
        baseline: file, or run directory, that the run was compared with; None for none.
        lengths: scores by text length; empty where not asked for.
        seconds: that answering took, the building of its graph included, loading the run not.
        machine: processor and cores.
        version: of dragoman.
    """

    run: str
    step: int | None
    seed: int
    baseline: str | None
    lengths: tuple[Any, ...]
    seconds: float
    machine: str
    version: str = __version__

    COLUMNS: ClassVar[tuple[str, ...]] = ("", "score", "95 % interval", "conditions")
    EXAMPLES: ClassVar[str]
    """What is answered, in the plural: "sentences"."""

    @property
    @abstractmethod
    def command(self) -> str:
        """The command that measures the same."""

    @abstractmethod
    def summary(self) -> str:
        """The scores in a few words."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """The same as plain values, ready for JSON."""

    @property
    @abstractmethod
    def _answered(self) -> int:
        """How many examples were answered."""

    @property
    def _per_second(self) -> float:
        return self._answered / self.seconds if self.seconds > 0 else 0.0

    def _command(self, program: str, *options: str) -> str:
        """The command that measures the same, from the options that the task has for itself."""
        parts = [program, "evaluate", "--run", self.run, *options]
        parts += ["--baseline", self.baseline] if self.baseline else []
        return shlex.join([*parts, "--by-length"] if self.lengths else parts)

    def _measured(self) -> dict[str, Any]:
        """How long it took, where, and how to measure it again, as plain values."""
        return {
            "seconds": round(self.seconds, 3),
            f"{self.EXAMPLES}_per_second": round(self._per_second, 1),
            "machine": self.machine,
            "version": self.version,
            "command": self.command,
        }

    def _last_rows(self, text: str, settings: str, notes: Sequence[str]) -> list[Row]:
        """The rows below the scores.

        Args:
            text: what was answered.
            settings: the run was asked with, such as "beam 5".
            notes: on the scores.
        """
        step = "" if self.step is None else f", step {self.step:,}"
        said = [
            ("text", text),
            ("run", f"{self.run}{step}, seed {self.seed}, {settings}"),
            ("time", f"{self.seconds:.1f} s, {self._per_second:,.1f} {self.EXAMPLES}/s, {self.machine}"),
            *([("baseline", self.baseline)] if self.baseline is not None else []),
            *(("note", note) for note in notes),
        ]
        return [(name, "", "", words) for name, words in said]
