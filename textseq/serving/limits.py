"""The server's limits: how much it takes at once, and how long it waits."""

from __future__ import annotations

import os
from dataclasses import dataclass, field


def cores() -> int:
    """Returns how many processor cores this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed is not None else os.cpu_count() or 1


@dataclass(frozen=True)
class Limits:
    """What bounds the server's memory and everybody's waiting.

    Attributes:
        batch_delay: seconds that a request waits for others to share its batch.
        largest_batch: most texts of a batch.
        largest_batch_bytes: most bytes of a batch, every text counted as long as the longest; one text may have more.
        largest_alone_bytes: most bytes of a request that runs alone (see `textseq.serving.batcher`), counted likewise;
            such a request's answer can grow with the square of its texts.
        queue: most texts that wait; beyond, a request is refused at once.
        queue_bytes: most bytes of the texts that wait.
        workers: batches that run at the same time.
        largest_request: most texts of a request, where its signature lets the server split it.
        largest_body: most bytes of a request.
        largest_answer: most bytes of an answer's values, before they are written: JSON takes some four times as many.
        largest_held: most bytes of all the requests and answers that are being read or written.
        connections: most connections, and most calls by gRPC at the same time.
        request_seconds: a request that is not answered by then is given up.
        body_seconds: a request that has not arrived by then is refused.
        stalled_seconds: a connection that sends no request, or does not take its answer, is closed.
        drain_seconds: how long a shutdown waits for what was accepted.
        poll_seconds: between two looks for new versions.
    """

    batch_delay: float = 0.003
    largest_batch: int = 64
    largest_batch_bytes: int = 1 << 18
    largest_alone_bytes: int = 1 << 15
    queue: int = 1024
    queue_bytes: int = 16 << 20
    workers: int = field(default_factory=cores)
    largest_request: int = 1024
    largest_body: int = 10_000_000
    largest_answer: int = 8 << 20
    largest_held: int = 80_000_000
    connections: int = 512
    request_seconds: float = 60.0
    body_seconds: float = 30.0
    stalled_seconds: float = 30.0
    drain_seconds: float = 30.0
    poll_seconds: float = 2.0
