"""Uvicorn's HTTP connection, with an end to those that stall, and a refusal in JSON where there are too many."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

_TOO_MANY = JSONResponse(
    {"error": "The server has as many connections as it keeps; try again later"}, 503, {"connection": "close"}
)


class TimedProtocol(H11Protocol):
    """Closes a connection on which nothing has come to an end for `seconds`, and refuses what comes on one too many.

    Uvicorn itself limits how long an idle connection is kept after an answer, but not how long the beginning of a
    request may take, nor how long a client may leave its answer lying; and its own refusal (`limit_concurrency`) is no
    JSON.
    """

    seconds = 30.0
    most = 512
    """Connections that are answered."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._unasked: asyncio.TimerHandle | None = None
        self._untaken: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for a request."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self.app = _TOO_MANY
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops every clock."""
        for timer in (self._unasked, self._untaken):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Begins to wait for the next request."""
        super().on_response_complete()
        if not self.transport.is_closing():
            self._expect_request()

    def pause_writing(self) -> None:
        """Begins to wait for the client to take its answer."""
        super().pause_writing()
        if self._untaken is None:
            self._untaken = self.loop.call_later(self.seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Stops waiting: it has."""
        super().resume_writing()
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None

    def _expect_request(self) -> None:
        if self._unasked is not None:
            self._unasked.cancel()
        self._unasked = self.loop.call_later(self.seconds, self._close_unasked)

    def _close_unasked(self) -> None:
        if self.transport.is_closing():  # with an answer that nobody takes
            self.transport.abort()
        elif self.cycle is None or self.cycle.response_complete:
            self.transport.close()
            self._expect_request()
