"""The English-German phrasebook that ships with the package: composed from templates and a lexicon, by rule."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from nmt.phrasebook.grammar import Grammar, Sentence
from textseq.composed_corpus import split_of, write_texts
from textseq.draw import Draw, bucket

__all__ = ["PhrasePair", "Phrasebook", "phrasebook"]

TRAIN_SIZE, VALID_SIZE, TEST_SIZE = 22_500, 500, 1_000
# Words of an English sentence.
SHORTEST, LONGEST = 3, 16
# Of a thousand combinations of words, so many are kept for the test and the validation split.
TEST_SHARE, VALID_SHARE = 45, 25


class PhrasePair(NamedTuple):
    """An English sentence and its German translation."""

    source: str
    target: str


@dataclass(frozen=True)
class Phrasebook:
    """The three splits.

    Attributes:
        train: 22,500 pairs.
        valid: 500 pairs.
        test: 1,000 pairs; each holds a combination of words, such as reading + newspaper, that no training or
            validation pair holds in any form, while every single word of it occurs in training.
    """

    train: list[PhrasePair]
    valid: list[PhrasePair]
    test: list[PhrasePair]

    def write(self, path: str | Path) -> None:
        """Writes train.en, train.de, valid.en, valid.de, test.en and test.de into a directory.

        Args:
            path: the directory; it is made where it is missing.

        Raises:
            OutputError: the directory cannot be made or written, or holds such a file with another text; then nothing
                is written.
        """
        texts = {
            f"{name}.{language}": "".join(pair[column] + "\n" for pair in getattr(self, name))
            for name in ("train", "valid", "test")
            for column, language in enumerate(("en", "de"))
        }
        write_texts(path, texts, "the phrasebook's")


@lru_cache(maxsize=2)
def compose(seed: int = 1) -> dict[str, list[Sentence]]:
    """The sentences of each split with the combinations that they hold; what phrasebook() is made of."""
    grammar = Grammar()
    wanted = {"train": TRAIN_SIZE, "valid": VALID_SIZE, "test": TEST_SIZE}
    splits: dict[str, list[Sentence]] = {name: [] for name in wanted}
    spare: dict[str, list[Sentence]] = {name: [] for name in wanted}
    seen: set[str] = set()
    number = 0
    while len(splits["train"]) < TRAIN_SIZE:
        sentence = grammar.sentence(Draw(seed, number))
        number += 1
        if sentence is None or sentence.source in seen or not SHORTEST <= len(sentence.source.split()) <= LONGEST:
            continue
        seen.add(sentence.source)
        name = _split(seed, sentence)
        (splits["train"] if name == "train" else spare[name]).append(sentence)
    known = {word for sentence in splits["train"] for word in _words(sentence)}
    for name in ("valid", "test"):
        whole = (sentence for sentence in spare[name] if known.issuperset(_words(sentence)))
        splits[name] = [sentence for sentence, _ in zip(whole, range(wanted[name]), strict=False)]
    return splits


def phrasebook(seed: int = 1) -> Phrasebook:
    """Composes the phrasebook; the same seed gives the same pairs on every machine.

    Args:
        seed: of the choice of sentences and of the combinations kept for the test.

    Returns:
        The three splits; English sentences are distinct over all of them.

    Example:
        >>> book = phrasebook()
        >>> len(book.train), len(book.valid), len(book.test)
        (22500, 500, 1000)
    """
    splits = compose(seed)
    return Phrasebook(**{name: [PhrasePair(s.source, s.target) for s in part] for name, part in splits.items()})


def _split(seed: int, sentence: Sentence) -> str:
    lots = [bucket(seed, combination) for combination in sentence.combinations]
    return split_of(lots, TEST_SHARE, VALID_SHARE)


def _words(sentence: Sentence) -> list[str]:
    """Every word of both sides as written, with the punctuation cut off; "en:" keeps the languages apart."""
    return [
        f"{language}:{word.strip('.,?!')}"
        for language, text in (("en", sentence.source), ("de", sentence.target))
        for word in text.split()
    ]
