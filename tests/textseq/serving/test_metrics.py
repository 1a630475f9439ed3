"""What is counted is what Prometheus reads."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from textseq.serving.metrics import Metrics


def samples(metrics: Metrics) -> dict[str, float]:
    return {
        sample.name + "".join(f" {key}={value}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
    }


def test_requests_are_counted_by_code_and_timed() -> None:
    metrics = Metrics("nmt")
    metrics.observe_request("REST", "n_best", "OK", 0.03)
    metrics.observe_request("REST", "n_best", "INVALID_ARGUMENT", 0.001)
    found = samples(metrics)
    labels = "entrypoint=REST model=nmt signature=n_best"
    assert found[f"dragoman_requests_total code=OK {labels}"] == 1
    assert found[f"dragoman_requests_total code=INVALID_ARGUMENT {labels}"] == 1
    assert found[f"dragoman_request_seconds_count {labels}"] == 2
    assert found["dragoman_request_seconds_bucket entrypoint=REST le=0.02 model=nmt signature=n_best"] == 1


def test_batches_are_counted_by_their_size() -> None:
    metrics = Metrics("nmt")
    metrics.observe_batch("echo", 5, 0.2)
    found = samples(metrics)
    assert found["dragoman_batch_texts_bucket le=4.0 model=nmt signature=echo"] == 0
    assert found["dragoman_batch_texts_bucket le=8.0 model=nmt signature=echo"] == 1
    assert found["dragoman_batch_seconds_sum model=nmt signature=echo"] == 0.2


def test_gauges_are_read_when_asked() -> None:
    metrics = Metrics("nmt")
    waiting = [3.0]
    metrics.watch("queue_texts", lambda: waiting[0])
    assert samples(metrics)["dragoman_queue_texts model=nmt"] == 3
    waiting[0] = 4
    assert samples(metrics)["dragoman_queue_texts model=nmt"] == 4


def test_the_memory_of_the_process_is_told() -> None:
    assert samples(Metrics("nmt"))["process_resident_memory_bytes"] > 1e6


def test_two_servers_count_apart() -> None:
    one, other = Metrics("nmt"), Metrics("nmt")
    one.observe_batch("echo", 1, 0.1)
    assert "dragoman_batch_seconds_count model=nmt signature=echo" not in samples(other)
