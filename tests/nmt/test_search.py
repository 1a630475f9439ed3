"""Search against exhaustive enumeration, greedy loops and probabilities in NumPy float64, on a toy model."""

from __future__ import annotations

import functools
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from keras import ops

from nmt.search import SearchConfig, SearchResult, beam_search, force_prefix, sample, score
from nmt.search.length import length_limits
from nmt.search.sampling import draw, uniform
from nmt.search.top_k import top_k
from textseq.errors import ConfigurationError

PAD, UNK, BOS, EOS, VOCABULARY = 0, 1, 2, 3, 6
WORDS = [UNK, 4, 5]
UNITS = 4


class SpecialIds(NamedTuple):
    pad_id: int = PAD
    bos_id: int = BOS
    eos_id: int = EOS


class Encoded(NamedTuple):
    source_mask: Any
    memory: Any


class ToyModel:
    """Random tables: the next id depends on the source, on the last id and on the whole past through the state."""

    def __init__(self, seed: int = 0, eos_bias: float = 0.0) -> None:
        random = np.random.RandomState(seed)
        self.source_table = random.randn(VOCABULARY, UNITS).astype("float32") * 2
        self.target_table = random.randn(VOCABULARY, UNITS).astype("float32") * 2
        self.recurrent = random.randn(UNITS, UNITS).astype("float32")
        self.output = random.randn(UNITS, VOCABULARY).astype("float32") * 1.5
        self.bias = np.eye(VOCABULARY, dtype="float32")[EOS] * eos_bias
        self.rows_stepped: list[int] = []

    def encode(self, source_ids: Any) -> Encoded:
        return Encoded(source_ids != PAD, ops.take(ops.convert_to_tensor(self.source_table), source_ids, axis=0))

    def start(self, encoded: Encoded, beam: int) -> Any:
        # [batch, units] -> [batch, beam, units], by the mean of the memory
        mask = ops.cast(encoded.source_mask, "float32")[..., None]
        mean = ops.sum(encoded.memory * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1.0)
        hidden = ops.repeat(mean[:, None], beam, axis=1)
        return (hidden, (ops.zeros_like(hidden[..., 0]),))

    def step(self, previous_ids: Any, state: Any, encoded: Encoded) -> tuple[Any, Any, Any]:
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            if tf.executing_eagerly():
                self.rows_stepped.append(previous_ids.shape[0])
        hidden, (count,) = state
        embedded = ops.take(ops.convert_to_tensor(self.target_table), previous_ids, axis=0)
        energies = ops.einsum("bku,bsu->bks", hidden + embedded, encoded.memory)
        energies = ops.where(encoded.source_mask[:, None], energies, -1e9)
        weights = ops.exp(energies - ops.max(energies, axis=-1, keepdims=True))
        attention = weights / ops.sum(weights, axis=-1, keepdims=True)
        context = ops.einsum("bks,bsu->bku", attention, encoded.memory)
        hidden = ops.tanh(ops.matmul(hidden, self.recurrent) + embedded + context + 0.1 * count[..., None])
        logits = ops.matmul(hidden, self.output) + self.bias
        return ops.log_softmax(logits, axis=-1), (hidden, (count + 1.0,)), attention


class ToyOracle:
    """The same model in NumPy float64, for one sentence without padding."""

    def __init__(self, model: ToyModel, source: list[int]) -> None:
        self.model = model
        self.memory = model.source_table.astype("float64")[source]

    @functools.cached_property
    def first(self) -> tuple[np.ndarray, float]:
        return self.memory.mean(0), 0.0

    def step(self, previous: int, state: tuple[np.ndarray, float]) -> tuple[np.ndarray, Any, np.ndarray]:
        hidden, count = state
        embedded = self.model.target_table.astype("float64")[previous]
        energies = self.memory @ (hidden + embedded)
        attention = np.exp(energies - energies.max())
        attention /= attention.sum()
        hidden = np.tanh(hidden @ self.model.recurrent + embedded + attention @ self.memory + 0.1 * count)
        logits = hidden @ self.model.output + self.model.bias
        shifted = logits - logits.max()
        return shifted - np.log(np.exp(shifted).sum()), (hidden, count + 1), attention

    def log_probability(self, target: tuple[int, ...]) -> float:
        return sum(self.tokens(target)[0])

    def tokens(self, target: tuple[int, ...]) -> tuple[list[float], list[np.ndarray]]:
        state, gained, weights = self.first, [], []
        for previous, word in zip((BOS, *target), target, strict=False):
            log_probabilities, state, attention = self.step(previous, state)
            gained.append(float(log_probabilities[word]))
            weights.append(attention)
        return gained, weights

    def every_target(self, longest: int) -> list[tuple[tuple[int, ...], float]]:
        """All targets that end within the longest length, with their log-probabilities."""
        targets = []
        for length in range(longest):
            for words in itertools.product(WORDS, repeat=length):
                targets.append((*words, EOS))
        return [(target, self.log_probability(target)) for target in targets]

    def greedy(self, longest: int) -> tuple[int, ...]:
        state, target, previous = self.first, [], BOS
        while previous != EOS and len(target) < longest:
            log_probabilities, state, _ = self.step(previous, state)
            log_probabilities[[PAD, BOS]] = -np.inf
            previous = int(np.argmax(log_probabilities))
            target.append(previous)
        return tuple(target)


