from __future__ import annotations

import pytest

from textseq.counted import counted


@pytest.mark.parametrize(("number", "text"), [(0, "0 pairs"), (1, "1 pair"), (2, "2 pairs"), (29_000, "29,000 pairs")])
def test_one_is_singular(number: int, text: str) -> None:
    assert counted(number, "pair") == text
