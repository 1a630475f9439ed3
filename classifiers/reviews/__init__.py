"""The English reviews that ship with the package: composed from templates and a lexicon, by rule.

Short reviews of cafés, novels, trains, phones and other things, in three classes. Which part of a review decides is
written on top of templates.toml. Word counts alone tell little: most words of praise and blame stand as often in
reviews of the other class, denied, contrasted, expected, said by others, or meant ironically.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from classifiers.reviews.grammar import LABELS, NEUTRAL, Grammar, Review
from textseq.composed_corpus import split_of, write_texts
from textseq.draw import Draw, bucket

__all__ = ["LabelledReview", "Reviews", "reviews"]

TRAIN_SIZE, VALID_SIZE, TEST_SIZE = 8_100, 600, 900
# Words of a review.
SHORTEST, LONGEST = 3, 40
# Of a thousand combinations of words, so many are kept for the test and the validation split.
TEST_SHARE, VALID_SHARE = 45, 35


class LabelledReview(NamedTuple):
    """A review and its class."""

    text: str
    label: str


@dataclass(frozen=True)
class Reviews:
    """The three splits, each with as many negative as neutral as positive reviews.

    Attributes:
        train: 8,100 reviews.
        valid: 600 reviews.
        test: 900 reviews; each holds a combination of words that its label rests on, such as soup + bland or
            not at all + bland, that no training or validation review holds, while every single word of it occurs in
            training.
    """

    train: list[LabelledReview]
    valid: list[LabelledReview]
    test: list[LabelledReview]

    def write(self, path: str | Path) -> None:
        """Writes train.tsv, valid.tsv and test.tsv, `label<TAB>text`, into a directory.

        Args:
            path: the directory; it is made where it is missing.

        Raises:
            OutputError: the directory cannot be made or written, or holds such a file with another text; then nothing
                is written.
        """
        texts = {
            f"{name}.tsv": "".join(f"{review.label}\t{review.text}\n" for review in getattr(self, name))
            for name in ("train", "valid", "test")
        }
        write_texts(path, texts, "the corpus of reviews")


@lru_cache(maxsize=2)
def compose(seed: int = 1) -> dict[str, list[Review]]:
    """The reviews of each split with the combinations that they hold; what reviews() is made of."""
    grammar = Grammar()
    wanted = {"train": TRAIN_SIZE // 3, "valid": VALID_SIZE // 3, "test": TEST_SIZE // 3}
    splits: dict[str, list[Review]] = {name: [] for name in wanted}
    left = {(name, label): count for name, count in wanted.items() for label in LABELS}
    spare: dict[str, list[Review]] = {"valid": [], "test": []}
    seen: set[str] = set()
    number = 0
    while any(left["train", label] for label in LABELS):
        review = grammar.review(Draw(seed, number))
        number += 1
        if review is None or review.text.lower() in seen or not SHORTEST <= len(review.text.split()) <= LONGEST:
            continue
        seen.add(review.text.lower())
        name = _split(seed, review)
        if name in spare:
            spare[name].append(review)
        elif name and left[name, review.label]:
            left[name, review.label] -= 1
            splits[name].append(review)
    known = {word for review in splits["train"] for word in _words(review)}
    for name, found in spare.items():
        for review in found:
            if left[name, review.label] and known.issuperset(_words(review)):
                left[name, review.label] -= 1
                splits[name].append(review)
    return splits


def reviews(seed: int = 1) -> Reviews:
    """Composes the reviews; the same seed gives the same texts on every machine.

    Args:
        seed: of the choice of reviews and of the combinations kept for the test.

    Returns:
        The three splits; texts are distinct over all of them.

    Example:
        >>> corpus = reviews()
        >>> len(corpus.train), len(corpus.valid), len(corpus.test)
        (8100, 600, 900)
    """
    splits = compose(seed)
    return Reviews(**{name: [LabelledReview(r.text, r.label) for r in part] for name, part in splits.items()})


def _split(seed: int, review: Review) -> str:
    """The split of a review, or "" where it would show held-out facts beside an opinion."""
    lots = [bucket(seed, combination) for combination in review.combinations]
    facts = [bucket(seed, fact) for fact in review.facts]
    if review.label == NEUTRAL:
        lots += facts
    elif any(lot < TEST_SHARE + VALID_SHARE for lot in facts):
        return ""
    return split_of(lots, TEST_SHARE, VALID_SHARE)


def _words(review: Review) -> list[str]:
    """Every word as written, with the punctuation cut off."""
    return [word.strip(".,:;?!") for word in review.text.split()]
