"""TFRecord, the file form that TensorFlow Serving reads warm-up requests from: records of bytes, each with checksums.

A record is its length in 8 bytes, the length's checksum, the bytes, their checksum; numbers have their lowest byte
first. The checksum is CRC-32C (the polynomial of Castagnoli), turned right by 15 bits and moved by a constant, so that
the checksum of data that hold checksums is not weak.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, its bits reversed
_MASK = 0xA282EAD8
_HEAD = struct.Struct("<QI")
_FOOT = struct.Struct("<I")


def _table() -> tuple[int, ...]:
    table = []
    for remainder in range(256):
        for _ in range(8):
            remainder = remainder >> 1 ^ (_POLYNOMIAL if remainder & 1 else 0)
        table.append(remainder)
    return tuple(table)


_TABLE = _table()


def crc32c(data: bytes) -> int:
    """Returns the CRC-32C of bytes; a few megabytes a second, which is enough for warm-up requests.

    Example:
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def tf_record(data: bytes) -> bytes:
    """Returns one record as it stands in a file.

    Args:
        data: what the record holds.
    """
    length = struct.pack("<Q", len(data))
    return length + _FOOT.pack(_masked(length)) + data + _FOOT.pack(_masked(data))


def read_tf_records(content: bytes) -> Iterator[bytes]:
    """Yields what the records of a file hold, their checksums checked.

    Args:
        content: of the file.

    Raises:
        ValueError: a record is cut off or altered.
    """
    place = number = 0
    while place < len(content):
        number += 1
        if len(content) - place < _HEAD.size:
            raise ValueError(f"record {number} is cut off within its length")
        length, checksum = _HEAD.unpack_from(content, place)
        if checksum != _masked(content[place : place + 8]):
            raise ValueError(f"record {number}: the checksum of its length differs")
        start, end = place + _HEAD.size, place + _HEAD.size + length
        if len(content) < end + _FOOT.size:
            raise ValueError(f"record {number} is cut off; expected {length} bytes and their checksum")
        data = content[start:end]
        if _FOOT.unpack_from(content, end)[0] != _masked(data):
            raise ValueError(f"record {number}: the checksum of its {length} bytes differs")
        yield data
        place = end + _FOOT.size


def _masked(data: bytes) -> int:
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF
