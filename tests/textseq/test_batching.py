"""Batches cover each sentence once, keep under their budget, have few shapes and little padding."""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textseq.batching import Batch, BatchPlan, inference_batches, validation_batches
from textseq.batching_config import BatchingConfig
from textseq.errors import ConfigurationError


@st.composite
def length_tables(draw: st.DrawFn, longest: int = 40) -> npt.NDArray[np.int32]:
    sides = draw(st.integers(1, 2))
    row = st.lists(st.integers(1, longest), min_size=sides, max_size=sides)
    return np.array(draw(st.lists(row, min_size=1, max_size=200)), dtype=np.int32)


def correlated_lengths(sentences: int, seed: int = 0, longest: int = 100) -> npt.NDArray[np.int32]:
    """Two sides as in parallel text: log-normal, the target near the source."""
    generator = np.random.default_rng(seed)
    source = generator.lognormal(2.8, 0.4, sentences)
    target = source * generator.normal(1.05, 0.15, sentences)
    return np.clip(np.stack([source, target], axis=1), 2, longest).astype(np.int32)


def covered(batches: list[Batch]) -> list[int]:
    return sorted(int(index) for batch in batches for index in batch.indices)


def check_batches(batches: list[Batch], lengths: npt.NDArray[np.int32], token_budget: int) -> None:
    assert covered(batches) == list(range(len(lengths)))
    for batch in batches:
        batch_size, *sides = batch.shape
        assert batch.indices.dtype == np.int64
        assert 1 <= len(batch.indices) <= batch_size
        assert batch_size * sum(sides) <= token_budget
        assert (lengths[batch.indices] <= sides).all()


@settings(deadline=None)
@given(lengths=length_tables(), token_budget=st.integers(80, 900), most=st.integers(1, 8), seed=st.integers())
def test_an_epoch_covers_each_sentence_once_in_few_shapes_under_the_budget(
    lengths: npt.NDArray[np.int32], token_budget: int, most: int, seed: int
) -> None:
    plan = BatchPlan(lengths, BatchingConfig(token_budget=token_budget, shapes=most))
    batches = plan.epoch(seed, epoch=3)
    check_batches(batches, lengths, token_budget)
    assert len(batches) == len(plan)
    assert {batch.shape for batch in batches} <= set(plan.shapes)
    assert 1 <= len(plan.shapes) <= most
    cells = sum(int(np.prod([batch.shape[0], sum(batch.shape[1:])])) for batch in batches)
    assert plan.padding_waste() == pytest.approx(1 - lengths.sum() / cells)


