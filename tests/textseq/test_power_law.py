"""What grows or falls with the size of a corpus."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq.power_law import power_law


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.sampled_from([-0.5, 0.36, 0.6]))
def test_it_goes_one_way_between_its_bounds(one: int, other: int, power: float) -> None:
    less, more = (
        power_law(amount, at=29_000, value=30.0, power=power, least=4.0, most=100.0) for amount in sorted((one, other))
    )
    assert 4.0 <= less <= 100.0 and 4.0 <= more <= 100.0
    assert less <= more if power > 0 else less >= more


@pytest.mark.parametrize("power", [-0.5, 0.36])
def test_it_is_measured_where_it_is_right(power: float) -> None:
    assert power_law(29_000, at=29_000, value=30.0, power=power, least=4.0, most=100.0) == 30.0


@pytest.mark.parametrize("amount", [-3, 0, 1])
def test_nothing_counts_as_one(amount: int) -> None:
    assert power_law(amount, at=100, value=8.0, power=-1.0, least=0.0, most=1e6) == 800.0
