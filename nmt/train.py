"""Training a translator in a run directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from nmt.choices import check_heads, resolve
from nmt.config import Config, CorpusConfig
from nmt.data import TranslationData, prepare_data
from textseq.identity import identity
from textseq.training.report import TrainingReport
from textseq.training.session import Progress, Trainable, train_run

if TYPE_CHECKING:
    from nmt.task import TranslationTask


def train(config: Config, run: str | os.PathLike[str], *, progress: Progress | None = None) -> TrainingReport:
    """Trains a translator; on a run that was begun, goes on where it stopped.

    Args:
        config: what is None is chosen from the corpus and stored in the run.
        run: the run directory.
        progress: told of messages, metrics and validations; see `textseq.progress.TrainingProgress`.

    Raises:
        CorpusError: a text file cannot be used.
        ConfigurationError: sizes that do not fit each other, or files that are named in a way that does not fit.
        RunDirectoryError: the directory holds something else, or a run with another configuration.
        TrainingDiverged: too many steps in a row were not finite.
        KeyboardInterrupt: the training was saved and can be resumed.
    """
    check_heads(config.model)
    return train_run(_TRANSLATION, config, run, progress)


def _build(config: Config, data: TranslationData) -> tuple[TranslationTask, dict[str, Any]]:
    from nmt.task import TranslationTask
    from nmt.translator import Translator, make_model

    source, target = data.source_tokenizer, data.target_tokenizer
    translator = Translator(make_model(config, source, target), source, target, config)
    return TranslationTask(translator, data, config), identity(config, {"source": source, "target": target})


_TRANSLATION: Trainable[Config, TranslationData] = Trainable(
    task="nmt",
    example_name="pairs",
    text_keys=CorpusConfig.text_keys(),
    prepare=prepare_data,
    resolve=lambda config, data: resolve(config, data.training_pairs, data.choices),
    examples=lambda data: data.training_pairs,
    build=_build,
)
