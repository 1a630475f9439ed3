r"""Text files as streams of lines and of aligned pairs.

A line ends at ``\n`` and nowhere else: U+2028, U+0085, ``\x0b``, ``\x0c`` and a lone ``\r`` belong to the line, so two
aligned files cannot slip against each other. Nothing here holds more than one line in memory.
"""

from __future__ import annotations

import codecs
import gzip
import hashlib
import logging
import lzma
import os
import sys
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO, cast

from textseq.errors import CorpusError

STANDARD_INPUT = "-"
_GZIP = b"\x1f\x8b"
_XZ = b"\xfd7zXZ\x00"
# What users hand over by mistake; without a name for it, they would only hear of invalid UTF-8.
_FOREIGN = {
    b"BZh": "bzip2 data",
    b"\x28\xb5\x2f\xfd": "zstd data",
    b"PK\x03\x04": "a zip archive",
    codecs.BOM_UTF16_LE: "UTF-16 text",
    codecs.BOM_UTF16_BE: "UTF-16 text",
}

_DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError)
_READING_ERRORS = (*_DAMAGE, OSError)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pair:
    """One aligned pair of sentences.

    Attributes:
        source: the source side, without line end.
        target: the target side, without line end.
        line: its line number in the file, counted from 1.
    """

    source: str
    target: str
    line: int


def require_files(*paths: str | os.PathLike[str]) -> None:
    """Checks that all paths can be read, before any work starts. Pipes and "-" pass.

    Raises:
        CorpusError: a path is missing, is a directory, or may not be read.
    """
    for path in paths:
        if os.fspath(path) == STANDARD_INPUT:
            continue
        if os.path.isdir(path):
            raise CorpusError("is a directory; expected a text file", path)
        if not os.path.exists(path):
            raise CorpusError("no such file; expected a text file, plain, .gz or .xz", path)
        if not os.access(path, os.R_OK):
            raise CorpusError("cannot be read: no permission; allow it with `chmod +r`", path)


def read_lines(path: str | os.PathLike[str]) -> Iterator[str]:
    r"""Streams the lines of a UTF-8 file, plain, gzip or xz (told by content), or of standard input ("-").

    The line end ``\n`` or ``\r\n`` is taken off, a byte order mark at the start too. All else is kept, control
    characters included: `textseq.cleaning` counts and removes those.

    Args:
        path: the file, or "-".

    Raises:
        CorpusError: while reading: a missing file, a directory, invalid UTF-8, damaged or truncated compressed data.

    Example:
        >>> list(read_lines("corpus.en.gz"))  # doctest: +SKIP
        ['A man is sleeping.', 'Two dogs play.']
    """
    name = _shown(path)
    number = 0
    with open_bytes(path) as stream:
        try:
            for number, raw in enumerate(stream, start=1):
                raw = _without_line_end(raw, first=number == 1)
                try:
                    yield raw.decode("utf-8")
                except UnicodeDecodeError as error:
                    raise CorpusError(_explain_invalid(raw, error), name, number) from None
        except _READING_ERRORS as error:
            raise _unreadable(error, name, number) from None


@contextmanager
def writing_lines(path: str | os.PathLike[str]) -> Iterator[Callable[[str], None]]:
    """Opens a UTF-8 file to write one line after the other, as `read_lines` reads them; yields what writes a line.

    Args:
        path: the file, which is made anew.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "corpus.en")
        >>> with writing_lines(path) as write:
        ...     write("A man is sleeping.")
        >>> list(read_lines(path))
        ['A man is sleeping.']
    """
    with open(path, "w", encoding="utf-8", newline="\n") as file:

        def write(line: str) -> None:
            file.write(f"{line}\n")

        yield write


def read_pairs(
    source_path: str | os.PathLike[str], target_path: str | os.PathLike[str] | None = None
) -> Iterator[Pair]:
    """Streams aligned pairs from two files, or from one file of pairs "source TAB target".

    That the files differ in length is known at their end only: write nothing in place before the stream is over.

    Args:
        source_path: the source side, or the file of pairs; "-" is standard input.
        target_path: the target side; None where `source_path` holds pairs. Further columns are ignored, with a warning
            in the log.

    Raises:
        CorpusError: what `read_lines` raises; files of different length; a line without TAB; no line at all.
    """
    pairs = _read_tab_separated(source_path) if target_path is None else _read_aligned(source_path, target_path)
    pair = None
    for pair in pairs:
        yield pair
    if pair is None:
        raise CorpusError("is empty; expected one sentence a line", _shown(source_path))


