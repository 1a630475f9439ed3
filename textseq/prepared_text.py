"""The prepared text of a run as the batches of every epoch; a task's own data add the arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from textseq.batching import Batch, BatchPlan, Lengths, validation_batches
from textseq.batching_config import BatchingConfig
from textseq.configuration import Configuration
from textseq.run_directory import RunDirectory
from textseq.special_ids import SpecialIds, special_ids_of
from textseq.token_sampling import SampledStores, TextPart, lengths_of
from textseq.token_store import TokenStore


class PreparedText:
    """Base of a task's prepared data, where an example is one line of each of its texts.

    A batch is made of examples, unless a task says otherwise by `_lengths`.

    Training batches are a pure function of the prepared data, the seed and the epoch. With subword sampling, each
    epoch's ids are drawn anew, see `textseq.token_sampling.SampledStores`. `len` is the number of examples that are
    trained on.

    Args:
        run: where the data are.
        config: its seed, tokenization and batching.
        prepared: the content of the run's data/prepared.json.
        parts: the training text, equally long.
        longest: for each part, most tokens that an epoch may draw for one line; the longest batch's if None.

    Attributes:
        special_ids: pad, unk, bos and eos, the same for all parts.
        plan: the shapes of all epochs; with subword sampling, each epoch lays its own lengths on them.
        choices: what was chosen from the corpus, by its key in the configuration, such as
            {"tokenization.vocabulary_size": 6400}; keys that the user had set are absent.
    """

    def __init__(
        self,
        run: RunDirectory,
        config: Configuration,
        prepared: Mapping[str, Any],
        parts: Sequence[TextPart],
        *,
        longest: Sequence[int] | None = None,
    ) -> None:
        self.choices: dict[str, int] = dict(prepared["choices"])
        resolved: Any = config.with_choices(self.choices)
        self.special_ids = special_ids_of(parts[-1].tokenizer)
        self._folder = run.data_path
        self._seed: int = resolved.seed
        self._batching: BatchingConfig = resolved.batching
        plain = [part.plain for part in parts]
        self._examples = len(plain[0])
        shapes = [tuple(shape) for shape in prepared["shapes"]]
        self.plan = BatchPlan(self._lengths(plain), self._batching, shapes=shapes)
        longest = self.plan.shapes[-1][1:] if longest is None else longest
        self._stores = SampledStores(self._folder, parts, resolved.tokenization.sampling, self._seed, longest)

    def __len__(self) -> int:
        """Examples that are trained on."""
        return self._examples

    def batches(self, epoch: int, *, shard: int = 0, shards: int = 1) -> list[Batch]:
        """The batches of one epoch in their order; with subword sampling, the epoch's ids are drawn first.

        Args:
            epoch: its number, from 0.
            shard: which part of the rows, see `BatchPlan.epoch`.
            shards: processes among which each batch is divided.

        Raises:
            OutputError: the epoch's ids cannot be written.
        """
        plan = self._stores.plan_of(epoch, self.plan, self._lengths)
        return plan.epoch(self._seed, epoch, shard=shard, shards=shards)

    def _lengths(self, stores: Sequence[TokenStore]) -> Lengths:
        """int32[rows, parts]: tokens of each row of the batches that are made of these stores."""
        return lengths_of(stores)

    def _validation_batches(self, stores: Sequence[TokenStore]) -> list[Batch]:
        """All examples of the validation part, longest first, in few shapes."""
        return validation_batches(self._lengths(stores), self._batching.token_budget or 0)


def padded_rows(store: TokenStore, batch: Batch, length: int, special_ids: SpecialIds) -> npt.NDArray[np.int32]:
    """The sequences of a batch side by side, int32[batch, length], right-padded with pad.

    Rows that fill up a short batch hold eos alone, as the row of an empty text does.

    Args:
        store: the sequences, each ending in eos.
        batch: which of them.
        length: columns; none of them may be longer.
        special_ids: pad and eos are used.
    """
    rows = np.full((batch.shape[0], length), special_ids.pad_id, dtype=np.int32)
    rows[:, 0] = special_ids.eos_id
    rows[: len(batch.indices)] = store.padded(batch.indices, length, special_ids.pad_id)
    return rows
