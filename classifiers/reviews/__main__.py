"""Writes the reviews as text files: python -m classifiers.reviews DIR."""

from __future__ import annotations

from classifiers.reviews import reviews
from textseq.composed_corpus import run_writer


def main() -> None:
    """Reads the command line and writes the files."""
    run_writer(
        "python -m classifiers.reviews",
        "the reviews",
        "train.tsv, valid.tsv and test.tsv",
        lambda seed, directory: reviews(seed).write(directory),
    )


if __name__ == "__main__":
    main()
