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
from textseq.batching import Batch
from textseq.corpus import read_lines
from textseq.preparation import load_tokenizer
from textseq.prepared_text import PreparedText, padded_rows
from textseq.run_directory import RunDirectory
from textseq.token_sampling import TextPart
from textseq.token_store import TokenStore
from textseq.tokenization import Tokenizer

if TYPE_CHECKING:
    from classifiers.config import Config

LABELS = "labels.json"
TEXT = "text"
"""Of the one text of a run: the name of its tokenizer, and the one that its draws of subwords go by."""

_PARTS = ("train", "valid")


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


class ClassificationData(PreparedText):
    """A run's prepared data; made by `classifiers.data.prepare_data`.

    Args:
        run: where the data are.
        config: its seed, tokenization and batching.
        prepared: the content of the run's data/prepared.json.

    Attributes:
        tokenizer: of the text.
        labels: what the outputs of the model stand for.
        report: what cleaning did.
        training_texts: texts that are trained on.
    """

    def __init__(self, run: RunDirectory, config: Config, prepared: Mapping[str, Any]) -> None:
        folder = run.data_path
        self.tokenizer = load_tokenizer(run, TEXT)
        texts, self._validation_texts = (TokenStore.open(folder / f"{part}.text") for part in _PARTS)
        self._targets, self._validation_targets = (TokenStore.open(folder / f"{part}.labels") for part in _PARTS)
        super().__init__(run, config, prepared, [training_part(folder, self.tokenizer, texts)])
        self.labels = LabelInventory.from_dict(json.loads((folder / LABELS).read_text(encoding="utf-8")))
        self.report = TextCleaningReport.read_from(folder)
        self.training_texts = len(self)

    def arrays(self, batch: Batch, epoch: int) -> ClassificationBatch:
        """The arrays of one of an epoch's batches.

        Args:
            batch: from `batches(epoch)`.
            epoch: the same epoch.
        """
        (texts,) = self._stores.of(epoch)
        return self._assemble(texts, self._targets, batch)

    def validation_batches(self) -> list[ClassificationBatch]:
        """All validation texts as arrays, longest first, in few shapes; never sampled."""
        texts, targets = self._validation_texts, self._validation_targets
        return [self._assemble(texts, targets, batch) for batch in self._validation_batches([texts])]

    def validation_texts(self) -> tuple[list[str], npt.NDArray[np.int32]]:
        """The validation texts, and their targets int32[texts, classes], in the order of their file."""
        targets = self.labels.multi_hot([numbers.tolist() for numbers in self._validation_targets])
        return list(read_lines(text_path(self._folder, "valid"))), targets

    def _assemble(self, texts: TokenStore, targets: TokenStore, batch: Batch) -> ClassificationBatch:
        batch_size, length = batch.shape
        rows = len(batch.indices)
        token_ids = padded_rows(texts, batch, length, self.special_ids)
        multi_hot = np.zeros((batch_size, len(self.labels)), dtype=np.int32)
        multi_hot[:rows] = self.labels.multi_hot([targets[int(index)].tolist() for index in batch.indices])
        present = (np.arange(batch_size) < rows).astype(np.int32)
        return ClassificationBatch(token_ids, multi_hot, present)


def training_part(folder: Path, tokenizer: Tokenizer, plain: TokenStore) -> TextPart:
    """The training text as epochs of sampled subwords draw from it."""
    return TextPart(TEXT, tokenizer, text_path(folder, "train"), plain)
