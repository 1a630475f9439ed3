"""Pretraining on unlabelled text in a run directory, from which a classifier's training can start."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from classifiers.choices import choose_sizes
from classifiers.pretraining_config import PretrainingConfig, PretrainingCorpusConfig
from classifiers.pretraining_data import PretrainingData, prepare_pretraining_data
from textseq.identity import identity
from textseq.training.choices import with_training_choices
from textseq.training.report import TrainingReport
from textseq.training.session import Progress, Trainable, train_run

if TYPE_CHECKING:
    from classifiers.pretraining_task import PretrainingTask
    from textseq.language_model import LanguageModel

TASK = "pretraining"
# Tokens that are read in all epochs together: of a small text, each is read often, of a large one once or twice.
_TOKENS_READ = 15_000_000


def pretrain(
    config: PretrainingConfig, run: str | os.PathLike[str], *, progress: Progress | None = None
) -> TrainingReport:
    """Trains a classifier's embeddings and first recurrent layers as language models in both directions.

    On a run that was begun, goes on where it stopped. `StartingPoint.load` reads what comes of it.

    Args:
        config: what is None is chosen from the text and stored in the run.
        run: the run directory.
        progress: told of messages, metrics and validations; see `textseq.progress.TrainingProgress`.

    Raises:
        CorpusError: a text file cannot be used.
        RunDirectoryError: the directory holds something else, or a run with another configuration.
        TrainingDiverged: too many steps in a row were not finite.
        KeyboardInterrupt: the training was saved and can be resumed.
    """
    return train_run(_PRETRAINING, config, run, progress)


def choose_epochs(tokens: int) -> int:
    """Epochs for a number of training tokens: about 15 million are read in all, in 30 epochs at most.

    Example:
        >>> [choose_epochs(tokens) for tokens in (150_000, 1_000_000, 7_000_000, 100_000_000)]
        [30, 15, 2, 1]
    """
    return min(30, max(1, round(_TOKENS_READ / max(1, tokens))))


def make_language_model(config: PretrainingConfig, data: PretrainingData) -> LanguageModel:
    """The network of a resolved configuration, with fresh weights."""
    from textseq.language_model import LanguageModel

    model, sizes = config.model, config.model.sizes
    return LanguageModel(
        vocabulary_size=data.tokenizer.vocabulary_size,
        special_ids=data.special_ids,
        embedding_units=sizes.embedding_units,
        encoder_units=sizes.encoder_units,
        cell=model.cell,
        layer_norm=model.layer_norm,
        embedding_dropout=model.embedding_dropout,
        state_dropout=model.state_dropout,
        output_dropout=model.output_dropout,
        word_dropout=model.word_dropout,
        product_dtype=config.training.precision or "float32",
        unroll=bool(config.training.unroll),
        seed=config.seed,
        name="language_model",
    )


def resolve(config: PretrainingConfig, data: PretrainingData) -> PretrainingConfig:
    """Fills in every value that the configuration leaves open.

    Args:
        config: as it was given.
        data: prepared.
    """
    return with_training_choices(
        config,
        choose_sizes(data.training_texts),
        epochs=choose_epochs(data.training_tokens),
        unroll=False,  # a graph of so many steps takes minutes to build for each shape
        chosen=data.choices,
    )


def _build(config: PretrainingConfig, data: PretrainingData) -> tuple[PretrainingTask, dict[str, Any]]:
    from classifiers.pretraining_task import PretrainingTask

    task = PretrainingTask(make_language_model(config, data), data, config)
    return task, identity(config, {"text": data.tokenizer})


_PRETRAINING: Trainable[PretrainingConfig, PretrainingData] = Trainable(
    task=TASK,
    example_name="texts",
    text_keys=PretrainingCorpusConfig.text_keys(),
    prepare=prepare_pretraining_data,
    resolve=resolve,
    examples=lambda data: data.training_texts,
    build=_build,
)
