"""The proof finds whatever differs, says where, and takes padding for what it is."""

from __future__ import annotations

import base64
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq.serving.native import prove
from textseq.serving.native.prove import GOLDEN, PROOF, fault

TOLERANCE = 1e-4
TEXTS = [b"", b"one", "größer ሰው".encode(), b"\xff\x00 b", b"a longer line of text", b"two", b"x" * 300]
PROGRAM = Path(prove.__file__).parent


def plain(value: Any) -> Any:
    if isinstance(value, list):
        return [plain(each) for each in value]
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def golden(weight: float = 0.5) -> dict[str, Any]:
    lengths = [float(len(text)) for text in TEXTS]
    shouted = {
        "loud": [text.upper() for text in TEXTS],
        "score": [length * weight for length in lengths],
        "pair": [[length, length * weight] for length in lengths],
    }
    words = [text.split() for text in TEXTS]
    return {
        "serving_default": {"inputs": {"text": TEXTS}, "outputs": shouted},
        "words": {"inputs": {"text": TEXTS}, "outputs": {"words": words, "word_count": [len(row) for row in words]}},
        "echo": {
            "inputs": {
                **{name: [[1.5, -2.0], [0.0, 3.25]] for name in ("float32", "float64")},
                **{"int32": [1, -1], "int64": [2**60, 0], "bool": [True, False], "string": [b"\xff\0", b""]},
            },
            "outputs": {
                **{name: [[1.5, -2.0], [0.0, 3.25]] for name in ("f4", "f8")},
                **{"i4": [1, -1], "i8": [2**60, 0], "b": [True, False], "s": [b"\xff\0", b""]},
            },
        },
        "spin": {"inputs": {"count": [4, 4, 4]}, "outputs": {"total": [6, 6, 6]}},
        "positive": {"inputs": {"count": [4, 1]}, "outputs": {"count": [4, 1]}},
    }


def write(folder: Path, signatures: dict[str, Any]) -> Path:
    (folder / GOLDEN).parent.mkdir(exist_ok=True)
    content = {
        "tolerance": TOLERANCE,
        "signatures": {
            name: {side: {key: plain(values) for key, values in columns.items()} for side, columns in examples.items()}
            for name, examples in signatures.items()
        },
    }
    (folder / GOLDEN).write_text(json.dumps(content))
    return folder


@pytest.fixture
def version(small_model: Path, tmp_path: Path) -> Path:
    """A version with its golden inputs, to be spoilt."""
    return write(shutil.copytree(small_model, tmp_path / "1"), golden())


def proved_here(folder: Path) -> dict[str, Any]:
    """The report, from this process, which has imported whatever the tests need."""
    return {**prove.prove(folder), "imported": []}


def proved_apart(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder)


def test_by_hand(version: Path) -> None:
    done = proved_apart(version, "--report", str(version / PROOF))
    assert done.stderr == ""
    assert done.stdout.startswith("proved: serving_default with 7 inputs, words with 7 inputs, echo with 2 inputs, ")
    assert ", one by one, in one batch, in shuffled batches; " in done.stdout
    assert done.returncode == 0
    report = json.loads((version / PROOF).read_text())
    assert report["imported"] == []
    assert report["arrangements"] == ["one by one", "in one batch", "in shuffled batches"]
    assert {"StringUpper", "ReadVariableOp", "While", "Assert", "RestoreV2"} <= {*report["operations"], "While"}


def test_by_hand_what_differs(version: Path) -> None:
    done = proved_apart(write(version, golden(0.501)))
    assert done.stdout.startswith("not proved: the export differs from the run on 6 of 21 golden inputs; first, ")
    assert done.returncode == 1
    assert not (version / PROOF).exists()


def test_by_hand_without_golden_inputs(small_model: Path) -> None:
    done = proved_apart(small_model)
    assert "golden.json: cannot be used: FileNotFoundError" in done.stderr
    assert done.returncode == 2


def test_this_process_has_imported_too_much(version: Path) -> None:
    assert fault(prove.prove(version)) == (
        f"the proof imported {', '.join(name for name in prove._STRANGERS if name in sys.modules)}, "
        f"expected TensorFlow's C API alone"
    )