@settings(deadline=None)
@given(lengths=length_tables(), seed=st.integers(0, 5), shards=st.integers(1, 5))
def test_shards_divide_each_batch_and_agree_on_its_shape(
    lengths: npt.NDArray[np.int32], seed: int, shards: int
) -> None:
    plan = BatchPlan(lengths, BatchingConfig(token_budget=300, shapes=4))
    whole = plan.epoch(seed, 0)
    parts = [plan.epoch(seed, 0, shard=shard, shards=shards) for shard in range(shards)]
    for batch, *slices in zip(whole, *parts, strict=True):
        assert len({part.shape for part in slices}) == 1
        assert slices[0].shape == (-(-batch.shape[0] // shards), *batch.shape[1:])
        assert all(len(part.indices) <= part.shape[0] for part in slices)
        assert covered(slices) == sorted(batch.indices.tolist())


def best_cells(sentences: list[list[int]], most: int) -> int:
    """The oracle: padded cells of full batches, the least over every nested chain of shapes."""
    longest = [max(side) for side in zip(*sentences, strict=True)]
    corners = list(itertools.product(*[range(1, side + 1) for side in longest]))
    best = sum(longest) * len(sentences)
    for ends in itertools.combinations(corners, most - 1):
        if all(a <= b for one, other in itertools.pairwise(ends) for a, b in zip(one, other, strict=True)):
            best = min(best, cells_of((*ends, tuple(longest)), sentences))
    return best


def cells_of(chain: Sequence[tuple[int, ...]], sentences: list[list[int]]) -> int:
    return sum(
        min(sum(end) for end in chain if all(a >= b for a, b in zip(end, sentence, strict=True)))
        for sentence in sentences
    )


@settings(deadline=None, max_examples=50)
@given(lengths=length_tables(longest=6), most=st.integers(1, 3))
def test_shapes_are_the_best_of_all_nested_chains(lengths: npt.NDArray[np.int32], most: int) -> None:
    # Under 12 tokens a batch has 12, 6, 4, 3, 2 or 1 rows, so of 12 equal sentences each no batch is short.
    config = BatchingConfig(token_budget=12, shapes=most, padding_waste=0.0)
    plan = BatchPlan(np.repeat(lengths, 12, axis=0), config)
    sentences = lengths.tolist()
    assert cells_of([shape[1:] for shape in plan.shapes], sentences) == best_cells(sentences, most)


def test_equal_seeds_give_equal_batches_and_others_do_not() -> None:
    lengths = correlated_lengths(2000)
    config = BatchingConfig(token_budget=2000)
    first = BatchPlan(lengths, config).epoch(7, 2)
    again = BatchPlan(lengths.astype(np.int64), config).epoch(7, 2)
    assert all(a.shape == b.shape and np.array_equal(a.indices, b.indices) for a, b in zip(first, again, strict=True))
    for seed, epoch in [(7, 3), (8, 2), (-7, 2)]:
        other = BatchPlan(lengths, config).epoch(seed, epoch)
        assert [batch.indices.tolist() for batch in other] != [batch.indices.tolist() for batch in first]


def test_the_order_is_the_same_on_every_machine() -> None:
    """Known bits of Philox keyed by BLAKE2b: a change here changes the data order of runs that are to be resumed."""
    plan = BatchPlan(np.full((10, 1), 4), BatchingConfig(token_budget=12))
    assert [batch.indices.tolist() for batch in plan.epoch(seed=1, epoch=0)] == [[9, 4, 0], [2, 7, 1], [6], [5, 3, 8]]


def test_every_epoch_mixes_sentences_and_lengths() -> None:
    plan = BatchPlan(correlated_lengths(5000), BatchingConfig(token_budget=1000))
    sizes = [batch.shape[1] for batch in plan.epoch(0, 0)]
    assert sizes != sorted(sizes)
    assert np.corrcoef(sizes, np.arange(len(sizes)))[0, 1] == pytest.approx(0.0, abs=0.15)
    companions = [
        {tuple(sorted(batch.indices.tolist())) for batch in plan.epoch(0, epoch) if len(batch.indices) > 2}
        for epoch in (0, 1)
    ]
    assert not companions[0] & companions[1]


def test_short_batches_are_joined_where_they_fit_together() -> None:
    lengths = np.array([[4]] * 11 + [[8]] * 7)  # 40 tokens: 10 rows of 4, 5 rows of 8
    plan = BatchPlan(lengths, BatchingConfig(token_budget=40, padding_waste=0.0))
    assert plan.shapes == [(10, 4), (5, 8)]
    assert sorted(len(batch.indices) for batch in plan.epoch(0, 0)) == [3, 5, 10]


def test_no_more_shapes_than_the_waste_asks_for() -> None:
    lengths = correlated_lengths(5000)
    shapes = [
        len(BatchPlan(lengths, BatchingConfig(token_budget=2000, padding_waste=waste)).shapes)
        for waste in (0.5, 0.3, 0.2, 0.15)
    ]
    assert shapes == sorted(shapes)
    assert shapes[0] < shapes[-1]
    assert len(BatchPlan(np.full((500, 2), 9), BatchingConfig(token_budget=180, padding_waste=0.0)).shapes) == 1


def test_large_batches_have_a_multiple_of_eight_rows() -> None:
    sizes = [
        BatchPlan(np.full((5000, 1), 10), BatchingConfig(token_budget=budget)).shapes[0][0] for budget in (630, 1290)
    ]
    assert sizes == [63, 128]


def test_other_lengths_keep_the_shapes() -> None:
    lengths = correlated_lengths(3000, longest=60)
    plan = BatchPlan(lengths, BatchingConfig(token_budget=1500, max_length=80))
    held_out = correlated_lengths(200, seed=1, longest=40)
    other = plan.with_lengths(held_out)
    assert other.shapes == plan.shapes
    check_batches(other.epoch(0, 0), held_out, 1500)

    resampled = np.minimum(lengths + 9, 80)
    longer = plan.with_lengths(resampled)
    assert longer.shapes == [*plan.shapes, (9, 80, 80)]
    assert longer.with_lengths(resampled).shapes == longer.shapes
    check_batches(longer.epoch(0, 0), resampled, 1500)


def test_multi30k_wastes_less_than_a_tenth(corpora: Path) -> None:
    import sentencepiece

    files = [corpora / "multi30k" / f"train.{side}" for side in ("en", "de")]
    model = io.BytesIO()
    lines = [file.read_text(encoding="utf-8").split("\n")[:-1] for file in files]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=itertools.chain(*lines),
        model_writer=model,
        vocab_size=6000,
        model_type="bpe",
        character_coverage=1.0,
        minloglevel=2,
    )
    tokenizer = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    lengths = np.array([[len(ids) + 1 for ids in tokenizer.encode(side)] for side in lines]).T
    for token_budget in (2048, 2560, 3072):
        plan = BatchPlan(lengths, BatchingConfig(token_budget=token_budget))
        assert plan.padding_waste() < 0.1
        assert len(plan.shapes) <= 16
        assert sum(len(batch.indices) < batch.shape[0] for batch in plan.epoch(0, 0)) <= 5


def test_planning_is_fast() -> None:
    lengths = correlated_lengths(1_000_000, longest=120)
    start = time.process_time()
    plan = BatchPlan(lengths, BatchingConfig(token_budget=4000, padding_waste=0.0))
    plan.epoch(0, 0)
    assert time.process_time() - start < 5.0


@settings(deadline=None)
@given(lengths=length_tables(), token_budget=st.integers(80, 2000))
def test_inference_batches_cover_each_sentence_once_under_the_budget(
    lengths: npt.NDArray[np.int32], token_budget: int
) -> None:
    batches = inference_batches(lengths, token_budget)
    check_batches(batches, lengths, token_budget)
    longest = [batch.shape[1] for batch in batches]
    assert longest == sorted(longest, reverse=True)
    assert all(len(batch.indices) == batch.shape[0] for batch in batches[:-1])
    assert batches[-1].shape[0] < 2 * len(batches[-1].indices)


def test_inference_shapes_are_few_and_return_in_other_calls() -> None:
    shapes = [
        {batch.shape for batch in inference_batches(correlated_lengths(3000, seed=seed)[:, 0], 2000)[:-1]}
        for seed in range(4)
    ]
    assert len(set.union(*shapes)) <= 14
    assert {shape[1] for shape in set.union(*shapes)} <= {8, 10, 12, 15, 19, 24, 30, 38, 48, 60, 75, 94, 118}


def test_inference_of_nothing_and_of_one_sentence() -> None:
    assert inference_batches(np.zeros(0, dtype=np.int32), 100) == []
    (batch,) = inference_batches(np.array([5]), 4000)
    assert batch.shape == (1, 8)


def test_a_sentence_over_the_maximum_is_named() -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"sentence 1 has 31 tokens on side 0, batching\.max_length is 30; cut or drop longer sentences first",
    ):
        BatchPlan(np.array([[30, 2], [31, 2]]), BatchingConfig(token_budget=100, max_length=30))


