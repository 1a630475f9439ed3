"""A language model trained in memory, in one call, and how well it foretells text."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import keras
import numpy as np
from keras import ops

from textseq.batching import Batch, BatchingConfig, BatchPlan, validation_batches
from textseq.errors import InputError
from textseq.inference import text_lines
from textseq.language_model import LanguageModel, prediction_loss
from textseq.losses import perplexity as perplexity_of_loss
from textseq.special_ids import special_ids_of
from textseq.text_windows import TextWindows
from textseq.token_sampling import encoded_ids
from textseq.token_store import TokenStore
from textseq.tokenization import Tokenizer


def train_language_model(
    model: LanguageModel,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    *,
    epochs: int = 5,
    learning_rate: float = 2e-3,
    token_budget: int = 1024,
    longest: int = 64,
    seed: int = 1,
) -> list[float]:
    """Trains a language model on texts that fit into memory, without a run directory.

    Adam, whose rate falls to zero along half a cosine (Loshchilov and Hutter 2017, arXiv:1608.03983, equation 5), with
    the gradient clipped to a norm of 1. For large text, with checkpoints and validation, there is
    `classifiers.pretrain`.

    Args:
        model: its weights are changed.
        tokenizer: its vocabulary is the model's.
        texts: one or more.
        epochs: how often all text is read.
        learning_rate: at the first step.
        token_budget: most tokens of a batch, padding counted.
        longest: most tokens of a window that is read at once; longer texts are read in several.
        seed: of the order of the batches.

    Returns:
        The perplexity of each epoch, as it was while the weights changed.

    Raises:
        InputError: no text, or fewer than one epoch.

    Example:
        >>> train_language_model(model, tokenizer, ["a cat sleeps", "a dog sleeps"], epochs=2)  # doctest: +SKIP
        [58.1, 41.7]
    """
    if epochs < 1 or not text_lines(texts):
        raise InputError(f"language model: received {len(texts)} texts and {epochs} epochs; expected 1 or more of both")
    with tempfile.TemporaryDirectory() as folder:
        windows = _windows(tokenizer, texts, longest, folder)
        plan = BatchPlan(windows.table(), BatchingConfig(token_budget=max(token_budget, longest), max_length=longest))
        schedule = keras.optimizers.schedules.CosineDecay(learning_rate, epochs * len(plan))
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=tokenizer.pad_id)
        optimizer = keras.optimizers.Adam(schedule, global_clipnorm=1.0)
        model.compile(optimizer, tuple(loss for _ in model.directions), jit_compile=False)
        return [_train_epoch(model, windows, plan.epoch(seed, epoch)) for epoch in range(epochs)]


def perplexity(
    model: LanguageModel, tokenizer: Tokenizer, texts: Sequence[str], *, token_budget: int = 4096, longest: int = 64
) -> float:
    """How many tokens a language model hesitates between: `exp` of the mean cross-entropy of a token, in nats.

    The end of each text counts as a token. Perplexities compare only where the tokens are the same.

    Args:
        model: the mean of its directions is taken.
        tokenizer: the one that the model was trained with.
        texts: one or more.
        token_budget: most tokens of a batch, padding counted; changes speed and memory only.
        longest: most tokens of a window; the model knows nothing of what stood before it.

    Returns:
        From 1 to infinity; a model that knows nothing has the size of its vocabulary.

    Raises:
        InputError: no text.
    """
    if not text_lines(texts):
        raise InputError("perplexity: received 0 texts; expected 1 or more")
    sums = np.zeros(2)
    with tempfile.TemporaryDirectory() as folder:
        windows = _windows(tokenizer, texts, longest, folder)
        for batch in validation_batches(windows.table(), max(token_budget, longest)):
            loss = prediction_loss(model, ops.convert_to_tensor(windows.rows(batch)))
            sums += [float(ops.mean(loss.plain_sums)), float(loss.predictions)]
    return perplexity_of_loss(sums[0] / sums[1])


def _train_epoch(model: LanguageModel, windows: TextWindows, batches: Iterable[Batch]) -> float:
    pad_id, sums = model.special_ids.pad_id, np.zeros(2)
    for batch in batches:
        ids = windows.rows(batch)
        predicted = ids[:, 1:] != pad_id
        sides = (ids[:, :-1] if direction.reverse else ids[:, 1:] for direction in model.directions)
        labels = tuple(np.where(predicted, side, pad_id) for side in sides)
        loss = model.train_on_batch(ids, labels, return_dict=True)["loss"] / len(labels)
        sums += [float(loss) * predicted.sum(), predicted.sum()]
    return perplexity_of_loss(sums[0] / sums[1])


def _windows(tokenizer: Tokenizer, texts: Sequence[str], longest: int, folder: str) -> TextWindows:
    ids = encoded_ids(tokenizer, text_lines(texts))
    store = TokenStore.write(Path(folder) / "text", ids, vocabulary_size=tokenizer.vocabulary_size)
    return TextWindows(store, longest, special_ids_of(tokenizer))
