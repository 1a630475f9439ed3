"""Ids of training text: as the tokenizer cuts it, and as each epoch of subword sampling draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from textseq.batching import BatchPlan, Lengths
from textseq.corpus import hash_texts, read_lines
from textseq.token_store import TokenStore
from textseq.tokenization import Tokenizer

# Also the unit of subword sampling: other numbers give other draws, and an old run would not resume bit for bit.
_LINES_AT_ONCE = 8192
# Whole documents can be long; this bounds memory, at some 40 bytes a token. Lines of 1,000 characters never reach it.
_CHARACTERS_AT_ONCE = 1 << 23


@dataclass(frozen=True)
class TextPart:
    """A text that is trained on, with its ids.

    Attributes:
        name: such as "source"; two parts draw apart, also where they share a vocabulary.
        tokenizer: of this text.
        path: the text, one line for each sequence of the store.
        plain: its ids without sampling, each ending in eos.
    """

    name: str
    tokenizer: Tokenizer
    path: Path
    plain: TokenStore


class SampledStores:
    """The token stores of one epoch after the other.

    With subword sampling, each epoch's ids are drawn into stores of their own, and those of the epoch before go;
    asking for one epoch after the other is cheap, going back and forth draws anew each time. Without, every epoch has
    the plain ids.

    Args:
        folder: receives the drawn stores, as sampled-EPOCH.NAME.ids.
        parts: the texts, equally long.
        amount: see `TokenizationConfig.sampling`; 0: off.
        seed: of the run; with the epoch it decides what is drawn.
        longest: for each part, most tokens of a sequence, eos counted; one that would be longer keeps its plain ids.
    """

    def __init__(
        self, folder: Path, parts: Sequence[TextPart], amount: float, seed: int, longest: Sequence[int]
    ) -> None:
        self._folder = folder
        self._parts = tuple(parts)
        self._amount = amount
        self._seed = seed
        self._longest = tuple(longest)
        self._plain = tuple(part.plain for part in parts)
        self._drawn: tuple[int, tuple[TokenStore, ...]] | None = None

    def of(self, epoch: int) -> tuple[TokenStore, ...]:
        """The stores of an epoch, in the order of the parts.

        Raises:
            OutputError: they cannot be written.
        """
        if not self._amount:
            return self._plain
        if self._drawn is None or self._drawn[0] != epoch:
            self._drawn = (epoch, self._draw(epoch))
        return self._drawn[1]

    def plan_of(
        self, epoch: int, plan: BatchPlan, lengths: Callable[[Sequence[TokenStore]], Lengths] | None = None
    ) -> BatchPlan:
        """A plan for the lengths that an epoch has.

        Args:
            epoch: its number, from 0.
            plan: for the plain ids.
            lengths: of what the batches are made of, if that is not one sequence of each store.
        """
        return plan.with_lengths((lengths or lengths_of)(self.of(epoch))) if self._amount else plan

    def _draw(self, epoch: int) -> tuple[TokenStore, ...]:
        """Writes the ids of one epoch, and removes those of every other."""
        stores = []
        for part, longest in zip(self._parts, self._longest, strict=True):
            ids = sampled_ids(part, self._amount, longest, seed=self._seed, epoch=epoch)
            prefix = self._folder / f"sampled-{epoch}.{part.name}"
            stores.append(TokenStore.write(prefix, ids, vocabulary_size=part.tokenizer.vocabulary_size))
        for path in self._folder.glob("sampled-*.ids"):
            if path not in (store.path for store in stores):
                path.unlink(missing_ok=True)
        return tuple(stores)


def lengths_of(stores: Sequence[TokenStore]) -> npt.NDArray[np.int32]:
    """int32[sequences, stores]: tokens of each, eos counted."""
    return np.stack([store.lengths for store in stores], axis=1)


def sampled_lengths(parts: Sequence[TextPart], amount: float, longest: int, *, seed: int) -> npt.NDArray[np.int32]:
    """int32[sequences, parts]: tokens of each as the first epoch draws them, to choose the shapes of batches by.

    Every sequence can fall back on its plain ids, so the shapes have room for these as well.

    Args:
        parts: the texts, equally long.
        amount: see `TokenizationConfig.sampling`.
        longest: most tokens of a sequence, eos counted.
        seed: of the run.
    """
    plain = lengths_of([part.plain for part in parts])
    drawn = [sampled_ids(part, amount, longest, seed=seed, epoch=0) for part in parts]
    columns = [np.fromiter(map(len, ids), dtype=np.int32, count=len(plain)) for ids in drawn]
    lengths = np.stack(columns, axis=1)
    return np.where(plain > lengths.max(axis=0), plain, lengths)


def sampled_ids(part: TextPart, amount: float, longest: int, *, seed: int, epoch: int) -> Iterator[list[int]]:
    """Streams the ids of a text as one epoch draws them, each ending in eos.

    Args:
        part: the text; its name takes part in the draw.
        amount: see `TokenizationConfig.sampling`.
        longest: most tokens of a sequence, eos counted; one that would be longer keeps its plain ids.
        seed: of the run.
        epoch: its number, from 0.
    """
    number = 0
    for chunk, texts in enumerate(_chunks(read_lines(part.path))):
        chunk_seed = hash_texts("subwords", str(epoch), part.name, str(chunk), seed=seed)
        for ids in part.tokenizer.sample(texts, amount=amount, seed=chunk_seed):
            ids.append(part.tokenizer.eos_id)
            yield ids if len(ids) <= longest else part.plain[number].tolist()
            number += 1


def encoded_ids(tokenizer: Tokenizer, lines: Iterable[str]) -> Iterator[list[int]]:
    """Streams the ids of each line, ending in eos."""
    for texts in _chunks(lines):
        for ids in tokenizer.encode(texts):
            ids.append(tokenizer.eos_id)
            yield ids


class Shortening:
    """Cuts sequences that are too long, and counts them.

    Args:
        longest: most tokens of a sequence, eos counted; a longer one keeps its first tokens, and eos.

    Attributes:
        cut: sequences that were cut.
    """

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.cut = 0

    def shortened(self, sequences: Iterable[list[int]]) -> Iterator[list[int]]:
        """Streams the sequences, cut where they have to be."""
        for ids in sequences:
            self.cut += len(ids) > self.longest
            yield ids if len(ids) <= self.longest else [*ids[: self.longest - 1], ids[-1]]


def _chunks(lines: Iterable[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    characters = 0
    for line in lines:
        if len(chunk) == _LINES_AT_ONCE or (chunk and characters + len(line) > _CHARACTERS_AT_ONCE):
            yield chunk
            chunk, characters = [], 0
        chunk.append(line)
        characters += len(line)
    if chunk:
        yield chunk
