"""Records are TensorFlow's own, and an altered one is noticed."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq.serving.tf_record import crc32c, read_tf_records, tf_record

RECORDS = [b"", b"one", bytes(range(256)) * 50, b"\x00" * 7]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        # RFC 3720, B.4
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(reversed(range(32))), 0x113FDB5C),
        (b"", 0),
    ],
)
def test_the_checksum(data: bytes, expected: int) -> None:
    assert crc32c(data) == expected


def test_tensorflow_reads_and_writes_the_same(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    ours = b"".join(map(tf_record, RECORDS))
    (tmp_path / "ours").write_bytes(ours)
    assert [value.numpy() for value in tf.data.TFRecordDataset(str(tmp_path / "ours"))] == RECORDS
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in RECORDS:
            writer.write(record)
    assert (tmp_path / "theirs").read_bytes() == ours


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_what_is_written_is_read(records: list[bytes]) -> None:
    assert list(read_tf_records(b"".join(map(tf_record, records)))) == records


@given(st.binary(max_size=20), st.data())
def test_any_changed_bit_is_noticed(record: bytes, data: st.DataObject) -> None:
    content = bytearray(tf_record(record))
    place = data.draw(st.integers(0, len(content) * 8 - 1))
    content[place // 8] ^= 1 << place % 8
    with pytest.raises(ValueError, match=r"^record 1(:| is)"):
        list(read_tf_records(bytes(content)))


@pytest.mark.parametrize(
    ("left", "message"),
    [
        (5, "record 2 is cut off within its length"),
        (13, "record 2 is cut off; expected 3 bytes and their checksum"),
        (18, "record 2 is cut off; expected 3 bytes and their checksum"),
    ],
)
def test_a_file_that_is_cut_off(left: int, message: str) -> None:
    one = tf_record(b"abc")
    with pytest.raises(ValueError, match=f"^{message}$"):
        list(read_tf_records(one + one[:left]))
