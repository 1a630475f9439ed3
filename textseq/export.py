"""Exports: SavedModels with text in and results out, published only after they have proved themselves.

OUT/
  export.json            marks the folder: format, version, task
  1/, 2/, ...            versions, as TF Serving looks for them; the newest has the highest number
    saved_model.pb, variables/
    assets.extra/        golden.json: inputs and what the run gives for them; proof.json: the proof's report;
                         tf_serving_warmup_requests; and what the task adds for clients
  kit/                   what TF Serving wants beside a model, and a guide (textseq.serving.kit)

A version is made under a hidden name, proved in a fresh process (see textseq.serving.native.prove) and then renamed.
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

from textseq.atomic_files import remove_remainders, replace_directory, write_atomically, writing
from textseq.backend import require_tensorflow
from textseq.errors import ExportMismatch, OutputError
from textseq.run_directory import RunDirectory
from textseq.serving.kit import allowed_batch_sizes, write_kit
from textseq.serving.native import prove
from textseq.serving.versions import FORMAT, MARKER, exported_task, next_version
from textseq.serving.warmup import WARMUP_FILE, warmup_requests

TOLERANCE = 1e-4
"""How far a score of the export may be from the run's own."""

PROOF_SECONDS = 1800.0
"""How long the proof may take."""


@dataclass(frozen=True)
class Golden:
    """Inputs of one signature, and what the run itself gives for them.

    Attributes:
        inputs: by name, one value a row: bytes for a string.
        outputs: by name, one value a row: bytes for a string, a number, or (nested) lists of them where a row has
            several; what pads such a row in a batch is left out.
        ceiling: how much of one text the signature reads, in words, such as "512 tokens"; empty: all of it.
    """

    inputs: Mapping[str, Sequence[Any]]
    outputs: Mapping[str, Sequence[Any]]
    ceiling: str = ""


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
    with made(folder):
        remove_remainders(folder)
        version = folder / str(next_version(folder))
        with replace_directory(version) as aside:
            _write(aside, version, module, signatures, golden)
            for name, content in (extra or {}).items():
                (aside / prove.GOLDEN).with_name(name).write_bytes(content)
            _prove(aside, version, golden)
            warmup = warmup_requests(task, aside, golden, allowed_batch_sizes(folder, golden))
            (aside / prove.GOLDEN).with_name(WARMUP_FILE).write_bytes(warmup)
            # The folder is marked first: without its mark, a version would be taken for something else.
            write_atomically(folder / MARKER, json.dumps({**FORMAT, "task": task}) + "\n")
            if version.exists():
                raise OutputError(f"{version}: another export has just been published here; start again for the next")
        write_kit(folder, golden, {name: each.ceiling for name, each in golden.items() if each.ceiling})
    return version


def run_to_export(run: str | os.PathLike[str], out: str | os.PathLike[str], task: str) -> RunDirectory:
    """The run, once it is sure that an export of it could be written; nothing is.

    Args:
        run: the run directory.
        out: as for `publish`.
        task: of both.

    Raises:
        ConfigurationError: Keras runs on something else than TensorFlow.
        OutputError: as `check_folder` says.
        RunDirectoryError: there is no run of this task.
    """
    require_tensorflow("an export")
    check_folder(out, task)
    return RunDirectory.open(run, task)


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
    if MARKER in names:
        found = exported_task(folder)
        if found != task:
            raise OutputError(f"{folder}: holds exports of {found}, expected {task}; choose another folder")
    elif names:
        raise OutputError(
            f"{folder}: holds something else ({', '.join(names[:3])}{', ...' if names[3:] else ''}) "
            f"and no {MARKER}; choose a new or an empty folder"
        )


@contextlib.contextmanager
def made(folder: Path) -> Iterator[None]:
    """Makes the folder of an export, and takes it away again where the block fails and nothing came to stand in it.

    Raises:
        OutputError: it cannot be made.
    """
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
                "inputs": {key: _plain(list(values)) for key, values in examples.inputs.items()},
                "outputs": {key: _plain(list(values)) for key, values in examples.outputs.items()},
                "ceiling": examples.ceiling,
            }
            for name, examples in golden.items()
        },
    }
    (aside / prove.GOLDEN).parent.mkdir(exist_ok=True)
    (aside / prove.GOLDEN).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return {"b64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


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
    # By its path: the process then knows that folder of this package alone.
    program, report = Path(prove.__file__).resolve().parent, aside.resolve() / prove.PROOF
    command = [sys.executable, str(program), str(aside.resolve()), "--report", str(report), "--end-with-input"]
    # Nobody else holds the end to write to, so the system closes it with this process, however that ends.
    read, write = os.pipe()
    try:
        done = subprocess.run(
            command, env=environment, cwd=aside, stdin=read, capture_output=True, timeout=PROOF_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise ExportMismatch(
            f"{version}: the export did not answer its {_count(golden)} golden inputs within {PROOF_SECONDS:.0f} "
            f"seconds; nothing was published; try again on a machine with less to do"
        ) from None
    finally:
        os.close(read)
        os.close(write)
    if done.returncode not in (0, 1) or not report.is_file():
        last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no message"])[-1]
        raise ExportMismatch(
            f"{version}: the export does not load and answer in a process of its own (exit code {done.returncode}): "
            f"{last[:500]}; nothing was published"
        )
    wrong = prove.fault(json.loads(report.read_text(encoding="utf-8")))
    if wrong:
        raise ExportMismatch(f"{version}: {wrong}; nothing was published")


def _count(golden: Mapping[str, Golden]) -> int:
    return sum(len(next(iter(examples.inputs.values()))) for examples in golden.values())
