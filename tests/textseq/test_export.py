"""Exports appear only after a process that knows TensorFlow alone got the run's results from them."""

from __future__ import annotations

import base64
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq import export_proof
from textseq.errors import ExportMismatch, OutputError

tf = pytest.importorskip("tensorflow")

from textseq import export  # noqa: E402
from textseq.export import Golden, publish  # noqa: E402

TEXTS = [b"", b"one", "größer ሰው".encode(), b"\xff\x00", b"a longer line of text", b"two", b"x" * 300]


class Shouter(tf.Module):
    """Gives a text in capital letters, and its length times a weight."""

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        self.weight = tf.Variable(weight, name="weight")

    def signatures(self, **options: Any) -> dict[str, Any]:
        def serve(text: tf.Tensor) -> dict[str, tf.Tensor]:
            length = tf.cast(tf.strings.length(text), tf.float32)
            scaled = tf.function(lambda value: value * self.weight, autograph=False, **options)(length)
            return {"loud": tf.strings.upper(text), "score": scaled, "pair": tf.stack([length, scaled], axis=1)}

        signature = [tf.TensorSpec([None], tf.string, name="text")]
        return {"serving_default": tf.function(serve, input_signature=signature, autograph=False)}


def golden(weight: float = 0.5, texts: Sequence[bytes] = TEXTS) -> dict[str, Golden]:
    lengths = [float(len(text)) for text in texts]
    outputs = {
        "loud": [text.upper() for text in texts],  # bytes: other letters than a to z stay
        "score": [length * weight for length in lengths],
        "pair": [[length, length * weight] for length in lengths],
    }
    return {"serving_default": Golden({"text": list(texts)}, outputs)}


