"""What is chosen from the corpus goes one way with its size, in every task."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers import choices as classifier_choices
from nmt import choices as translator_choices

TASKS = {"nmt": (translator_choices, 4, 100), "classifiers": (classifier_choices, 3, 40)}
BOTH = pytest.mark.parametrize(("choices", "least", "most"), TASKS.values(), ids=TASKS)


@BOTH
@given(one=st.integers(0, 10**8), other=st.integers(0, 10**8))
def test_more_text_never_gives_a_smaller_network_or_more_epochs(
    choices: ModuleType, least: int, most: int, one: int, other: int
) -> None:
    less, more = sorted((one, other))
    assert all(
        small <= large for small, large in zip(choices.choose_sizes(less), choices.choose_sizes(more), strict=True)
    )
    assert choices.choose_epochs(less) >= choices.choose_epochs(more)


@BOTH
@given(examples=st.integers(0, 10**10))
def test_epochs_are_bounded(choices: ModuleType, least: int, most: int, examples: int) -> None:
    assert least <= choices.choose_epochs(examples) <= most
