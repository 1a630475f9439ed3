"""How a training went."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from textseq.metric_names import display_name
from textseq.run_directory import RunDirectory


@dataclass(frozen=True)
class TrainingReport:
    """How a training went; it is kept in the run as report.json.

    Attributes:
        run: the run directory.
        examples: what was trained on, such as pairs: how many.
        example_name: their name in the plural, such as "pairs", under which report.json has the number.
        weights: of the network.
        epochs: trained.
        steps: trained.
        best_step: after which the best weights were validated.
        metric: that chose them.
        scores: of the best weights on the validation text.
        skipped_steps: steps whose loss or gradient was not finite.
        stopped_early: whether validation stopped getting better before the last epoch.
        minutes: of training and validating, over all sessions.
        peak_memory_gib: of the last session.
        seed: of the run.
        machine: processor and cores.
    """

    run: str
    examples: int
    example_name: str
    weights: int
    epochs: int
    steps: int
    best_step: int
    metric: str
    scores: dict[str, float]
    skipped_steps: int
    stopped_early: bool
    minutes: float
    peak_memory_gib: float
    seed: int
    machine: str

    COLUMNS = ("", "")

    @classmethod
    def read(cls, directory: RunDirectory, example_name: str) -> TrainingReport | None:
        """The report of a finished run, or None where there is none that can be read."""
        try:
            values = json.loads(directory.report_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        names = {field.name for field in fields(cls)} - {"examples", "example_name"}
        if not isinstance(values, dict) or values.keys() != {*names, example_name}:
            return None
        examples = values.pop(example_name)
        return cls(**{**values, "run": str(directory.path), "examples": examples, "example_name": example_name})

    def to_dict(self) -> dict[str, Any]:
        """As JSON: the number of examples stands under their name."""
        names = {"examples": self.example_name}
        values = asdict(self)
        del values["example_name"]
        return {names.get(key, key): value for key, value in values.items()}

    def rows(self) -> list[tuple[str, str]]:
        """As rows of a table: name, value."""
        scores = ", ".join(f"{display_name(name)} {value:.2f}" for name, value in self.scores.items())
        best = f"step {self.best_step:,} of {self.steps:,}, by validation {display_name(self.metric)}"
        return [
            ("run", self.run),
            (f"training {self.example_name}", f"{self.examples:,}"),
            ("weights", f"{self.weights:,}"),
            ("epochs", f"{self.epochs}" + (" (stopped early)" if self.stopped_early else "")),
            ("best weights", best),
            ("validation", scores),
            ("time", f"{self.minutes:.1f} minutes"),
            ("peak memory", f"{self.peak_memory_gib:.1f} GiB"),
        ]
