"""Batches of few static shapes under a token budget, and their order in every epoch.

Each distinct shape is traced and compiled once, so a plan has few of them. They are nested: each shape is at least
as long as the one before on every side. So each sentence belongs to the first shape that holds it, and the few
sentences that would make a short batch can fill the empty rows of a longer shape instead.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from textseq.batching_config import BatchingConfig
from textseq.errors import ConfigurationError

Lengths = npt.NDArray[np.integer]
Shape = tuple[int, ...]
"""(batch_size, source_length, target_length), or (batch_size, length) where sentences have one side."""

# Many matrix-product kernels are fastest on multiples of 8; on small batches the rounding would cost too much.
_ROW_MULTIPLE = 8
_ROUNDED_FROM = 64
_VALIDATION_GROWTH = 1.5
# Candidate lengths a side of the search for shapes; its time grows with their product squared.
_CANDIDATES_OF_ONE_SIDE = 256
_CANDIDATES_OF_TWO_SIDES = 48


@dataclass(frozen=True, eq=False)
class Batch:
    """Sentences that go through the model together.

    Attributes:
        indices: int64[rows], the sentences; rows is at most `shape[0]`, the caller fills up with empty rows.
        shape: (batch_size, source_length, target_length), or (batch_size, length) for one side.
    """

    indices: npt.NDArray[np.int64]
    shape: Shape


class BatchPlan:
    """Few batch shapes for a corpus, and each epoch's batches.

    Shapes minimise the padded cells over all nested chains of shapes, by dynamic programming over the histogram of
    lengths. There are as few as keep the waste at `config.padding_waste`, and at most `config.shapes`.

    Args:
        lengths: int32[sentences, sides], 1 or 2 sides, tokens of each sentence with bos or eos as it is padded.
        config: its `token_budget` is a ceiling on batch_size * (sum of the lengths) of every shape.
        shapes: takes these shapes rather than searching for new ones; see `with_lengths`.

    Attributes:
        shapes: list of (batch_size, length of each side), from the shortest.
        tokens: of all sentences, both sides together, padding not counted.

    Raises:
        ConfigurationError: a sentence exceeds `max_length`, or the budget is unset or too small.

    Example:
        >>> lengths = np.array([[5, 6], [5, 5], [9, 9], [9, 8]])
        >>> plan = BatchPlan(lengths, BatchingConfig(token_budget=36))
        >>> plan.shapes
        [(3, 5, 6), (2, 9, 9)]
        >>> sorted(int(index) for batch in plan.epoch(seed=1, epoch=0) for index in batch.indices)
        [0, 1, 2, 3]
    """

    def __init__(self, lengths: Lengths, config: BatchingConfig, *, shapes: Sequence[Shape] | None = None) -> None:
        lengths = _checked_lengths(lengths, config.max_length)
        if config.token_budget is None:
            raise ConfigurationError("batching.token_budget is unset, expected a number of tokens; set it")
        self.config = config
        self.tokens = int(lengths.sum(dtype=np.int64))
        if shapes is None:
            self.shapes = _choose_shapes(lengths, config.token_budget, config)
        else:
            self.shapes = _with_spare_shape(lengths, list(shapes), config.token_budget, config.max_length)
        self._shape_of_sentence = _first_shapes_that_hold(lengths, self.shapes)
        counts = np.bincount(self._shape_of_sentence, minlength=len(self.shapes))
        self._moves, self._counts = _move_tails(counts.tolist(), self.shapes)

    def with_lengths(self, lengths: Lengths) -> BatchPlan:
        """The same shapes for other sentences, so that nothing is traced anew.

        For a validation set, or for an epoch whose subwords were sampled again. Sentences longer than every shape
        get one spare shape of `max_length` on each side, which is the same for every call.

        Args:
            lengths: int32[sentences, sides].
        """
        return BatchPlan(lengths, self.config, shapes=self.shapes)

    def __len__(self) -> int:
        """Batches of one epoch, the same in every epoch and for every shard."""
        return sum(-(-count // shape[0]) for count, shape in zip(self._counts, self.shapes, strict=True))

    def padding_waste(self) -> float:
        """The part of all cells that holds no token, empty rows of short batches counted, from 0 to 1."""
        return 1.0 - self.tokens / _padded_cells(self._counts, self.shapes)

    def epoch(self, seed: int, epoch: int, *, shard: int = 0, shards: int = 1) -> list[Batch]:
        """All batches of one epoch: a pure function of the arguments, the same on every machine.

        Sentences are shuffled within their shape, then the batches are shuffled. With several shards, each takes
        every `shards`-th row of every batch: all shards see the same shape at the same step, together they see the
        batches that one process would see alone, and `token_budget` is what they share (rows are rounded up to a whole
        number each). A shard's share of a short batch may be empty.

        Args:
            seed: of the run.
            epoch: its number, from 0.
            shard: which part of the rows, from 0 to shards - 1.
            shards: processes among which each batch is divided.

        Returns:
            Batches that hold each sentence exactly once over all shards.
        """
        if not 0 <= shard < shards:
            raise ValueError(f"shard is {shard}, expected 0 to {shards - 1} (shards is {shards})")
        draws = _random_bits(seed, epoch, len(self._shape_of_sentence) + len(self))
        order = np.argsort(draws[: len(self._shape_of_sentence)], kind="stable")
        groups = self._shuffled_groups(order)
        batches: list[Batch] = []
        for rows, (batch_size, *sides) in zip(groups, self.shapes, strict=True):
            shape = (-(-batch_size // shards), *sides)
            starts = range(0, len(rows), batch_size)
            batches.extend(Batch(rows[start : start + batch_size][shard::shards], shape) for start in starts)
        batch_order = np.argsort(draws[len(self._shape_of_sentence) :], kind="stable")
        return [batches[position] for position in batch_order]

    def _shuffled_groups(self, order: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
        """Sentences of each shape in the order given, after the tails have moved to longer shapes."""
        by_shape = order[np.argsort(self._shape_of_sentence[order], kind="stable")]
        counts = np.bincount(self._shape_of_sentence, minlength=len(self.shapes))
        groups = np.split(by_shape, np.cumsum(counts)[:-1])
        for giver, taker, rows in self._moves:
            groups[taker] = np.concatenate([groups[taker], groups[giver][-rows:]])
            groups[giver] = groups[giver][:-rows]
        return groups


def inference_batches(lengths: Lengths, token_budget: int, *, growth: float = 1.25, shortest: int = 8) -> list[Batch]:
    """Batches for translating or scoring: sorted by length, longest first, of few shapes.

    Lengths are rounded up to a geometric grid, alike on all sides, so that calls with other sentences meet the same
    shapes again. The last batch, the only short one, has a power of two of rows. Results are put back in their
    order with `indices`.

    Args:
        lengths: int32[sentences, sides] or int32[sentences], 1 or more each.
        token_budget: ceiling on batch_size * (sum of the lengths) of every batch.
        growth: ratio of neighbouring lengths of the grid.
        shortest: the grid's first length.

    Returns:
        Batches that hold each sentence exactly once.

    Raises:
        ConfigurationError: one sentence alone exceeds the budget.

    Example:
        >>> [(batch.indices.tolist(), batch.shape) for batch in inference_batches(np.array([3, 9, 4]), 20)]
        [([1, 2], (2, 10)), ([0], (1, 8))]
    """
    if growth <= 1.0 or shortest < 1:
        raise ValueError(f"growth is {growth} and shortest is {shortest}, expected above 1 and at least 1")
    table = np.asarray(lengths)
    if table.ndim == 1:
        table = table[:, None]
    if len(table) == 0:
        return []
    _check_table(table)
    sides = table.shape[1]
    longest = table.max(axis=1)
    limit = token_budget // sides
    if int(longest.max()) > limit:
        raise ConfigurationError(
            f"token_budget is {token_budget}, but the longest sentence takes {sides} x {int(longest.max())} tokens; "
            f"set token_budget to at least {sides * int(longest.max())} or shorten the sentence"
        )
    grid = _geometric_grid(shortest, growth, limit)
    order = np.lexsort((-table.sum(axis=1), -longest)).astype(np.int64)  # stable: equal lengths keep their order
    batches = []
    start = 0
    while start < len(order):
        length = grid[int(np.searchsorted(grid, longest[order[start]]))]
        batch_size = _batch_size(token_budget, sides * length)
        rows = order[start : start + batch_size]
        batch_size = min(batch_size, 1 << (len(rows) - 1).bit_length())
        batches.append(Batch(rows, (batch_size, *[length] * sides)))
        start += len(rows)
    return batches


def validation_batches(lengths: Lengths, token_budget: int) -> list[Batch]:
    """Batches for a validation loss, longest first: fewer shapes than `inference_batches` makes, and more padding.

    Where each shape is compiled and then used a few times an epoch, few of them matter more than little padding.

    Args:
        lengths: int32[sentences, sides] or int32[sentences], 1 or more each.
        token_budget: as for `inference_batches`, but the longest sentence always has room.
    """
    sides = 1 if lengths.ndim == 1 else lengths.shape[1]
    budget = max(token_budget, sides * int(lengths.max()))
    return inference_batches(lengths, budget, growth=_VALIDATION_GROWTH)


def _checked_lengths(lengths: Lengths, max_length: int) -> Lengths:
    table = np.asarray(lengths)
    if len(table) == 0:
        raise ValueError("lengths holds no sentence, expected at least one")
    _check_table(table)
    if int(table.max()) > max_length:
        sentence, side = (int(place) for place in np.argwhere(table > max_length)[0])
        raise ConfigurationError(
            f"sentence {sentence} has {int(table[sentence, side])} tokens on side {side}, batching.max_length is "
            f"{max_length}; cut or drop longer sentences first, or raise batching.max_length"
        )
    return table


def _check_table(table: Lengths) -> None:
    if table.ndim != 2 or table.shape[1] not in (1, 2) or not np.issubdtype(table.dtype, np.integer):
        raise ValueError(f"lengths is {table.dtype}{list(table.shape)}, expected int32[sentences, 1 or 2 sides]")
    if int(table.min()) < 1:
        raise ValueError(f"lengths holds {int(table.min())}, expected 1 or more: the end-of-sentence token counts")


def _batch_size(token_budget: int, cells: int) -> int:
    rows = token_budget // cells
    return rows - rows % _ROW_MULTIPLE if rows >= _ROUNDED_FROM else rows


def _check_budget(token_budget: int, sides: Sequence[int]) -> None:
    if token_budget < sum(sides):
        total = " + ".join(map(str, sides)) + (f" = {sum(sides)}" if len(sides) > 1 else "")
        raise ConfigurationError(
            f"batching.token_budget is {token_budget}, but one row of the longest shape takes {total} tokens; "
            f"set batching.token_budget to at least {sum(sides)} or lower batching.max_length"
        )


def _geometric_grid(shortest: int, growth: float, limit: int) -> list[int]:
    """Lengths from `shortest`, each about `growth` times the one before; the budget cuts the last one to `limit`."""
    grid = [min(shortest, limit)]
    while grid[-1] < limit:
        grid.append(min(max(grid[-1] + 1, round(grid[-1] * growth)), limit))
    return grid


def _random_bits(seed: int, epoch: int, count: int) -> npt.NDArray[np.uint64]:
    """Philox bits, which NumPy keeps stable over versions; its Generator methods (shuffle) it does not."""
    digest = hashlib.blake2b(f"batches {seed} {epoch}".encode(), digest_size=16).digest()
    return np.random.Philox(key=int.from_bytes(digest, "little")).random_raw(count)


def _first_shapes_that_hold(lengths: Lengths, shapes: Sequence[Shape]) -> npt.NDArray[np.int64]:
    """int64[sentences]: the first shape that is long enough on every side; len(shapes) where none is."""
    limits = np.array([shape[1:] for shape in shapes])
    fits = [np.searchsorted(limits[:, side], lengths[:, side]) for side in range(lengths.shape[1])]
    return np.max(fits, axis=0).astype(np.int64)


def _padded_cells(counts: Sequence[int], shapes: Sequence[Shape]) -> int:
    return sum(-(-count // shape[0]) * shape[0] * sum(shape[1:]) for count, shape in zip(counts, shapes, strict=True))


def _move_tails(counts: list[int], shapes: Sequence[Shape]) -> tuple[list[tuple[int, int, int]], list[int]]:
    """Lets the rows of short batches fill the empty rows of longer shapes, wherever that saves a whole batch.

    Returns:
        Moves (giving shape, taking shape, rows), to be made in this order, and the counts after them.
    """
    counts = list(counts)
    moves = []
    for giver, (batch_size, *_) in enumerate(shapes):
        tail = counts[giver] % batch_size
        empty_rows = [-counts[taker] % shapes[taker][0] for taker in range(giver + 1, len(shapes))]
        if tail > sum(empty_rows):
            continue
        for taker, empty in enumerate(empty_rows, start=giver + 1):
            rows = min(tail, empty)
            if rows:
                moves.append((giver, taker, rows))
                counts[giver] -= rows
                counts[taker] += rows
                tail -= rows
    return moves, counts


def _with_spare_shape(lengths: Lengths, shapes: list[Shape], token_budget: int, max_length: int) -> list[Shape]:
    """The shapes, and one of `max_length` on every side where a sentence is longer than all of them."""
    if int(_first_shapes_that_hold(lengths, shapes).max()) < len(shapes):
        return shapes
    sides = [max_length] * lengths.shape[1]
    _check_budget(token_budget, sides)
    return [*shapes, (_batch_size(token_budget, sum(sides)), *sides)]


def _choose_shapes(lengths: Lengths, token_budget: int, config: BatchingConfig) -> list[Shape]:
    """The fewest shapes that keep the waste at `config.padding_waste`, else those with the least waste."""
    longest = [int(length) for length in lengths.max(axis=0)]
    _check_budget(token_budget, longest)
    token_count = int(lengths.sum(dtype=np.int64))
    best_cells, best_shapes = float("inf"), list[Shape]()
    for chain in _best_chains(lengths, config.shapes):
        # No batch has more rows than the corpus has sentences.
        shapes = [(min(_batch_size(token_budget, sum(sides)), len(lengths)), *sides) for sides in chain]
        counts = np.bincount(_first_shapes_that_hold(lengths, shapes), minlength=len(shapes))
        cells = _padded_cells(_move_tails(counts.tolist(), shapes)[1], shapes)
        if cells < best_cells:
            best_cells, best_shapes = cells, shapes
        if 1.0 - token_count / cells <= config.padding_waste:
            break
    return best_shapes


def _candidate_lengths(lengths: Lengths, most: int) -> npt.NDArray[np.int64]:
    """Lengths at which a shape may end, at most `most`, always with the longest one."""
    present, counts = np.unique(lengths, return_counts=True)
    if len(present) > most:
        # Padding grows in proportion to the gap between candidates; it is least when their density follows the
        # square root of the histogram.
        mass = np.cumsum(np.sqrt(counts))
        present = present[np.unique(np.searchsorted(mass, np.linspace(0.0, mass[-1], most + 1)[1:-1]))]
        present = np.union1d(present, [lengths.max()])
    return present.astype(np.int64)


def _best_chains(lengths: Lengths, most_shapes: int) -> Iterator[list[tuple[int, ...]]]:
    """For 1, 2, ... shapes, the nested lengths with the least padded cells of full batches.

    With N(s, t) the number of sentences that fit in lengths (s, t), and k shapes of which (s, t) is the longest,

        cells_1(s, t) = N(s, t) (s + t)
        cells_k(s, t) = min over s' <= s, t' <= t of cells_{k-1}(s', t') + (N(s, t) - N(s', t')) (s + t)
    """
    sides = lengths.shape[1]
    most = _CANDIDATES_OF_ONE_SIDE if sides == 1 else _CANDIDATES_OF_TWO_SIDES
    grids = [_candidate_lengths(lengths[:, side], most) for side in range(sides)]
    if sides == 1:
        grids.append(np.zeros(1, dtype=np.int64))  # a second side of no tokens
    size = (len(grids[0]), len(grids[1]))
    places = [np.searchsorted(grid, lengths[:, side]) for side, grid in enumerate(grids[:sides])]
    flat = places[0] if sides == 1 else places[0] * size[1] + places[1]
    fitting = np.bincount(flat, minlength=size[0] * size[1]).reshape(size).cumsum(0).cumsum(1).astype(np.float64)
    row_cells = (grids[0][:, None] + grids[1]).astype(np.float64)
    cells = fitting * row_cells
    choices: list[npt.NDArray[np.int64]] = []
    while True:
        yield _chain_from_choices(choices, grids, sides)
        if len(choices) + 1 == most_shapes:
            return
        cells, choice = _add_shape(cells, fitting, row_cells)
        choices.append(choice)


def _add_shape(
    cells: npt.NDArray[np.float64], fitting: npt.NDArray[np.float64], row_cells: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """One step of the recurrence of `_best_chains`: cells_k and, flat, the (s', t') that attains each minimum."""
    longer = np.empty_like(cells)
    choice = np.empty(cells.shape, dtype=np.int64)
    columns = cells.shape[1]
    for first in range(cells.shape[0]):
        for second in range(columns):
            inner = (slice(first + 1), slice(second + 1))
            candidates = cells[inner] - fitting[inner] * row_cells[first, second]
            best = int(candidates.argmin())
            longer[first, second] = candidates.flat[best] + fitting[first, second] * row_cells[first, second]
            choice[first, second] = best // (second + 1) * columns + best % (second + 1)
    return longer, choice


def _chain_from_choices(
    choices: list[npt.NDArray[np.int64]], grids: list[npt.NDArray[np.int64]], sides: int
) -> list[tuple[int, ...]]:
    """Follows the choices back from the longest shape; shapes that came out twice are named once."""
    columns = len(grids[1])
    place = len(grids[0]) * columns - 1
    chain = []
    for choice in [*reversed(choices), None]:
        chain.append((int(grids[0][place // columns]), int(grids[1][place % columns]))[:sides])
        if choice is not None:
            place = int(choice.flat[place])
    return sorted(set(chain))
