"""Addresses to listen on."""

from __future__ import annotations

import asyncio
import socket

from textseq.serving.listening import bound


def test_what_is_written_is_sent_at_once() -> None:
    async def without_delay() -> int:
        found: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            accepted = writer.get_extra_info("socket")
            found.set_result(accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(answer, sock=bound("127.0.0.1", 0)) as server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            delay = await asyncio.wait_for(found, 20)
            writer.close()
            await writer.wait_closed()
        return delay

    assert asyncio.run(without_delay())
