"""A task for memories: which value came with this key?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from textseq.errors import InputError


class AssociativeRecall(NamedTuple):
    """Sequences of pairs, each ending in a question, and the answers."""

    pairs: npt.NDArray[np.int32]
    """int32[examples, pairs + 1, 2], a key and its value at each place; at the last, the key that is asked for, and
    `values` in place of its value."""
    answers: npt.NDArray[np.int32]
    """int32[examples], the value that came with that key."""


def associative_recall(
    examples: int, pairs: int = 16, *, keys: int = 64, values: int = 16, seed: int = 1
) -> AssociativeRecall:
    """Draws examples of associative recall, after Ba et al. 2016 (arXiv:1610.06258, section 4.1).

    There, keys and values are single tokens, one after the other; here a pair is one step. Keys of an example differ,
    values need not. Which pair will be asked for is known only at the end, so all have to be kept.

    Args:
        examples: how many.
        pairs: of an example, 1 to `keys`.
        keys: different ones.
        values: different ones; guessing is right once in `values` times.
        seed: of the draws; training and test take different ones.

    Raises:
        InputError: a number below 1, or more pairs than keys.

    Example:
        >>> task = associative_recall(1, pairs=3, keys=9, values=4, seed=1)
        >>> task.pairs[0].tolist(), task.answers[0].item()
        ([[2, 2], [5, 0], [4, 2], [5, 4]], 0)
    """
    if min(examples, pairs, values) < 1 or pairs > keys:
        raise InputError(
            f"associative recall: received {examples} examples of {pairs} pairs, {keys} keys and {values} values; "
            "expected 1 or more of each, and no more pairs than keys"
        )
    random = np.random.RandomState(seed)  # Unlike Generator's, its draws stay as they are in every NumPy.
    every = np.arange(examples)
    drawn_keys = random.random_sample((examples, keys)).argsort(axis=1, kind="stable")[:, :pairs]
    drawn_values = random.randint(0, values, (examples, pairs))
    asked = random.randint(0, pairs, examples)
    questions = np.stack([drawn_keys[every, asked], np.full(examples, values)], axis=-1)
    told = np.stack([drawn_keys, drawn_values], axis=-1)
    joined = np.concatenate([told, questions[:, None]], axis=1)
    return AssociativeRecall(joined.astype(np.int32), drawn_values[every, asked].astype(np.int32))
