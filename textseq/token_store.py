"""Token ids of a whole corpus in one memory-mapped file.

The file `PREFIX.ids`, all numbers little-endian:

    header    64 bytes: magic, version, bytes an id, number of sequences, number of ids
    ids       uint16 or uint32, all sequences one after the other, filled up to a multiple of 8 bytes
    offsets   uint64[sequences + 1], where each sequence starts, counted in ids
"""

from __future__ import annotations

import os
import shutil
import struct
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from textseq.errors import OutputError, RunDirectoryError

_MAGIC = b"dragoman-ids\n"
_VERSION = 1
_HEADER = struct.Struct("<16sIIQQ")
_HEADER_BYTES = 64
_CHUNK_IDS = 1 << 16
_LARGEST_UINT16_VOCABULARY = 1 << 16


class TokenStore:
    """Sequences of token ids, read from disk when they are asked for.

    Memory holds 4 bytes a sequence, the lengths; ids and offsets stay in the file until they are read.

    Example:
        >>> import tempfile
        >>> prefix = Path(tempfile.mkdtemp()) / "train.source"
        >>> store = TokenStore.write(prefix, [[7, 8, 3], [9, 3]], vocabulary_size=10)
        >>> store[1]
        array([9, 3], dtype=int32)
        >>> store.padded([1, 0], length=4, pad_id=0)
        array([[9, 3, 0, 0],
               [7, 8, 3, 0]], dtype=int32)
    """

    def __init__(self, path: Path, ids: npt.NDArray[np.unsignedinteger], offsets: npt.NDArray[np.uint64]) -> None:
        self.path = path
        self._ids = ids
        self._offsets = offsets
        self.lengths: npt.NDArray[np.int32] = np.diff(offsets).astype(np.int32)
        self.lengths.setflags(write=False)

    @classmethod
    def write(
        cls, path_prefix: str | os.PathLike[str], sequences: Iterable[Sequence[int]], *, vocabulary_size: int
    ) -> TokenStore:
        """Writes sequences as they come and opens the result.

        The file is written aside and renamed, so a reader never sees half of it.

        Args:
            path_prefix: the file's path without its suffix `.ids`.
            sequences: lists of ids, each at least 0 and below `vocabulary_size`; a sequence may be empty.
            vocabulary_size: decides between 2 and 4 bytes an id.

        Raises:
            OutputError: the file cannot be written.
            ValueError: an id is outside the vocabulary.
        """
        path = _store_path(path_prefix)
        partial = path.with_name(f".{path.name}-{os.getpid()}.partial")
        try:
            with open(partial, "wb") as file, tempfile.TemporaryFile(dir=path.parent) as offsets:
                _write_store(file, offsets, sequences, vocabulary_size)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except OSError as error:
            raise OutputError(
                f"{path}: cannot write the token store ({error.strerror}); free space there or choose another directory"
            ) from error
        finally:
            partial.unlink(missing_ok=True)
        return cls.open(path_prefix)

    @classmethod
    def open(cls, path_prefix: str | os.PathLike[str]) -> TokenStore:
        """Opens a store by memory-mapping its file.

        Raises:
            RunDirectoryError: the file is missing, truncated, or no token store.
        """
        path = _store_path(path_prefix)
        mend = "delete it and run the same command again to make it anew"
        try:
            data = np.memmap(path, dtype=np.uint8, mode="r").view(np.ndarray)
        except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
            reason = getattr(error, "strerror", None) or "the file is empty"
            raise RunDirectoryError(f"{path}: cannot read the token store ({reason}); {mend}") from error
        if data.size < _HEADER_BYTES:
            raise RunDirectoryError(
                f"{path}: has {data.size} bytes, a token store has at least {_HEADER_BYTES}; {mend}"
            )
        magic, version, id_bytes, sequences, count = _HEADER.unpack(data[: _HEADER.size].tobytes())
        if magic.rstrip(b"\0") != _MAGIC or version != _VERSION or id_bytes not in (2, 4):
            raise RunDirectoryError(f"{path}: is not a token store of version {_VERSION}; {mend}")
        ids_end = _HEADER_BYTES + count * id_bytes
        offsets_start = _aligned(ids_end)
        expected = offsets_start + 8 * (sequences + 1)
        if data.size != expected:
            raise RunDirectoryError(f"{path}: has {data.size} bytes, its header announces {expected}; {mend}")
        offsets = data[offsets_start:].view("<u8")
        if int(offsets[0]) != 0 or int(offsets[-1]) != count or bool(np.any(offsets[1:] < offsets[:-1])):
            raise RunDirectoryError(f"{path}: its table of sequences is damaged; {mend}")
        return cls(path, data[_HEADER_BYTES:ids_end].view(f"<u{id_bytes}"), offsets)

    def __len__(self) -> int:
        """The number of sequences."""
        return len(self.lengths)

    def __getitem__(self, index: int) -> npt.NDArray[np.int32]:
        """The ids of one sequence, int32[length], a copy in memory."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"sequence {index} of a token store with {len(self)} sequences")
        index = index % len(self)
        return self._ids[int(self._offsets[index]) : int(self._offsets[index + 1])].astype(np.int32)

    def __iter__(self) -> Iterator[npt.NDArray[np.int32]]:
        """The sequences in the order in which they were written."""
        return (self[index] for index in range(len(self)))

    def padded(
        self, indices: Sequence[int] | npt.NDArray[np.integer], length: int, pad_id: int
    ) -> npt.NDArray[np.int32]:
        """Sequences side by side, right-padded.

        Args:
            indices: int64[rows], which sequences, each from 0 to len(self) - 1.
            length: the columns; no sequence asked for may be longer.
            pad_id: fills the cells after each sequence.

        Returns:
            int32[rows, length].

        Raises:
            ValueError: a sequence is longer than `length`.
            IndexError: an index is out of range.
        """
        rows = np.asarray(indices, dtype=np.int64)
        if rows.size and (int(rows.min()) < 0 or int(rows.max()) >= len(self)):
            raise IndexError(f"sequences {rows.min()} to {rows.max()} of a token store with {len(self)} sequences")
        lengths = self.lengths[rows]
        if rows.size and int(lengths.max()) > length:
            longest = int(rows[int(lengths.argmax())])
            raise ValueError(
                f"sequence {longest} of {self.path} has {int(lengths.max())} ids, expected at most {length}; "
                "cut or drop longer sequences before batching"
            )
        result = np.full((len(rows), length), pad_id, dtype=np.int32)
        columns = np.arange(length)
        present = columns < lengths[:, None]
        positions = self._offsets[rows].astype(np.int64)[:, None] + columns  # [rows, length]
        result[present] = self._ids[positions[present]]
        return result


def _store_path(path_prefix: str | os.PathLike[str]) -> Path:
    prefix = Path(path_prefix)
    return prefix.with_name(prefix.name + ".ids")  # with_suffix would eat the ".source" of "train.source"


def _aligned(position: int) -> int:
    return -(-position // 8) * 8


def _write_store(file: BinaryIO, offsets: BinaryIO, sequences: Iterable[Sequence[int]], vocabulary_size: int) -> None:
    """Writes header, ids and offsets; the offsets wait in a file of their own, not in memory."""
    dtype = np.dtype("<u2" if vocabulary_size <= _LARGEST_UINT16_VOCABULARY else "<u4")
    file.write(bytes(_HEADER_BYTES))
    offsets.write(struct.pack("<Q", 0))
    count = sequence_count = 0
    chunk: list[int] = []
    for sequence in sequences:
        chunk.extend(sequence)
        count += len(sequence)
        sequence_count += 1
        offsets.write(struct.pack("<Q", count))
        if len(chunk) >= _CHUNK_IDS:
            file.write(_checked_ids(chunk, vocabulary_size, dtype))
            chunk.clear()
    file.write(_checked_ids(chunk, vocabulary_size, dtype))
    ids_end = _HEADER_BYTES + count * dtype.itemsize
    file.write(bytes(_aligned(ids_end) - ids_end))
    offsets.seek(0)
    shutil.copyfileobj(offsets, file)
    file.seek(0)
    file.write(_HEADER.pack(_MAGIC, _VERSION, dtype.itemsize, sequence_count, count))


def _checked_ids(chunk: list[int], vocabulary_size: int, dtype: np.dtype[np.unsignedinteger]) -> bytes:
    ids = np.asarray(chunk, dtype=np.int64)
    if ids.size and (int(ids.min()) < 0 or int(ids.max()) >= vocabulary_size):
        wrong = int(ids.min()) if int(ids.min()) < 0 else int(ids.max())
        raise ValueError(f"token id {wrong} is outside the vocabulary, expected 0 to {vocabulary_size - 1}")
    return ids.astype(dtype).tobytes()
