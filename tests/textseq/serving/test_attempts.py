"""How often a request is sent, and the pauses between."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from textseq.serving.attempts import Attempts, TryAgain
from textseq.serving.client_errors import RequestRefused, ServerTooSlow, ServerUnavailable, ServingError


def failing(times: int, pause: float | None = None, error: ServingError | None = None) -> Callable[[], int]:
    calls = 0

    def attempt() -> int:
        nonlocal calls
        calls += 1
        if calls <= times:
            raise TryAgain(error or ServerUnavailable("busy", "RESOURCE_EXHAUSTED"), pause)
        return calls

    return attempt


def test_pauses_double_up_to_the_longest() -> None:
    pauses: list[float] = []
    attempts = Attempts(retries=6, first_pause=1.0, longest_pause=8.0, sleep=pauses.append)
    assert attempts.call(failing(6)) == 7
    for pause, longest in zip(pauses, [1, 2, 4, 8, 8, 8], strict=True):
        assert longest / 2 <= pause <= longest


def test_pauses_differ_between_clients() -> None:
    pauses: list[float] = []
    for _ in range(20):
        Attempts(retries=1, sleep=pauses.append).call(failing(1))
    assert len(set(pauses)) > 10


def test_a_server_that_says_when_is_obeyed() -> None:
    pauses: list[float] = []
    assert Attempts(sleep=pauses.append).call(failing(2, pause=3.0)) == 3
    assert pauses == [3.0, 3.0]


def test_a_server_that_asks_for_too_long_is_not_waited_for() -> None:
    attempts = Attempts(longest_pause=5.0, sleep=lambda seconds: pytest.fail(f"waited for {seconds}"))
    with pytest.raises(ServerUnavailable, match=r"^busy; it asks to come back in 60 s$"):
        attempts.call(failing(1, pause=60.0))


def test_the_last_error_says_how_many_attempts() -> None:
    attempts = Attempts(retries=2, sleep=lambda seconds: None)
    with pytest.raises(ServerUnavailable, match=r"^busy \(after 3 attempts\)$") as caught:
        attempts.call(failing(3))
    assert caught.value.code == "RESOURCE_EXHAUSTED"
    with pytest.raises(ServerTooSlow, match=r"^slow \(after 3 attempts\)$"):
        attempts.call(failing(3, error=ServerTooSlow("slow")))


def test_other_errors_end_it_at_once() -> None:
    calls = []

    def attempt() -> None:
        calls.append(1)
        raise RequestRefused("no")

    with pytest.raises(RequestRefused):
        Attempts(sleep=lambda seconds: None).call(attempt)
    assert calls == [1]
