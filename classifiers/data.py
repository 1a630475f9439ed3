"""From the labelled text that the configuration names to a run's prepared data.

data/
  train.text.txt     the texts that are trained on: cleaned, one a line
  train.text.ids     their ids, cut at batching.max_length, see textseq.token_store
  train.labels.ids   the numbers of the labels of each: one; with corpus.multi_label any number
  valid.text.txt, valid.text.ids, valid.labels.ids   the same for validation; given files are copied uncleaned
  labels.json        the labels in order, with their counts in the training texts
  cleaning.json      what was removed and why, and the sizes of both parts
  prepared.json      what all this was made from, and the checksums of what was made

The folder is made aside and put in place at the end, so a run has all of it or nothing.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers.classification_data import LABELS, TEXT, ClassificationBatch, ClassificationData, training_part
from classifiers.cleaning import CUT, TextCleaningReport
from classifiers.corpus import require_corpora
from classifiers.parts import named_train, text_path, write_parts
from classifiers.vocabulary import learn_vocabulary
from textseq.corpus import read_lines
from textseq.power_law import power_law
from textseq.preparation import Made, Making, choose_plan, prepare, training_lengths
from textseq.prepared import Notify, require_readable, settings_of, write_json
from textseq.run_directory import RunDirectory
from textseq.token_sampling import Shortening, encoded_ids
from textseq.token_store import TokenStore
from textseq.tokenization import Tokenizer

if TYPE_CHECKING:
    from classifiers.config import Config

__all__ = ["ClassificationBatch", "ClassificationData", "choose_token_budget", "prepare_data"]


def prepare_data(config: Config, run: RunDirectory, notify: Notify) -> ClassificationData:
    """Cleans, splits, tokenizes and stores the corpus of a run, or opens what was prepared before.

    The same files and configuration give the same bytes. Memory holds some tens of bytes a text: hashes, numbers of
    label sets, line numbers and lengths; besides, the lines that a vocabulary is learnt from, see
    `TokenizationConfig.max_training_sentences`. With `config.from_run`, the vocabulary is that of the run named.

    Prepared data are used again where configuration and file contents are the same as then. Files that are gone since,
    pipes and standard input cannot be compared and are taken as unchanged. The caller holds the run's lock.

    Args:
        config: its seed, from_run, corpus, cleaning, tokenization and batching.
        run: receives data/ and tokenizer/.
        notify: told in one line what happens.

    Raises:
        CorpusError: a file is missing or unusable, nothing is left of it, or its labels do not do.
        ConfigurationError: no training text is named, or the token budget is too small.
        RunDirectoryError: the run was prepared from other text or with another configuration.
        OutputError: the disk is full.
    """
    return prepare(
        run,
        _settings(config),
        config.corpus.files,
        notify,
        held_out="valid",
        check=partial(_check_corpus, config),
        make=partial(_make, config),
        opened=partial(ClassificationData, run, config),
    )


def choose_token_budget(texts: int, mean_tokens: float, longest: int) -> int:
    """Padded tokens of one batch that suit a corpus: 32 texts at 3,000, growing as texts^0.36 from 8 to 64.

    A small corpus needs many updates more than it needs large batches.

    Args:
        texts: texts to train on.
        mean_tokens: tokens of a text, on average.
        longest: tokens of the longest text, for which there is always room.

    Example:
        >>> choose_token_budget(6_920, 28.0, 90), choose_token_budget(25_000, 320.0, 3_500)
        (1280, 20480)
    """
    rows = power_law(texts, at=3_000, value=32.0, power=0.36, least=8.0, most=64.0)
    return 256 * max(1, round(rows * mean_tokens / 256), -(-longest // 256))


def _settings(config: Config) -> dict[str, Any]:
    """What decides what is prepared; where a run goes on without files, it is not said how they are read."""
    settings = settings_of(config, ("from_run", "cleaning", "tokenization", "batching"))
    if config.from_run is not None:
        settings["tokenization"] = {"sampling": config.tokenization.sampling}
    if config.corpus.files:
        reading = {"text_column", "label_column", "multi_label", "label_separator"}
        settings["corpus"] = config.corpus.model_dump(mode="json", include=reading)
    return settings


def _check_corpus(config: Config) -> None:
    """Checks, before any work, that all files and folders can be read, and that no two are standard input."""
    named_train(config)
    files = config.corpus.files
    require_corpora(files.values(), config.corpus)
    require_readable({role: path for role, path in files.items() if not Path(path).is_dir()})


def _make(config: Config, making: Making) -> Made:
    """Cleans, splits and tokenizes the corpus."""
    folder, notify = making.folder, making.notify
    report = TextCleaningReport()
    labels = write_parts(config, folder, report, notify)
    tokenizer = _tokenizer(config, folder, making.choices, notify)
    making.write_tokenizers({TEXT: tokenizer})
    training = _write_store(config, folder, "train", tokenizer, report, CUT, notify)
    validation = _write_store(config, folder, "valid", tokenizer, report, "validation_cut", notify)
    lengths = training_lengths(config, [training_part(folder, tokenizer, training)])
    budget = partial(choose_token_budget, len(lengths), float(lengths.mean()), int(lengths.max()))
    plan = choose_plan(config, lengths, making.choices, budget)
    write_json(folder / LABELS, labels.to_dict())
    more = {"validation_from": "split" if config.corpus.valid is None else "file"}
    return Made(report, plan, len(training), len(validation), more)


def _tokenizer(config: Config, folder: Path, choices: dict[str, int], notify: Notify) -> Tokenizer:
    """The tokenizer of the run that the training starts from, or one that is learnt from the training texts."""
    if config.from_run is not None:
        from classifiers.starting_point import StartingPoint

        tokenizer = StartingPoint.load(config.from_run).tokenizer
        notify(f"vocabulary of {config.from_run}: {tokenizer.vocabulary_size:,} pieces")
        return tokenizer
    return learn_vocabulary(text_path(folder, "train"), config.tokenization, config.seed, choices, notify)


def _write_store(
    config: Config, folder: Path, part: str, tokenizer: Tokenizer, report: TextCleaningReport, note: str, notify: Notify
) -> TokenStore:
    """Writes the ids of a part; texts of too many tokens are cut, and counted under the note."""
    limit = config.batching.max_length
    shortening = Shortening(limit)
    ids = shortening.shortened(encoded_ids(tokenizer, read_lines(text_path(folder, part))))
    store = TokenStore.write(folder / f"{part}.text", ids, vocabulary_size=tokenizer.vocabulary_size)
    report.noted[note] += shortening.cut
    if shortening.cut:
        kind = "training" if part == "train" else "validation"
        notify(
            f"cut after {limit:,} tokens: {shortening.cut:,} of {len(store):,} {kind} texts; "
            "batching.max_length is the limit"
        )
    return store