SOURCES = [[4, 5, EOS], [EOS], [5, 5, 1, 4, EOS], [4, EOS], [1, 4, 4, 5, 4, EOS], [5, EOS], [4, 4, EOS]]


def padded(sources: list[list[int]], length: int = 0) -> Any:
    length = max(length, *(len(source) for source in sources))
    return ops.convert_to_tensor([source + [PAD] * (length - len(source)) for source in sources], "int32")


def rows(result: SearchResult, sentence: int) -> list[tuple[int, ...]]:
    ids, lengths = np.asarray(result.ids)[sentence], np.asarray(result.lengths)[sentence]
    return [tuple(row[:length].tolist()) for row, length in zip(ids, lengths, strict=True)]


def normalized(log_probability: float, length: int, config: SearchConfig) -> float:
    if config.length_normalization == "gnmt":
        return log_probability / ((5 + length) / 6) ** config.length_penalty
    return log_probability / (length if config.length_normalization == "average" else 1)


def config(**values: Any) -> SearchConfig:
    return SearchConfig(**{"maximum_length_factor": 0.0, "maximum_length_extra": 5, **values})


def same(one: SearchResult, other: SearchResult, sentences: Any = slice(None), tolerance: float = 1e-5) -> None:
    for sentence in range(len(np.asarray(one.lengths))):
        assert rows(one, sentence) == rows(other, np.arange(100)[sentences][sentence])
    for name in ("scores", "log_probabilities"):
        expected = np.asarray(getattr(other, name))[sentences]
        np.testing.assert_allclose(np.asarray(getattr(one, name)), expected, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(np.asarray(one.finished), np.asarray(other.finished)[sentences])


@pytest.mark.parametrize("patience", [1.0, None])
@pytest.mark.parametrize(
    ("normalization", "penalty"), [("gnmt", 0.6), ("gnmt", 2.0), ("gnmt", 0.0), ("average", 1.0), ("none", 1.0)]
)
def test_a_wide_beam_is_exhaustive_search(normalization: Any, penalty: float, patience: float | None) -> None:
    # 121 targets end within five tokens, and 243 hypotheses live at most.
    settings = config(beam=250, n_best=8, length_normalization=normalization, length_penalty=penalty, patience=patience)
    for seed in range(2):
        model = ToyModel(seed)
        result = beam_search(model, padded(SOURCES[:3]), settings, SpecialIds())
        for sentence, source in enumerate(SOURCES[:3]):
            targets = ToyOracle(model, source).every_target(5)
            targets.sort(key=lambda pair: -normalized(pair[1], len(pair[0]), settings))
            assert rows(result, sentence) == [target for target, _ in targets[:8]]
            expected = [normalized(value, len(target), settings) for target, value in targets[:8]]
            np.testing.assert_allclose(np.asarray(result.scores)[sentence], expected, rtol=1e-4)
            expected = [value for _, value in targets[:8]]
            np.testing.assert_allclose(np.asarray(result.log_probabilities)[sentence], expected, rtol=1e-4)


@pytest.mark.parametrize("normalization", ["gnmt", "average", "none"])
def test_stopping_at_the_bound_loses_nothing(normalization: Any) -> None:
    """Against a search by the same rules, written as loops over lists, that always goes on to the maximum length."""
    settings = config(beam=3, n_best=2, length_normalization=normalization, patience=None)
    steps = []
    for seed in range(6):
        model = ToyModel(seed, eos_bias=2.0)
        result = beam_search(model, padded(SOURCES), settings, SpecialIds(), compact_below=0.0)
        steps.append(len(model.rows_stepped))
        for sentence, source in enumerate(SOURCES):
            assert rows(result, sentence) == search_to_the_end(ToyOracle(model, source), settings)
    if normalization == "none":
        assert min(steps) < settings.maximum_length_extra


def search_to_the_end(oracle: ToyOracle, settings: SearchConfig) -> list[tuple[int, ...]]:
    live, kept, limit = [((), 0.0)], [], settings.maximum_length_extra
    for _ in range(limit):
        candidates = [
            ((*words, word), oracle.log_probability((*words, word))) for words, _ in live for word in [*WORDS, EOS]
        ]
        candidates.sort(key=lambda pair: -pair[1])
        kept += [pair for pair in candidates[: settings.beam] if pair[0][-1] == EOS]
        live = [pair for pair in candidates[: 2 * settings.beam] if pair[0][-1] != EOS][: settings.beam]
    kept.sort(key=lambda pair: -normalized(pair[1], len(pair[0]), settings))
    return [words for words, _ in (kept + live)[: settings.n_best]]


@pytest.mark.parametrize("normalization", ["gnmt", "average", "none"])
def test_beam_1_is_greedy(normalization: Any) -> None:
    for seed in range(4):
        model = ToyModel(seed, eos_bias=1.0)
        settings = SearchConfig(beam=1, maximum_length_factor=2, length_normalization=normalization)
        result = beam_search(model, padded(SOURCES), settings, SpecialIds())
        for sentence, source in enumerate(SOURCES):
            expected = ToyOracle(model, source).greedy(len(source) * 2 + 10)
            assert rows(result, sentence) == [expected]
            assert np.asarray(result.finished)[sentence, 0] == (expected[-1] == EOS)


@pytest.mark.parametrize("beam", [1, 4])
def test_a_sentence_alone_is_the_sentence_in_a_batch(beam: int) -> None:
    model = ToyModel(3, eos_bias=1.0)
    settings = SearchConfig(beam=beam, n_best=beam, maximum_length_factor=1.0, maximum_length_extra=2)
    together = beam_search(model, padded(SOURCES, 9), settings, SpecialIds(), attention=True)
    for sentence, source in enumerate(SOURCES):
        alone = beam_search(model, padded([source]), settings, SpecialIds(), attention=True)
        same(alone, together, slice(sentence, sentence + 1))
        attention = np.asarray(alone.attention)[0]
        in_batch = np.asarray(together.attention)[sentence]
        np.testing.assert_allclose(in_batch[:, : attention.shape[1], : len(source)], attention, atol=1e-5)
        assert np.all(in_batch[:, attention.shape[1] :] == 0)
        assert np.all(in_batch[..., len(source) :] == 0)


def test_n_best_is_sorted_distinct_and_padded() -> None:
    result = beam_search(ToyModel(1, eos_bias=1.0), padded(SOURCES), config(beam=6, n_best=6), SpecialIds())
    ids, lengths, finished = np.asarray(result.ids), np.asarray(result.lengths), np.asarray(result.finished)
    assert ids.dtype == np.int32
    assert np.asarray(result.scores).dtype == np.float32
    assert ids.shape[2] == lengths.max()
    assert result.attention is None
    for sentence in range(len(SOURCES)):
        assert len(set(rows(result, sentence))) == 6
        assert np.all(np.diff(finished[sentence].astype(int)) <= 0)
        for kind in (True, False):
            assert np.all(np.diff(np.asarray(result.scores)[sentence][finished[sentence] == kind]) <= 0)
        for row, length, is_finished in zip(ids[sentence], lengths[sentence], finished[sentence], strict=True):
            assert np.all(row[length:] == PAD)
            assert not np.isin(row[:length], [PAD, BOS]).any()
            assert (row[length - 1] == EOS) == is_finished
            assert EOS not in row[: length - 1]


def test_the_maximum_length_follows_each_source_and_cuts_are_flagged() -> None:
    settings = SearchConfig(beam=2, n_best=2, maximum_length_factor=1.5, maximum_length_extra=1)
    source_ids = padded(SOURCES, 8)
    limits, allocated = length_limits(source_ids, PAD, settings)
    expected = [int(len(source) * 1.5) + 1 for source in SOURCES]
    assert np.asarray(limits).tolist() == expected
    assert allocated == 13
    model = ToyModel(0, eos_bias=-100.0)
    for compact_below in (0.0, 1.0):
        result = beam_search(model, source_ids, settings, SpecialIds(), compact_below=compact_below)
        assert np.asarray(result.lengths).tolist() == [[length, length] for length in expected]
        assert not np.asarray(result.finished).any()
        assert np.all(np.diff(np.asarray(result.scores), axis=1) <= 0)
        for sentence, source in enumerate(SOURCES):
            same(beam_search(model, padded([source]), settings, SpecialIds()), result, slice(sentence, sentence + 1))


def test_ties_go_to_the_lower_id() -> None:
    model = ToyModel()
    model.output *= 0
    result = beam_search(model, padded(SOURCES[:2]), config(beam=3, n_best=3, patience=None), SpecialIds())
    # Equal everywhere: unk, the lowest id, then eos, and a longer target is always worse.
    assert rows(result, 0) == rows(result, 1)
    assert rows(result, 0)[0] == (EOS,)
    assert rows(result, 0)[1] == (UNK, EOS)


@pytest.mark.parametrize(("vocabulary", "k"), [(6, 6), (1920, 4), (1999, 12), (2400, 12), (2401, 1)])
def test_top_k_in_chunks_is_top_k_with_its_ties(vocabulary: int, k: int) -> None:
    random = np.random.RandomState(vocabulary)
    values = random.randint(-4 * vocabulary, 0, size=(3, 5, vocabulary)).astype("float32")
    values[1] = np.maximum(values[1], -5.0 * vocabulary / 8)
    values[2] = random.randint(0, 3, size=(5, vocabulary))
    values[2, 1:, : vocabulary - 3] = -np.inf
    values[2, 2:] = -np.inf
    found, ids = top_k(ops.convert_to_tensor(values), k)
    order = np.argsort(-values, axis=-1, kind="stable")[..., :k]
    np.testing.assert_array_equal(np.asarray(found), np.take_along_axis(values, order, axis=-1))
    possible = np.asarray(found) > -np.inf
    np.testing.assert_array_equal(np.asarray(ids)[possible], order[possible])
    assert np.asarray(ids).max() < vocabulary


@pytest.mark.parametrize("search", [beam_search, sample])
def test_done_sentences_leave_the_batch_and_change_nothing(search: Any) -> None:
    settings = SearchConfig(beam=3, n_best=2, samples=3, maximum_length_factor=3, maximum_length_extra=1)
    model = ToyModel(5, eos_bias=0.5)
    expected = search(model, padded(SOURCES), settings, SpecialIds(), compact_below=0.0)
    assert set(model.rows_stepped) == {len(SOURCES)}
    longest, model.rows_stepped = len(model.rows_stepped), []
    same(search(model, padded(SOURCES), settings, SpecialIds(), compact_below=1.0), expected, tolerance=1e-6)
    assert len(model.rows_stepped) == longest
    assert model.rows_stepped == sorted(model.rows_stepped, reverse=True)
    assert model.rows_stepped[-1] < len(SOURCES) // 2
    same(search(model, padded(SOURCES), settings, SpecialIds()), expected, tolerance=1e-6)


def test_prefixes_are_forced_in_rows_that_move() -> None:
    prefixes = [[4, 4], [5], [], [EOS], [1, 5, 4], [], [5, 4]]
    prefix_ids = np.array([prefix + [PAD] * (3 - len(prefix)) for prefix in prefixes], "int32")
    settings = SearchConfig(beam=3, n_best=2, samples=2, maximum_length_factor=2)
    model = ToyModel(5, eos_bias=0.5)
    constraint = force_prefix(prefix_ids, PAD)
    result = beam_search(model, padded(SOURCES), settings, SpecialIds(), constraint=constraint, compact_below=1.0)
    drawn = sample(model, padded(SOURCES), settings, SpecialIds(), constraint=constraint, compact_below=1.0)
    free = beam_search(model, padded(SOURCES), settings, SpecialIds())
    for sentence, prefix in enumerate(prefixes):
        for target in rows(drawn, sentence):
            assert list(target[: len(prefix)]) == prefix
        for target, value in zip(rows(result, sentence), np.asarray(result.log_probabilities)[sentence], strict=True):
            assert list(target[: len(prefix)]) == prefix[: len(target)]
            if target:
                oracle = ToyOracle(model, SOURCES[sentence])
                np.testing.assert_allclose(value, oracle.log_probability(target), rtol=1e-4)
        if not prefix:
            assert rows(result, sentence) == rows(free, sentence)
    # Only one target begins with eos.
    assert rows(result, 3) == [(EOS,), ()]
    assert np.asarray(result.scores)[3, 1] == -np.inf


def test_a_constraint_that_forbids_all_gives_no_hypothesis() -> None:
    def nothing(log_probabilities: Any, time: Any, live_ids: Any, rows: Any) -> Any:
        return log_probabilities * 0 - float("inf")

    for search in (beam_search, sample):
        result = search(ToyModel(), padded(SOURCES), config(beam=2), SpecialIds(), constraint=nothing)
        assert not np.asarray(result.lengths).any()
        assert not np.asarray(result.ids).any()
        assert np.all(np.asarray(result.scores) == -np.inf)
        assert not np.asarray(result.finished).any()


@pytest.mark.parametrize("search", [beam_search, sample])
def test_a_graph_with_unknown_shapes_is_eager_search(search: Any) -> None:
    tf = pytest.importorskip("tensorflow")
    model = ToyModel(2, eos_bias=0.5)
    settings = SearchConfig(beam=3, n_best=3, samples=3, maximum_length_factor=1.5, maximum_length_extra=2)

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None], tf.int32)])
    def graph(source_ids: Any, prefix_ids: Any) -> Any:
        constraint = force_prefix(prefix_ids, PAD)
        return search(model, source_ids, settings, SpecialIds(), constraint=constraint, attention=True)

    no_prefix = np.zeros((len(SOURCES), 0), "int32")
    prefix = np.array([[4]] * len(SOURCES), "int32")
    for sources, prefix_ids in ((padded(SOURCES), no_prefix), (padded(SOURCES, 8), prefix), (padded([[EOS]]), [[5]])):
        traced = graph(sources, prefix_ids)
        constraint = force_prefix(prefix_ids, PAD)
        eager = search(model, sources, settings, SpecialIds(), constraint=constraint, attention=True)
        same(traced, eager)
        np.testing.assert_allclose(traced.attention, eager.attention, atol=1e-5)
    assert graph.experimental_get_tracing_count() == 1
    empty = graph(np.zeros((0, 4), "int32"), np.zeros((0, 0), "int32"))
    assert empty.ids.shape[:2] == (0, 3)


