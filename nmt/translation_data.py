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

from textseq.batching import Batch, BatchPlan, validation_batches
from textseq.cleaning import CleaningReport, PairCleaningReport
from textseq.corpus import read_lines
from textseq.run_directory import RunDirectory
from textseq.special_ids import SpecialIds, special_ids_of
from textseq.token_sampling import SampledStores, TextPart, lengths_of
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


class TranslationData:
    """A run's prepared data; made by `nmt.data.prepare_data`.

    Training batches are a pure function of the prepared data, the seed and the epoch. With subword sampling, each
    epoch's ids are drawn anew, see `textseq.token_sampling.SampledStores`.

    Args:
        run: where the data are.
        config: its seed, tokenization and batching.
        prepared: the content of the run's data/prepared.json.
        report: what cleaning did.

    Attributes:
        source_tokenizer: of the source side.
        target_tokenizer: of the target side, the same object where the vocabulary is joint.
        joint: whether both sides share one vocabulary.
        special_ids: pad, unk, bos and eos, the same for both sides.
        report: what cleaning did.
        training_pairs: pairs that are trained on.
        plan: the shapes of all epochs; with subword sampling, each epoch lays its own lengths on them.
        choices: what was chosen from the corpus, by its key in the configuration, such as
            {"tokenization.vocabulary_size": 6400}; keys that the user had set are absent.
    """

    def __init__(self, run: RunDirectory, config: Config, prepared: Mapping[str, Any], report: CleaningReport) -> None:
        self.choices: dict[str, int] = dict(prepared["choices"])
        budget = config.batching.token_budget or self.choices["batching.token_budget"]
        batching = config.batching.model_copy(update={"token_budget": budget})
        self.joint: bool = config.tokenization.joint
        self.source_tokenizer, self.target_tokenizer = load_tokenizers(run, self.joint)
        self.special_ids = special_ids_of(self.target_tokenizer)
        self.report = report
        self._folder = run.data_path
        self._seed = config.seed
        parts = training_parts(self._folder, (self.source_tokenizer, self.target_tokenizer))
        self._validation_stores = open_stores(self._folder, "valid")
        self.training_pairs = len(parts[0].plain)
        lengths = lengths_of([part.plain for part in parts])
        self.plan = BatchPlan(lengths, batching, shapes=[tuple(shape) for shape in prepared["shapes"]])
        self._token_budget = budget
        longest = self.plan.shapes[-1][1:]
        self._stores = SampledStores(self._folder, parts, config.tokenization.sampling, config.seed, longest)

    def batches(self, epoch: int, *, shard: int = 0, shards: int = 1) -> list[Batch]:
        """The batches of one epoch in their order; with subword sampling, the epoch's ids are drawn first.

        Args:
            epoch: its number, from 0.
            shard: which part of the rows, see `BatchPlan.epoch`.
            shards: processes among which each batch is divided.

        Raises:
            OutputError: the epoch's ids cannot be written.
        """
        return self._stores.plan_of(epoch, self.plan).epoch(self._seed, epoch, shard=shard, shards=shards)

    def arrays(self, batch: Batch, epoch: int) -> TranslationBatch:
        """The arrays of one of an epoch's batches.

        Args:
            batch: from `batches(epoch)`.
            epoch: the same epoch.
        """
        return _assemble(self._stores.of(epoch), batch, self.special_ids)

    def validation_batches(self) -> list[TranslationBatch]:
        """All validation pairs as arrays, longest first, in few shapes; never sampled."""
        batches = validation_batches(lengths_of(self._validation_stores), self._token_budget)
        return [_assemble(self._validation_stores, batch, self.special_ids) for batch in batches]

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
        tokenizer = Tokenizer.load(tokenizer_path(run.tokenizer_path, "joint"))
        return tokenizer, tokenizer
    source, target = (Tokenizer.load(tokenizer_path(run.tokenizer_path, side)) for side in SIDES)
    return source, target


def tokenizer_path(folder: Path, name: str) -> Path:
    """Where a tokenizer stands: name is joint, source or target."""
    return folder / f"{name}.model"


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
    source_ids = np.full((batch_size, source_length), special.pad_id, dtype=np.int32)
    source_ids[:, 0] = special.eos_id
    source_ids[:rows] = stores[0].padded(batch.indices, source_length, special.pad_id)
    label_ids = np.full((batch_size, target_length), special.pad_id, dtype=np.int32)
    label_ids[:rows] = stores[1].padded(batch.indices, target_length, special.pad_id)
    lengths = np.ones(batch_size, dtype=np.int32)
    lengths[:rows] = stores[1].lengths[batch.indices]
    input_ids = np.empty_like(label_ids)
    input_ids[:, 0] = special.bos_id
    input_ids[:, 1:] = label_ids[:, :-1]
    input_ids[np.arange(target_length) >= lengths[:, None]] = special.pad_id  # the shifted eos
    return TranslationBatch(source_ids, input_ids, label_ids)