@contextmanager
def open_bytes(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a file, plain, gzip or xz (told by content), or standard input ("-"), for its unpacked bytes.

    Args:
        path: the file, or "-".

    Yields:
        The stream; reading it belongs inside the block, where what goes wrong with it becomes a CorpusError.

    Raises:
        CorpusError: a missing file, a directory, damaged or truncated compressed data.

    Example:
        >>> with open_bytes("corpus.en.gz") as stream:  # doctest: +SKIP
        ...     lines = list(read_lines_tolerant(stream))
    """
    if os.fspath(path) == STANDARD_INPUT:
        if sys.stdin is None:
            raise CorpusError("is closed; expected text, or the name of a file", "<stdin>")
        yield sys.stdin.buffer
        return
    with _opened_file(Path(path)) as stream:
        try:
            yield stream
        except _DAMAGE as error:
            raise _unreadable(error, os.fspath(path)) from None


def read_lines_tolerant(stream: BinaryIO) -> Iterator[str]:
    r"""Streams lines of whatever bytes: exactly one string for each line, for input that must not be refused.

    Args:
        stream: bytes, for example ``sys.stdin.buffer``. Lines end at ``\n``; a ``\r`` before it goes too. What is not
            UTF-8 (lone surrogates included) becomes U+FFFD.
    """
    for index, raw in enumerate(stream):
        yield _without_line_end(raw, first=index == 0).decode("utf-8", errors="replace")


def sentence_key(text: str) -> str:
    """What two spellings of one sentence share: without case, character width and extra space.

    Example:
        >>> sentence_key(" A  Man sleeps. ") == sentence_key("a man sleeps.")
        True
    """
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def hash_texts(*texts: str, seed: int = 0) -> int:
    """64-bit hash of texts without line ends; the same on every machine and in every process.

    Two different ones collide with probability 2^-64; one collision among 100 million lines has probability 0.0003.

    Args:
        *texts: one text or several sides of one line.
        seed: another seed gives an independent hash.
    """
    data = "\n".join(texts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8, key=str(seed).encode()).digest(), "little")


def _read_aligned(source_path: str | os.PathLike[str], target_path: str | os.PathLike[str]) -> Iterator[Pair]:
    if _shown(source_path) == _shown(target_path) == "<stdin>":
        message = "named for both sides, but it can be read once; pipe TAB separated pairs and name no target"
        raise CorpusError(message, "<stdin>")
    sources, targets = read_lines(source_path), read_lines(target_path)
    number = 0
    for number, (source, target) in enumerate(zip_longest(sources, targets), start=1):
        if source is None or target is None:
            # Both are read to the end, so that the message can name both counts.
            longest = number + sum(1 for _ in (targets if source is None else sources))
            counts = (number - 1, longest) if source is None else (longest, number - 1)
            raise CorpusError(
                f"has {counts[0]:,} lines, but {_shown(target_path)} has {counts[1]:,}; expected line n of one to be "
                "the translation of line n of the other",
                _shown(source_path),
            )
        yield Pair(source, target, number)


def _read_tab_separated(path: str | os.PathLike[str]) -> Iterator[Pair]:
    warned = False
    for number, line in enumerate(read_lines(path), start=1):
        source, *others = line.split("\t")
        if not others:
            message = f'has no TAB: {_excerpt(line)}; expected "source TAB target", or two files, one for each side'
            raise CorpusError(message, _shown(path), number)
        if len(others) > 1 and not warned:
            warned = True
            logger.warning("%s:%d: columns after the second are ignored", _shown(path), number)
        yield Pair(source, others[0], number)


def _shown(path: str | os.PathLike[str]) -> str:
    return "<stdin>" if os.fspath(path) == STANDARD_INPUT else os.fspath(path)


def _without_line_end(raw: bytes, *, first: bool) -> bytes:
    if raw.endswith(b"\n"):
        raw = raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]
    elif raw.endswith(b"\r"):  # the last line of a CRLF file that was cut off
        raw = raw[:-1]
    return raw.removeprefix(codecs.BOM_UTF8) if first else raw


@contextmanager
def _opened_file(path: Path) -> Iterator[BinaryIO]:
    require_files(path)
    with ExitStack() as stack:
        try:
            raw = stack.enter_context(path.open("rb"))
            start = raw.peek(len(_XZ))
        except OSError as error:
            raise CorpusError(f"cannot be read: {error.strerror or error}", path) from None
        if start.startswith(_GZIP):
            yield cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=raw)))
        elif start.startswith(_XZ):
            yield cast(BinaryIO, stack.enter_context(lzma.LZMAFile(raw)))
        elif path.suffix in (".gz", ".xz"):
            message = f"its name ends in {path.suffix}, but its content is not; make it again, or rename it"
            raise CorpusError(message, path)
        else:
            yield raw


def _unreadable(error: Exception, name: str, line: int | None = None) -> CorpusError:
    place = "" if line is None else " after this line"
    if isinstance(error, EOFError):
        message = f"the compressed file is truncated: its data end{place or ' too early'}; make or fetch it again"
    elif isinstance(error, _DAMAGE):
        message = f"the compressed data are damaged{place} ({error}); make or fetch the file again"
    else:
        message = f"cannot be read further: {getattr(error, 'strerror', None) or error}"
    return CorpusError(message, name, line)


def _explain_invalid(raw: bytes, error: UnicodeDecodeError) -> str:
    for magic, kind in _FOREIGN.items():
        if raw.startswith(magic):
            mend = "convert it with `iconv -f UTF-16 -t UTF-8`" if "UTF-16" in kind else "unpack it first"
            return f"is {kind}; expected UTF-8 text, plain, .gz or .xz; {mend}"
    place = f"byte {error.start + 1} of the line is 0x{raw[error.start]:02x}"
    return f"is not UTF-8: {place}; convert the file, for example with `iconv -f LATIN1 -t UTF-8`"


def _excerpt(line: str) -> str:
    return ascii(line if len(line) <= 40 else line[:40] + "...")
