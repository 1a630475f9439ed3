"""Requests that wait together are run together, and come back apart."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textseq.serving.batcher import Batcher, merges
from textseq.serving.limits import Limits
from textseq.serving.refusal import Code, Refusal

ONE = Limits(batch_delay=0.001, workers=1, largest_batch=8, queue=32)


def texts(*values: bytes) -> dict[str, np.ndarray]:
    array = np.empty(len(values), object)
    array[:] = values
    return {"text": array}


def soon() -> float:
    return time.monotonic() + 10


def joined(futures: list[Future[Any]], name: str = "translation") -> list[bytes]:
    return [value for future in futures for value in future.result(10)[name]]


@pytest.fixture
def batcher(stand_in: Any) -> Iterator[Batcher]:
    made = Batcher(stand_in, ONE)
    yield made
    stand_in.gate.set()
    made.close(5)


def busy(batcher: Batcher, model: Any) -> Future[Any]:
    """Occupies the only worker until the gate is opened."""
    model.gate.clear()
    first = batcher.submit("echo", texts(b"first"), soon())[0]
    wait_for(lambda: bool(model.runs))
    return first


def wait_for(condition: Any) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_a_request_comes_back_with_its_own_rows(batcher: Batcher) -> None:
    outputs = batcher.submit("serving_default", texts(b"one", b"two"), soon())[0].result(10)
    assert list(outputs["translation"]) == [b"ONE", b"TWO"]
    assert outputs["score"].tolist() == [-3 / 8, -3 / 8]


def test_requests_that_wait_are_merged(batcher: Batcher, stand_in: Any) -> None:
    first = busy(batcher, stand_in)
    waiting = [batcher.submit("serving_default", texts(b"%d" % number), soon()) for number in range(5)]
    stand_in.gate.set()
    assert [joined(futures) for futures in waiting] == [[b"%d" % number] for number in range(5)]
    assert first.result(10)["text"].tolist() == [b"first"]
    assert [len(run) for _, run in stand_in.runs] == [1, 5]


def test_batches_are_no_larger_than_allowed(batcher: Batcher, stand_in: Any) -> None:
    busy(batcher, stand_in)
    waiting = [batcher.submit("echo", texts(b"a", b"b", b"c"), soon())[0] for _ in range(6)]
    stand_in.gate.set()
    for future in waiting:
        assert future.result(10)["text"].tolist() == [b"a", b"b", b"c"]
    assert [len(run) for _, run in stand_in.runs] == [1, 6, 6, 6]


def test_signatures_are_not_mixed(batcher: Batcher, stand_in: Any) -> None:
    busy(batcher, stand_in)
    waiting = [batcher.submit(name, texts(b"x"), soon())[0] for name in ("echo", "serving_default", "echo")]
    stand_in.gate.set()
    for future in waiting:
        future.result(10)
    assert [(name, len(run)) for name, run in stand_in.runs] == [("echo", 1), ("echo", 2), ("serving_default", 1)]


def test_a_short_text_is_not_batched_with_a_long_one(batcher: Batcher, stand_in: Any) -> None:
    busy(batcher, stand_in)
    lengths = [10, 5000, 20, 6000]
    waiting = [batcher.submit("echo", texts(b"x" * length), soon())[0] for length in lengths]
    stand_in.gate.set()
    for future in waiting:
        future.result(10)
    assert [list(map(len, run)) for _, run in stand_in.runs[1:]] == [[10, 20], [5000, 6000]]


def test_long_texts_leave_a_worker_to_the_short_ones(stand_in: Any) -> None:
    stand_in.gate.clear()
    batcher = Batcher(stand_in, replace(ONE, workers=2, batch_delay=0.0, largest_batch_bytes=6000))
    long = [batcher.submit("echo", texts(b"x" * 5000), soon())[0] for _ in range(2)]
    wait_for(lambda: len(stand_in.runs) == 1)
    short = batcher.submit("echo", texts(b"short"), soon())[0]
    wait_for(lambda: len(stand_in.runs) == 2)
    assert stand_in.runs[1] == ("echo", [b"short"])
    stand_in.gate.set()
    assert [len(future.result(10)["text"][0]) for future in [*long, short]] == [5000, 5000, 5]
    batcher.close(5)


def test_a_request_that_runs_alone_is_long_as_a_whole(stand_in: Any) -> None:
    stand_in.gate.clear()
    batcher = Batcher(stand_in, replace(ONE, workers=2, batch_delay=0.0, largest_batch=64, queue=200))
    whole = [batcher.submit("words", texts(*[b"x" * 100] * 60), soon())[0] for _ in range(2)]
    wait_for(lambda: len(stand_in.runs) == 1)
    short = batcher.submit("words", texts(b"short"), soon())[0]
    wait_for(lambda: len(stand_in.runs) == 2)
    assert stand_in.runs[1] == ("words", [b"short"])
    stand_in.gate.set()
    assert [len(future.result(10)["count"]) for future in [*whole, short]] == [60, 60, 1]
    batcher.close(5)


def test_the_work_of_a_request_that_runs_alone_is_bounded(stand_in: Any) -> None:
    batcher = Batcher(stand_in, replace(ONE, largest_batch=64, largest_alone_bytes=1000))
    said = (
        "Task size 5 is larger than maximum input batch size 4 for texts of 201 bytes: words takes 1000 bytes at once"
    )
    with pytest.raises(Refusal, match=said) as caught:
        batcher.submit("words", texts(b"x" * 200, *[b"y"] * 4), soon())
    assert caught.value.code == Code.INVALID_ARGUMENT
    for fits in ([b"x" * 200] * 4, [b"y"] * 64, [b"x" * 5000], []):
        (future,) = batcher.submit("words", texts(*fits), soon())
        assert len(future.result(10)["count"]) == len(fits)
    batcher.close(5)


def test_a_request_with_ragged_outputs_runs_alone_and_is_as_wide_as_alone(batcher: Batcher, stand_in: Any) -> None:
    busy(batcher, stand_in)
    wide = batcher.submit("words", texts(b"a b c d"), soon())[0]
    narrow = batcher.submit("words", texts(b"a"), soon())[0]
    stand_in.gate.set()
    assert wide.result(10)["words"].shape == (1, 4)
    assert narrow.result(10)["words"].shape == (1, 1)


def test_which_signatures_merge(stand_in: Any) -> None:
    assert {name: merges(signature) for name, signature in stand_in.signatures.items()} == {
        "serving_default": True,
        "echo": True,
        "words": False,
        "numbers": True,
    }


def test_a_large_request_is_split_and_stays_in_order(batcher: Batcher, stand_in: Any) -> None:
    values = [b"%d" % number for number in range(30)]
    assert joined(batcher.submit("serving_default", texts(*values), soon())) == values
    assert max(len(run) for _, run in stand_in.runs) == ONE.largest_batch


def test_a_batch_holds_no_more_bytes_than_allowed(stand_in: Any) -> None:
    batcher = Batcher(stand_in, replace(ONE, largest_batch_bytes=1000))
    values = [b"x" * 400, b"y" * 400, b"z" * 400, b"w" * 5000]
    assert joined(batcher.submit("echo", texts(*values), soon()), "text") == values
    assert sorted(list(map(len, run)) for _, run in stand_in.runs) == [[400], [400, 400], [5000]]
    batcher.close(5)


@pytest.mark.parametrize(("signature", "most"), [("echo", Limits().largest_request), ("words", ONE.largest_batch)])
def test_a_request_with_too_many_texts_is_refused(batcher: Batcher, signature: str, most: int) -> None:
    with pytest.raises(Refusal, match=f"Task size {most + 1} is larger than maximum input batch size {most}") as caught:
        batcher.submit(signature, texts(*[b"x"] * (most + 1)), soon())
    assert caught.value.code == Code.INVALID_ARGUMENT


def test_too_many_texts_are_refused_before_they_are_measured(batcher: Batcher) -> None:
    with pytest.raises(Refusal, match="larger than maximum input batch size"):
        batcher.submit("echo", {"text": np.full(1 << 20, None)}, soon())


def test_a_full_queue_refuses_at_once_and_takes_again_later(batcher: Batcher, stand_in: Any) -> None:
    busy(batcher, stand_in)
    waiting = [batcher.submit("echo", texts(b"x"), soon())[0] for _ in range(ONE.queue)]
    assert batcher.texts == ONE.queue
    with pytest.raises(Refusal, match="queue to which this task was submitted is full; 32 texts are waiting") as caught:
        batcher.submit("echo", texts(b"x"), soon())
    assert caught.value.code == Code.RESOURCE_EXHAUSTED
    stand_in.gate.set()
    for future in waiting:
        future.result(10)
    assert batcher.submit("echo", texts(b"x"), soon())[0].result(10)
    assert (batcher.texts, batcher.bytes) == (0, 0)


def test_the_queue_is_bounded_in_bytes(stand_in: Any) -> None:
    batcher = Batcher(stand_in, replace(ONE, queue_bytes=10_000))
    busy(batcher, stand_in)
    batcher.submit("echo", texts(b"x" * 9000), soon())
    with pytest.raises(Refusal, match="is full"):
        batcher.submit("echo", texts(b"x" * 1000), soon())
    stand_in.gate.set()
    batcher.close(5)


def test_one_bad_request_spoils_no_other(batcher: Batcher, stand_in: Any) -> None:
    busy(batcher, stand_in)
    waiting = {text: batcher.submit("echo", texts(text), soon())[0] for text in (b"good", b"bad", b"fine")}
    stand_in.gate.set()
    assert waiting[b"good"].result(10)["text"].tolist() == [b"good"]
    assert waiting[b"fine"].result(10)["text"].tolist() == [b"fine"]
    with pytest.raises(Exception, match="bad text"):
        waiting[b"bad"].result(10)


def test_what_was_cancelled_is_not_run_and_frees_its_place(batcher: Batcher, stand_in: Any) -> None:
    busy(batcher, stand_in)
    gone = batcher.submit("echo", texts(b"gone"), soon())[0]
    stays = batcher.submit("echo", texts(b"stays"), soon())[0]
    assert gone.cancel()
    assert batcher.texts == 1
    stand_in.gate.set()
    assert stays.result(10)["text"].tolist() == [b"stays"]
    assert all(b"gone" not in run for _, run in stand_in.runs)


def test_what_is_late_is_not_run(batcher: Batcher, stand_in: Any) -> None:
    busy(batcher, stand_in)
    late = batcher.submit("echo", texts(b"late"), time.monotonic() + 0.01)[0]
    time.sleep(0.02)
    stand_in.gate.set()
    with pytest.raises(Refusal, match="not run before its deadline") as caught:
        late.result(10)
    assert caught.value.code == Code.DEADLINE_EXCEEDED
    assert all(b"late" not in run for _, run in stand_in.runs)


def test_a_request_waits_for_mates_no_longer_than_the_delay(stand_in: Any) -> None:
    batcher = Batcher(stand_in, replace(ONE, batch_delay=0.2))
    start = time.monotonic()
    futures = [batcher.submit("echo", texts(b"a"), soon())[0], batcher.submit("echo", texts(b"b"), soon())[0]]
    for future in futures:
        future.result(10)
    assert 0.15 < time.monotonic() - start < 5
    assert [len(run) for _, run in stand_in.runs] == [2]
    batcher.close(5)


def test_a_full_batch_does_not_wait(stand_in: Any) -> None:
    batcher = Batcher(stand_in, replace(ONE, batch_delay=5.0))
    start = time.monotonic()
    batcher.submit("echo", texts(*[b"x"] * 8), soon())[0].result(10)
    batcher.submit("words", texts(b"alone"), soon())[0].result(10)
    assert time.monotonic() - start < 4
    batcher.close(5)


def test_no_worker_sleeps_while_another_signature_waits(stand_in: Any) -> None:
    """Two requests at the same moment, two workers: the second must not wait for the first one's run."""
    batcher = Batcher(stand_in, replace(ONE, workers=2, batch_delay=0.02))
    time.sleep(0.05)  # both are asleep without an end
    stand_in.gate.clear()
    futures = [batcher.submit(name, texts(b"x"), soon())[0] for name in ("echo", "serving_default")]
    wait_for(lambda: len(stand_in.runs) == 2)
    stand_in.gate.set()
    for future in futures:
        future.result(10)
    batcher.close(5)


