"""Products: their shapes, their precision, and the gradient of their kernel."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from tests.textseq.layers.gradients import differentiate, values, weighted_sum
from textseq.layers.product import kernel_gradient, product, training_kernel


@pytest.mark.parametrize("leading", [(3,), (2, 3), (2, 3, 4)])
def test_product_multiplies_the_last_axis(leading: tuple[int, ...]) -> None:
    inputs, kernel = values(*leading, 5), values(5, 6, seed=1)
    result = product(inputs, kernel)
    assert result.shape == (*leading, 6)
    np.testing.assert_allclose(result, inputs.numpy() @ kernel.numpy(), rtol=1e-12)


def test_a_bfloat16_kernel_rounds_the_product_only() -> None:
    inputs, kernel = ops.cast(values(4, 64), "float32"), ops.cast(values(64, 8, seed=1), "float32")
    rounded = product(inputs, ops.cast(kernel, "bfloat16"))
    assert rounded.dtype == inputs.dtype
    exact = product(inputs, kernel).numpy()
    assert 0 < np.abs(rounded.numpy() - exact).max() < 0.1


@pytest.mark.parametrize("leading", [(3,), (2, 3)])
def test_kernel_gradient_is_the_gradient(leading: tuple[int, ...]) -> None:
    inputs, kernel = values(*leading, 5), values(5, 6, seed=1)
    upstream = values(*leading, 6, seed=99)
    expected = differentiate(lambda kernel: weighted_sum([product(inputs, kernel)]), [kernel])[1][0]
    np.testing.assert_allclose(kernel_gradient(inputs, upstream, kernel), expected, rtol=1e-9, atol=1e-12)


def test_training_kernel_rounds_while_training_only() -> None:
    variable = keras.Variable(np.full((2, 2), 1.001, "float32"))
    assert keras.backend.standardize_dtype(training_kernel(variable, "bfloat16", True).dtype) == "bfloat16"
    stored = training_kernel(variable, "bfloat16", False)
    np.testing.assert_array_equal(stored, np.full((2, 2), 1.001, "float32"))