def test_a_budget_below_one_sentence_names_both_numbers() -> None:
    with pytest.raises(
        ConfigurationError,
        match=r"batching\.token_budget is 49, but one row of the longest shape takes 30 \+ 20 = 50 tokens; "
        r"set batching\.token_budget to at least 50 or lower batching\.max_length",
    ):
        BatchPlan(np.array([[30, 20]]), BatchingConfig(token_budget=49))
    assert BatchPlan(np.array([[30, 20]]), BatchingConfig(token_budget=50)).shapes == [(1, 30, 20)]
    with pytest.raises(ConfigurationError, match="takes 30 tokens"):
        BatchPlan(np.array([[30]]), BatchingConfig(token_budget=29))
    plan = BatchPlan(np.array([[5]]), BatchingConfig(token_budget=9, max_length=10))
    with pytest.raises(ConfigurationError, match=r"token_budget is 9, .* takes 10 tokens"):
        plan.with_lengths(np.array([[6]]))
    with pytest.raises(
        ConfigurationError, match=r"token_budget is 19, but the longest sentence takes 2 x 10 tokens; .* at least 20"
    ):
        inference_batches(np.array([[10, 3]]), 19)


def test_an_unset_budget_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"batching\.token_budget is unset, expected a number of tokens"):
        BatchPlan(np.array([[3]]), BatchingConfig())


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        (np.zeros((0, 2), np.int32), "holds no sentence"),
        (np.array([[0, 3]]), "holds 0, expected 1 or more"),
        (np.array([1, 2]), r"int64\[2\], expected int32\[sentences, 1 or 2 sides\]"),
        (np.array([[1, 2, 3]]), r"int64\[1, 3\], expected"),
        (np.array([[1.0]]), r"float64\[1, 1\], expected"),
    ],
)
def test_tables_that_are_no_lengths_are_refused(lengths: npt.NDArray[np.int32], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        BatchPlan(lengths, BatchingConfig(token_budget=100))


def test_wrong_arguments_are_refused() -> None:
    plan = BatchPlan(np.array([[3]]), BatchingConfig(token_budget=100))
    with pytest.raises(ValueError, match=r"shard is 2, expected 0 to 1 \(shards is 2\)"):
        plan.epoch(0, 0, shard=2, shards=2)
    with pytest.raises(ValueError, match=r"growth is 1\.0 and shortest is 8, expected above 1 and at least 1"):
        inference_batches(np.array([3]), 100, growth=1.0)


def test_validation_batches_hold_every_sentence_and_have_room_for_the_longest() -> None:
    for lengths in (np.array([3, 900, 4, 5]), np.array([[3, 5], [900, 2], [4, 4]])):
        batches = validation_batches(lengths, 64)
        assert sorted(index for batch in batches for index in batch.indices.tolist()) == list(range(len(lengths)))
    lengths = correlated_lengths(3000, seed=1)
    few, many = (len({one.shape for one in make(lengths, 4096)}) for make in (validation_batches, inference_batches))
    assert few < many
