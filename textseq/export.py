"""Exports: SavedModels with text in and results out, published only after they have proved themselves.

OUT/
  export.json            marks the folder: format, version, task
  1/, 2/, ...            versions, as TF Serving looks for them; the newest has the highest number
    saved_model.pb, variables/
    assets.extra/        golden.json: inputs and what the run gives for them; proof.json: the proof's report; and
                         what the task adds for clients

A version is made under a hidden name, proved in a fresh process (see textseq.export_proof) and then renamed.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from textseq import export_proof
from textseq.atomic_files import remove_remainders, replace_directory, write_atomically, writing
from textseq.errors import ExportMismatch, OutputError

TOLERANCE = 1e-4
"""How far a score of the export may be from the run's own."""

PROOF_SECONDS = 1800.0
"""How long the proof may take."""

_FORMAT = {"format": "dragoman-export", "version": 1}
_MARKER = "export.json"


@dataclass(frozen=True)
class Golden:
    """Inputs of one signature, and what the run itself gives for them.

    Attributes:
        inputs: by name, one value a row: bytes for a string.
        outputs: by name, one value a row: bytes for a string, else a number or a list of numbers.
    """

    inputs: Mapping[str, Sequence[Any]]
    outputs: Mapping[str, Sequence[Any]]


def publish(
    out: str | os.PathLike[str],
    task: str,
    module: tf.Module,
    signatures: Mapping[str, Any],
    golden: Mapping[str, Golden],
    extra: Mapping[str, bytes] | None = None,
) -> Path:
    """Writes a module as the next version of an export, if it proves that it gives what the run gives.

    Args:
        out: the folder of the versions, the one that TF Serving watches; made where it is missing.
        task: what the export is for, such as "nmt"; a folder holds exports of one task.
        module: holds the variables and the tables that the signatures use, and nothing else.
        signatures: concrete functions by name; each takes and gives tensors by name, the batch first.
        golden: by the name of the signature.
        extra: files for clients by their name in `assets.extra`, which servers leave alone.

    Returns:
        The folder of the version, `out/N`.

    Raises:
        ExportMismatch: the export gives something else than the run; nothing was published.
        OutputError: `out` holds something else, or cannot be written.
    """
    folder = Path(out)
    check_folder(folder, task)
    with _made(folder):
        remove_remainders(folder)
        version = folder / str(max(_versions(folder), default=0) + 1)
        with replace_directory(version) as aside:
            _write(aside, version, module, signatures, golden)
            for name, content in (extra or {}).items():
                (aside / export_proof.GOLDEN).with_name(name).write_bytes(content)
            _prove(aside, version, golden)
            # The folder is marked first: without its mark, a version would be taken for something else.
            write_atomically(folder / _MARKER, json.dumps({**_FORMAT, "task": task}) + "\n")
            if version.exists():
                raise OutputError(f"{version}: another export has just been published here; start again for the next")
    return version


