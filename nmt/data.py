"""From the text files that the configuration names to a run's prepared data.

data/
  train.source.txt, train.target.txt   the text that is trained on: cleaned, short enough, aligned with the stores
  train.source.ids, train.target.ids   its ids, see textseq.token_store
  valid.source.txt, ... valid.target.ids   the same for validation; given files are copied uncleaned
  cleaning.json                        what was removed and why, and the sizes of both parts
  prepared.json                        what all this was made from, and the checksums of what was made

The folder is made aside and put in place at the end, so a run has all of it or nothing.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from nmt.translation_data import (
    SIDES,
    TOO_MANY_TOKENS,
    PreparationReport,
    TranslationBatch,
    TranslationData,
    open_stores,
    text_path,
    training_parts,
)
from textseq.cleaning import HeldOut, clean_pairs
from textseq.corpus import Pair, read_lines, read_pairs, writing_lines
from textseq.counted import counted
from textseq.errors import ConfigurationError, CorpusError
from textseq.power_law import power_law
from textseq.preparation import Made, Making, choose_plan, prepare, training_lengths
from textseq.prepared import Notify, require_readable, settings_of
from textseq.run_directory import RunDirectory
from textseq.splitting import choose_split, choose_validation_size
from textseq.token_sampling import Shortening, encoded_ids, lengths_of
from textseq.token_store import TokenStore
from textseq.tokenization import Tokenizer
from textseq.tokenizer_training import learn_vocabularies

if TYPE_CHECKING:
    from nmt.config import Config, CorpusConfig

__all__ = ["TranslationBatch", "TranslationData", "choose_token_budget", "prepare_data"]

_SECTIONS = ("cleaning", "tokenization", "batching")


def prepare_data(config: Config, run: RunDirectory, notify: Notify) -> TranslationData:
    """Cleans, splits, tokenizes and stores the corpus of a run, or opens what was prepared before.

    The same files and configuration give the same bytes. Memory holds some tens of bytes a pair: hashes that find
    duplicates, line numbers and lengths; besides, the lines that a vocabulary is learnt from, see
    `TokenizationConfig.max_training_sentences`.

    Prepared data are used again where configuration and file contents are the same as then. Files that are gone since,
    pipes and standard input cannot be compared and are taken as unchanged. The caller holds the run's lock.

    Args:
        config: its seed, corpus, cleaning, tokenization and batching.
        run: receives data/ and tokenizer/.
        notify: told in one line what happens.

    Raises:
        CorpusError: a file is missing or unusable, or nothing is left of it.
        ConfigurationError: files are named in a way that does not fit, or the token budget is too small.
        RunDirectoryError: the run was prepared from other text or with another configuration.
        OutputError: the disk is full.
    """
    return prepare(
        run,
        settings_of(config, _SECTIONS),
        config.corpus.files,
        notify,
        held_out="valid_source",
        check=lambda: _check_corpus(config.corpus),
        make=partial(_make, config),
        opened=partial(TranslationData, run, config),
    )


def choose_token_budget(pairs: int, *, longest: int = 0) -> int:
    """Padded tokens of one batch, both sides together, that suit a corpus: 1024 * (pairs / 3000)^0.36, 6,144 at most.

    A small corpus needs many updates more than it needs large batches.

    Args:
        pairs: sentence pairs to train on.
        longest: tokens of the longest row, both sides together, for which there is always room.

    Example:
        >>> [choose_token_budget(pairs) for pairs in (3_000, 29_000, 133_000, 1_000_000)]
        [1024, 2304, 4096, 6144]
    """
    budget = 256 * round(power_law(pairs, at=3_000, value=4.0, power=0.36, least=2, most=24))
    return max(budget, 256 * -(-longest // 256))


def _make(config: Config, making: Making) -> Made:
    """Cleans, splits and tokenizes the corpus."""
    folder, notify = making.folder, making.notify
    report = PreparationReport()
    lines = _write_texts(config, folder, report, notify)
    tokenizers = _train_tokenizers(config, folder, len(lines), making.choices, notify)
    making.write_tokenizers(tokenizers)
    by_side = [tokenizers["joint" if config.tokenization.joint else side] for side in SIDES]
    _write_training_stores(config, folder, by_side, report, lines, notify)
    more = {
        "validation_from": "files" if config.corpus.valid_source is not None else "split",
        "validation_sides_cut": _write_validation_stores(config, folder, by_side, notify),
    }
    lengths, longest = training_lengths(config, training_parts(folder, by_side)), config.batching.max_length
    budget = partial(choose_token_budget, len(lengths), longest=2 * longest)
    plan = choose_plan(config, lengths, making.choices, budget)
    training, validation = (len(open_stores(folder, part)[0]) for part in ("train", "valid"))
    return Made(report, plan, training, validation, more)


def _write_texts(config: Config, folder: Path, report: PreparationReport, notify: Notify) -> array[int]:
    """Writes train.*.txt and valid.*.txt; returns the line number in the corpus of each training pair."""
    corpus = config.corpus
    source = _named(corpus.source)
    held_out = HeldOut(read_pairs(corpus.test_source, corpus.test_target) if corpus.test_source else ())
    if corpus.valid_source is not None:
        with _pair_files(folder, "valid") as write:
            for pair in read_pairs(corpus.valid_source, corpus.valid_target):
                held_out.add(pair)
                write(pair)
        lines = _write_cleaned(config, folder, "train", report, held_out)
    else:
        lines = _split(config, folder, report, _write_cleaned(config, folder, "all", report, held_out))
    report.tell(notify)
    if not lines:
        raise CorpusError("nothing is left to train on after the validation pairs are taken out; add text", source)
    return lines


def _write_cleaned(config: Config, folder: Path, part: str, report: PreparationReport, held_out: HeldOut) -> array[int]:
    source = _named(config.corpus.source)
    lines = array("Q")
    with _pair_files(folder, part) as write:
        for pair in clean_pairs(read_pairs(source, config.corpus.target), config.cleaning, report, held_out):
            write(pair)
            lines.append(pair.line)
    report.require_some(source)
    return lines


def _split(config: Config, folder: Path, report: PreparationReport, lines: array[int]) -> array[int]:
    """Divides all.*.txt into train and valid; returns the line numbers of the training pairs."""
    paths = [text_path(folder, "all", side) for side in SIDES]
    split = choose_split(read_lines(paths[0]), choose_validation_size(report.kept), config.seed)
    held_out = HeldOut()
    with _pair_files(folder, "valid") as write:
        for pair in read_pairs(*paths):
            if split.holds_out(pair.source):
                held_out.add(pair)
                write(pair)
    kept = array("Q")
    with _pair_files(folder, "train") as write:
        for pair in read_pairs(*paths):
            if split.holds_out(pair.source):
                continue
            # The split keeps the sources apart; the same target may still stand on both sides.
            overlap = held_out.overlap(pair)
            if overlap is not None and config.cleaning.drops(overlap):
                report.withdraw(overlap, lines[pair.line - 1])
                continue
            if overlap is not None:
                report.kept_overlaps[overlap] += 1
            write(pair)
            kept.append(lines[pair.line - 1])
    for path in paths:
        path.unlink()
    return kept


def _train_tokenizers(
    config: Config, folder: Path, pairs: int, choices: dict[str, int], notify: Notify
) -> dict[str, Tokenizer]:
    """Learns one tokenizer, "joint", or two, "source" and "target"."""
    settings = config.tokenization
    sides = {"joint": SIDES} if settings.joint else {side: (side,) for side in SIDES}

    def lines(name: str) -> Iterable[str]:
        return chain.from_iterable(read_lines(text_path(folder, "train", side)) for side in sides[name])

    return learn_vocabularies(
        {name: partial(lines, name) for name in sides},
        settings,
        config.seed,
        choices,
        notify,
        named="a joint vocabulary" if settings.joint else "two vocabularies",
        pairs=lambda characters: pairs,
    )


def _write_training_stores(
    config: Config,
    folder: Path,
    tokenizers: Sequence[Tokenizer],
    report: PreparationReport,
    lines: array[int],
    notify: Notify,
) -> None:
    """Writes train.*.ids; pairs of too many tokens go from the stores and from the text, and are counted."""
    for side, tokenizer in zip(SIDES, tokenizers, strict=True):
        ids = encoded_ids(tokenizer, read_lines(text_path(folder, "train", side)))
        TokenStore.write(folder / f"train.{side}", ids, vocabulary_size=tokenizer.vocabulary_size)
    limit = config.batching.max_length
    stores = open_stores(folder, "train")
    fits = np.all(lengths_of(stores) <= limit, axis=1)
    if fits.all():
        return
    for index in np.flatnonzero(~fits):
        report.withdraw(TOO_MANY_TOKENS, lines[index])
    if not fits.any():
        message = f"none of {counted(len(fits), 'pair')} has at most {limit} tokens a side; raise batching.max_length"
        raise CorpusError(message, _named(config.corpus.source))
    left_out = counted(int(np.count_nonzero(~fits)), "training pair")
    notify(f"left out for more than {limit} tokens a side: {left_out}")
    for side, tokenizer, store in zip(SIDES, tokenizers, stores, strict=True):
        kept_ids = (store[int(index)].tolist() for index in np.flatnonzero(fits))
        TokenStore.write(folder / f"train.{side}", kept_ids, vocabulary_size=tokenizer.vocabulary_size)
        _keep_lines(text_path(folder, "train", side), fits)


def _keep_lines(path: Path, kept: npt.NDArray[np.bool_]) -> None:
    shorter = path.with_suffix(".kept")
    with writing_lines(shorter) as write:
        for line, keep in zip(read_lines(path), kept, strict=True):
            if keep:
                write(line)
    os.replace(shorter, path)


def _write_validation_stores(config: Config, folder: Path, tokenizers: Sequence[Tokenizer], notify: Notify) -> int:
    """Writes valid.*.ids, cutting sides of too many tokens; returns how many."""
    shortening = Shortening(config.batching.max_length)
    for side, tokenizer in zip(SIDES, tokenizers, strict=True):
        ids = shortening.shortened(encoded_ids(tokenizer, read_lines(text_path(folder, "valid", side))))
        TokenStore.write(folder / f"valid.{side}", ids, vocabulary_size=tokenizer.vocabulary_size)
    if shortening.cut:
        sides = counted(shortening.cut, "side")
        notify(f"cut to {shortening.longest} tokens for the validation loss: {sides} of validation pairs")
    return shortening.cut


@contextmanager
def _pair_files(folder: Path, part: str) -> Iterator[Callable[[Pair], None]]:
    """Opens the two text files of a part for writing; yields a function that writes one pair."""
    source_path, target_path = (text_path(folder, part, side) for side in SIDES)
    with writing_lines(source_path) as write_source, writing_lines(target_path) as write_target:

        def write(pair: Pair) -> None:
            write_source(pair.source)
            write_target(pair.target)

        yield write


def _named(source: str | None) -> str:
    if source is None:
        raise ConfigurationError(
            "corpus.source is not set; expected a text file, or - for pairs on standard input; set it with --source"
        )
    return source


def _check_corpus(corpus: CorpusConfig) -> None:
    """Checks, before any work, that the files are named in a way that fits and can be read."""
    _named(corpus.source)
    for part in ("valid", "test"):
        source, target = f"{part}_source", f"{part}_target"
        named = corpus.files
        if target in named and source not in named:
            raise ConfigurationError(
                f"corpus.{target} is {named[target]}, but corpus.{source} is not set; set both or neither"
            )
        if source in named and target not in named and corpus.target is not None:
            option = "--valid-target F" if part == "valid" else f"--set corpus.{target}=F"
            raise ConfigurationError(
                f"corpus.{source} is {named[source]}, but corpus.{target} is not set; expected a file for each side, "
                f"as for the training text; give {option}"
            )
    require_readable(corpus.files)