def test_what_is_equal(version: Path) -> None:
    report = proved_here(version)
    assert fault(report) is None
    assert report["inputs"] == {"serving_default": 7, "words": 7, "echo": 2, "spin": 3, "positive": 2}


def test_a_bit_of_a_weight(version: Path) -> None:
    data = next((version / "variables").glob("*.data-*"))
    content = bytearray(data.read_bytes())
    content[0] ^= 1
    data.write_bytes(content)
    report = proved_here(version)
    assert "DATA_LOSS" in report["failure"]
    assert str(fault(report)).startswith("the export cannot be loaded: DATA_LOSS")


def test_other_weights(version: Path, tmp_path: Path) -> None:
    """A weight that differs and whose checksum was made anew."""
    tf = pytest.importorskip("tensorflow")
    module = tf.Module()
    module.weight = tf.Variable(np.float32(0.5) + np.float32(2.0**-10))
    tf.saved_model.save(module, str(tmp_path / "other"))
    for file in (tmp_path / "other" / "variables").iterdir():
        shutil.copy(file, version / "variables")
    assert "differs from the run on 6 of 21 golden inputs; first, serving_default, one by one, input 1 'one': " in str(
        fault(proved_here(version))
    )


CHANGES: list[tuple[str, str, int, Any, str]] = [
    (
        "serving_default",
        "loud",
        2,
        b"GR\xc3\x96SSER",
        "input 2 'größer ሰው': received loud 'GRößER ሰው', expected 'GRÖSSER'",
    ),
    (
        "serving_default",
        "pair",
        3,
        [4.0, 2.0002],
        "input 3 '�\\x00 b': received pair [4.0, 2.0], expected [4.0, 2.0002]",
    ),
    ("words", "words", 0, [b"one"], "input 0 '': received words [], expected ['one']"),
    ("words", "words", 4, [b"a", b"longer", b"line", b"of"], "input 4 'a longer line of text': received words"),
    ("words", "word_count", 1, 2, "input 1 'one': received word_count 1, expected 2"),
    ("echo", "b", 1, True, "received b False, expected True"),
    ("positive", "count", 1, 2, "first, positive, one by one, input 1 1: received count 1, expected 2"),
]


@pytest.mark.parametrize(("signature", "output", "row", "value", "words"), CHANGES)
def test_what_differs(version: Path, signature: str, output: str, row: int, value: Any, words: str) -> None:
    changed = golden()
    changed[signature]["outputs"][output][row] = value
    message = str(fault(proved_here(write(version, changed))))
    assert words in message
    assert message.startswith(f"the export differs from the run on 1 of 21 golden inputs; first, {signature}, ")
    assert "\n" not in message


def test_an_answer_that_depends_on_its_mates(version: Path) -> None:
    changed = golden()
    changed["spin"] = {"inputs": {"count": [4, 3]}, "outputs": {"total": [6, 3]}}
    message = str(fault(proved_here(write(version, changed))))
    assert "first, spin, in one batch, input 1 3: received total 6, expected 3" in message


def test_an_input_that_it_fails_on(version: Path) -> None:
    changed = golden()
    changed["positive"] = {"inputs": {"count": [4, 0]}, "outputs": {"count": [4, 0]}}
    report = proved_here(write(version, changed))
    assert "first, positive, one by one, input 1 0: received an error, " in str(fault(report))
    assert "too small" in report["differences"][0]["received"]


def test_what_does_more_than_compute_is_not_run(version: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prove, "refused_operations", lambda folder: ["WriteFile in f"])
    monkeypatch.setattr(prove.SavedModel, "open", lambda folder: pytest.fail("it was loaded"))
    message = fault(proved_here(version))
    assert message == "the export holds WriteFile in f, expected only operations that compute"


def test_signatures_that_are_not_there(version: Path) -> None:
    changed = golden()
    del changed["spin"]
    assert "has no inputs for the signature spin" in str(fault(proved_here(write(version, changed))))
    changed = {**golden(), "explain": golden()["words"]}
    assert "has no signature explain, expected echo, positive" in str(fault(proved_here(write(version, changed))))
    changed = golden()
    del changed["words"]["outputs"]["word_count"]
    message = str(fault(proved_here(write(version, changed))))
    assert "received the outputs ['word_count', 'words'], expected ['words']" in message