def test_forced_scores_and_attention_are_the_oracle_s() -> None:
    model = ToyModel(4)
    targets = [[4, 5, EOS], [EOS], [], [1, 1, 1, 1, EOS]]
    scores = score(model, padded(SOURCES[:4]), padded(targets, 6), SpecialIds(), attention=True)
    assert np.asarray(scores.attention).shape == (4, 6, 5)
    for sentence, target in enumerate(targets):
        tokens, weights = ToyOracle(model, SOURCES[sentence]).tokens(tuple(target))
        found = np.asarray(scores.token_log_probabilities)[sentence]
        np.testing.assert_allclose(found[: len(target)], tokens, rtol=1e-4)
        assert np.all(found[len(target) :] == 0)
        np.testing.assert_allclose(np.asarray(scores.log_probabilities)[sentence], sum(tokens), rtol=1e-4)
        for time, expected in enumerate(weights):
            attention = np.asarray(scores.attention)[sentence, time]
            np.testing.assert_allclose(attention[: len(expected)], expected, atol=1e-5)
    assert score(model, padded(SOURCES[:4]), padded(targets), SpecialIds()).attention is None


def test_search_scores_are_forced_scores() -> None:
    model = ToyModel(4, eos_bias=0.5)
    for search in (beam_search, sample):
        settings = config(beam=4, n_best=3, samples=3, temperature=0.7)
        result = search(model, padded(SOURCES), settings, SpecialIds())
        forced = score(model, padded(SOURCES), result.ids, SpecialIds())
        np.testing.assert_allclose(result.log_probabilities, forced.log_probabilities, rtol=1e-5)
        for sentence, targets in enumerate(map(functools.partial(rows, result), range(len(SOURCES)))):
            for place, target in enumerate(targets):
                value = float(np.asarray(result.log_probabilities)[sentence, place])
                expected = normalized(value, len(target), settings)
                np.testing.assert_allclose(np.asarray(result.scores)[sentence, place], expected, rtol=1e-5)


