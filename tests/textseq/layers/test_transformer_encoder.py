"""The Transformer encoder against NumPy, its positions, and what padding and order change."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests import numpy_oracle
from tests.textseq.layers import layer_contract
from tests.textseq.layers.layer_contract import LENGTHS, some_inputs
from textseq.layers.transformer_encoder import TransformerEncoder, sinusoidal_positions

COLUMNS, UNITS = 5, 6


def make(seed: int = 5, **options: Any) -> TransformerEncoder:
    return TransformerEncoder(UNITS, **{"blocks": 2, "heads": 2, "seed": seed, **options})


def made(seed: int = 5, **options: Any) -> TransformerEncoder:
    layer = make(seed, **options)
    layer.build((None, None, COLUMNS))
    return layer


def call(layer: TransformerEncoder, sequences: Any, mask: Any, training: bool) -> Any:
    return layer(sequences, mask=mask, training=training)


@pytest.mark.parametrize(("causal", "pre_norm"), [(False, True), (True, False)])
def test_contract(causal: bool, pre_norm: bool) -> None:
    options: Any = {"causal": causal, "pre_norm": pre_norm}
    inputs = some_inputs(COLUMNS)
    layer_contract.check_config_round_trip(lambda: make(**options), lambda: made(**options), call, inputs)
    layer_contract.check_build_makes_every_weight(made, call, inputs)
    layer = made(**options)
    layer_contract.check_symbolic_call(layer, call, COLUMNS, UNITS, inputs)
    layer_contract.check_graph_is_eager(layer, call, inputs)
    layer_contract.check_padding_changes_nothing(layer, call, inputs)
    layer_contract.check_half_precision_is_near(lambda **more: made(**options, **more), call, inputs)
    layer_contract.check_dropout_is_seeded(
        lambda state_dropout, **more: made(dropout=state_dropout, **options, **more), call, inputs
    )
    layer_contract.check_fit_moves_every_weight(layer, call, inputs, UNITS)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("pre_norm", [False, True])
@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("columns", [COLUMNS, UNITS])
def test_it_follows_the_equations(causal: bool, pre_norm: bool, positions: bool, columns: int) -> None:
    layer = make(causal=causal, pre_norm=pre_norm, positions=positions, feed_forward_units=7)
    layer.build((None, None, columns))
    random = np.random.RandomState(3)
    for weight in layer.trainable_weights:
        weight.assign(random.normal(size=weight.shape) * 0.7)
    inputs = some_inputs(columns)
    outputs = layer(inputs[..., :-1], mask=inputs[..., -1] > 0)
    weights = {"/".join(w.path.split("/")[1:]): np.array(w, "float64") for w in layer.trainable_weights}
    for row, length in enumerate(LENGTHS):
        expected = numpy_oracle.transformer_encoder(
            weights, inputs[row, :length, :-1], UNITS, blocks=2, heads=2, causal=causal, pre_norm=pre_norm,
            positions=positions,
        )  # fmt: skip
        np.testing.assert_allclose(outputs[row, :length], expected, rtol=2e-4, atol=2e-5)


def test_positions_are_those_of_the_paper() -> None:
    positions = np.array(sinusoidal_positions(50, 7))
    assert positions.dtype == np.float32
    for place in (0, 1, 49):
        for column in range(7):
            angle = place / 10_000 ** (2 * (column // 2) / 7)
            assert positions[place, column] == pytest.approx(np.cos(angle) if column % 2 else np.sin(angle), abs=1e-5)


def test_order_counts_only_by_the_positions() -> None:
    sequences = some_inputs(COLUMNS)[:1, :, :-1]
    turned = sequences[:, ::-1]
    with_positions, without = made(), made(positions=False)
    np.testing.assert_allclose(np.array(without(turned))[:, ::-1], without(sequences), atol=1e-5)
    assert not np.allclose(np.array(with_positions(turned))[:, ::-1], with_positions(sequences), atol=1e-2)


def test_heads_must_divide_the_units() -> None:
    with pytest.raises(ValueError, match="received units 6 and heads 4; expected units that are a multiple of heads"):
        TransformerEncoder(6, heads=4)
