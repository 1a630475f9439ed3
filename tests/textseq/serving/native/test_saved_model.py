"""A model run through the C API gives what TensorFlow's Python gives, in any thread, and keeps no memory."""

from __future__ import annotations

import gc
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textseq.serving.native.c_api import NativeError
from textseq.serving.native.messages import DT_BOOL, DT_FLOAT, DT_INT32, DT_STRING
from textseq.serving.native.saved_model import SavedModel, TensorInfo

TEXTS = np.array([b"", b"one two", "größer ሰው".encode(), b"\xff\0", b"x" * 5000, b"two\0", b"x" * 23], object)


@pytest.fixture(scope="module")
def model(small_model: Path) -> Iterator[SavedModel]:
    with SavedModel.open(small_model) as opened:
        yield opened


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_signatures(model: SavedModel) -> None:
    assert sorted(model.signatures) == ["echo", "positive", "serving_default", "spin", "words"]
    signature = model.signatures["serving_default"]
    assert signature.inputs == {"text": TensorInfo("serving_default_text:0", DT_STRING, (None,))}
    assert {name: (each.dtype, each.shape) for name, each in signature.outputs.items()} == {
        "loud": (DT_STRING, (None,)),
        "pair": (DT_FLOAT, (None, 2)),
        "score": (DT_FLOAT, (None,)),
    }
    assert model.signatures["words"].outputs["words"].shape == (None, None)
    assert model.signatures["echo"].inputs["bool"].dtype == DT_BOOL
    assert model.signatures["positive"].outputs["count"].dtype == DT_INT32


@pytest.mark.parametrize("name", ["serving_default", "words"])
@pytest.mark.parametrize("rows", [0, 1, len(TEXTS)])
def test_tensorflow_gives_the_same(model: SavedModel, small_model: Path, name: str, rows: int) -> None:
    tf = pytest.importorskip("tensorflow")
    texts = TEXTS[:rows]
    expected = tf.saved_model.load(str(small_model)).signatures[name](text=tf.constant(texts, tf.string, [rows]))
    received = model.run(name, {"text": texts})
    assert received.keys() == expected.keys()
    for key, array in received.items():
        wanted = expected[key].numpy()
        assert array.shape == wanted.shape
        assert array.dtype == wanted.dtype
        assert array.tolist() == wanted.tolist()


def test_values_of_every_kind(model: SavedModel) -> None:
    inputs = {
        "float32": np.array([[1.5, -np.inf], [np.pi, 1e-30]], np.float32)[::-1],  # not contiguous
        "float64": np.array([[1.5, np.nan]]),
        "int32": np.array([-(2**31), 2**31 - 1], np.int32),
        "int64": np.array([-(2**63), 2**63 - 1]),
        "bool": np.array([True, False, True]),
        "string": TEXTS,
    }
    received = model.run("echo", inputs)
    for name, key in {
        "f4": "float32",
        "f8": "float64",
        "i4": "int32",
        "i8": "int64",
        "b": "bool",
        "s": "string",
    }.items():
        assert received[name].dtype == inputs[key].dtype
        np.testing.assert_array_equal(received[name], inputs[key])


def test_text_is_read_as_utf8(model: SavedModel) -> None:
    for texts in (np.array(["größer", "a"]), np.array(["größer", b"a"], object)):
        assert model.run("serving_default", {"text": texts})["score"].tolist() == [len("größer".encode()) / 2, 0.5]


@pytest.mark.parametrize(
    ("signature", "inputs", "code", "words"),
    [
        ("nothing", {}, 9, 'FAILED_PRECONDITION: Serving signature key "nothing" not found.'),
        ("__saved_model_init_op", {}, 9, "not found"),
        (
            "serving_default",
            {"txt": TEXTS},
            3,
            r"INVALID_ARGUMENT: received the inputs \{txt\}, expected \{text\}: missing \{text\}, unknown \{txt\}",
        ),
        ("serving_default", {"text": np.zeros(2, np.int32)}, 3, "text: received DT_INT32, expected DT_STRING"),
        ("positive", {"count": np.zeros(2, np.int64)}, 3, "count: received DT_INT64, expected DT_INT32"),
        ("positive", {"count": np.zeros(2, np.uint8)}, 3, "count: received an array of uint8"),
        ("positive", {"count": np.zeros([2, 2], np.int32)}, 3, r"count: received the shape \[2, 2\], expected \[any\]"),
        ("positive", {"count": np.int32(1)}, 3, r"count: received the shape \[\], expected \[any\]"),
        ("positive", {"count": np.zeros(2, np.int32)}, 3, "(?s)INVALID_ARGUMENT: .*too small"),
    ],
)
def test_what_does_not_fit(model: SavedModel, signature: str, inputs: Any, code: int, words: str) -> None:
    with pytest.raises(NativeError, match=words) as caught:
        model.run(signature, inputs)
    assert caught.value.code == code
    assert model.run("positive", {"count": np.ones(1, np.int32)})["count"].tolist() == [1]


