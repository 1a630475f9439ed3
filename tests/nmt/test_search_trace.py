"""The recorded search is the search: the same ends, bit for bit, and the same steps as one written over lists."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from nmt.search import SearchConfig, SearchResult, beam_search, force_prefix, sample
from nmt.search.trace import trace_beam_search, trace_sampling
from nmt.search_tree import SearchTree
from nmt.translator import Translator
from textseq.errors import ConfigurationError, InputError

PAD, UNK, BOS, EOS = 0, 1, 2, 3
UNITS = 5


class SpecialIds(NamedTuple):
    pad_id: int = PAD
    bos_id: int = BOS
    eos_id: int = EOS


class Encoded(NamedTuple):
    summary: Any


class RandomModel:
    """The next token depends on the source and on all tokens before, by random tables."""

    def __init__(self, seed: int, vocabulary: int, eos_bias: float) -> None:
        random = np.random.default_rng(seed)
        self.table = random.normal(size=(vocabulary, UNITS)).astype("float32")
        self.recurrent = random.normal(size=(UNITS, UNITS)).astype("float32")
        self.output = random.normal(size=(UNITS, vocabulary)).astype("float32")
        self.bias = (np.arange(vocabulary) == EOS).astype("float32") * eos_bias

    def encode(self, source_ids: Any) -> Encoded:
        embedded = ops.take(ops.convert_to_tensor(self.table), source_ids, axis=0)
        return Encoded(ops.sum(embedded * ops.cast(source_ids != PAD, "float32")[..., None], axis=1))

    def start(self, encoded: Encoded, beam: int) -> Any:
        return ops.repeat(encoded.summary[:, None], beam, axis=1)

    def step(self, previous_ids: Any, state: Any, encoded: Encoded) -> tuple[Any, Any, Any]:
        embedded = ops.take(ops.convert_to_tensor(self.table), previous_ids, axis=0)
        state = ops.tanh(ops.matmul(state, self.recurrent) + embedded)
        attention = ops.ones_like(state[..., :1])
        return ops.log_softmax(ops.matmul(state, self.output) + self.bias, axis=-1), state, attention


def one_source(ids: list[int]) -> Any:
    return tf.constant([[*ids, EOS]], tf.int32)


def require_same_end(tree: SearchTree, result: SearchResult) -> None:
    ids, lengths = np.asarray(result.ids)[0], np.asarray(result.lengths)[0].tolist()
    expected = [tuple(row[:length].tolist()) for row, length in zip(ids, lengths, strict=True) if length]
    assert [tuple(tree.nodes[index].token_id for index in tree.path(end)) for end in tree.ends] == expected
    for name, ends in (("log_probabilities", "log_probability"), ("scores", "score")):
        values = [value for value, length in zip(np.asarray(getattr(result, name))[0], lengths, strict=True) if length]
        assert [getattr(tree.nodes[end], ends) for end in tree.ends] == [float(value) for value in values]


MODELS = st.builds(
    RandomModel, st.integers(0, 10**6), vocabulary=st.integers(5, 40), eos_bias=st.floats(-1, 3, allow_nan=False)
)
SOURCES = st.lists(st.sampled_from([UNK, 4]), max_size=4)


@settings(max_examples=60, deadline=None)
@given(
    model=MODELS,
    source=SOURCES,
    beam=st.integers(1, 6),
    n_best=st.integers(1, 3),
    normalization=st.sampled_from(["gnmt", "average", "none"]),
    patience=st.sampled_from([None, 1.0, 0.5, 2.0]),
)
def test_the_end_is_that_of_beam_search(
    model: RandomModel, source: list[int], beam: int, n_best: int, normalization: Any, patience: float | None
) -> None:
    config = SearchConfig(
        beam=beam, n_best=min(n_best, beam), length_normalization=normalization, patience=patience,
        maximum_length_factor=0.5, maximum_length_extra=5,
    )  # fmt: skip
    tree = trace_beam_search(model, one_source(source), config, SpecialIds())
    require_same_end(tree, beam_search(model, one_source(source), config, SpecialIds()))
    require_a_tree(tree)
    assert tree.method == ("greedy search" if beam == 1 else "beam search")
    assert max(len(tree.at(step)) for step in range(1, tree.steps + 1)) <= 2 * beam


@settings(max_examples=40, deadline=None)
@given(
    model=MODELS,
    source=SOURCES,
    samples=st.integers(1, 5),
    temperature=st.sampled_from([0.3, 1.0, 2.0]),
    top_k=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_the_end_is_that_of_sampling(
    model: RandomModel, source: list[int], samples: int, temperature: float, top_k: int, seed: int
) -> None:
    config = SearchConfig(
        samples=samples, temperature=temperature, top_k=top_k, seed=seed, maximum_length_factor=0.0,
        maximum_length_extra=6,
    )  # fmt: skip
    numbers = tf.constant([7])
    tree = trace_sampling(model, one_source(source), config, SpecialIds(), numbers=numbers)
    require_same_end(tree, sample(model, one_source(source), config, SpecialIds(), numbers=numbers))
    require_a_tree(tree)
    assert len(tree.ends) == samples
    assert not tree.winner
    for step in range(1, tree.steps + 1):
        longer = [end for end in tree.ends if tree.nodes[end].step >= step]
        assert sum(tree.nodes[index].draws for index in tree.at(step)) == len(longer)


def require_a_tree(tree: SearchTree) -> None:
    assert tree.nodes[0].parent == -1
    for index, node in enumerate(tree.nodes[1:], start=1):
        parent = tree.nodes[node.parent]
        assert node.parent < index
        assert parent.fate in ("start", "live")
        assert node.step == parent.step + 1
        total = np.float32(parent.log_probability) + np.float32(node.token_log_probability)
        assert node.log_probability == float(total)
        assert (node.fate == "finished") <= (node.token_id == EOS)
    assert len({(node.parent, node.token_id) for node in tree.nodes}) == len(tree.nodes)


def oracle_steps(model: RandomModel, source: list[int], beam: int, steps: int) -> list[dict[tuple[int, ...], str]]:
    """What beam search does with each prefix that it looks at, step by step, in float64 over lists."""
    weights = [array.astype("float64") for array in (model.table, model.recurrent, model.output, model.bias)]
    table, recurrent, output, bias = weights
    live: list[tuple[tuple[int, ...], float, Any]] = [((), 0.0, table[[*source, EOS]].sum(0))]
    found = []
    for _ in range(steps):
        candidates = []
        for prefix, total, state in live:
            following = np.tanh(state @ recurrent + table[prefix[-1] if prefix else BOS])
            logits = following @ output + bias
            log_probabilities = logits - np.log(np.exp(logits).sum())
            for token, value in enumerate(log_probabilities):
                if token not in (PAD, BOS):
                    candidates.append(((*prefix, token), total + value, following))
        candidates = sorted(candidates, key=lambda candidate: -candidate[1])[: 2 * beam]
        live = [candidate for candidate in candidates if candidate[0][-1] != EOS][:beam]
        fates = {prefix: "dropped" for prefix, _, _ in candidates}
        fates |= {prefix: "finished" for prefix, _, _ in candidates[:beam] if prefix[-1] == EOS}
        fates |= {prefix: "live" for prefix, _, _ in live}
        found.append(fates)
    return found


@pytest.mark.parametrize("beam", [1, 2, 4])
@pytest.mark.parametrize("seed", range(4))
def test_each_step_is_that_of_a_search_over_lists(beam: int, seed: int) -> None:
    model = RandomModel(seed, vocabulary=9, eos_bias=0.5)
    config = SearchConfig(beam=beam, patience=None, maximum_length_factor=0.0, maximum_length_extra=6)
    tree = trace_beam_search(model, one_source([4, 1]), config, SpecialIds())
    for step, expected in enumerate(oracle_steps(model, [4, 1], beam, tree.steps), start=1):
        nodes = {tuple(tree.nodes[i].token_id for i in tree.path(index)): index for index in tree.at(step)}
        assert {prefix: tree.nodes[index].fate for prefix, index in nodes.items()} == expected
        values = [tree.nodes[index].log_probability for index in tree.at(step)]
        assert values == sorted(values, reverse=True)


def test_a_constraint_holds_in_the_tree_too() -> None:
    model = RandomModel(3, vocabulary=8, eos_bias=0.0)
    config = SearchConfig(beam=3, maximum_length_factor=0.0, maximum_length_extra=4)
    forced = force_prefix([[5, 6]], PAD)
    tree = trace_beam_search(model, one_source([4]), config, SpecialIds(), constraint=forced)
    require_same_end(tree, beam_search(model, one_source([4]), config, SpecialIds(), constraint=forced))
    # What is impossible is left out: one continuation a step until the prefix is over.
    assert [[tree.nodes[index].token_id for index in tree.at(step)] for step in (1, 2)] == [[5], [6]]
    drawn = trace_sampling(model, one_source([4]), config, SpecialIds(), constraint=forced)
    assert [drawn.nodes[index].token_id for index in drawn.path(drawn.ends[0])][:2] == [5, 6]


def test_one_sentence_is_expected() -> None:
    model = RandomModel(1, vocabulary=6, eos_bias=0.0)
    for trace in (trace_beam_search, trace_sampling):
        with pytest.raises(InputError, match=r"shape \(2, 1\); expected one sentence, \(1, source_length\)"):
            trace(model, tf.constant([[3], [3]]), SearchConfig(), SpecialIds())


@pytest.fixture(scope="module")
def translator(tiny_run: Any) -> Translator:
    return Translator.load(tiny_run)


@pytest.mark.parametrize("beam", [1, 4])
def test_the_translator_draws_what_it_translates(translator: Translator, beam: int) -> None:
    for line in ("We see the old house.", "", "Where is my brother?"):
        tree, (translation,) = translator.search_tree(line, beam=beam), translator.translate([line], beam=beam)
        assert (tree.source, tree.texts) == (line, (translation.text,))
        end = tree.nodes[tree.ends[0]]
        assert end.log_probability == pytest.approx(translation.log_probability, abs=1e-4)
        assert end.score == pytest.approx(translation.score, abs=1e-4)
        assert tuple(tree.nodes[index].piece for index in tree.path(tree.ends[0])) == translation.target_pieces


def test_the_translator_draws_what_it_samples(translator: Translator) -> None:
    line = "We see the old house."
    tree = translator.sampling_tree(line, samples=3, temperature=0.7, top_k=9, top_p=0.9, seed=5)
    sampled = translator.sample([line], temperature=0.7, top_k=9, top_p=0.9, seed=5)[0]
    assert len(tree.texts) == 3
    assert tree.texts[0] == sampled.text
    assert tree.nodes[tree.ends[0]].log_probability == pytest.approx(sampled.log_probability, abs=1e-4)


def test_what_the_translator_refuses(translator: Translator) -> None:
    with pytest.raises(InputError, match="search tree: received list; expected one text"):
        translator.search_tree(["Good day."])  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="beam"):
        translator.search_tree("Good day.", beam=0)
    with pytest.raises(ConfigurationError, match="temperature"):
        translator.sampling_tree("Good day.", temperature=-1.0)


def test_a_tree_as_values_and_as_text(translator: Translator) -> None:
    tree = translator.search_tree("Where is my brother?", beam=2)
    values = json.loads(json.dumps(tree.to_dict(), allow_nan=False))
    assert values["method"] == "beam search"
    assert len(values["nodes"]) == len(tree.nodes)
    assert set(values["nodes"][1]) == {
        "parent", "step", "token_id", "piece", "token_log_probability", "log_probability", "score", "fate",
    }  # fmt: skip
    first, *lines = str(tree).splitlines()
    assert first == (
        f'beam search, width 2: "{tree.texts[0]}" in {tree.steps} steps; looked at {len(tree.nodes) - 1} hypotheses, '
        f"dropped {tree.count('dropped')}"
    )
    assert len(lines) == tree.steps
    assert sum(line.count("*") for line in lines) == len(tree.winner) == len(tree.path(tree.ends[0]))
    assert sum(line.count(" score ") for line in lines) == tree.count("finished")
    drawn = str(translator.sampling_tree("Where is my brother?", samples=3, temperature=0.01))
    assert drawn.startswith("sampling, width 3: ")
    assert " x3" in drawn
    assert "dropped" not in drawn
    assert math.isfinite(tree.nodes[0].score)