def published(out: Path, task: str = "shouting", **changes: Any) -> Path:
    module = Shouter()
    return publish(
        out,
        task,
        changes.get("module", module),
        changes.get("signatures") or module.signatures(),
        changes.get("golden") or golden(),
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def prove(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(Path(export_proof.__file__)), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export that proved itself; not to be changed."""
    return published(tmp_path_factory.mktemp("export") / "deep" / "out")


@pytest.fixture
def unproved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out the proof, which takes seconds, where it is not what is tested."""
    monkeypatch.setattr(export, "_prove", lambda *_: None)


def test_what_is_published(version: Path) -> None:
    assert version.name == "1"
    assert names(version.parent) == ["1", "export.json"]
    assert {"saved_model.pb", "variables", "assets.extra"} <= set(names(version))
    report = json.loads((version / export_proof.PROOF).read_text())
    assert report["imported"] == report["differences"] == report["foreign_operations"] == []
    assert report["inputs"] == {"serving_default": len(TEXTS)}
    assert report["arrangements"] == ["one by one", "in one batch", "in shuffled batches"]
    assert {"StringUpper", "ReadVariableOp", "StatefulPartitionedCall"} <= set(report["operations"])
    kept = json.loads((version / export_proof.GOLDEN).read_text())["signatures"]["serving_default"]
    assert [base64.b64decode(value["b64"]) for value in kept["inputs"]["text"]] == TEXTS


def test_another_result_is_not_published(version: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(version.parent, out)
    wrong = golden(weight=0.501)
    wrong["serving_default"].outputs["loud"][1] = b"oNE"  # type: ignore[index]
    with pytest.raises(ExportMismatch) as caught:
        published(out, golden=wrong)
    message = str(caught.value)
    assert message.startswith(
        f"{out / '2'}: the export differs from the run on 6 of 7 golden inputs; first, one by one, "
    )
    assert "'one': received " in message
    assert message.endswith("; nothing was published")
    assert "\n" not in message
    assert caught.value.exit_code == 1
    assert names(out) == ["1", "export.json"]


def test_what_xla_compiles_is_not_published(tmp_path: Path) -> None:
    module = Shouter()
    with pytest.raises(ExportMismatch, match=r"holds .*compiled by XLA.*expected only operations with a CPU kernel"):
        published(tmp_path / "out", module=module, signatures=module.signatures(jit_compile=True))
    assert names(tmp_path) == []


def test_a_bit_of_a_weight(version: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(version, tmp_path / "1")
    data = next((folder / "variables").glob("*.data-*"))
    content = bytearray(data.read_bytes())
    content[-2] ^= 1
    data.write_bytes(content)
    (folder / export_proof.PROOF).unlink()
    assert prove(folder).returncode != 0
    assert not (folder / export_proof.PROOF).exists()


def test_a_process_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = subprocess.CompletedProcess([], 3, b"", b"first line\nKeyError: 'score'\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(ExportMismatch, match=r"of its own \(exit code 3\): KeyError: 'score'; nothing was"):
        published(tmp_path / "out")
    assert names(tmp_path) == []


def test_a_process_that_takes_too_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(command: list[str], **options: Any) -> None:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(ExportMismatch, match=r"did not answer its 7 golden inputs within 1800 seconds; nothing was"):
        published(tmp_path / "out")
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["keras", "keras.src.ops", "textseq", "nmt"])
def test_the_proof_cannot_import(name: str) -> None:
    code = f"""
import runpy, sys
hook = runpy.run_path({export_proof.__file__!r})["Refusal"]
sys.meta_path.insert(0, hook())
import {name}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "may not be imported by the proof" in done.stderr


@pytest.mark.usefixtures("unproved")
def test_versions_count_up(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert [published(out).name for _ in range(2)] == ["1", "2"]
    (out / "1").rename(out / "11")
    (out / "notes").mkdir()
    (out / ".hidden").touch()
    (out / ".12-0123abcd-999999999.partial").mkdir()
    assert published(out).name == "12"
    assert names(out) == [".hidden", "11", "12", "2", "export.json", "notes"]


def test_two_exports_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(export, "_prove", lambda aside, version, _: (version.mkdir(), (version / "theirs").touch()))
    with pytest.raises(OutputError, match=r"1: another export has just been published here; start again for the next"):
        published(tmp_path / "out")
    assert names(tmp_path / "out" / "1") == ["theirs"]


def a_file(out: Path) -> None:
    out.write_text("text")


def a_run(out: Path) -> None:
    out.mkdir()
    for name in (".lock", "config.toml", "data", "run.json", "tokenizer"):
        (out / name).touch()


def numbered_folders(out: Path) -> None:
    (out / "1").mkdir(parents=True)


def another_task(out: Path) -> None:
    out.mkdir()
    (out / "export.json").write_text('{"format": "dragoman-export", "version": 1, "task": "whispering"}')


def another_mark(out: Path) -> None:
    out.mkdir()
    (out / "export.json").write_text("[]")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (a_file, "out: is a file; expected a folder for the versions of an export"),
        (
            a_run,
            r"out: holds something else \(config.toml, data, run.json, ...\) and no export.json; "
            "choose a new or an empty folder",
        ),
        (numbered_folders, r"out: holds something else \(1\) and no export.json; choose a new or an empty folder"),
        (another_task, "out: holds exports of whispering, expected shouting; choose another folder"),
        (
            another_mark,
            r"export.json: not the mark of an export; expected format dragoman-export 1; choose another folder",
        ),
    ],
)
def test_a_folder_that_holds_something_else(make: Any, message: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    make(out)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match=message) as caught:
        published(out)
    assert caught.value.exit_code == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_a_file_stands_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="a file stands where a folder is expected"):
        published(tmp_path / "file" / "out")


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def save(*_: Any, **__: Any) -> None:
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device\nmore")

    monkeypatch.setattr(tf.saved_model, "save", save)
    with pytest.raises(OutputError, match=r"1: cannot be written: No space left on device; free some space") as caught:
        published(tmp_path / "out")
    assert "more" not in str(caught.value)
    assert names(tmp_path) == []


@given(st.integers(1, 60))
def test_every_arrangement_holds_every_input_once(count: int) -> None:
    arrangements = dict(export_proof._arrangements(count))
    for batches in arrangements.values():
        assert sorted(index for batch in batches for index in batch) == list(range(count))
    assert all(len(batch) == 1 for batch in arrangements["one by one"])
    assert len(arrangements["in one batch"]) == 1
    if count > 10:
        shuffled = [index for batch in arrangements["in shuffled batches"] for index in batch]
        assert shuffled != sorted(shuffled)


@pytest.mark.parametrize(
    ("received", "expected", "equal"),
    [
        (b"a", b"a", True),
        (b"a", b"b", False),
        (b"a", b"a ", False),
        (-1.0, -1.00009, True),
        (-1.0, -1.00011, False),
        (1000.0, 1000.001, False),
        (math.nan, math.nan, False),
        (-math.inf, -math.inf, True),
        ([1.0, b"a"], [1.0, b"a"], True),
        ([1.0, 2.0], [1.0, 2.1], False),
        ([1.0], [1.0, 2.0], False),
        (1.0, [1.0], False),
        (b"1", 1.0, False),
    ],
)
def test_what_counts_as_equal(received: Any, expected: Any, equal: bool) -> None:
    assert export_proof._equal(received, expected, export.TOLERANCE) is equal
