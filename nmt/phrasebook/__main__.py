"""Writes the phrasebook as text files: python -m nmt.phrasebook DIR."""

from __future__ import annotations

import argparse

from nmt.phrasebook import phrasebook
from textseq.errors import OutputError


def main() -> None:
    """Reads the command line and writes the files."""
    parser = argparse.ArgumentParser(prog="python -m nmt.phrasebook", description="Write the phrasebook as text files.")
    parser.add_argument("directory", help="where train.en, train.de, valid.en, ... are written")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    try:
        phrasebook(arguments.seed).write(arguments.directory)
    except OutputError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