def test_samples_are_as_frequent_as_they_are_probable() -> None:
    count = 4000
    model, source = ToyModel(0, eos_bias=1.0), SOURCES[0]
    settings = config(samples=count, maximum_length_extra=2, seed=7)
    result = sample(model, padded([source, SOURCES[2]]), settings, SpecialIds())
    oracle = ToyOracle(model, source)
    # pad and bos are never drawn, the others share their probability
    expected: dict[tuple[int, ...], float] = {}
    first, state, _ = oracle.step(BOS, oracle.first)
    for word in [*WORDS, EOS]:
        probability = np.exp(first[word]) / np.exp(first[[*WORDS, EOS]]).sum()
        if word == EOS:
            expected[(word,)] = probability
            continue
        second, _, _ = oracle.step(word, state)
        for next_word in [*WORDS, EOS]:
            conditional = np.exp(second[next_word]) / np.exp(second[[*WORDS, EOS]]).sum()
            expected[(word, next_word)] = probability * conditional
    drawn = rows(result, 0)
    observed = np.array([drawn.count(target) for target in expected])
    assert observed.sum() == count
    wanted = np.array(list(expected.values())) * count
    likely = wanted >= 5
    observed = np.append(observed[likely], observed[~likely].sum())
    wanted = np.append(wanted[likely], wanted[~likely].sum())
    chi_square = ((observed - wanted) ** 2 / np.maximum(wanted, 1e-9)).sum()
    # 12 degrees of freedom at most: 0.999 of the distribution lies below 32.9.
    assert chi_square < 32.9


