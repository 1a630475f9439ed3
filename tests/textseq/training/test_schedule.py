"""Learning rate and averaging rate against their formulas."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq.training.config import TrainingConfig
from textseq.training.schedule import average_decay, learning_rate

SCHEDULES = ["constant", "linear", "cosine", "inverse_sqrt"]


def _config(**values: object) -> TrainingConfig:
    return TrainingConfig(**{"learning_rate": 2.0, "warmup_steps": 10, "decay_start": 0.5, **values})


def test_warm_up_rises_by_the_same_amount_every_step() -> None:
    rates = [learning_rate(_config(), step, 1000) for step in range(10)]
    assert rates == pytest.approx([0.2 * (step + 1) for step in range(10)])


def test_constant_stays_at_the_highest_rate() -> None:
    assert {learning_rate(_config(schedule="constant"), step, 100) for step in range(10, 300)} == {2.0}


def test_linear_falls_from_its_start_to_zero() -> None:
    rates = [learning_rate(_config(), step, 100) for step in (50, 60, 75, 99, 100, 140)]
    assert rates == pytest.approx([2.0, 1.6, 1.0, 0.04, 0.0, 0.0])


def test_cosine_follows_half_a_wave() -> None:
    for step in range(50, 101):
        expected = 2.0 * 0.5 * (1 + math.cos(math.pi * (step - 50) / 50))
        assert learning_rate(_config(schedule="cosine"), step, 100) == pytest.approx(expected)


def test_inverse_sqrt_falls_from_the_end_of_the_warm_up() -> None:
    for step in (10, 40, 160, 1000):
        expected = 2.0 * math.sqrt(10 / step)
        assert learning_rate(_config(schedule="inverse_sqrt"), step, 100_000) == pytest.approx(expected)


def test_a_short_training_warms_up_over_half_of_it() -> None:
    assert learning_rate(_config(warmup_steps=400), 0, 20) == pytest.approx(0.2)
    assert learning_rate(_config(warmup_steps=400), 9, 20) == pytest.approx(2.0)


@given(
    schedule=st.sampled_from(SCHEDULES),
    warmup=st.integers(0, 50),
    start=st.floats(0, 1),
    total=st.integers(1, 200),
)
def test_the_rate_rises_once_then_never_again(schedule: str, warmup: int, start: float, total: int) -> None:
    config = _config(schedule=schedule, warmup_steps=warmup, decay_start=start)
    rates = [learning_rate(config, step, total) for step in range(total + 5)]
    assert all(0.0 <= rate <= 2.0 for rate in rates)
    peak = max(rates)
    top = rates.index(peak)
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert peak == 2.0  # also where the decay would begin before the warm-up ends


def test_average_decay_grows_to_its_value() -> None:
    config = TrainingConfig(average_decay=0.99)
    assert [average_decay(config, step) for step in (0, 1, 90)] == pytest.approx([0.1, 2 / 11, 0.91])
    assert average_decay(config, 10_000) == 0.99
