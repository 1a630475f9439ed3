"""Draws depend on a seed and a number only, and are even."""

from __future__ import annotations

from collections import Counter
from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from textseq.draw import Draw, bucket


@given(st.integers(0, 1000), st.integers(0, 1000), st.lists(st.integers(1, 1000), max_size=300))
def test_choices_are_a_function_of_seed_and_number(seed: int, number: int, bounds: list[int]) -> None:
    one, other = Draw(seed, number), Draw(seed, number)
    drawn = [one.below(bound) for bound in bounds]
    assert drawn == [other.below(bound) for bound in bounds]
    assert all(0 <= value < bound for value, bound in zip(drawn, bounds, strict=True))


def test_the_first_choices_are_the_digits_of_one_hash() -> None:
    left = int.from_bytes(blake2b(b"3/14").digest(), "big")
    draw = Draw(3, 14)
    for bound in (7, 100, 12, 2, 65_536):
        left, expected = divmod(left, bound)
        assert draw.below(bound) == expected


def test_choices_stay_even_beyond_the_first_hash() -> None:
    draw = Draw(1, 1)
    counts = Counter(draw.below(6) for _ in range(6_000))
    assert set(counts) == set(range(6))
    assert all(850 <= count <= 1150 for count in counts.values())


def test_choose_and_percent() -> None:
    draw = Draw(1, 2)
    assert {draw.choose("abc") for _ in range(60)} == set("abc")
    assert not any(draw.percent(0) for _ in range(60))
    assert all(draw.percent(100) for _ in range(60))


def test_buckets_are_even_and_depend_on_the_seed() -> None:
    lots = [bucket(1, f"word {number}") for number in range(5_000)]
    assert min(lots) < 10 and max(lots) > 990
    assert 150 <= sum(lot < 40 for lot in lots) <= 250
    assert lots != [bucket(2, f"word {number}") for number in range(5_000)]
