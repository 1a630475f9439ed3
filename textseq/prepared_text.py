"""The prepared text of a run as the batches of every epoch; a task's own data add the arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textseq.batching import Batch, BatchPlan, validation_batches
from textseq.configuration import Configuration
from textseq.run_directory import RunDirectory
from textseq.special_ids import special_ids_of
from textseq.token_sampling import SampledStores, TextPart, lengths_of
from textseq.token_store import TokenStore


class PreparedText:
    """Base of a task's prepared data, where an example is one line of each of its texts.

    Training batches are a pure function of the prepared data, the seed and the epoch. With subword sampling, each
    epoch's ids are drawn anew, see `textseq.token_sampling.SampledStores`. `len` is the number of examples that are
    trained on.

    Args:
        run: where the data are.
        config: its seed, tokenization and batching.
        prepared: the content of the run's data/prepared.json.
        parts: the training text, equally long.

    Attributes:
        special_ids: pad, unk, bos and eos, the same for all parts.
        plan: the shapes of all epochs; with subword sampling, each epoch lays its own lengths on them.
        choices: what was chosen from the corpus, by its key in the configuration, such as
            {"tokenization.vocabulary_size": 6400}; keys that the user had set are absent.
    """

    def __init__(
        self, run: RunDirectory, config: Configuration, prepared: Mapping[str, Any], parts: Sequence[TextPart]
    ) -> None:
        self.choices: dict[str, int] = dict(prepared["choices"])
        resolved: Any = config.with_choices(self.choices)
        self.special_ids = special_ids_of(parts[-1].tokenizer)
        self._folder = run.data_path
        self._seed: int = resolved.seed
        self._token_budget: int = resolved.batching.token_budget
        plain = [part.plain for part in parts]
        self._examples = len(plain[0])
        shapes = [tuple(shape) for shape in prepared["shapes"]]
        self.plan = BatchPlan(lengths_of(plain), resolved.batching, shapes=shapes)
        longest = self.plan.shapes[-1][1:]
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
        return self._stores.plan_of(epoch, self.plan).epoch(self._seed, epoch, shard=shard, shards=shards)

    def _validation_batches(self, stores: Sequence[TokenStore]) -> list[Batch]:
        """All examples of the validation part, longest first, in few shapes."""
        return validation_batches(lengths_of(stores), self._token_budget)
