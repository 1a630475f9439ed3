"""The prepared data of a run as arrays: training batches of every epoch, validation batches and texts.

`nmt.data` writes what is read here. The stores hold every side with its eos and without bos, so that a sequence's
length is its length in the batch, on the source side, as decoder input and as label alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from textseq.batching import Batch
from textseq.cleaning import PairCleaningReport
from textseq.corpus import read_lines
from textseq.preparation import load_tokenizer
from textseq.prepared_text import PreparedText, padded_rows
from textseq.run_directory import RunDirectory
from textseq.special_ids import SpecialIds
from textseq.token_sampling import TextPart
from textseq.token_store import TokenStore
from textseq.tokenization import Tokenizer

if TYPE_CHECKING:
    from nmt.config import Config

SIDES = ("source", "target")
TOO_MANY_TOKENS = "too_many_tokens"


class TranslationBatch(NamedTuple):
    """One batch as the model takes it; all int32, right-padded with pad.

    A short batch is filled up with rows of no sentence: source just eos, target input just bos, labels all pad, so
    that every row is legal for the model and these carry no loss.

    Attributes:
        source_ids: int32[batch, source_length], each row ends in eos.
        target_input_ids: int32[batch, target_length], each row begins with bos.
        target_label_ids: int32[batch, target_length], each row ends in eos; the label of the input above it.
    """

    source_ids: npt.NDArray[np.int32]
    target_input_ids: npt.NDArray[np.int32]
    target_label_ids: npt.NDArray[np.int32]


@dataclass
class PreparationReport(PairCleaningReport):
    """What cleaning and the limit of tokens did to a corpus."""

    REASONS: ClassVar[Mapping[str, str]] = {**PairCleaningReport.REASONS, TOO_MANY_TOKENS: "too many tokens"}


class TranslationData(PreparedText):
    """A run's prepared data; made by `nmt.data.prepare_data`.

    Args:
        run: where the data are.
        config: its seed, tokenization and batching.
        prepared: the content of the run's data/prepared.json.

    Attributes:
        source_tokenizer: of the source side.
        target_tokenizer: of the target side, the same object where the vocabulary is joint.
        joint: whether both sides share one vocabulary.
        report: what cleaning did.
        training_pairs: pairs that are trained on.
    """

    def __init__(self, run: RunDirectory, config: Config, prepared: Mapping[str, Any]) -> None:
        self.joint: bool = config.tokenization.joint
        self.source_tokenizer, self.target_tokenizer = load_tokenizers(run, self.joint)
        parts = training_parts(run.data_path, (self.source_tokenizer, self.target_tokenizer))
        super().__init__(run, config, prepared, parts)
        self.report = PreparationReport.read_from(run.data_path)
        self.training_pairs = len(self)
        self._validation_stores = open_stores(run.data_path, "valid")

    def arrays(self, batch: Batch, epoch: int) -> TranslationBatch:
        """The arrays of one of an epoch's batches.

        Args:
            batch: from `batches(epoch)`.
            epoch: the same epoch.
        """
        return _assemble(self._stores.of(epoch), batch, self.special_ids)

    def validation_batches(self) -> list[TranslationBatch]:
        """All validation pairs as arrays, longest first, in few shapes; never sampled."""
        stores = self._validation_stores
        return [_assemble(stores, batch, self.special_ids) for batch in self._validation_batches(stores)]

    def validation_texts(self) -> tuple[list[str], list[str]]:
        """The validation pairs as text, sources and references, in the order of their files."""
        sources, references = (list(read_lines(text_path(self._folder, "valid", side))) for side in SIDES)
        return sources, references


def load_tokenizers(run: RunDirectory, joint: bool) -> tuple[Tokenizer, Tokenizer]:
    """The source and the target tokenizer of a run; one and the same object where the vocabulary is joint.

    Raises:
        RunDirectoryError: a model is missing or damaged.
    """
    if joint:
        tokenizer = load_tokenizer(run, "joint")
        return tokenizer, tokenizer
    source, target = (load_tokenizer(run, side) for side in SIDES)
    return source, target


def text_path(folder: Path, part: str, side: str) -> Path:
    """Where a side of the prepared text stands: part is train or valid."""
    return folder / f"{part}.{side}.txt"


def open_stores(folder: Path, part: str) -> tuple[TokenStore, TokenStore]:
    """The token stores of both sides.

    Raises:
        RunDirectoryError: one is missing or damaged.
    """
    source, target = (TokenStore.open(folder / f"{part}.{side}") for side in SIDES)
    return source, target


def training_parts(folder: Path, tokenizers: Sequence[Tokenizer]) -> list[TextPart]:
    """Both sides of the training text with their ids.

    Raises:
        RunDirectoryError: a store is missing or damaged.
    """
    stores = open_stores(folder, "train")
    return [
        TextPart(side, tokenizer, text_path(folder, "train", side), store)
        for side, tokenizer, store in zip(SIDES, tokenizers, stores, strict=True)
    ]


def _assemble(stores: Sequence[TokenStore], batch: Batch, special: SpecialIds) -> TranslationBatch:
    batch_size, source_length, target_length = batch.shape
    rows = len(batch.indices)
    source_ids = padded_rows(stores[0], batch, source_length, special)
    label_ids = np.full((batch_size, target_length), special.pad_id, dtype=np.int32)
    label_ids[:rows] = stores[1].padded(batch.indices, target_length, special.pad_id)
    lengths = np.ones(batch_size, dtype=np.int32)
    lengths[:rows] = stores[1].lengths[batch.indices]
    input_ids = np.empty_like(label_ids)
    input_ids[:, 0] = special.bos_id
    input_ids[:, 1:] = label_ids[:, :-1]
    input_ids[np.arange(target_length) >= lengths[:, None]] = special.pad_id  # the shifted eos
    return TranslationBatch(source_ids, input_ids, label_ids)
