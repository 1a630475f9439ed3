"""Uvicorn's HTTP connection, with an end to those that stall, and a refusal in JSON where there are too many."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import h11
from starlette.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

_TOO_MANY = JSONResponse(
    {"error": "The server has as many connections as it keeps; try again later"}, 503, {"connection": "close"}
)

_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
_LOOK_SECONDS = 0.1


class TimedProtocol(H11Protocol):
    """Closes a connection on which nothing has come to an end for `seconds`, and refuses what comes on one too many.

    Uvicorn itself limits how long an idle connection is kept after an answer, but not how long the beginning of a
    request may take, nor how long a client may leave its answer lying; and its own refusal (`limit_concurrency`) is no
    JSON.

    A client that has sent a whole request and ended its side of the connection is answered. Its end looks like that of
    a client that is gone, for which nobody should work: so it is sent an interim answer (RFC 9110, 15.2: clients read
    past those), which the system of one that is gone refuses.
    """

    seconds = 30.0
    most = 512
    """Connections that are answered."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._unasked: asyncio.TimerHandle | None = None
        self._untaken: asyncio.TimerHandle | None = None
        self._ended = False  # the client's side

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
        if self._ended and self._is_idle():
            self.transport.close()
        if not self.transport.is_closing():
            self._expect_request()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keeps the connection for the answer to a request that is whole; otherwise it is closed."""
        self._ended = not self._is_idle() and self.conn.their_state in (h11.DONE, h11.MUST_CLOSE)
        if self._ended and self.conn.their_http_version == b"1.1" and not self.cycle.response_started:
            self.transport.write(_INTERIM)
            self._look_for_client()
        return self._ended

    def _look_for_client(self) -> None:
        """Gives a request up whose client has refused the interim answer; the transport does not read any more."""
        if self.transport.is_closing() or self._is_idle():
            return
        if self.transport.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.transport.abort()
            return
        self.loop.call_later(_LOOK_SECONDS, self._look_for_client)

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

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
        elif self._is_idle():
            self.transport.close()
            self._expect_request()
