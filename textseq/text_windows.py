"""Texts of any length as windows of bounded length."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from textseq.batching import Batch
from textseq.special_ids import SpecialIds
from textseq.token_store import TokenStore


class TextWindows:
    """The texts of a token store, each with bos before it, cut into windows for a language model.

    Neighbouring windows of a text share one token, the last of one and the first of the next: so each pair of
    neighbouring tokens stands in exactly one window, and is predicted exactly once in each direction. A window has two
    tokens at least.

    Args:
        store: texts, each ending in eos.
        length: most tokens of a window, 2 or more.
        special_ids: bos and pad are used.

    Attributes:
        lengths: int32[windows], tokens of each, in the order of the texts.

    Example:
        >>> import tempfile
        >>> store = TokenStore.write(f"{tempfile.mkdtemp()}/text", [[7, 8, 9, 3], [3]], vocabulary_size=10)
        >>> windows = TextWindows(store, 4, SpecialIds(0, 1, 2, 3))
        >>> windows.padded([0, 1, 2], 4)
        array([[2, 7, 8, 9],
               [9, 3, 0, 0],
               [2, 3, 0, 0]], dtype=int32)
    """

    def __init__(self, store: TokenStore, length: int, special_ids: SpecialIds) -> None:
        if length < 2:
            raise ValueError(f"length is {length}, expected 2 or more: one token alone predicts nothing")
        self._store = store
        self._special = special_ids
        pairs = store.lengths.astype(np.int64)  # of neighbouring tokens, bos counted
        counts = -(-pairs // (length - 1))
        self._texts = np.repeat(np.arange(len(store)), counts)
        first = np.repeat(np.cumsum(counts) - counts, counts)
        self._starts = (np.arange(len(self._texts)) - first) * (length - 1)
        self.lengths: npt.NDArray[np.int32] = np.minimum(length, pairs[self._texts] - self._starts + 1).astype(np.int32)

    def __len__(self) -> int:
        """The number of windows."""
        return len(self.lengths)

    def table(self) -> npt.NDArray[np.int32]:
        """int32[windows, 1]: their lengths, as a plan of batches takes them."""
        return self.lengths[:, None]

    def rows(self, batch: Batch) -> npt.NDArray[np.int32]:
        """The windows of a batch, int32[batch, length]; rows that fill up a short batch hold pad.

        Args:
            batch: which of them, one a row.
        """
        batch_size, length = batch.shape
        rows = np.full((batch_size, length), self._special.pad_id, dtype=np.int32)
        rows[: len(batch.indices)] = self.padded(batch.indices, length)
        return rows

    def padded(self, indices: npt.ArrayLike, length: int) -> npt.NDArray[np.int32]:
        """Windows side by side, right-padded.

        Args:
            indices: int64[rows], which windows, each from 0 to len(self) - 1.
            length: the columns; no window asked for may be longer.

        Returns:
            int32[rows, length].
        """
        rows = np.asarray(indices, dtype=np.int64)
        result = np.full((len(rows), length), self._special.pad_id, dtype=np.int32)
        for row, index in zip(result, rows.tolist(), strict=True):
            ids = self._store[int(self._texts[index])]
            start, count = int(self._starts[index]), int(self.lengths[index])
            if start == 0:
                row[0] = self._special.bos_id
                row[1:count] = ids[: count - 1]
            else:
                row[:count] = ids[start - 1 : start - 1 + count]
        return result
