"""Writes the phrasebook as text files: python -m nmt.phrasebook DIR."""

from __future__ import annotations

from nmt.phrasebook import phrasebook
from textseq.composed_corpus import run_writer


def main() -> None:
    """Reads the command line and writes the files."""
    run_writer(
        "python -m nmt.phrasebook",
        "the phrasebook",
        "train.en, train.de, valid.en, ...",
        lambda seed, directory: phrasebook(seed).write(directory),
    )


if __name__ == "__main__":
    main()
