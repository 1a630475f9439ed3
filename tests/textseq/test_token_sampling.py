"""Ids of training text, plain and drawn: a pure function of seed, epoch and part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from textseq import token_sampling
from textseq.batching import BatchPlan
from textseq.batching_config import BatchingConfig
from textseq.token_sampling import (
    SampledStores,
    Shortening,
    TextPart,
    encoded_ids,
    lengths_of,
    sampled_ids,
    sampled_lengths,
)
from textseq.token_store import TokenStore
from textseq.tokenization import TokenizationConfig, Tokenizer
from textseq.tokenizer_training import train_tokenizer

LINES = [
    f"{who} {what} {where}" for who in ("a dog", "the cat") for what in ("sleeps", "runs") for where in ("here", "")
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(LINES, TokenizationConfig(), vocabulary_size=320, seed=1)


def part_of(folder: Path, tokenizer: Tokenizer, name: str = "text", lines: list[str] = LINES) -> TextPart:
    path = folder / f"train.{name}.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    ids = encoded_ids(tokenizer, lines)
    store = TokenStore.write(folder / f"train.{name}", ids, vocabulary_size=tokenizer.vocabulary_size)
    return TextPart(name, tokenizer, path, store)


def rows(store: TokenStore) -> list[list[int]]:
    return [store[index].tolist() for index in range(len(store))]


def test_plain_ids_end_in_eos(tokenizer: Tokenizer) -> None:
    expected = [[*ids, tokenizer.eos_id] for ids in tokenizer.encode([*LINES, ""])]
    assert list(encoded_ids(tokenizer, iter([*LINES, ""]))) == expected
    assert list(encoded_ids(tokenizer, [])) == []


def test_sequences_that_are_too_long_are_cut_and_counted() -> None:
    shortening = Shortening(3)
    sequences = [[5, 6, 7, 3], [5, 6, 3], [3], [5, 6, 7, 8, 9, 3]]
    assert list(shortening.shortened(sequences)) == [[5, 6, 3], [5, 6, 3], [3], [5, 6, 3]]
    assert shortening.cut == 2


def test_draws_follow_seed_epoch_and_part(tmp_path: Path, tokenizer: Tokenizer) -> None:
    part, other = part_of(tmp_path, tokenizer), part_of(tmp_path, tokenizer, "other")
    drawn = list(sampled_ids(part, 0.5, 100, seed=1, epoch=0))
    assert list(sampled_ids(part, 0.5, 100, seed=1, epoch=0)) == drawn
    assert [tokenizer.decode(ids) for ids in drawn] == [line.strip() for line in LINES]
    assert all(ids[-1] == tokenizer.eos_id for ids in drawn)
    for different in (
        sampled_ids(part, 0.5, 100, seed=2, epoch=0),
        sampled_ids(part, 0.5, 100, seed=1, epoch=1),
        sampled_ids(other, 0.5, 100, seed=1, epoch=0),
    ):
        assert list(different) != drawn


def test_a_draw_that_is_too_long_falls_back(tmp_path: Path, tokenizer: Tokenizer) -> None:
    part = part_of(tmp_path, tokenizer)
    limit = int(part.plain.lengths.max())
    drawn = list(sampled_ids(part, 1.0, limit, seed=1, epoch=0))  # single characters
    assert drawn == rows(part.plain)


def test_chunks_keep_their_lines(tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_sampling, "_LINES_AT_ONCE", 3)
    part = part_of(tmp_path, tokenizer)
    assert rows(part.plain) == [[*ids, tokenizer.eos_id] for ids in tokenizer.encode(LINES)]
    drawn = list(sampled_ids(part, 0.5, 100, seed=1, epoch=0))
    assert [tokenizer.decode(ids) for ids in drawn] == [line.strip() for line in LINES]
    assert list(sampled_ids(part, 1.0, 3, seed=1, epoch=0)) == rows(part.plain)


def test_the_stores_of_one_epoch_are_kept(tmp_path: Path, tokenizer: Tokenizer) -> None:
    parts = [part_of(tmp_path, tokenizer), part_of(tmp_path, tokenizer, "other")]
    stores = SampledStores(tmp_path, parts, 0.5, 1, [100, 100])
    first = stores.of(0)
    assert stores.of(0) is first
    expected = [list(sampled_ids(part, 0.5, 100, seed=1, epoch=0)) for part in parts]
    assert [rows(store) for store in first] == expected
    second = [rows(store) for store in stores.of(1)]
    assert second != expected
    assert sorted(path.name for path in tmp_path.glob("sampled-*")) == ["sampled-1.other.ids", "sampled-1.text.ids"]
    # Back, and in another process that begins in the middle: the same ids.
    assert [rows(store) for store in stores.of(0)] == expected
    later = SampledStores(tmp_path, parts, 0.5, 1, [100, 100])
    assert [rows(store) for store in later.of(1)] == second


def test_an_epoch_has_a_plan_for_its_own_lengths(tmp_path: Path, tokenizer: Tokenizer) -> None:
    part = part_of(tmp_path, tokenizer)
    plan = BatchPlan(lengths_of([part.plain]), BatchingConfig(token_budget=400, max_length=100))
    assert SampledStores(tmp_path, [part], 0.0, 1, [100]).plan_of(0, plan) is plan
    stores = SampledStores(tmp_path, [part], 0.9, 1, [100])
    (drawn,) = stores.of(1)
    batches = stores.plan_of(1, plan).epoch(1, 1)
    assert all(drawn.lengths[batch.indices].max() <= batch.shape[1] for batch in batches)
    assert sorted(index for batch in batches for index in batch.indices.tolist()) == list(range(len(LINES)))


def test_without_sampling_nothing_is_drawn(tmp_path: Path, tokenizer: Tokenizer) -> None:
    part = part_of(tmp_path, tokenizer)
    assert SampledStores(tmp_path, [part], 0.0, 1, [100]).of(3) == (part.plain,)
    assert list(tmp_path.glob("sampled-*")) == []


def test_lengths_have_room_for_draws_and_for_plain_ids(tmp_path: Path, tokenizer: Tokenizer) -> None:
    parts = [part_of(tmp_path, tokenizer), part_of(tmp_path, tokenizer, "other", LINES[::-1])]
    plain = lengths_of([part.plain for part in parts])
    assert plain.tolist() == [[len(a), len(b)] for a, b in zip(*(rows(part.plain) for part in parts), strict=True)]
    lengths = sampled_lengths(parts, 0.5, 100, seed=1)
    drawn = [list(sampled_ids(part, 0.5, 100, seed=1, epoch=0)) for part in parts]
    np.testing.assert_array_equal(lengths, np.array([[len(a), len(b)] for a, b in zip(*drawn, strict=True)]))
    assert (lengths.max(axis=0) >= plain.max(axis=0)).all()
