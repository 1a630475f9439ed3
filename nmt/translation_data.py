"""The prepared data of a run as arrays: training batches of every epoch, validation batches and texts.

`nmt.data` writes what is read here. The stores hold every side with its eos and without bos, so that a sequence's
length is its length in the batch, on the source side, as decoder input and as label alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from textseq.batching import Batch, BatchPlan, inference_batches
from textseq.cleaning import REASONS, CleaningReport
from textseq.corpus import hash_texts, read_lines
from textseq.run_directory import RunDirectory
from textseq.special_ids import SpecialIds, special_ids_of
from textseq.token_store import TokenStore
from textseq.tokenization import Tokenizer

if TYPE_CHECKING:
    from nmt.config import Config

SIDES = ("source", "target")
TOO_MANY_TOKENS = "too_many_tokens"
# Also the unit of subword sampling: another number gives other draws, and an old run would not resume bit for bit.
_LINES_AT_ONCE = 8192
# Few shapes matter more than little padding where each of them is compiled and then used a few times an epoch.
_VALIDATION_GROWTH = 1.5


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
class PreparationReport(CleaningReport):
    """What cleaning and the limit of tokens did to a corpus; `removed` has the reason "too_many_tokens" as well."""

    def __post_init__(self) -> None:
        self.removed.setdefault(TOO_MANY_TOKENS, 0)
        self.first_lines.setdefault(TOO_MANY_TOKENS, [])

    def withdraw(self, reason: str, line: int) -> None:
        """Counts a pair as removed that was counted as kept before."""
        self.kept -= 1
        self.remove(reason, line)

    def rows(self) -> list[tuple[str, int, str]]:
        """The table of `CleaningReport.rows`, with pairs of too many tokens before those kept."""
        rows = super().rows()
        row = ("removed: too many tokens", self.removed[TOO_MANY_TOKENS], self._places(TOO_MANY_TOKENS))
        return [*rows[: 1 + len(REASONS)], row, *rows[1 + len(REASONS) :]]


class TranslationData:
    """A run's prepared data; made by `nmt.data.prepare_data`.

    Training batches are a pure function of the prepared data, the seed and the epoch. With subword sampling, each
    epoch's ids are drawn into a token store of their own, and the store of the epoch before goes; asking for one
    epoch after the other is cheap, going back and forth draws anew each time.

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
        self._sampling = config.tokenization.sampling
        self._stores = open_stores(self._folder, "train")
        self._validation_stores = open_stores(self._folder, "valid")
        self.training_pairs = len(self._stores[0])
        self.plan = BatchPlan(lengths_of(self._stores), batching, shapes=[tuple(shape) for shape in prepared["shapes"]])
        self._token_budget = budget
        self._drawn: tuple[int, tuple[TokenStore, TokenStore]] | None = None

    def batches(self, epoch: int, *, shard: int = 0, shards: int = 1) -> list[Batch]:
        """The batches of one epoch in their order; with subword sampling, the epoch's ids are drawn first.

        Args:
            epoch: its number, from 0.
            shard: which part of the rows, see `BatchPlan.epoch`.
            shards: processes among which each batch is divided.

        Raises:
            OutputError: the epoch's ids cannot be written.
        """
        plan = self.plan.with_lengths(lengths_of(self._stores_of(epoch))) if self._sampling else self.plan
        return plan.epoch(self._seed, epoch, shard=shard, shards=shards)

    def arrays(self, batch: Batch, epoch: int) -> TranslationBatch:
        """The arrays of one of an epoch's batches.

        Args:
            batch: from `batches(epoch)`.
            epoch: the same epoch.
        """
        return _assemble(self._stores_of(epoch), batch, self.special_ids)

    def validation_batches(self) -> list[TranslationBatch]:
        """All validation pairs as arrays, longest first, in few shapes; never sampled."""
        lengths = lengths_of(self._validation_stores)
        budget = max(self._token_budget, 2 * int(lengths.max()))
        batches = inference_batches(lengths, budget, growth=_VALIDATION_GROWTH)
        return [_assemble(self._validation_stores, batch, self.special_ids) for batch in batches]

    def validation_texts(self) -> tuple[list[str], list[str]]:
        """The validation pairs as text, sources and references, in the order of their files."""
        sources, references = (list(read_lines(text_path(self._folder, "valid", side))) for side in SIDES)
        return sources, references

    def _stores_of(self, epoch: int) -> tuple[TokenStore, TokenStore]:
        if not self._sampling:
            return self._stores
        if self._drawn is None or self._drawn[0] != epoch:
            self._drawn = (epoch, self._draw(epoch))
        return self._drawn[1]

    def _draw(self, epoch: int) -> tuple[TokenStore, TokenStore]:
        """Writes the ids of one epoch, and removes those of every other."""
        stores = []
        tokenizers = (self.source_tokenizer, self.target_tokenizer)
        for index, (side, tokenizer, plain) in enumerate(zip(SIDES, tokenizers, self._stores, strict=True)):
            longest = self.plan.shapes[-1][1 + index]
            ids = sampled_ids(tokenizer, self._folder, side, plain, self._sampling, (self._seed, epoch), longest)
            prefix = self._folder / f"sampled-{epoch}.{side}"
            stores.append(TokenStore.write(prefix, ids, vocabulary_size=tokenizer.vocabulary_size))
        for path in self._folder.glob("sampled-*.ids"):
            if path not in (store.path for store in stores):
                path.unlink(missing_ok=True)
        return stores[0], stores[1]


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


def lengths_of(stores: tuple[TokenStore, TokenStore]) -> npt.NDArray[np.int32]:
    """int32[pairs, 2]: tokens of each side, eos counted."""
    return np.stack([store.lengths for store in stores], axis=1)


def encoded_ids(tokenizer: Tokenizer, lines: Iterable[str]) -> Iterator[list[int]]:
    """Streams the ids of each line, ending in eos."""
    for texts in _chunks(lines):
        for ids in tokenizer.encode(texts):
            ids.append(tokenizer.eos_id)
            yield ids


def sampled_ids(
    tokenizer: Tokenizer,
    folder: Path,
    side: str,
    plain: TokenStore,
    amount: float,
    draw: tuple[int, int],
    longest: int,
) -> Iterator[list[int]]:
    """Streams the training ids of one side as one epoch draws them, each ending in eos.

    Args:
        tokenizer: of this side.
        folder: where the training text stands.
        side: "source" or "target"; the sides draw apart, also where they share a vocabulary.
        plain: the ids without sampling; a sentence that would be longer than `longest` keeps these.
        amount: see `TokenizationConfig.sampling`.
        draw: the run's seed and the epoch.
        longest: most tokens of a sentence, eos counted.
    """
    seed, epoch = draw
    number = 0
    for chunk, texts in enumerate(_chunks(read_lines(text_path(folder, "train", side)))):
        chunk_seed = hash_texts("subwords", str(epoch), side, str(chunk), seed=seed)
        for ids in tokenizer.sample(texts, amount=amount, seed=chunk_seed):
            ids.append(tokenizer.eos_id)
            yield ids if len(ids) <= longest else plain[number].tolist()
            number += 1


def _chunks(lines: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(lines)
    for first in iterator:
        yield list(chain([first], islice(iterator, _LINES_AT_ONCE - 1)))


def _assemble(stores: tuple[TokenStore, TokenStore], batch: Batch, special: SpecialIds) -> TranslationBatch:
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
