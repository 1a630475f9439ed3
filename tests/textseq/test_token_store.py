"""Token stores give back what was written, from a file that is never half there."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq import token_store
from textseq.errors import OutputError, RunDirectoryError
from textseq.token_store import TokenStore

SEQUENCES = [[5, 6, 7, 3], [3], [], [9, 3]]


@pytest.mark.parametrize(("vocabulary_size", "id_bytes"), [(65536, 2), (65537, 4)])
@given(data=st.data())
def test_a_store_gives_back_what_was_written(vocabulary_size: int, id_bytes: int, data: st.DataObject) -> None:
    ids = st.integers(0, vocabulary_size - 1)
    sequences = data.draw(st.lists(st.lists(ids, max_size=20), max_size=20))
    with tempfile.TemporaryDirectory() as folder:
        TokenStore.write(Path(folder) / "x", sequences, vocabulary_size=vocabulary_size)
        store = TokenStore.open(Path(folder) / "x")
        assert len(store) == len(sequences)
        assert store.lengths.tolist() == [len(sequence) for sequence in sequences]
        assert store.lengths.dtype == np.int32
        assert [sequence.tolist() for sequence in store] == sequences
        assert all(sequence.dtype == np.int32 for sequence in store)
        count = sum(map(len, sequences))
        assert store.path.stat().st_size <= 64 + count * id_bytes + 7 + 8 * (len(sequences) + 1)


def test_many_chunks_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_store, "_CHUNK_IDS", 7)
    sequences = [list(range(length)) for length in range(30)]
    store = TokenStore.write(tmp_path / "x", iter(sequences), vocabulary_size=100)
    assert [sequence.tolist() for sequence in store] == sequences


def test_the_suffix_is_added_to_the_whole_prefix(tmp_path: Path) -> None:
    assert TokenStore.write(tmp_path / "train.source", SEQUENCES, vocabulary_size=10).path.name == "train.source.ids"


def test_indices_count_from_either_end_and_stop_there(tmp_path: Path) -> None:
    store = TokenStore.write(tmp_path / "x", SEQUENCES, vocabulary_size=10)
    assert store[-1].tolist() == [9, 3]
    for index in (4, -5):
        with pytest.raises(IndexError, match=f"sequence {index} of a token store with 4 sequences"):
            store[index]


def test_padded_rows_are_the_sequences_and_then_padding(tmp_path: Path) -> None:
    store = TokenStore.write(tmp_path / "x", SEQUENCES, vocabulary_size=10)
    padded = store.padded(np.array([3, 2, 0, 3]), length=5, pad_id=1)
    assert padded.dtype == np.int32
    assert padded.tolist() == [[9, 3, 1, 1, 1], [1] * 5, [5, 6, 7, 3, 1], [9, 3, 1, 1, 1]]
    assert store.padded([], length=5, pad_id=0).shape == (0, 5)
    assert store.padded([0], length=4, pad_id=0).tolist() == [[5, 6, 7, 3]]


def test_padded_refuses_what_does_not_fit(tmp_path: Path) -> None:
    store = TokenStore.write(tmp_path / "x", SEQUENCES, vocabulary_size=10)
    with pytest.raises(ValueError, match=r"sequence 0 of .* has 4 ids, expected at most 3; cut or drop longer"):
        store.padded([3, 0], length=3, pad_id=0)
    with pytest.raises(IndexError, match="sequences 1 to 4 of a token store with 4 sequences"):
        store.padded([4, 1], length=9, pad_id=0)
    with pytest.raises(IndexError, match="sequences -1 to 1 of"):
        store.padded([-1, 1], length=9, pad_id=0)


@pytest.mark.parametrize("wrong", [-1, 10])
def test_an_id_outside_the_vocabulary_is_refused(tmp_path: Path, wrong: int) -> None:
    with pytest.raises(ValueError, match=f"token id {wrong} is outside the vocabulary, expected 0 to 9"):
        TokenStore.write(tmp_path / "x", [[1], [2, wrong]], vocabulary_size=10)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_on_the_way_leaves_the_old_store(tmp_path: Path) -> None:
    TokenStore.write(tmp_path / "x", SEQUENCES, vocabulary_size=10)

    def interrupted() -> Iterator[list[int]]:
        yield [1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TokenStore.write(tmp_path / "x", interrupted(), vocabulary_size=10)
    assert [path.name for path in tmp_path.iterdir()] == ["x.ids"]
    assert [sequence.tolist() for sequence in TokenStore.open(tmp_path / "x")] == SEQUENCES


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"x\.ids: cannot write the token store \(No such file or directory\); free"):
        TokenStore.write(tmp_path / "missing" / "x", SEQUENCES, vocabulary_size=10)


def test_a_missing_store_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        RunDirectoryError, match=r"x\.ids: cannot read the token store \(No such file or directory\); delete it and run"
    ):
        TokenStore.open(tmp_path / "x")


def test_a_truncated_store_is_found(tmp_path: Path) -> None:
    path = TokenStore.write(tmp_path / "x", SEQUENCES, vocabulary_size=10).path
    whole = path.read_bytes()
    expectations = {
        0: "the file is empty",
        63: "has 63 bytes, a token store has at least 64",
        len(whole) - 1: f"has {len(whole) - 1} bytes, its header announces {len(whole)}",
    }
    for size, words in expectations.items():
        path.write_bytes(whole[:size])
        with pytest.raises(RunDirectoryError, match=words):
            TokenStore.open(tmp_path / "x")


def test_another_file_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "x.ids").write_bytes(b"a" * 200)
    with pytest.raises(RunDirectoryError, match=r"x\.ids: is not a token store of version 1; delete it"):
        TokenStore.open(tmp_path / "x")


def test_a_damaged_table_is_found(tmp_path: Path) -> None:
    path = TokenStore.write(tmp_path / "x", SEQUENCES, vocabulary_size=10).path
    data = bytearray(path.read_bytes())
    data[-16:-8] = (99).to_bytes(8, "little")
    path.write_bytes(data)
    with pytest.raises(RunDirectoryError, match=r"x\.ids: its table of sequences is damaged; delete it"):
        TokenStore.open(tmp_path / "x")