def test_the_seed_and_the_sentence_decide_what_is_drawn() -> None:
    model = ToyModel(1)
    settings = SearchConfig(samples=8, seed=3, maximum_length_factor=0.5)
    together = sample(model, padded(SOURCES, 9), settings, SpecialIds())
    for sentence, source in enumerate(SOURCES):
        same(sample(model, padded([source]), settings, SpecialIds()), together, slice(sentence, sentence + 1))
        assert len(set(rows(together, sentence))) > 1
    other = sample(model, padded(SOURCES, 9), SearchConfig(**{**settings.model_dump(), "seed": 4}), SpecialIds())
    assert rows(other, 0) != rows(together, 0)
    model.source_table *= 0  # to this model all sentences are the same
    blind = sample(model, padded([[4, 5, EOS], [5, 4, EOS], [4, 5, EOS]]), settings, SpecialIds())
    assert rows(blind, 0) != rows(blind, 1)
    assert rows(blind, 0) == rows(blind, 2)


def test_random_numbers_are_even_and_independent_of_time_and_neighbours() -> None:
    keys = ops.cast(ops.reshape(ops.arange(64), (8, 8)), "uint32")
    numbers = np.stack([np.asarray(uniform(keys, ops.convert_to_tensor(time, "int32"))) for time in range(64)])
    assert numbers.dtype == np.float32
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = np.histogram(numbers, bins=16, range=(0, 1))[0]
    assert ((counts - 256) ** 2 / 256).sum() < 37.7  # 15 degrees of freedom, 0.999
    flat = numbers.reshape(64, 64)
    assert abs(np.corrcoef(flat[:-1].ravel(), flat[1:].ravel())[0, 1]) < 0.06
    assert abs(np.corrcoef(flat[:, :-1].ravel(), flat[:, 1:].ravel())[0, 1]) < 0.06


