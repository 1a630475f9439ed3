"""The probability that a run gives to translations that are known."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from textseq.corpus import Pair, read_pairs
from textseq.run_directory import RunDirectory

if TYPE_CHECKING:
    from nmt.translator import Translator

LINES_AT_ONCE = 2048


def score(
    run: str | os.PathLike[str], source: str | os.PathLike[str], target: str | os.PathLike[str]
) -> Iterator[float]:
    """Scores each translation of a file: the natural logarithm of its probability, given its source.

    Files are read through once before the network is loaded, so that what is wrong with them is said at once. Pipes
    and standard input can be read once only: there, an error comes after the lines before it were scored. Memory does
    not grow with the files.

    Args:
        run: the run directory.
        source: file of sentences, plain, .gz, .xz, or "-" for standard input.
        target: file of their translations, line by line.

    Returns:
        One number of at most 0 for each line, as they come.

    Raises:
        CorpusError: a file cannot be used, is empty, or the numbers of lines differ.
        RunDirectoryError: there is no run, or it has no weights yet.

    Example:
        >>> list(score("runs/en-de", "test.en", "test.de"))  # doctest: +SKIP
        [-3.41, -7.92]
    """
    RunDirectory.open(run, "nmt")
    if Path(source).is_file() and Path(target).is_file():
        for _ in read_pairs(source, target):
            pass
    pairs = read_pairs(source, target)
    from nmt.translator import Translator

    return _scores(Translator.load(run), pairs)


def _scores(translator: Translator, pairs: Iterable[Pair]) -> Iterator[float]:
    pairs = iter(pairs)
    while chunk := list(islice(pairs, LINES_AT_ONCE)):
        yield from translator.score([pair.source for pair in chunk], [pair.target for pair in chunk])
