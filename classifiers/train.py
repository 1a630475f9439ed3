"""Training a classifier in a run directory."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from classifiers.choices import resolve
from classifiers.config import Config, CorpusConfig
from classifiers.data import ClassificationData, prepare_data
from textseq.errors import RunDirectoryError
from textseq.run_directory import RunDirectory
from textseq.training.report import TrainingReport
from textseq.training.session import Progress, Trainable, train_run

if TYPE_CHECKING:
    from classifiers.starting_point import StartingPoint
    from classifiers.task import ClassificationTask


def train(config: Config, run: str | os.PathLike[str], *, progress: Progress | None = None) -> TrainingReport:
    """Trains a classifier; on a run that was begun, goes on where it stopped.

    Args:
        config: what is None is chosen from the corpus, or taken from the run that the training starts from, and stored
            in the run.
        run: the run directory.
        progress: told of messages, metrics and validations; see `textseq.progress.TrainingProgress`.

    Raises:
        CorpusError: a text file cannot be used.
        ConfigurationError: no training text is named, or settings do not fit the run that the training starts from.
        RunDirectoryError: the directory holds something else, or a run with another configuration; or there is no run
            to start from.
        TrainingDiverged: too many steps in a row were not finite.
        KeyboardInterrupt: the training was saved and can be resumed.
    """
    start, config = _started(config, run)
    trainable: Trainable[Config, ClassificationData] = Trainable(
        task="classifiers",
        example_name="texts",
        text_keys=CorpusConfig.text_keys(),
        prepare=prepare_data,
        resolve=resolve,
        examples=lambda data: data.training_texts,
        build=partial(_build, start),
    )
    return train_run(trainable, config, run, progress)


def _started(config: Config, run: str | os.PathLike[str]) -> tuple[StartingPoint | None, Config]:
    """What the training starts from, and the configuration with what follows from it."""
    if config.from_run is None:
        return None, config
    from classifiers.starting_point import StartingPoint, with_stored_settings

    directory = RunDirectory(run, "classifiers")
    if directory.config_path.is_file() and directory.read_checkpoint() is not None:
        # The run has weights of its own; what it started from may have changed or gone since.
        return None, with_stored_settings(config, Config.from_toml(directory.config_path))
    start = StartingPoint.load(config.from_run)
    return start, start.apply(config)


def _build(
    start: StartingPoint | None, config: Config, data: ClassificationData
) -> tuple[ClassificationTask, dict[str, Any]]:
    from classifiers.classifier import identity_of, make_model
    from classifiers.task import ClassificationTask

    labels = data.labels.labels
    model = make_model(config, data.tokenizer, len(labels))
    if start is not None:
        if start.tokenizer != data.tokenizer:
            raise RunDirectoryError(
                f"{start.path}: has another vocabulary than when this run was begun; "
                "bring the old one back, or choose a new folder with --run"
            )
        start.assign(model)
    return ClassificationTask(model, data, config), identity_of(config, data.tokenizer, labels)