def test_closing_finishes_what_waits_and_refuses_what_comes(batcher: Batcher, stand_in: Any) -> None:
    busy(batcher, stand_in)
    waiting = batcher.submit("echo", texts(b"x"), soon())[0]
    threading.Timer(0.05, stand_in.gate.set).start()
    assert batcher.close(5)
    assert waiting.result(0)["text"].tolist() == [b"x"]
    with pytest.raises(Refusal, match="shutting down") as caught:
        batcher.submit("echo", texts(b"x"), soon())
    assert caught.value.code == Code.UNAVAILABLE


def test_closing_gives_up_after_its_time(batcher: Batcher, stand_in: Any) -> None:
    busy(batcher, stand_in)
    waiting = batcher.submit("echo", texts(b"x"), soon())[0]
    assert not batcher.close(0.05)
    with pytest.raises(Refusal, match="shutting down"):
        waiting.result(0)


def test_an_empty_request_is_run(batcher: Batcher) -> None:
    assert batcher.submit("echo", texts(), soon())[0].result(10)["text"].shape == (0,)


def test_every_run_is_observed(stand_in: Any) -> None:
    seen: list[tuple[str, int]] = []
    batcher = Batcher(stand_in, ONE, lambda signature, rows, seconds: seen.append((signature, rows)))
    batcher.submit("echo", texts(b"a", b"b"), soon())[0].result(10)
    batcher.close(5)
    assert seen == [("echo", 2)]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(0, 400), min_size=1, max_size=12), min_size=1, max_size=12))
def test_everybody_gets_their_own_answer(stand_in_kind: type, requests: list[list[int]]) -> None:
    batcher = Batcher(
        stand_in_kind(), Limits(batch_delay=0.0, workers=2, largest_batch=5, largest_batch_bytes=600, queue=1000)
    )
    sent = [
        [b"%d-%d" % (number, row) + b"x" * length for row, length in enumerate(lengths)]
        for number, lengths in enumerate(requests)
    ]
    futures = [batcher.submit("echo", texts(*values), soon()) for values in sent]
    assert [joined(each, "text") for each in futures] == sent
    assert batcher.close(5)
