"""Division of a corpus into training and validation where no validation files are given.

All pairs with the same source sentence (by `sentence_key`: case, character width and extra space ignored) go to the
same side. A sentence's side hangs on its own text and the seed, not on the order of the corpus.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from textseq.corpus import Pair, hash_texts, sentence_key
from textseq.counted import counted
from textseq.errors import InputError

# Candidates beyond the number wanted, to take the place of those that repeat too often.
_SPARE_GROUPS = 64


@dataclass(frozen=True)
class Split:
    """Says of any source sentence whether it is held out for validation.

    Attributes:
        seed: which of the many splits.
        groups: 64-bit hashes of the held-out source sentences.
        pairs: how many pairs of the corpus are held out.
    """

    seed: int
    groups: frozenset[int]
    pairs: int

    def holds_out(self, source: str) -> bool:
        """True where pairs with this source belong to validation, False where they belong to training."""
        return _group(source, self.seed) in self.groups


def choose_validation_size(number_of_pairs: int) -> int:
    """How many pairs to hold out of a corpus of this size: one in twenty, 1 at least and 1,000 at most.

    Example:
        >>> choose_validation_size(5_000), choose_validation_size(1_000_000)
        (250, 1000)
    """
    return min(1000, max(1, number_of_pairs // 20))


def choose_split(sources: Iterable[str], size: int, seed: int) -> Split:
    """Chooses which source sentences to hold out, in one pass; memory grows with `size`, not with the corpus.

    The sentences are ranked by hash, and taken in that order as long as `size` pairs are not exceeded. One that repeats
    so often that it would exceed them is passed over, so the result can be short of `size` on very repetitive text.
    Where none fits, the rarest of them is held out alone.

    Args:
        sources: the source side of every pair, duplicates included.
        size: pairs to hold out, at least 1.
        seed: which of the many splits.

    Raises:
        InputError: `size` is below 1, or nothing can be held out so that something is left to train on.
    """
    if size < 1:
        raise InputError(f"validation size {size}: expected 1 or more pairs")
    counts, total = _count_smallest_groups(sources, size + _SPARE_GROUPS, seed)
    taken: list[int] = []
    pairs = 0
    for group, count in sorted(counts.items()):
        # One group always stays for training, however small the corpus.
        if pairs + count <= size and pairs + count < total:
            taken.append(group)
            pairs += count
    if not taken and counts:
        pairs, group = min((count, group) for group, count in counts.items())
        taken = [group] if 2 * pairs <= total else []
    if not taken:
        raise InputError(
            f"{counted(total, 'pair')} cannot be split into training and validation: too few different source "
            f"sentences to hold out {size:,}; give a validation text of your own"
        )
    return Split(seed, frozenset(taken), pairs)


def split_pairs(read: Callable[[], Iterable[Pair]], size: int, seed: int) -> Iterator[tuple[bool, Pair]]:
    """Streams the pairs of a corpus in their order, each with True for validation and False for training.

    Args:
        read: opens the corpus from its start; called twice, so standard input has to be stored first.
        size: pairs to hold out, see `choose_split`.
        seed: which of the many splits.

    Raises:
        InputError: see `choose_split`.
    """
    split = choose_split((pair.source for pair in read()), size, seed)
    for pair in read():
        yield split.holds_out(pair.source), pair


def _group(source: str, seed: int) -> int:
    return hash_texts(sentence_key(source), seed=seed)


def _count_smallest_groups(sources: Iterable[str], limit: int, seed: int) -> tuple[dict[int, int], int]:
    """Counts the pairs of the `limit` groups with the smallest hashes; returns them and the number of all pairs."""
    counts: dict[int, int] = {}
    largest: list[int] = []  # a heap of the negated hashes in `counts`
    total = 0
    for source in sources:
        total += 1
        group = _group(source, seed)
        if group in counts:
            counts[group] += 1
        elif len(counts) < limit:
            counts[group] = 1
            heapq.heappush(largest, -group)
        elif group < -largest[0]:
            # The bound only ever falls, so a group that is put out here has no way back in with a wrong count.
            del counts[-heapq.heapreplace(largest, -group)]
            counts[group] = 1
    return counts, total
