"""Corpora that are composed by rule and ship with a package: how their files are written."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from textseq.atomic_files import write_atomically, writing
from textseq.errors import OutputError


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