def check_folder(out: str | os.PathLike[str], task: str) -> None:
    """Checks that a folder can take exports of a task; nothing is written.

    Raises:
        OutputError: it is a file, holds something else, or exports of another task.
    """
    folder = Path(out)
    with writing(folder):
        if not folder.exists():
            return
        if not folder.is_dir():
            raise OutputError(f"{folder}: is a file; expected a folder for the versions of an export")
        names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    if _MARKER not in names:
        if names:
            raise OutputError(
                f"{folder}: holds something else ({', '.join(names[:3])}{', ...' if names[3:] else ''}) "
                f"and no {_MARKER}; choose a new or an empty folder"
            )
        return
    try:
        marker = json.loads((folder / _MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        marker = None
    if not isinstance(marker, dict) or {**marker, "task": None} != {**_FORMAT, "task": None}:
        raise OutputError(
            f"{folder / _MARKER}: not the mark of an export; expected format {_FORMAT['format']} {_FORMAT['version']}; "
            f"choose another folder"
        )
    if marker.get("task") != task:
        raise OutputError(f"{folder}: holds exports of {marker.get('task')}, expected {task}; choose another folder")


def _versions(folder: Path) -> list[int]:
    return [int(name) for name in os.listdir(folder) if name.isascii() and name.isdigit()]


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Makes the folder, and takes it away again where nothing came to stand in it."""
    with writing(folder):
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for place in missing:
                place.rmdir()
        raise


def _write(
    aside: Path, version: Path, module: tf.Module, signatures: Mapping[str, Any], golden: Mapping[str, Golden]
) -> None:
    # Gradients would drag the functions of training along.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    try:
        with _without_messages():
            tf.saved_model.save(module, str(aside), signatures=dict(signatures), options=options)
    except tf.errors.OpError as error:
        reason = str(error.message).splitlines()[0]
        raise OutputError(f"{version}: cannot be written: {reason}; free some space or choose another place") from error
    content = {
        "tolerance": TOLERANCE,
        "signatures": {
            name: {
                "inputs": {key: _plain(values) for key, values in examples.inputs.items()},
                "outputs": {key: _plain(values) for key, values in examples.outputs.items()},
            }
            for name, examples in golden.items()
        },
    }
    (aside / export_proof.GOLDEN).parent.mkdir(exist_ok=True)
    (aside / export_proof.GOLDEN).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _plain(values: Sequence[Any]) -> list[Any]:
    return [{"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value for value in values]


@contextlib.contextmanager
def _without_messages() -> Iterator[None]:
    """Keeps "Assets written to" off the terminal: it names the hidden folder."""
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


def _prove(aside: Path, version: Path, golden: Mapping[str, Golden]) -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [sys.executable, str(Path(export_proof.__file__).resolve()), str(aside.resolve())]
    try:
        done = subprocess.run(command, env=environment, cwd=aside, capture_output=True, timeout=PROOF_SECONDS)
    except subprocess.TimeoutExpired:
        raise ExportMismatch(
            f"{version}: the export did not answer its {_count(golden)} golden inputs within {PROOF_SECONDS:.0f} "
            f"seconds; nothing was published; try again on a machine with less to do"
        ) from None
    if done.returncode != 0:
        last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"])[-1]
        raise ExportMismatch(
            f"{version}: the export does not load and answer in a process of its own (exit code {done.returncode}): "
            f"{last[:500]}; nothing was published"
        )
    report = json.loads((aside / export_proof.PROOF).read_text(encoding="utf-8"))
    fault = _fault(report, golden)
    if fault:
        raise ExportMismatch(f"{version}: {fault}; nothing was published")


def _fault(report: dict[str, Any], golden: Mapping[str, Golden]) -> str | None:
    """Returns what the proof found wrong, in one line, or None."""
    if report["imported"]:
        return f"the proof imported {', '.join(report['imported'])}, expected TensorFlow alone"
    if report["foreign_operations"]:
        return (
            f"the export holds {', '.join(report['foreign_operations'])}, expected only operations with a CPU kernel "
            f"in TensorFlow or tensorflow-text"
        )
    if not report["differences"]:
        return None
    first = report["differences"][0]
    inputs = golden[first["signature"]].inputs
    value = next(iter(inputs.values()))[first["input"]]
    wrong = {(each["signature"], each["input"]) for each in report["differences"]}
    return (
        f"the export differs from the run on {len(wrong)} of {_count(golden)} golden inputs; "
        f"first, {first['arrangement']}, {_short(value)}: received {first['output']} {_short(first['received'])}, "
        f"expected {_short(first['expected'])}"
    )


def _count(golden: Mapping[str, Golden]) -> int:
    return sum(len(next(iter(examples.inputs.values()))) for examples in golden.values())


def _short(value: Any) -> str:
    text = repr(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)
    return text if len(text) <= 100 else f"{text[:100]}..."
