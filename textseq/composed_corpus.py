"""Corpora that are composed by rule and ship with a package: their words, their splits, their files."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from textseq.atomic_files import write_atomically, writing
from textseq.errors import OutputError
from textseq.toml_text import parse_toml

_START = re.compile(r"^\w|[.?!] \w")


def read_words(package: str, name: str) -> dict[str, Any]:
    """One of the TOML files beside the modules of a package.

    Args:
        package: such as "nmt.phrasebook".
        name: of the file.
    """
    return parse_toml(resources.files(package).joinpath(name).read_text(encoding="utf-8"), name)


def with_capitals(text: str) -> str:
    """The text with a capital at the start of each sentence.

    Example:
        >>> with_capitals("we ate. it was good.")
        'We ate. It was good.'
    """
    return _START.sub(lambda found: found.group().upper(), text)


def split_of(lots: Iterable[int], test_share: int, valid_share: int) -> str:
    """The split of a text by the lots of the combinations in it: what one split holds, no other does.

    Args:
        lots: from `textseq.draw.bucket`, 0 to 999.
        test_share: of a thousand combinations, so many are kept for the test split.
        valid_share: so many for the validation split.

    Returns:
        "train", "valid" or "test".
    """
    lowest = min(lots, default=1000)
    if lowest < test_share:
        return "test"
    return "valid" if lowest < test_share + valid_share else "train"


def write_texts(directory: str | Path, texts: Mapping[str, str], owner: str) -> None:
    """Writes text files into a directory, and over nothing else.

    Args:
        directory: it is made where it is missing.
        texts: the text of each file, by its name.
        owner: whose texts they are, for the message: "the phrasebook's".

    Raises:
        OutputError: the directory cannot be made or written, or holds such a file with another text; then nothing is
            written.
    """
    directory = Path(directory)
    files = {directory / name: text for name, text in texts.items()}
    for file, text in files.items():
        if file.is_file() and file.read_bytes() != text.encode("utf-8"):
            raise OutputError(f"{file}: holds another text than {owner}; choose another folder")
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
    for file, text in files.items():
        write_atomically(file, text)


def run_writer(program: str, owner: str, files: str, write: Callable[[int, str], None]) -> None:
    """The command line that writes a composed corpus: a directory and a seed.

    Args:
        program: such as "python -m nmt.phrasebook".
        owner: what is written: "the phrasebook".
        files: what they are called: "train.en, train.de, valid.en, ...".
        write: takes the seed and the directory.
    """
    parser = argparse.ArgumentParser(prog=program, description=f"Write {owner} as text files.")
    parser.add_argument("directory", help=f"where {files} are written")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    try:
        write(arguments.seed, arguments.directory)
    except OutputError as error:
        parser.error(str(error))
