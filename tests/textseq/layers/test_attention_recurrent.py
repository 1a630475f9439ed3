"""The decoder's first layer against NumPy, and against its step."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from keras import ops

from tests import numpy_oracle
from tests.textseq.layers.layer_contract import LENGTHS, check_layer, some_inputs
from textseq.layers.additive_attention import Memory, split_heads
from textseq.layers.attention_recurrent import AttentionRecurrent
from textseq.layers.cells import CELLS

UNITS, ATTENTION, MEMORY = 4, 6, 8


def build(layer: AttentionRecurrent) -> None:
    layer.build((None, None, MEMORY), memory_units=MEMORY)


def memory_of(layer: AttentionRecurrent, sequences: Any, mask: Any, training: bool = False) -> Memory:
    return Memory.of(layer.project_memory(sequences, training), split_heads(sequences, layer.heads), mask)


def first_states(layer: AttentionRecurrent, sequences: Any) -> tuple[Any, ...]:
    return tuple(ops.tanh((number + 1) * sequences[:, 0, :UNITS]) for number in range(layer.cell.states))


@pytest.mark.parametrize(("cell", "layer_norm"), [("gru", False), ("lstm", True)])
def test_contract(cell: str, layer_norm: bool) -> None:
    def make(seed: int = 5, **options: Any) -> AttentionRecurrent:
        return AttentionRecurrent(UNITS, ATTENTION, 2, cell, layer_norm=layer_norm, seed=seed, **options)

    def call(layer: AttentionRecurrent, sequences: Any, mask: Any, training: bool) -> Any:
        memory = memory_of(layer, sequences, mask, training)
        return layer(sequences, memory, first_states(layer, sequences), training=training)[0]

    check_layer(make, build, call, columns=MEMORY, units=UNITS)


@pytest.mark.parametrize(("cell", "heads", "layer_norm"), list(itertools.product(CELLS, (1, 2), (False, True))))
def test_layer_follows_the_equations_and_is_its_step_repeated(cell: str, heads: int, layer_norm: bool) -> None:
    layer = AttentionRecurrent(
        UNITS, ATTENTION, heads, cell, layer_norm=layer_norm, state_dropout=0.5, product_dtype="bfloat16"
    )
    build(layer)
    random = np.random.RandomState(3)
    for weight in layer.trainable_weights:
        weight.assign(random.normal(size=weight.shape) * 0.7)
    inputs = some_inputs(MEMORY)
    sources, mask = inputs[..., :-1], inputs[..., -1] > 0
    target_length = 4
    targets = random.normal(size=(len(LENGTHS), target_length, MEMORY)).astype("float32")
    memory, states = memory_of(layer, sources, mask), first_states(layer, sources)
    outputs, contexts, attention = layer(targets, memory, states)
    assert outputs.shape == (len(LENGTHS), target_length, UNITS)
    assert contexts.shape == (len(LENGTHS), target_length, MEMORY)
    assert attention.shape == (len(LENGTHS), heads, target_length, sources.shape[1])
    weights = numpy_oracle.weights_of(layer)
    expected_states = [[np.array(state[row], "float64") for state in states] for row in range(len(LENGTHS))]
    for time in range(target_length):
        result = layer.step(targets[:, time], memory, states)
        states = result.states
        np.testing.assert_allclose(states[0], outputs[:, time], atol=2e-6)
        np.testing.assert_allclose(result.context[:, 0], contexts[:, time], atol=2e-6)
        np.testing.assert_allclose(result.attention_weights[:, :, 0], attention[:, :, time], atol=2e-6)
        for row, length in enumerate(LENGTHS):
            expected_states[row], context, expected_attention = numpy_oracle.decoder_step(
                cell,
                weights,
                targets[row, time].astype("float64"),
                sources[row, :length].astype("float64"),
                expected_states[row],
                heads,
            )
            np.testing.assert_allclose(outputs[row, time], expected_states[row][0], atol=5e-6)
            np.testing.assert_allclose(contexts[row, time], context, atol=5e-6)
            np.testing.assert_allclose(attention[row, :, time, :length], expected_attention, atol=5e-6)
            assert not np.array(attention)[row, :, time, length:].any()


def test_the_equation_by_hand_is_what_the_layer_does() -> None:
    layer = AttentionRecurrent(UNITS, ATTENTION, seed=3)
    layer.build((None, None, 5), memory_units=MEMORY)
    layer.memory_bias.assign(np.linspace(-1, 1, ATTENTION))
    random = np.random.RandomState(4)
    source, state = random.normal(size=(7, MEMORY)), random.normal(size=UNITS)
    weights = layer.attention_equation()
    assert {array.dtype for array in weights} == {np.dtype("float64")}
    energies = np.tanh(state @ weights.W + source @ weights.U + weights.b) @ weights.v
    alpha = np.exp(energies) / np.exp(energies).sum()
    memory = layer.prepare_memory(source[None].astype("float32"))
    result = layer.step(np.zeros((1, 5), "float32"), memory, (state[None].astype("float32"),))
    np.testing.assert_allclose(result.attention_weights[0, 0, 0], alpha, atol=1e-6)
    np.testing.assert_allclose(result.context[0, 0], alpha @ source, atol=1e-6)


def test_a_prepared_memory_hides_what_the_mask_hides() -> None:
    layer = AttentionRecurrent(UNITS, ATTENTION, 2, seed=3)
    build(layer)
    inputs = some_inputs(MEMORY)
    sources, mask = inputs[..., :-1], inputs[..., -1] > 0
    for part, expected in zip(layer.prepare_memory(sources, mask), memory_of(layer, sources, mask), strict=True):
        np.testing.assert_array_equal(part, expected)
    assert not np.array(layer.prepare_memory(sources).score_bias).any()