def test_outputs_of_different_lengths(version: Path) -> None:
    changed = golden()
    changed["words"]["outputs"]["word_count"].pop()
    with pytest.raises(ValueError, match=r"columns of \[6, 7\] values, expected one value of each for every input"):
        prove.prove(write(version, changed))


def test_a_signature_without_inputs(version: Path) -> None:
    changed = {**golden(), "spin": {"inputs": {"count": []}, "outputs": {"total": []}}}
    with pytest.raises(ValueError, match=r"columns of \[0\] values, expected one value of each for every input"):
        prove.prove(write(version, changed))


def test_what_is_no_model(version: Path) -> None:
    (version / "saved_model.pb").write_bytes(b"\xff" * 100)
    assert "saved_model.pb: broken: " in str(fault(proved_here(version)))


@given(st.integers(1, 60))
def test_every_arrangement_holds_every_input_once(count: int) -> None:
    arrangements = dict(prove._arrangements(count))
    for batches in arrangements.values():
        assert sorted(index for batch in batches for index in batch) == list(range(count))
    assert all(len(batch) == 1 for batch in arrangements["one by one"])
    assert len(arrangements["in one batch"]) == 1
    if count > 10:
        shuffled = [index for batch in arrangements["in shuffled batches"] for index in batch]
        assert shuffled != sorted(shuffled)


LOWEST = float(np.finfo(np.float32).min)
FREE = (None,)


@pytest.mark.parametrize(
    ("received", "expected", "free", "equal"),
    [
        (b"a", b"a", (), True),
        (b"a", b"b", (), False),
        (b"a", b"a ", (), False),
        (b"1", 1.0, (), False),
        (np.float32(1.0), b"1", (), False),
        (np.float32(-1.0), -1.00009, (), True),
        (np.float32(-1.0), -1.00011, (), False),
        (np.float64(1000.0), 1000.001, (), False),
        (np.float32(math.nan), math.nan, (), False),
        (np.float32(-math.inf), -math.inf, (), True),
        (np.float32(math.inf), -math.inf, (), False),
        (np.int32(3), 3, (), True),
        (np.int32(3), 3.5, (), False),
        (np.bool_(True), True, (), True),
        (np.bool_(True), False, (), False),
        (np.array([1.0, 2.0]), [1.0, 2.1], FREE, False),
        (np.array([1.0]), [1.0, 2.0], FREE, False),
        (np.array([1.0]), 1.0, FREE, False),
        (np.float32(1.0), [1.0], (), False),
        # Beyond the golden row's own extent there is padding, where the signature leaves the extent free.
        (np.array([1.0, 0.0]), [1.0], FREE, True),
        (np.array([1.0, LOWEST], np.float32), [1.0], FREE, True),
        (np.array([1.0, 0.0]), [1.0], None, True),
        (np.array([1.0, 0.0]), [1.0], (2,), False),
        (np.array([1.0, 0.1]), [1.0], FREE, False),
        (np.array([1.0, math.nan]), [1.0], FREE, False),
        (np.array([b"a", b""], object), [b"a"], FREE, True),
        (np.array([b"a", b" "], object), [b"a"], FREE, False),
        (np.array([b"", b""], object), [], FREE, True),
        (np.array([b"a"], object), [], FREE, False),
        (np.array([[1.0, 0.0], [0.0, 0.0]]), [[1.0]], (None, None), True),
        (np.array([[1.0, 0.0], [0.0, 2.0]]), [[1.0]], (None, None), False),
        (np.array([[1.0, 0.0]]), [[1.0]], (None, 2), False),
        (np.zeros((2, 2)), [], (None, None), True),
        (np.array([1.0, 0.0]), [1.0], (None, None), False),
    ],
)
def test_what_counts_as_equal(received: Any, expected: Any, free: Any, equal: bool) -> None:
    assert prove._equal(received, expected, free, TOLERANCE) is equal
