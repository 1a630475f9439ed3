"""Division of a corpus into training and validation where no validation file is given, label by label.

All texts with the same key (`textseq.corpus.sentence_key`: case, character width and extra space ignored) go to the
same side. A text's place in the order hangs on its own key and the seed, not on the order of the corpus.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from textseq.corpus import hash_texts


def choose_validation_size(texts: int) -> int:
    """How many texts to hold out of a corpus of this size: one in ten, 1 at least and 2,000 at most.

    More than a translator holds out: a translation has many tokens to score, a text has one answer. Of 2,000 texts,
    accuracy at 90 % has a standard error of 0.7 points; the temperature and the thresholds are fitted on these as well.

    Example:
        >>> [choose_validation_size(texts) for texts in (5, 7_000, 25_000)]
        [1, 700, 2000]
    """
    return min(2000, max(1, texts // 10))


def choose_split(
    keys: npt.NDArray[np.uint64],
    label_sets: Sequence[Sequence[int]],
    set_of_text: npt.NDArray[np.integer],
    size: int,
    seed: int,
) -> npt.NDArray[np.bool_]:
    """Chooses the texts to hold out: of each label its share, in the order of a hash.

    Labels are served from the rarest on. A text with several labels counts for each, and is taken only where all of
    them have room. Every label of two or more different texts gets one into each part, also where its share would be
    less than one; with several labels a text, that can be impossible, so look. Memory: some 60 bytes a label of a text.

    Args:
        keys: uint64[texts], `hash_texts` of the `sentence_key` of each text.
        label_sets: the sets of label numbers that occur; the empty set is a label of its own here.
        set_of_text: int[texts], the set of each text.
        size: texts to hold out, at least 1; never much exceeded.
        seed: which of the many splits.

    Returns:
        bool[texts], True for validation.

    Example:
        >>> keys = np.arange(8, dtype=np.uint64)
        >>> held_out = choose_split(keys, [[0], [1]], np.array([0, 0, 0, 0, 0, 0, 1, 1]), size=4, seed=1)
        >>> int(held_out[:6].sum()), int(held_out[6:].sum())
        (3, 1)
    """
    if size < 1:
        raise ValueError(f"validation size {size}: expected 1 or more texts")
    if len(keys) == 0:
        return np.zeros(0, dtype=np.bool_)
    groups, group_of_text = np.unique(_ranks(keys, seed), return_inverse=True)
    group_labels = _GroupLabels(group_of_text, len(groups), label_sets, set_of_text)
    return group_labels.choose(_shares(group_labels.texts, size, len(keys)))[group_of_text]


def _ranks(keys: npt.NDArray[np.uint64], seed: int) -> npt.NDArray[np.uint64]:
    """A permutation of the 64-bit numbers for each seed (the last steps of SplitMix64): equal keys stay equal."""
    ranks = keys ^ np.uint64(hash_texts("stratified split", seed=seed))
    ranks = (ranks ^ (ranks >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    ranks = (ranks ^ (ranks >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: npt.NDArray[np.uint64] = ranks ^ (ranks >> np.uint64(31))
    return mixed


def _shares(texts: npt.NDArray[np.int64], size: int, total: int) -> npt.NDArray[np.int64]:
    """int64[labels]: texts to hold out of each label, in proportion; what rounding leaves goes to the largest rests."""
    exact = texts * (min(size, total) / total)
    shares = np.floor(exact).astype(np.int64)
    left = round(float(exact.sum())) - int(shares.sum())
    shares[np.argsort(shares - exact, kind="stable")[: max(left, 0)]] += 1
    return shares


class _GroupLabels:
    """How many texts of each label each group of equal texts has: entries (group, label, texts), by group.

    Attributes:
        texts: int64[labels], texts of each label.
    """

    def __init__(
        self,
        group_of_text: npt.NDArray[np.integer],
        groups: int,
        label_sets: Sequence[Sequence[int]],
        set_of_text: npt.NDArray[np.integer],
    ) -> None:
        highest = max((label for labels in label_sets for label in labels), default=-1)
        none = highest + 1
        filled = [list(labels) or [none] for labels in label_sets]
        sizes = np.array([len(labels) for labels in filled])
        starts = np.cumsum(sizes) - sizes
        flat = np.array([label for labels in filled for label in labels], dtype=np.int64)
        repeats = sizes[set_of_text]
        text_of_entry = np.repeat(np.arange(len(set_of_text)), repeats)
        place = np.arange(len(text_of_entry)) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        label_of_entry = flat[starts[set_of_text][text_of_entry] + place]
        self._labels = none + 1
        pairs, self._counts = np.unique(
            group_of_text[text_of_entry] * self._labels + label_of_entry, return_counts=True
        )
        self._group, self._label = np.divmod(pairs, self._labels)
        self._first_entry = np.searchsorted(self._group, np.arange(groups + 1))
        self.texts = np.bincount(self._label, weights=self._counts, minlength=self._labels).astype(np.int64)

    def choose(self, shares: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """bool[groups]: the groups to hold out.

        Args:
            shares: int64[labels], texts to hold out of each label.
        """
        held_out = np.zeros(len(self._first_entry) - 1, dtype=np.bool_)
        taken = np.zeros(self._labels, dtype=np.int64)
        training_groups = np.bincount(self._label, minlength=self._labels)
        by_label = np.argsort(self._label, kind="stable")
        ends = np.cumsum(training_groups)

        def take(group: int, *, within_shares: bool) -> bool:
            entries = slice(self._first_entry[group], self._first_entry[group + 1])
            labels, counts = self._label[entries], self._counts[entries]
            if held_out[group] or (training_groups[labels] < 2).any():
                return False
            if within_shares and (taken[labels] + counts > shares[labels]).any():
                return False
            held_out[group] = True
            taken[labels] += counts
            training_groups[labels] -= 1
            return True

        for label in np.argsort(self.texts, kind="stable"):
            entries = by_label[(ends[label - 1] if label else 0) : ends[label]]
            for entry in entries:
                if taken[label] >= shares[label]:
                    break
                take(int(self._group[entry]), within_shares=True)
            if taken[label] == 0:
                # Its share is less than one, or no group fits; the one that repeats least has to do.
                for entry in entries[np.argsort(self._counts[entries], kind="stable")]:
                    if take(int(self._group[entry]), within_shares=False):
                        break
        return held_out
