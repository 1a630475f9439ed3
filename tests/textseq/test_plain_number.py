"""Numbers for strict JSON."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq.plain_number import plain_number


@given(st.floats(), st.one_of(st.none(), st.integers(0, 8)))
def test_json_takes_what_is_given(value: float, decimals: int | None) -> None:
    plain = plain_number(value, decimals)
    json.dumps(plain, allow_nan=False)
    assert (plain is None) == (not math.isfinite(value))
    if plain is not None:
        assert plain == (value if decimals is None else round(value, decimals))


def test_numbers_of_numpy_become_pythons() -> None:
    assert type(plain_number(np.float32(0.5))) is float
    assert plain_number(np.float32(1 / 3), 6) == pytest.approx(0.333333, abs=1e-9)


def test_nothing_stays_nothing() -> None:
    assert plain_number(None) is None
