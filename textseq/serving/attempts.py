"""Sending a request again where that may help: how often, and after what pauses."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from textseq.counted import counted
from textseq.serving.client_errors import ServerTooSlow, ServerUnavailable, ServingError

Answer = TypeVar("Answer")


class TryAgain(Exception):
    """An attempt failed in a way that another may not.

    Args:
        error: what to raise when there is no other attempt.
        pause: seconds that the server asked to wait, if it did.
    """

    def __init__(self, error: ServingError, pause: float | None = None) -> None:
        self.error = error
        self.pause = pause
        super().__init__(str(error))


@dataclass(frozen=True)
class Attempts:
    """How often a request is sent, and the pauses between.

    The pause doubles with each attempt, and a random part of it, up to half, is left out, so that many clients whose
    server comes back do not all arrive at once.

    Args:
        retries: attempts after the first.
        first_pause: seconds before the second attempt.
        longest_pause: seconds; a server that asks for more is not waited for.
        sleep: waits so many seconds.
    """

    retries: int = 3
    first_pause: float = 0.2
    longest_pause: float = 10.0
    sleep: Callable[[float], None] = time.sleep

    def call(self, attempt: Callable[[], Answer]) -> Answer:
        """The answer of the first attempt that gives one.

        Args:
            attempt: sends the request once; raises `TryAgain` where another attempt may help.

        Raises:
            ServingError: no attempt gave an answer, or the server asked to wait too long.
        """
        for number in range(self.retries + 1):
            try:
                return attempt()
            except TryAgain as failure:
                pause = self._pause(number) if failure.pause is None else failure.pause
                if number == self.retries or pause > self.longest_pause:
                    raise _final(failure, number + 1) from failure.error.__cause__
                self.sleep(pause)
        raise ValueError(f"retries: received {self.retries}, expected 0 or more")

    def _pause(self, number: int) -> float:
        longest = min(self.longest_pause, self.first_pause * 2.0**number)
        return longest * random.uniform(0.5, 1.0)


def _final(failure: TryAgain, attempts: int) -> ServingError:
    error = failure.error
    message = str(error)
    if attempts > 1:
        message += f" (after {counted(attempts, 'attempt')})"
    if failure.pause is not None and failure.pause >= 1:
        message += f"; it asks to come back in {failure.pause:.0f} s"
    kind = ServerTooSlow if isinstance(error, ServerTooSlow) else ServerUnavailable
    return kind(message, error.code)
