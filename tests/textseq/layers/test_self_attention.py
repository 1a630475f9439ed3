"""Self-attention against NumPy, and what each token may look at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import numpy_oracle
from tests.textseq.layers import layer_contract
from tests.textseq.layers.layer_contract import LENGTHS, some_inputs
from textseq.layers.self_attention import SelfAttention

COLUMNS, UNITS = 5, 6


def made(seed: int = 5, **options: Any) -> SelfAttention:
    layer = SelfAttention(UNITS, 3, seed=seed, **options)
    layer.build((None, None, COLUMNS))
    return layer


def call(layer: SelfAttention, sequences: Any, mask: Any, training: bool) -> Any:
    return layer(sequences, mask=mask, training=training)


@pytest.mark.parametrize("causal", [False, True])
def test_contract(causal: bool) -> None:
    """All of the layer contract but dropout, which attention has not."""
    inputs = some_inputs(COLUMNS)
    layer = made(causal=causal)
    layer_contract.check_config_round_trip(
        lambda **options: SelfAttention(UNITS, 3, causal=causal, **options), made, call, inputs
    )
    layer_contract.check_build_makes_every_weight(made, call, inputs)
    layer_contract.check_symbolic_call(layer, call, COLUMNS, UNITS, inputs)
    layer_contract.check_graph_is_eager(layer, call, inputs)
    layer_contract.check_padding_changes_nothing(layer, call, inputs)
    layer_contract.check_half_precision_is_near(made, call, inputs)
    layer_contract.check_fit_moves_every_weight(layer, call, inputs, UNITS)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("heads", [1, 2, 6])
def test_it_follows_the_equations(causal: bool, heads: int) -> None:
    layer = SelfAttention(UNITS, heads, causal=causal, seed=5)
    layer.build((None, None, COLUMNS))
    layer.output_bias.assign(np.random.RandomState(1).normal(size=UNITS))
    inputs = some_inputs(COLUMNS)
    outputs = layer(inputs[..., :-1], mask=inputs[..., -1] > 0)
    for row, length in enumerate(LENGTHS):
        weights = numpy_oracle.weights_of(layer)
        expected = numpy_oracle.self_attention(weights, inputs[row, :length, :-1], heads, causal)
        np.testing.assert_allclose(outputs[row, :length], expected, atol=2e-6)


def test_a_causal_token_sees_nothing_after_it() -> None:
    sequences = some_inputs(COLUMNS)[:1, :, :-1]
    changed = sequences.copy()
    changed[:, 3:] += 1.0
    for causal in (True, False):
        layer = made(causal=causal)
        same = np.isclose(layer(sequences), layer(changed), atol=1e-6).all(axis=(0, 2))
        assert same.tolist() == [causal] * 3 + [False] * 3


def test_not_a_number_in_padding_changes_nothing() -> None:
    inputs = some_inputs(COLUMNS)
    sequences, mask = inputs[..., :-1], inputs[..., -1] > 0
    layer = made()
    spoiled = np.where(mask[..., None], sequences, np.nan)
    np.testing.assert_array_equal(layer(spoiled, mask=mask), layer(np.nan_to_num(spoiled), mask=mask))


def test_an_empty_sequence_gives_numbers() -> None:
    inputs = some_inputs(COLUMNS)[..., :-1]
    assert np.isfinite(made()(inputs, mask=np.zeros(inputs.shape[:2], bool))).all()


@pytest.mark.parametrize("heads", [0, 4])
def test_heads_must_divide_the_units(heads: int) -> None:
    with pytest.raises(ValueError, match=f"received units 6 and heads {heads}; expected units that are a multiple"):
        SelfAttention(UNITS, heads)
