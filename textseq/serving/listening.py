"""Addresses to listen on."""

from __future__ import annotations

import socket

from textseq.errors import InputError

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""How this machine is called from itself."""


def bound(host: str, port: int) -> socket.socket:
    """Returns a socket that has an address, 0 for a free port, and does not listen yet.

    Raises:
        InputError: it cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # asyncio turns Nagle's algorithm off where the protocol is named, and nowhere else; with it, an answer in two
        # writes waits for the 40 ms after which the other side acknowledges the first.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    except OSError as error:
        raise InputError(
            f"{host}: not an address to listen on ({error.strerror}); choose another with --host"
        ) from None
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"port {port} of {host} cannot be had: {reason}; choose another with --port") from None
    return listener


def bracketed(host: str) -> str:
    """Returns a host as it stands before a port."""
    return f"[{host}]" if ":" in host else host


def is_local(host: str) -> bool:
    """Returns whether a host is reached from this machine alone."""
    return host in ("localhost", "::1") or host.startswith("127.")
