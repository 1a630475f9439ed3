"""What the server counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client import generate_latest as _generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """Counters of one server, in a registry of their own.

    Args:
        model: the model's name.
    """

    def __init__(self, model: str) -> None:
        self._registry = CollectorRegistry()
        self._model = model
        self._requests = Counter(
            "dragoman_requests",
            "Requests for predictions by TensorFlow's status code",
            ["model", "entrypoint", "signature", "code"],
            registry=self._registry,
        )
        self._latency = Histogram(
            "dragoman_request_seconds",
            "Time from a request's arrival to its answer",
            ["model", "entrypoint", "signature"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batches = Histogram(
            "dragoman_batch_texts", "Texts of a batch", ["model", "signature"], buckets=_TEXTS, registry=self._registry
        )
        self._runs = Histogram(
            "dragoman_batch_seconds",
            "Time that the model takes for a batch",
            ["model", "signature"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._gauges = {
            name: Gauge(f"dragoman_{name}", text, ["model"], registry=self._registry).labels(model)
            for name, text in (
                ("queue_texts", "Texts that wait for a batch"),
                ("queue_bytes", "Bytes of the texts that wait"),
                ("version", "The version that is served"),
                ("refused_versions", "Versions in the folder that cannot be served"),
            )
        }
        # Memory, processor time and open files of this process.
        ProcessCollector(registry=self._registry)

    def watch(self, name: str, read: Callable[[], float]) -> None:
        """Has a gauge (queue_texts, queue_bytes, version, refused_versions) read when it is asked for."""
        self._gauges[name].set_function(read)

    def observe_request(self, entrypoint: str, signature: str, code: str, seconds: float) -> None:
        """Counts an answered request.

        Args:
            entrypoint: "REST" or "gRPC".
            signature: one that the model has, else "".
            code: TensorFlow's, such as "OK".
            seconds: how long the answer took.
        """
        self._requests.labels(self._model, entrypoint, signature, code).inc()
        self._latency.labels(self._model, entrypoint, signature).observe(seconds)

    def observe_batch(self, signature: str, texts: int, seconds: float) -> None:
        """Counts a batch that ran."""
        self._batches.labels(self._model, signature).observe(texts)
        self._runs.labels(self._model, signature).observe(seconds)

    def text(self) -> bytes:
        """Returns everything in Prometheus' text format."""
        return _generate_latest(self._registry)
