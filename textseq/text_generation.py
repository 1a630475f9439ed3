"""Text written by a language model, token after token."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from textseq.errors import InputError
from textseq.inference import text_lines
from textseq.language_model import LanguageModel
from textseq.tokenization import Tokenizer


def generate_text(
    model: LanguageModel,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    *,
    tokens: int = 100,
    temperature: float = 1.0,
    seed: int = 0,
) -> list[str]:
    """Goes on with texts as the model would.

    Each next token is drawn from `softmax(log p / temperature)` by the Gumbel trick: the largest of
    `log p / temperature + g` with `g = -log(-log u)`. What a prompt becomes depends on its place in the list, the seed
    and the model, not on the other prompts.

    Args:
        model: its forward layer is used.
        tokenizer: the one that the model was trained with.
        prompts: how the texts begin; an empty one begins anew.
        tokens: at most so many are written; eos ends a text before.
        temperature: below 1 keeps to the likely, above 1 is wilder; 0 takes the most probable token.
        seed: another seed, another draw.

    Returns:
        Each prompt with what follows it.

    Raises:
        InputError: the temperature is negative, or one text stands in place of a list.
    """
    prompts = text_lines(prompts)
    if not temperature >= 0.0:
        raise InputError(f"temperature: received {temperature}, expected 0 (the most probable token) or more")
    texts = []
    for number, (prompt, ids) in enumerate(zip(prompts, tokenizer.encode(prompts), strict=True)):
        generator = np.random.Philox(key=_key(seed, number))
        written = _continue(model, [tokenizer.bos_id, *ids], tokenizer, tokens, temperature, generator)
        texts.append(tokenizer.decode([*ids, *written]) if written else prompt)
    return texts


def _continue(
    model: LanguageModel, ids: list[int], tokenizer: Tokenizer, tokens: int, temperature: float, generator: Any
) -> list[int]:
    states = model.start(1)
    log_probabilities: Any = None
    written: list[int] = []
    for _ in range(tokens):
        for token_id in written[-1:] or ids:
            log_probabilities, states = model.step(ops.array([token_id], "int32"), states)
        scores = np.array(ops.convert_to_numpy(log_probabilities)[0], dtype=np.float64)
        scores[[tokenizer.pad_id, tokenizer.bos_id]] = -np.inf  # neither ever follows a token
        next_id = int(np.argmax(scores / temperature + _gumbel(generator, len(scores)) if temperature else scores))
        if next_id == tokenizer.eos_id:
            break
        written.append(next_id)
    return written


def _gumbel(generator: Any, count: int) -> np.ndarray:
    # Raw bits are the same in every NumPy; half a step keeps u from 0 and from 1.
    uniform = ((generator.random_raw(count) >> np.uint64(11)) + 0.5) * 2.0**-53
    return -np.log(-np.log(uniform))


def _key(seed: int, number: int) -> int:
    return int.from_bytes(hashlib.blake2b(f"generation {seed} {number}".encode(), digest_size=16).digest(), "little")
