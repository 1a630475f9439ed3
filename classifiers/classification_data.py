"""The prepared data of a run as arrays: training batches of every epoch, validation batches and texts.

`classifiers.data` writes what is read here. The store of a text holds its pieces and then eos, so an empty text is eos
alone; the store of its labels holds their numbers, see `classifiers.labels`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from classifiers.cleaning import TextCleaningReport
from classifiers.labels import LabelInventory
from classifiers.parts import text_path
from textseq.batching import Batch, BatchPlan, validation_batches
from textseq.corpus import read_lines
from textseq.run_directory import RunDirectory
from textseq.special_ids import SpecialIds, special_ids_of
from textseq.token_sampling import SampledStores, TextPart, lengths_of
from textseq.token_store import TokenStore
from textseq.tokenization import Tokenizer

if TYPE_CHECKING:
    from classifiers.config import Config

LABELS = "labels.json"


class ClassificationBatch(NamedTuple):
    """One batch as the model takes it; all int32.

    A short batch is filled up with rows of no text: just eos, no label, not present.

    Attributes:
        token_ids: int32[batch, length], each row ends in eos and is right-padded with pad.
        targets: int32[batch, classes], 1 for each label of the text, else 0.
        present: int32[batch], 1 for a text, 0 for a row that fills up.
    """

    token_ids: npt.NDArray[np.int32]
    targets: npt.NDArray[np.int32]
    present: npt.NDArray[np.int32]


class ClassificationData:
    """A run's prepared data; made by `classifiers.data.prepare_data`.

    Training batches are a pure function of the prepared data, the seed and the epoch. With subword sampling, each
    epoch's ids are drawn anew, see `textseq.token_sampling.SampledStores`.

    Args:
        run: where the data are.
        config: its seed, tokenization and batching.
        prepared: the content of the run's data/prepared.json.
        report: what cleaning did.

    Attributes:
        tokenizer: of the text.
        special_ids: its pad, unk, bos and eos.
        labels: what the outputs of the model stand for.
        report: what cleaning did.
        training_texts: texts that are trained on.
        plan: the shapes of all epochs; with subword sampling, each epoch lays its own lengths on them.
        choices: what was chosen from the corpus, by its key in the configuration, such as
            {"tokenization.vocabulary_size": 2400}; keys that the user had set are absent.
    """

    def __init__(
        self, run: RunDirectory, config: Config, prepared: Mapping[str, Any], report: TextCleaningReport
    ) -> None:
        self.choices: dict[str, int] = dict(prepared["choices"])
        budget = config.batching.token_budget or self.choices["batching.token_budget"]
        batching = config.batching.model_copy(update={"token_budget": budget})
        self.tokenizer = load_tokenizer(run)
        self.special_ids = special_ids_of(self.tokenizer)
        self.labels = LabelInventory.from_dict(json.loads((run.data_path / LABELS).read_text(encoding="utf-8")))
        self.report = report
        self._folder = run.data_path
        self._seed = config.seed
        self._texts, self._validation_texts = (TokenStore.open(self._folder / f"{part}.text") for part in _PARTS)
        self._targets, self._validation_targets = (TokenStore.open(self._folder / f"{part}.labels") for part in _PARTS)
        self.training_texts = len(self._texts)
        self.plan = BatchPlan(
            lengths_of([self._texts]), batching, shapes=[tuple(shape) for shape in prepared["shapes"]]
        )
        self._token_budget = budget
        text = training_part(self._folder, self.tokenizer, self._texts)
        longest = self.plan.shapes[-1][1]
        amount = config.tokenization.sampling
        self._epochs = SampledStores(self._folder, [text], amount, config.seed, [longest])

    def batches(self, epoch: int, *, shard: int = 0, shards: int = 1) -> list[Batch]:
        """The batches of one epoch in their order; with subword sampling, the epoch's ids are drawn first.

        Args:
            epoch: its number, from 0.
            shard: which part of the rows, see `BatchPlan.epoch`.
            shards: processes among which each batch is divided.

        Raises:
            OutputError: the epoch's ids cannot be written.
        """
        return self._epochs.plan_of(epoch, self.plan).epoch(self._seed, epoch, shard=shard, shards=shards)

    def arrays(self, batch: Batch, epoch: int) -> ClassificationBatch:
        """The arrays of one of an epoch's batches.

        Args:
            batch: from `batches(epoch)`.
            epoch: the same epoch.
        """
        (texts,) = self._epochs.of(epoch)
        return self._assemble(texts, self._targets, batch)

    def validation_batches(self) -> list[ClassificationBatch]:
        """All validation texts as arrays, longest first, in few shapes; never sampled."""
        batches = validation_batches(self._validation_texts.lengths, self._token_budget)
        return [self._assemble(self._validation_texts, self._validation_targets, batch) for batch in batches]

    def validation_texts(self) -> tuple[list[str], npt.NDArray[np.int32]]:
        """The validation texts, and their targets int32[texts, classes], in the order of their file."""
        targets = self.labels.multi_hot([numbers.tolist() for numbers in self._validation_targets])
        return list(read_lines(text_path(self._folder, "valid"))), targets

    def _assemble(self, texts: TokenStore, targets: TokenStore, batch: Batch) -> ClassificationBatch:
        batch_size, length = batch.shape
        rows = len(batch.indices)
        token_ids = _empty_rows(batch_size, length, self.special_ids)
        token_ids[:rows] = texts.padded(batch.indices, length, self.special_ids.pad_id)
        multi_hot = np.zeros((batch_size, len(self.labels)), dtype=np.int32)
        multi_hot[:rows] = self.labels.multi_hot([targets[int(index)].tolist() for index in batch.indices])
        present = (np.arange(batch_size) < rows).astype(np.int32)
        return ClassificationBatch(token_ids, multi_hot, present)


_PARTS = ("train", "valid")


def load_tokenizer(run: RunDirectory) -> Tokenizer:
    """The tokenizer of a run.

    Raises:
        RunDirectoryError: the model is missing or damaged.
    """
    return Tokenizer.load(tokenizer_path(run.tokenizer_path))


def tokenizer_path(folder: Path) -> Path:
    """Where the tokenizer stands."""
    return folder / "text.model"


def training_part(folder: Path, tokenizer: Tokenizer, plain: TokenStore) -> TextPart:
    """The training text as epochs of sampled subwords draw from it."""
    return TextPart("text", tokenizer, text_path(folder, "train"), plain)


def _empty_rows(batch_size: int, length: int, special: SpecialIds) -> npt.NDArray[np.int32]:
    """int32[batch, length]: rows of eos alone."""
    rows = np.full((batch_size, length), special.pad_id, dtype=np.int32)
    rows[:, 0] = special.eos_id
    return rows
