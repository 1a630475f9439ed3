"""Training a translator in a run directory."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from nmt.choices import resolve
from nmt.config import Config
from nmt.data import TranslationData, prepare_data
from nmt.identity import check_identity, identity
from textseq.backend import require_tensorflow
from textseq.errors import CheckpointError, RunDirectoryError, TrainingDiverged
from textseq.run_directory import RunDirectory, write_atomically
from textseq.training.machine import machine, peak_memory_gib

Progress = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class TrainingReport:
    """How a training went; it is kept in the run as report.json."""

    run: str
    pairs: int
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
    def read(cls, directory: RunDirectory) -> TrainingReport | None:
        """The report of a finished run, or None where there is none that can be read."""
        try:
            values = json.loads(directory.report_path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(values, dict) or values.keys() != {field.name for field in fields(cls)}:
            return None
        return cls(**{**values, "run": str(directory.path)})

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def rows(self) -> list[tuple[str, str]]:
        """As rows of a table: name, value."""
        scores = ", ".join(f"{name} {value:.2f}" for name, value in self.scores.items())
        return [
            ("run", self.run),
            ("training pairs", f"{self.pairs:,}"),
            ("weights", f"{self.weights:,}"),
            ("epochs", f"{self.epochs}" + (" (stopped early)" if self.stopped_early else "")),
            ("best weights", f"step {self.best_step:,} of {self.steps:,}, by validation {self.metric}"),
            ("validation", scores),
            ("time", f"{self.minutes:.1f} minutes"),
            ("peak memory", f"{self.peak_memory_gib:.1f} GiB"),
        ]


def train(config: Config, run: str | os.PathLike[str], *, progress: Progress | None = None) -> TrainingReport:
    """Trains a translator; on a run that was begun, goes on where it stopped.

    Args:
        config: what is None is chosen from the corpus and stored in the run.
        run: the run directory.
        progress: told of messages, metrics and validations; see `textseq.progress.TrainingProgress`.

    Raises:
        CorpusError: a text file cannot be used.
        RunDirectoryError: the directory holds something else, or a run with another configuration.
        TrainingDiverged: too many steps in a row were not finite.
        KeyboardInterrupt: the training was saved and can be resumed.
    """
    progress = progress or (lambda record: None)
    directory = RunDirectory.create(run, "nmt")
    with directory.lock():
        stored = _stored_config(directory, config)
        data = prepare_data(stored or config, directory, lambda text: progress({"message": text}))
        report = TrainingReport.read(directory)
        if stored is not None and report is not None:
            _restore_best(directory, report, progress)
            progress({"message": f"{directory.path} is trained to its end; for another training choose another --run"})
            return report
        resolved = stored or resolve(config, data.training_pairs, data.choices)
        if stored is None:
            write_atomically(directory.config_path, resolved.to_toml())
        report = _train(directory, data, resolved, progress)
        _draw_learning_curve(directory)
        write_atomically(directory.report_path, json.dumps(report.to_dict(), indent=2) + "\n")
    return report


def _train(directory: RunDirectory, data: TranslationData, config: Config, progress: Progress) -> TrainingReport:
    # TensorFlow takes seconds to import; by here it is sure to be needed.
    require_tensorflow("training")
    from nmt.task import TranslationTask
    from nmt.translator import Translator, make_model
    from textseq.training.trainer import Trainer

    model = make_model(config, data.source_tokenizer, data.target_tokenizer)
    weights = sum(math.prod(variable.shape) for variable in model.trainable_variables)
    sizes = f"{data.training_pairs:,} pairs, {weights / 1e6:.1f} M weights, {len(data.plan):,} batches an epoch"
    progress({"message": sizes})
    translator = Translator(model, data.source_tokenizer, data.target_tokenizer, config)
    own = identity(config, data.source_tokenizer, data.target_tokenizer)
    checkpoint = directory.read_checkpoint()
    if checkpoint is not None:
        check_identity(checkpoint.state.get("identity", {}), own, directory.path, deciding_only=False)
    trainer = Trainer(TranslationTask(translator, data, config), config.training, directory, progress, own)
    state = trainer.train()
    best = directory.read_best()
    if best is None:
        raise TrainingDiverged(
            f"{directory.path}: no validation gave finite scores, so no weights were kept; "
            "start a new run with a lower training.learning_rate"
        )
    return TrainingReport(
        run=str(directory.path),
        pairs=data.training_pairs,
        weights=weights,
        epochs=state.epoch,
        steps=state.step,
        best_step=state.best_step,
        metric=config.training.metric,
        scores=best.state["scores"],
        skipped_steps=state.skipped_steps,
        stopped_early=state.stopped_early,
        minutes=state.seconds / 60.0,
        peak_memory_gib=peak_memory_gib(),
        seed=config.seed,
        machine=machine(),
    )


def _restore_best(directory: RunDirectory, report: TrainingReport, progress: Progress) -> None:
    """Makes the best weights of a finished run anew from its last checkpoint, where they are lost or altered."""
    with contextlib.suppress(CheckpointError):
        if directory.read_best() is not None:
            return
    checkpoint = directory.read_checkpoint()
    if checkpoint is None:
        raise RunDirectoryError(
            f"{directory.path}: its weights are lost, in best/ and in checkpoints/; train anew in another --run"
        )
    weights = checkpoint.tensors.get("averages", checkpoint.tensors["weights"])
    scores = report.scores if checkpoint.step == report.best_step else {}
    state = {"step": checkpoint.step, "scores": scores, "identity": checkpoint.state.get("identity", {})}
    directory.write_best(checkpoint.step, {"weights": weights}, state)
    progress(
        {"message": f"best/ was lost or altered; made anew from step {checkpoint.step:,} (best: {report.best_step:,})"}
    )


def _stored_config(directory: RunDirectory, given: Config) -> Config | None:
    """The configuration of a run that was begun, if the given one agrees with it."""
    if not directory.config_path.is_file():
        return None
    stored = Config.from_toml(directory.config_path)
    # Where the text lies may change; that it is the same text is checked when it is read.
    comparable = stored.model_copy(update={"corpus": given.corpus})
    differences = [line for line in comparable.difference(given) if not _left_open(line)]
    if differences:
        raise RunDirectoryError(
            f"{directory.path}: this run was trained with another configuration ({'; '.join(differences)}); "
            "choose another --run, or give the settings of the run"
        )
    return stored.model_copy(update={"corpus": given.corpus}) if given.corpus.source else stored


def _left_open(difference: str) -> bool:
    """Whether a line of `Configuration.difference` is a choice that was made then and is left open now."""
    key = difference.partition(":")[0]
    value: Any = Config()
    for name in key.split("."):
        value = getattr(value, name)
    return value is None and difference.endswith(" -> none")


def _draw_learning_curve(directory: RunDirectory) -> None:
    from textseq.plotting import learning_curve

    records = [json.loads(line) for line in directory.metrics_path.read_text(encoding="utf-8").splitlines()]
    learning_curve(records, directory.learning_curve_path)
