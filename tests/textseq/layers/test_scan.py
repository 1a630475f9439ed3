"""The loop over time against a Python loop."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from textseq.layers.scan import scan


def step(carry: tuple[Any, Any], inputs: dict[str, Any]) -> tuple[tuple[Any, Any], dict[str, Any]]:
    total, count = carry
    total = 0.5 * total + inputs["x"]
    return (total, count + 1), {"total": total, "nothing": (), "doubled": (2 * inputs["x"], count)}


def expected(x: np.ndarray, reverse: bool) -> tuple[np.ndarray, int, np.ndarray, np.ndarray]:
    total, totals, counts = np.zeros(x.shape[1:]), np.zeros_like(x), np.zeros(len(x), int)
    for count, time in enumerate(reversed(range(len(x))) if reverse else range(len(x))):
        total = 0.5 * total + x[time]
        totals[time], counts[time] = total, count
    return total, len(x), totals, counts


@pytest.mark.parametrize("length", [1, 4])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("way", ["eager", "graph", "unrolled", "length unknown", "length unknown, unrolled"])
def test_scan_is_a_loop(length: int, reverse: bool, way: str) -> None:
    x = np.random.RandomState(0).normal(size=(length, 2, 3))

    def run(x: Any) -> Any:
        carry = (tf.zeros((2, 3), "float64"), tf.constant(0))
        return scan(step, carry, {"x": x}, reverse=reverse, unroll="unrolled" in way)

    if way != "eager":
        run = tf.function(run, input_signature=[tf.TensorSpec([None if "unknown" in way else length, 2, 3], "float64")])
    (total, count), outputs = run(tf.constant(x))
    last, steps, totals, counts = expected(x, reverse)
    np.testing.assert_allclose(total, last)
    assert int(count) == steps
    assert set(outputs) == {"total", "nothing", "doubled"}
    assert outputs["nothing"] == ()
    np.testing.assert_allclose(outputs["total"], totals)
    np.testing.assert_allclose(outputs["doubled"][0], 2 * x)
    np.testing.assert_array_equal(outputs["doubled"][1], counts)


def test_a_known_length_stays_known() -> None:
    @tf.function
    def run(x: Any) -> Any:
        outputs = scan(step, (tf.zeros((2, 3), "float64"), tf.constant(0)), {"x": x})[1]
        assert outputs["total"].shape == (5, 2, 3)
        return outputs["total"]

    run(tf.zeros((5, 2, 3), "float64"))
