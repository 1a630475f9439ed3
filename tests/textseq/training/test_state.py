"""The training state as JSON."""

from __future__ import annotations

import dataclasses
import json

import pytest

from textseq.training.state import TrainingState, Window


def _state() -> TrainingState:
    state = TrainingState(epoch=3, batch=7, step=40, best_score=0.1 + 0.2, best_step=30, skipped_steps=2)
    state.window.add(1.5, 10.0, 0.25, 0.125)
    state.window.add(0.1, 3.0, 0.5, 0.25)
    return state


def test_window_sums() -> None:
    assert _state().window == Window(steps=2, plain_sum=1.6, targets=13.0, gradient_norm=0.75, seconds=0.375)


def test_round_trip_over_json_is_exact() -> None:
    state = _state()
    assert TrainingState.from_dict(json.loads(json.dumps(state.to_dict()))) == state


def test_every_field_is_in_the_json() -> None:
    assert set(TrainingState().to_dict()) == {field.name for field in dataclasses.fields(TrainingState)}


def test_a_state_that_came_back_shares_nothing_with_the_dict() -> None:
    data = _state().to_dict()
    TrainingState.from_dict(data).window.add(1.0, 1.0, 1.0, 1.0)
    assert data["window"]["steps"] == 2


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(TypeError):
        TrainingState.from_dict({**_state().to_dict(), "unknown": 1})
