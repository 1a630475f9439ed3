"""Fused functions give what the plain ones give."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from textseq.layers.fused import fused


def test_fused_is_the_function_for_each_value_of_its_keywords() -> None:
    traces: list[float] = []

    @fused
    def scaled_tanh(x: Any, y: Any, *, factor: float) -> tuple[Any, Any]:
        """Its text."""
        traces.append(factor)
        return factor * ops.tanh(x) + y, ops.sum(x)

    x, y = np.arange(3, dtype="float32"), np.ones(3, "float32")
    for factor in (2.0, 3.0, 2.0):
        result, total = scaled_tanh(tf.constant(x), tf.constant(y), factor=factor)
        np.testing.assert_allclose(result, factor * np.tanh(x) + y, rtol=1e-6)
        assert float(total) == 3.0
    assert traces == [2.0, 3.0]
    assert scaled_tanh.__doc__ == "Its text."
