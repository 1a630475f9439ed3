"""Training in a run directory, from the configuration to the report; again, it goes on where it stopped."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from textseq.backend import require_tensorflow
from textseq.counted import counted
from textseq.errors import CheckpointError, OutputError, RunDirectoryError, TrainingDiverged
from textseq.identity import check_identity
from textseq.run_directory import RunDirectory, write_atomically
from textseq.training.machine import machine, peak_memory_gib
from textseq.training.report import TrainingReport

if TYPE_CHECKING:
    from textseq.training.task import Task

# A Configuration with the fields `seed`, `corpus` and `training`.
Config = TypeVar("Config", bound=Any)
Data = TypeVar("Data")
Progress = Callable[[Mapping[str, Any]], None]
Notify = Callable[[str], None]


@dataclass(frozen=True)
class Trainable(Generic[Config, Data]):
    """What a training needs to know of a task before its network is built.

    Attributes:
        task: of the run directory, such as "nmt".
        example_name: what is trained on, in the plural: "pairs" or "texts".
        text_keys: keys of [corpus] that say where text lies, the training text's first. They may change between two
            sessions; that it is the same text is checked where it is read.
        prepare: config, run, notify -> data. Cleans, splits and tokenizes the corpus, or opens what was prepared.
        resolve: config, data -> config. Fills in all that is open.
        examples: data -> how many are trained on.
        build: config, data -> task, identity. Builds the network; TensorFlow is imported here, not before.
    """

    task: str
    example_name: str
    text_keys: Sequence[str]
    prepare: Callable[[Config, RunDirectory, Notify], Data]
    resolve: Callable[[Config, Data], Config]
    examples: Callable[[Data], int]
    build: Callable[[Config, Data], tuple[Task, Mapping[str, Any]]]


def train_run(
    trainable: Trainable[Config, Data],
    config: Config,
    run: str | os.PathLike[str],
    progress: Progress | None = None,
) -> TrainingReport:
    """Trains in a run directory; on a run that was begun, goes on where it stopped.

    A run in which nothing could be prepared is removed again.

    Args:
        trainable: the task.
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
    directory = RunDirectory.create(run, trainable.task)
    with directory.lock():
        with _removed_if_unused(directory):
            stored = _stored_config(directory, config, trainable.text_keys)
            data = trainable.prepare(stored or config, directory, lambda text: progress({"message": text}))
        report = TrainingReport.read(directory, trainable.example_name)
        if stored is not None and report is not None:
            _restore_best(directory, report, progress)
            progress({"message": f"{directory.path} is trained to its end; for another training choose another --run"})
            return report
        resolved = stored or trainable.resolve(config, data)
        if stored is None:
            write_atomically(directory.config_path, resolved.to_toml())
        report = _train(trainable, directory, data, resolved, progress)
        _draw_learning_curve(directory)
        write_atomically(directory.report_path, json.dumps(report.to_dict(), indent=2) + "\n")
    return report


def _train(
    trainable: Trainable[Config, Data], directory: RunDirectory, data: Data, config: Config, progress: Progress
) -> TrainingReport:
    # TensorFlow takes seconds to import; by here it is sure to be needed.
    require_tensorflow("training")
    from textseq.training.trainer import Trainer

    task, own = trainable.build(config, data)
    weights = sum(math.prod(variable.shape) for variable in task.model.trainable_variables)
    examples = trainable.examples(data)
    shown = counted(examples, trainable.example_name.removesuffix("s"))
    batches = f"{task.batches_per_epoch:,} {'batch' if task.batches_per_epoch == 1 else 'batches'}"
    sizes = f"{weights / 1e6:.1f} M weights, {batches} an epoch"
    progress({"message": f"{shown}, {sizes}"})
    checkpoint = directory.read_checkpoint()
    if checkpoint is not None:
        check_identity(checkpoint.state.get("identity", {}), own, directory.path, deciding_only=False)
    state = Trainer(task, config.training, directory, progress, own).train()
    best = directory.read_best()
    if best is None:
        raise TrainingDiverged(
            f"{directory.path}: no validation gave finite scores, so no weights were kept; "
            "start a new run with a lower training.learning_rate"
        )
    return TrainingReport(
        run=str(directory.path),
        examples=examples,
        example_name=trainable.example_name,
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
    weights = checkpoint.tensors.get("averages") or checkpoint.tensors["weights"]
    scores = report.scores if checkpoint.step == report.best_step else {}
    state = {"step": checkpoint.step, "scores": scores}
    state |= {key: checkpoint.state.get(key, {}) for key in ("identity", "beside")}
    directory.write_best(checkpoint.step, {"weights": weights}, state)
    progress(
        {"message": f"best/ was lost or altered; made anew from step {checkpoint.step:,} (best: {report.best_step:,})"}
    )


def _stored_config(directory: RunDirectory, given: Config, text_keys: Sequence[str]) -> Config | None:
    """The configuration of a run that was begun, if the given one agrees with it."""
    if not directory.config_path.is_file():
        return None
    stored = type(given).from_toml(directory.config_path)
    places = {key: getattr(given.corpus, key) for key in text_keys}
    moved = stored.model_copy(update={"corpus": stored.corpus.model_copy(update=places)})
    differences = [line for line in moved.difference(given) if not _left_open(line, type(given)())]
    if differences:
        raise RunDirectoryError(
            f"{directory.path}: this run was trained with another configuration ({'; '.join(differences)}); "
            "choose another --run, or give the settings of the run"
        )
    return moved if places[text_keys[0]] else stored


def _left_open(difference: str, default: Any) -> bool:
    """Whether a line of `Configuration.difference` is a choice that was made then and is left open now."""
    value = default
    for name in difference.partition(":")[0].split("."):
        value = getattr(value, name)
    return value is None and difference.endswith(" -> none")


@contextlib.contextmanager
def _removed_if_unused(directory: RunDirectory) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(OutputError):  # the error that comes first is the one to tell
            directory.remove_if_unused()
        raise


def _draw_learning_curve(directory: RunDirectory) -> None:
    from textseq.plotting import learning_curve

    records = [json.loads(line) for line in directory.metrics_path.read_text(encoding="utf-8").splitlines()]
    learning_curve(records, directory.learning_curve_path)