@pytest.mark.parametrize(
    ("top_k", "top_p", "temperature"),
    [(0, 1.0, 1.0), (1, 1.0, 1.0), (3, 1.0, 2.0), (0, 0.6, 1.0), (0, 0.05, 0.5), (4, 0.8, 0.7), (99, 0.999, 1.5)],
)
def test_top_k_top_p_and_temperature_shape_what_is_drawn(top_k: int, top_p: float, temperature: float) -> None:
    settings = SearchConfig(top_k=top_k, top_p=top_p, temperature=temperature)
    random = np.random.RandomState(11)
    log_probabilities = random.randn(3, 1, 9).astype("float32") * 2
    log_probabilities[:, :, 4] = -np.inf
    grid = (np.arange(4000, dtype="float32") + 0.5) / 4000
    uniforms = np.broadcast_to(grid, (3, 4000))
    spread = np.broadcast_to(log_probabilities, (3, 4000, 9))
    drawn = np.asarray(draw(ops.convert_to_tensor(spread), ops.convert_to_tensor(uniforms), settings))
    assert drawn.dtype == np.int32
    for row in range(3):
        expected = np.exp(log_probabilities[row, 0].astype("float64") / temperature)
        order = np.argsort(-expected)
        if top_k:
            expected[order[top_k:]] = 0
        expected /= expected.sum()
        before = np.cumsum(expected[order]) - expected[order]
        expected[order[before >= top_p]] = 0
        expected /= expected.sum()
        # The grid is even, so frequencies are probabilities up to one cell at each border.
        np.testing.assert_allclose(np.bincount(drawn[row], minlength=9) / 4000, expected, atol=3 / 4000)
        assert not np.any((np.bincount(drawn[row], minlength=9) > 0) & (expected == 0))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"beam": 2, "n_best": 3}, "n_best is 3 with a beam of 2; expected at most the beam"),
        ({"beam": 0}, "beam: received 0, expected 1 or more"),
        ({"patience": 0.0}, "patience: received 0.0, expected more than 0"),
        ({"length_penalty": -0.1}, "length_penalty: received -0.1, expected 0.0 or more"),
        ({"length_normalization": "wu"}, "'gnmt', 'average' or 'none'"),
        ({"maximum_length_extra": 0}, "maximum_length_extra: received 0, expected 1 or more"),
        ({"temperature": 0.0}, "temperature: received 0.0, expected more than 0"),
        ({"temperature": float("nan")}, "temperature: received NaN, expected a finite number"),
        ({"top_k": -1}, "top_k: received -1, expected 0 or more"),
        ({"top_p": 0.0}, "top_p: received 0.0, expected more than 0"),
        ({"top_p": 1.1}, "top_p: received 1.1, expected 1.0 or less"),
        ({"seed": -1}, "seed: received -1, expected 0 or more"),
        ({"samplse": 1}, "did you mean samples"),
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        SearchConfig(**values)


