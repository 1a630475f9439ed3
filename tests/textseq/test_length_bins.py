"""Bins by length: every text is in exactly one, that of its length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq.errors import InputError
from textseq.length_bins import LengthSpan, LengthUnit, length_bins

USUAL: dict[LengthUnit, tuple[int, ...]] = {"words": (2, 4), "characters": (5,)}


@given(
    st.lists(st.text(alphabet="ab \t", max_size=20), max_size=10),
    st.sets(st.integers(0, 9), max_size=4),
    st.sampled_from(["words", "characters"]),
)
def test_every_text_is_in_the_bin_of_its_length(texts: list[str], bounds: set[int], unit: LengthUnit) -> None:
    bins = length_bins(texts, sorted(bounds), unit, USUAL)
    assert len(bins) == len(bounds) + 1
    assert sorted(index for _, indices in bins for index in indices) == list(range(len(texts)))
    for span, indices in bins:
        longest = float("inf") if span.longest is None else span.longest
        for index in indices:
            text = texts[index]
            length = len(text.split()) if unit == "words" else len("".join(text.split()))
            assert span.shortest <= length <= longest


def test_the_unit_follows_the_text() -> None:
    spans = [span for span, _ in length_bins(["a man sleeps"], None, None, USUAL)]
    assert [span.label for span in spans] == ["0 to 2 words", "3 to 4 words", "5 or more words"]
    (short, _), (long, indices) = length_bins(["猫が公園のベンチの上で静かに眠っています。"], None, None, USUAL)
    assert (short, long) == (LengthSpan(0, 5, "characters"), LengthSpan(6, None, "characters"))
    assert indices == [0]


@pytest.mark.parametrize("bounds", [[3, 3], [-1], [4, 2]])
def test_bounds_must_rise(bounds: list[int]) -> None:
    with pytest.raises(InputError, match=r"bounds: received \[.*\]; expected lengths of 0 or more, each greater"):
        length_bins(["a"], bounds, None, USUAL)
