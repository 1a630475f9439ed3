"""Windows over texts: every pair of neighbours once, nothing longer than asked for."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textseq.batching import Batch
from textseq.special_ids import SpecialIds
from textseq.text_windows import TextWindows
from textseq.token_store import TokenStore

SPECIAL = SpecialIds(pad_id=3, unk_id=0, bos_id=1, eos_id=2)


def store_of(folder: str, texts: list[list[int]]) -> TokenStore:
    return TokenStore.write(Path(folder, "text"), texts, vocabulary_size=20)


texts_of_ids = st.lists(
    st.lists(st.integers(4, 19), max_size=30).map(lambda ids: [*ids, SPECIAL.eos_id]), min_size=1, max_size=6
)


@settings(max_examples=40, deadline=None)
@given(texts_of_ids, st.integers(2, 12))
def test_each_pair_of_neighbours_stands_in_one_window(texts: list[list[int]], length: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        windows = TextWindows(store_of(folder, texts), length, SPECIAL)
        rows = windows.padded(np.arange(len(windows)), length)
    assert rows.dtype == np.int32
    found: list[tuple[int, int]] = []
    for row, count in zip(rows.tolist(), windows.lengths.tolist(), strict=True):
        assert 2 <= count <= length
        assert SPECIAL.pad_id not in row[:count]
        assert row[count:] == [SPECIAL.pad_id] * (length - count)
        found += itertools.pairwise(row[:count])
    whole = [[SPECIAL.bos_id, *ids] for ids in texts]
    assert found == [pair for ids in whole for pair in itertools.pairwise(ids)]


def test_only_the_last_window_of_a_text_is_short(tmp_path: Path) -> None:
    windows = TextWindows(store_of(str(tmp_path), [[5] * 9 + [2], [2], [6, 2]]), 4, SPECIAL)
    assert windows.lengths.tolist() == [4, 4, 4, 2, 2, 3]
    assert len(windows) == 6
    assert windows.padded([5, 0], 5).tolist() == [[1, 6, 2, 3, 3], [1, 5, 5, 5, 3]]


def test_a_short_batch_is_filled_up_with_padding(tmp_path: Path) -> None:
    windows = TextWindows(store_of(str(tmp_path), [[5] * 3 + [2], [2], [6, 2]]), 4, SPECIAL)
    assert windows.table().tolist() == [[4], [2], [2], [3]]
    rows = windows.rows(Batch(np.array([3, 2]), (3, 4)))
    assert rows.dtype == np.int32
    assert rows.tolist() == [[1, 6, 2, 3], [1, 2, 3, 3], [3, 3, 3, 3]]


def test_a_window_of_one_token_predicts_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="length is 1, expected 2 or more"):
        TextWindows(store_of(str(tmp_path), [[2]]), 1, SPECIAL)