def test_a_number_among_strings(model: SavedModel) -> None:
    with pytest.raises(NativeError, match="INVALID_ARGUMENT: text: received int among strings"):
        model.run("serving_default", {"text": np.array([b"a", 3], object)})


def test_what_cannot_be_loaded(small_model: Path, tmp_path: Path) -> None:
    with pytest.raises(NativeError, match="Could not find SavedModel") as caught:
        SavedModel.open(tmp_path)
    assert caught.value.code == 5
    broken = shutil.copytree(small_model, tmp_path / "1")
    data = next((broken / "variables").glob("*.data-*"))
    data.write_bytes(bytes([data.read_bytes()[0] ^ 1]) + data.read_bytes()[1:])
    with pytest.raises(NativeError, match="DATA_LOSS"):
        SavedModel.open(broken)


def test_many_threads_at_once(small_model: Path) -> None:
    def ask(number: int) -> None:
        text = b"a" * number
        for _ in range(20):
            found = model.run("serving_default", {"text": np.array([text] * (1 + number % 3), object)})
            assert found["loud"].tolist() == [b"A" * number] * (1 + number % 3)
            assert found["score"].tolist() == [number / 2] * (1 + number % 3)

    with SavedModel.open(small_model, threads=2) as model, ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(40)))


def test_a_run_lets_other_threads_work(model: SavedModel) -> None:
    spin = {"count": np.array([200_000], np.int32)}
    start = time.perf_counter()
    model.run("spin", spin)
    seconds = time.perf_counter() - start
    running = threading.Thread(target=model.run, args=("spin", spin))
    running.start()
    longest, last = 0.0, time.perf_counter()
    while running.is_alive():
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    running.join()
    assert longest < seconds / 2


def test_closing_waits_for_what_runs(small_model: Path) -> None:
    model = SavedModel.open(small_model)
    count = 100_000
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(model.run, "spin", {"count": np.array([count], np.int32)})
        while not model._running:
            time.sleep(0.001)
        model.close()
        assert running.done() or running.exception(timeout=1) is None
        assert running.result()["total"].tolist() == [count * (count - 1) // 2]
    model.close()
    with pytest.raises(NativeError, match="FAILED_PRECONDITION: the model is closed"):
        model.run("spin", {"count": np.array([1], np.int32)})


def test_runs_keep_no_memory(model: SavedModel) -> None:
    texts = np.array([b"ab " * 3000, b"", b"c" * 9000], object)

    def ask(times: int) -> None:
        for _ in range(times):
            model.run("serving_default", {"text": texts})
            with pytest.raises(NativeError):
                model.run("positive", {"count": np.zeros(2000, np.int32)})

    ask(200)
    gc.collect()
    before = resident_bytes()
    ask(2000)
    gc.collect()
    # One string of each run that stayed would be 18 MB, one vector 16 MB.
    assert resident_bytes() - before < 10_000_000


def test_strings_that_are_handed_through_keep_no_memory(model: SavedModel) -> None:
    """An output may be an input's own memory: it must live as long as it is read, and no longer."""
    inputs = {
        **{name: np.zeros([1, 2], name) for name in ("float32", "float64")},
        **{name: np.zeros(1, name) for name in ("int32", "int64", "bool")},
        "string": np.array([b"x" * 20_000, b"", b"y" * 30], object),
    }
    model.run("echo", inputs)
    before = resident_bytes()
    for _ in range(1000):
        assert model.run("echo", inputs)["s"].tolist() == inputs["string"].tolist()
    assert resident_bytes() - before < 10_000_000


def test_closed_models_keep_no_memory(small_model: Path) -> None:
    def cycle(times: int) -> None:
        for _ in range(times):
            with SavedModel.open(small_model, threads=1) as model:
                model.run("serving_default", {"text": TEXTS})

    cycle(5)
    before = resident_bytes()
    cycle(20)
    assert resident_bytes() - before < 20_000_000
