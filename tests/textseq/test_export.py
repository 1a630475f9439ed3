"""Exports appear only after a process that knows TensorFlow alone got the run's results from them."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from textseq.errors import ExportMismatch, OutputError, RunDirectoryError
from textseq.serving.native.prove import GOLDEN, PROOF

tf = pytest.importorskip("tensorflow")

from textseq import export  # noqa: E402
from textseq.export import Golden, publish, run_to_export  # noqa: E402
from textseq.run_directory import RunDirectory  # noqa: E402

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
    assert names(version.parent) == ["1", "export.json", "kit"]
    assert (version.parent / "kit" / "docker-compose.yml").is_file()
    assert {"saved_model.pb", "variables", "assets.extra"} <= set(names(version))
    assert (version / GOLDEN).with_name("tf_serving_warmup_requests").stat().st_size > 0
    report = json.loads((version / PROOF).read_text())
    assert report["imported"] == report["differences"] == report["foreign_operations"] == []
    assert report["refused_operations"] == []
    assert report["failure"] is None
    assert report["inputs"] == {"serving_default": len(TEXTS)}
    assert report["arrangements"] == ["one by one", "in one batch", "in shuffled batches"]
    assert {"StringUpper", "ReadVariableOp", "StatefulPartitionedCall"} <= set(report["operations"])
    kept = json.loads((version / GOLDEN).read_text())["signatures"]["serving_default"]
    assert [base64.b64decode(value["b64"]) for value in kept["inputs"]["text"]] == TEXTS


def test_another_result_is_not_published(version: Path, tmp_path: Path) -> None:
    """The beam that the run searches with, say, is not the one that the export has."""
    out = tmp_path / "out"
    shutil.copytree(version.parent, out)
    wrong = golden(weight=0.501)
    wrong["serving_default"].outputs["loud"][1] = b"oNE"  # type: ignore[index]
    with pytest.raises(ExportMismatch) as caught:
        published(out, golden=wrong)
    message = str(caught.value)
    assert message.startswith(
        f"{out / '2'}: the export differs from the run on 6 of 7 golden inputs; "
        f"first, serving_default, one by one, input 1 'one': received "
    )
    assert message.endswith("; nothing was published")
    assert "\n" not in message
    assert caught.value.exit_code == 1
    assert names(out) == ["1", "export.json", "kit"]


def test_what_xla_compiles_is_not_published(tmp_path: Path) -> None:
    module = Shouter()
    with pytest.raises(ExportMismatch, match=r"holds .*compiled by XLA.*expected only operations with a CPU kernel"):
        published(tmp_path / "out", module=module, signatures=module.signatures(jit_compile=True))
    assert names(tmp_path) == []


def test_a_signature_that_nobody_asks_is_not_published(tmp_path: Path) -> None:
    module = Shouter()
    signatures = {**module.signatures(), "other": module.signatures()["serving_default"]}
    with pytest.raises(ExportMismatch, match=r"has no inputs for the signature other, expected some for each"):
        published(tmp_path / "out", module=module, signatures=signatures)


def test_another_tokenizer_is_not_published(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow_text")
    from textseq.graph_tokenization import GraphTokenizer
    from textseq.tokenization import TokenizationConfig
    from textseq.tokenizer_training import train_tokenizer

    first, second = (
        train_tokenizer([line], TokenizationConfig(), vocabulary_size=300, seed=1)
        for line in ("one two two", "a longer line of text")
    )
    module = tf.Module()
    module.tokenizer = GraphTokenizer(second.model_bytes)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")], autograph=False)
    def count(text: tf.Tensor) -> dict[str, tf.Tensor]:
        pieces = module.tokenizer.encode(text)
        return {"ids": pieces.to_tensor(0), "count": tf.cast(pieces.row_lengths(), tf.int32)}

    def examples(tokenizer: Any) -> dict[str, Golden]:
        ids = tokenizer.encode([text.decode("utf-8", "replace") for text in TEXTS])
        return {"serving_default": Golden({"text": TEXTS}, {"ids": ids, "count": [len(row) for row in ids]})}

    signatures = {"serving_default": count}
    with pytest.raises(ExportMismatch, match=r"differs from the run on 6 of 7 golden inputs; .* input 1 'one'"):
        published(tmp_path / "out", module=module, signatures=signatures, golden=examples(first))
    assert names(tmp_path) == []
    # Rows of different lengths: what pads them is no difference.
    published(tmp_path / "out", module=module, signatures=signatures, golden=examples(second))


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


@pytest.mark.usefixtures("unproved")
def test_versions_count_up(tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert [published(out).name for _ in range(2)] == ["1", "2"]
    (out / "1").rename(out / "11")
    (out / "notes").mkdir()
    (out / ".hidden").touch()
    (out / ".12-0123abcd-999999999.partial").mkdir()
    assert published(out).name == "12"
    assert names(out) == [".hidden", "11", "12", "2", "export.json", "kit", "notes"]


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
            r"export.json: not the mark of an export; expected format dragoman-export 1; give the folder that",
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


def test_a_run_is_exported_to_a_folder_of_its_task_only(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path / "run", "shouting")
    out = tmp_path / "out"
    assert run_to_export(tmp_path / "run", out, "shouting").path == tmp_path / "run"
    assert not out.exists()
    with pytest.raises(RunDirectoryError, match="whispering"):
        run_to_export(tmp_path / "run", out, "whispering")
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds something else"):
        run_to_export(tmp_path / "run", out, "shouting")
