"""Layer normalisation against the equation, and its backward pass."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests import numpy_oracle
from tests.textseq.layers.gradients import check_against_differences, differentiate, values, weighted_sum
from textseq.layers.normalization import normalize, normalize_backward


def test_normalize_follows_the_equation() -> None:
    rows = values(3, 7)
    normalized, scale = normalize(rows)
    assert scale.shape == (3, 1)
    for row, result in zip(rows.numpy(), normalized.numpy(), strict=True):
        np.testing.assert_allclose(result, numpy_oracle.layer_norm(row, np.ones(7)), rtol=1e-12)
        np.testing.assert_allclose([result.mean(), result.var()], [0, 1], atol=1e-3)


def test_shift_and_scale_of_a_row_change_nothing() -> None:
    rows = values(3, 7) * 1000
    np.testing.assert_allclose(normalize(5 * rows + 3)[0], normalize(rows)[0], rtol=1e-6)


def test_a_constant_row_is_zeros() -> None:
    np.testing.assert_array_equal(normalize(np.full((2, 5), 3.0))[0], np.zeros((2, 5)))


def test_backward_is_the_gradient() -> None:
    rows, upstream = values(3, 7), values(3, 7, seed=99)

    def function(rows: Any) -> Any:
        return weighted_sum([normalize(rows)[0]])

    check_against_differences(function, [rows])
    np.testing.assert_allclose(
        normalize_backward(*normalize(rows), upstream), differentiate(function, [rows])[1][0], rtol=1e-9
    )
