"""From unlabelled text to a pretraining run's prepared data, and to batches of windows.

data/
  train.text.txt, train.text.ids   the text that is trained on, cleaned, and its ids, see textseq.token_store
  valid.text.txt, valid.text.ids   the same for validation; a given file is copied uncleaned
  cleaning.json                    what was removed and why, and the sizes of both parts
  prepared.json                    what all this was made from, and the checksums of what was made

The folder is made aside and put in place at the end, so a run has all of it or nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from classifiers.classification_data import TEXT, training_part
from classifiers.cleaning import HeldOutTexts, TextCleaningReport, clean_texts, key_of
from classifiers.corpus import LabelledText, shown
from classifiers.parts import text_path
from classifiers.vocabulary import learn_vocabulary
from textseq.batching import Batch, BatchPlan, Lengths
from textseq.cleaning import HashSet
from textseq.corpus import read_lines, writing_lines
from textseq.counted import counted
from textseq.errors import ConfigurationError, CorpusError, InputError
from textseq.power_law import power_law
from textseq.preparation import Made, Making, choose_plan, load_tokenizer, prepare
from textseq.prepared import Notify, require_readable, settings_of
from textseq.prepared_text import PreparedText
from textseq.run_directory import RunDirectory
from textseq.special_ids import special_ids_of
from textseq.splitting import choose_split, choose_validation_size
from textseq.text_windows import TextWindows
from textseq.token_sampling import encoded_ids
from textseq.token_store import TokenStore
from textseq.tokenization import Tokenizer, well_formed

if TYPE_CHECKING:
    from classifiers.pretraining_config import PretrainingConfig

_SECTIONS = ("cleaning", "tokenization", "batching")
# Of one direction in one batch; the largest arrays of a training step.
_LOGITS = 1 << 26
# No text is too long to be drawn: windows bound what is read at once.
_LONGEST = 2**31 - 1


def prepare_pretraining_data(config: PretrainingConfig, run: RunDirectory, notify: Notify) -> PretrainingData:
    """Cleans, splits, tokenizes and stores the text of a run, or opens what was prepared before.

    The same files and configuration give the same bytes. Memory holds some tens of bytes a text, and the lines that a
    vocabulary is learnt from. The caller holds the run's lock.

    Args:
        config: its seed, corpus, cleaning, tokenization and batching.
        run: receives data/ and tokenizer/.
        notify: told in one line what happens.

    Raises:
        CorpusError: a file is missing or unusable, or nothing is left of it.
        ConfigurationError: no text is named, or the token budget is too small.
        RunDirectoryError: the run was prepared from other text or with another configuration.
        OutputError: the disk is full.
    """
    return prepare(
        run,
        settings_of(config, _SECTIONS),
        config.corpus.files,
        notify,
        held_out="valid_text",
        check=partial(_check_corpus, config),
        make=partial(_make, config),
        opened=partial(PretrainingData, run, config),
    )


def choose_token_budget(tokens: int, vocabulary_size: int, *, longest: int = 0) -> int:
    """Padded tokens of one batch that suit a text: 1024 * (tokens / 100,000)^0.36, between 512 and 4,096.

    With a large vocabulary there are fewer, so that the logits of one direction take 256 MiB at most.

    Args:
        tokens: of the training text.
        vocabulary_size: columns of the logits.
        longest: of the longest window, for which there is always room.

    Example:
        >>> [choose_token_budget(tokens, 8_000) for tokens in (10_000, 100_000, 1_000_000, 10_000_000)]
        [512, 1024, 2304, 4096]
        >>> choose_token_budget(10_000_000, 24_000)
        2560
    """
    budget = 256 * round(power_law(tokens, at=100_000, value=4.0, power=0.36, least=2, most=16))
    return max(min(256 * (_LOGITS // (256 * vocabulary_size)), budget), 512, longest)


class PretrainingData(PreparedText):
    """A pretraining run's prepared data, whose batches are made of windows; made by `prepare_pretraining_data`.

    Args:
        run: where the data are.
        config: its seed, tokenization and batching.
        prepared: the content of the run's data/prepared.json.

    Attributes:
        tokenizer: of the text.
        report: what cleaning did.
        training_texts: texts that are trained on.
        training_tokens: of all these together, eos counted.
    """

    def __init__(self, run: RunDirectory, config: PretrainingConfig, prepared: Mapping[str, Any]) -> None:
        self.tokenizer = load_tokenizer(run, TEXT)
        store, self._validation_store = (TokenStore.open(run.data_path / f"{part}.text") for part in ("train", "valid"))
        parts = [training_part(run.data_path, self.tokenizer, store)]
        super().__init__(run, config, prepared, parts, longest=[_LONGEST])
        self.report = TextCleaningReport.read_from(run.data_path)
        self.training_texts = len(self)
        self.training_tokens = int(store.lengths.sum(dtype=np.int64))
        self._windows: tuple[TokenStore, TextWindows] | None = None

    def arrays(self, batch: Batch, epoch: int) -> npt.NDArray[np.int32]:
        """The windows of one of an epoch's batches, int32[batch, length]; rows that fill up a short batch hold pad.

        Args:
            batch: from `batches(epoch)`.
            epoch: the same epoch.
        """
        (store,) = self._stores.of(epoch)
        if self._windows is None or self._windows[0] is not store:
            self._windows = (store, self._windows_on(store))
        return self._windows[1].rows(batch)

    def validation_batches(self) -> list[npt.NDArray[np.int32]]:
        """All validation windows, int32[batch, length] each, longest first, in few shapes; never sampled."""
        windows = self._windows_on(self._validation_store)
        batches = self._validation_batches([self._validation_store])
        return [windows.rows(batch) for batch in batches]

    def _lengths(self, stores: Sequence[TokenStore]) -> Lengths:
        """int32[windows, 1]: tokens of each window."""
        return self._windows_on(stores[0]).table()

    def _windows_on(self, store: TokenStore) -> TextWindows:
        return TextWindows(store, self._batching.max_length, self.special_ids)


def _check_corpus(config: PretrainingConfig) -> None:
    """Checks, before any work, that text is named, and that all files can be read."""
    _named(config.corpus.text)
    require_readable({role: path for role, path in config.corpus.files.items() if not os.path.isdir(path)})


def _make(config: PretrainingConfig, making: Making) -> Made:
    """Cleans, splits and tokenizes the text."""
    folder, notify = making.folder, making.notify
    report = TextCleaningReport()
    _write_texts(config, folder, report, notify)
    tokenizer = learn_vocabulary(text_path(folder, "train"), config.tokenization, config.seed, making.choices, notify)
    making.write_tokenizers({TEXT: tokenizer})
    training, validation = (_write_store(folder, part, tokenizer) for part in ("train", "valid"))
    plan = _choose_plan(config, training, tokenizer, making.choices)
    return Made(report, plan, len(training), len(validation))


def _write_store(folder: Path, part: str, tokenizer: Tokenizer) -> TokenStore:
    ids = encoded_ids(tokenizer, read_lines(text_path(folder, part)))
    return TokenStore.write(folder / f"{part}.text", ids, vocabulary_size=tokenizer.vocabulary_size)


def _write_texts(config: PretrainingConfig, folder: Path, report: TextCleaningReport, notify: Notify) -> None:
    """Writes train.text.txt and valid.text.txt."""
    text, valid = _named(config.corpus.text), config.corpus.valid_text
    held_out = HeldOutTexts()
    if valid is not None:
        with writing_lines(text_path(folder, "valid")) as write:
            for one in _read_texts(valid):
                held_out.add("validation", key_of(one.text))
                write(well_formed(one.text))
    report.of_folder = os.path.isdir(text)
    seen = HashSet()
    with writing_lines(text_path(folder, "all" if valid is None else "train")) as write:
        for cleaned in clean_texts(_read_texts(text), config.cleaning, report, held_out):
            if config.cleaning.drop_duplicates and not seen.add(cleaned.key):
                report.withdraw("duplicate", cleaned.place)
            else:
                write(cleaned.text)
    report.require_some(shown(text))
    if valid is None:
        _split(config, folder, report)
    report.tell(notify)


def _split(config: PretrainingConfig, folder: Path, report: TextCleaningReport) -> None:
    """Divides all.text.txt into train and valid; texts that differ in case and spacing alone stay together."""
    everything = text_path(folder, "all")
    try:
        split = choose_split(read_lines(everything), choose_validation_size(report.kept), config.seed)
    except InputError:
        raise CorpusError(
            f"{counted(report.kept, 'text')} cannot be split into training and validation: too few different ones; "
            "add text, or give validation text (--valid-text)",
            _named(config.corpus.text),
        ) from None
    with writing_lines(text_path(folder, "train")) as train, writing_lines(text_path(folder, "valid")) as hold_out:
        for line in read_lines(everything):
            (hold_out if split.holds_out(line) else train)(line)
    os.unlink(everything)


def _read_texts(path: str) -> Iterator[LabelledText]:
    """The lines of a file, or the files of a folder, each of which is one text; without labels."""
    number = 0
    if os.path.isdir(path):
        files = sorted(file for file in Path(path).iterdir() if file.is_file() and not file.name.startswith("."))
        for number, file in enumerate(files, start=1):
            yield LabelledText(" ".join(read_lines(file)), (), number, os.fspath(file))
    else:
        for number, line in enumerate(read_lines(path), start=1):
            yield LabelledText(line, (), number, shown(path))
    if not number:
        raise CorpusError(
            "is empty; expected a file, one text a line, or a folder with a file for each text", shown(path)
        )


def _choose_plan(
    config: PretrainingConfig, store: TokenStore, tokenizer: Tokenizer, choices: dict[str, int]
) -> BatchPlan:
    longest, tokens = config.batching.max_length, int(store.lengths.sum(dtype=np.int64))
    windows = TextWindows(store, longest, special_ids_of(tokenizer))
    budget = partial(choose_token_budget, tokens, tokenizer.vocabulary_size, longest=longest)
    plan = choose_plan(config, windows.table(), choices, budget)
    if config.tokenization.sampling:
        # A text that is cut finer can fill a whole window; that there is room for one shows now, not in some epoch.
        plan.with_lengths(np.array([[longest]], dtype=np.int32))
    return plan


def _named(text: str | None) -> str:
    if text is None:
        raise ConfigurationError(
            "corpus.text is not set; expected a file, one text a line, a folder of text files, or - for standard "
            "input; set it with --text"
        )
    return text