def test_the_configuration_is_light() -> None:
    code = (
        "import sys; from nmt.search import SearchConfig; "
        "sys.exit(', '.join({'keras', 'tensorflow', 'jax', 'numpy'} & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def results_for_every_backend() -> list[dict[str, Any]]:
    """What the JAX process prints, and what must be the same here."""
    model = ToyModel(6, eos_bias=0.5)
    settings = SearchConfig(beam=4, n_best=3, samples=5, maximum_length_factor=1.5, maximum_length_extra=2)
    prefix = force_prefix(np.array([[4]] * len(SOURCES), "int32"), PAD)
    results = []
    for search, constraint in itertools.product((beam_search, sample), (None, prefix)):

        def search_on(source_ids: Any, search: Any = search, constraint: Any = constraint) -> SearchResult:
            return search(model, source_ids, settings, SpecialIds(), constraint=constraint, attention=True)

        if keras.backend.backend() == "jax":
            import jax

            search_on = jax.jit(search_on)
        found = search_on(padded(SOURCES))
        longest = int(np.asarray(found.lengths).max())
        results.append(
            {
                "ids": [rows(found, sentence) for sentence in range(len(SOURCES))],
                "numbers": [np.asarray(found.scores).tolist(), np.asarray(found.log_probabilities).tolist()],
                "finished": np.asarray(found.finished).tolist(),
                "attention": np.asarray(found.attention)[:, :, :longest].tolist(),
            }
        )
    return results


def test_jax_finds_the_same() -> None:
    pytest.importorskip("jax")
    done = subprocess.run(
        [sys.executable, __file__],
        check=True,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        },
    )
    printed = json.loads(done.stdout)
    assert printed["backend"] == "jax"
    for on_jax, here in zip(printed["results"], results_for_every_backend(), strict=True):
        assert on_jax["ids"] == json.loads(json.dumps(here["ids"]))
        assert on_jax["finished"] == here["finished"]
        np.testing.assert_allclose(on_jax["numbers"], here["numbers"], rtol=1e-4)
        np.testing.assert_allclose(on_jax["attention"], here["attention"], atol=1e-5)


if __name__ == "__main__":
    json.dump({"backend": keras.backend.backend(), "results": results_for_every_backend()}, sys.stdout)
