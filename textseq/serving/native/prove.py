"""The proof of an export, in a process that knows the exported folder and TensorFlow's C API and nothing else.

`textseq.export` starts it in a fresh interpreter; by hand, it is

    python textseq/serving/native FOLDER

Every operation of the graph must be one that TensorFlow Serving has. Then the model answers the golden inputs of every
signature one by one, in one batch and in shuffled batches with other mates, and must give what the run gave: strings
exactly, numbers within the tolerance. A row may be longer than the golden one where the signature leaves its length
free; there it must hold padding.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .c_api import NativeError, version
from .folder import FolderRefused, check_folder
from .operations import foreign_operations, refused_operations, used_operations
from .saved_model import SavedModel, Signature
from .tensors import array_type

GOLDEN = Path("assets.extra", "golden.json")
PROOF = Path("assets.extra", "proof.json")

MATES = 5
"""Inputs of one shuffled batch."""

_MOST_DIFFERENCES = 100
_SHOWN = 200
# Nothing of the project, and nothing of Python that a server does not have.
_STRANGERS = ("classifiers", "keras", "nmt", "tensorflow", "tensorflow_text", "textseq", "tf_keras")
_PADDING = (0.0, float(np.finfo(np.float32).min))


def main(arguments: list[str]) -> int:
    """Proves a version, says what came of it, and returns the exit code: 0 proved, 1 not, 2 no golden inputs."""
    parser = argparse.ArgumentParser(prog="native", description="Proves an exported model.")
    parser.add_argument("folder", type=Path, help="one version, with saved_model.pb in it")
    parser.add_argument("--report", type=Path, help="where to write the report, JSON")
    parser.add_argument("--end-with-input", action="store_true", help="end at once when standard input does")
    options = parser.parse_args(arguments)
    if options.end_with_input:
        threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        report = prove(options.folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"{options.folder / GOLDEN}: cannot be used: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    if options.report is not None:
        options.report.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    wrong = fault(report)
    print(f"not proved: {wrong}" if wrong else f"proved: {_summary(report)}")
    return 1 if wrong else 0


def _end_with_input() -> None:
    """Ends the process with the one that started it, which holds the other end of standard input."""
    while os.read(0, 1024):
        pass
    os._exit(2)


def prove(folder: Path) -> dict[str, Any]:
    """Proves a version with its own golden inputs.

    Returns:
        The report: `differences` (the first hundred), `wrong` (how many golden inputs are answered otherwise),
        `operations`, `foreign_operations` (TensorFlow Serving has them not), `refused_operations` (not from strangers),
        `failure` (why it could not be loaded, or None), `imported` (what this process should not have), and what was
        asked.

    Raises:
        OSError, ValueError, KeyError: the golden inputs are missing, or something else stands there.
    """
    golden = json.loads((folder / GOLDEN).read_text(encoding="utf-8"))
    signatures: dict[str, Any] = golden["signatures"]
    report: dict[str, Any] = {
        "tensorflow": None,
        "tolerance": golden["tolerance"],
        "inputs": {name: _count(examples) for name, examples in signatures.items()},
        "arrangements": [name for name, _ in _arrangements(1)],
        "operations": [],
        "foreign_operations": [],
        "refused_operations": [],
        "failure": None,
        "wrong": 0,
        "differences": [],
    }
    try:
        report["tensorflow"] = version()
        check_folder(folder)
        report["operations"] = used_operations(folder)
        report["foreign_operations"] = foreign_operations(folder)
        report["refused_operations"] = refused_operations(folder)
        # The foreign ones are among the refused: with them it would not load, and the message would not name them. What
        # does more than compute is not run to see what it gives.
        if not report["refused_operations"]:
            differences = list(_all_differences(folder, signatures, golden["tolerance"]))
            report["wrong"] = len({(each["signature"], each["input"]) for each in differences})
            report["differences"] = differences[:_MOST_DIFFERENCES]
    except (NativeError, FolderRefused) as error:
        report["failure"] = str(error)
    report["imported"] = sorted(name for name in _STRANGERS if name in sys.modules)
    return report


def fault(report: dict[str, Any]) -> str | None:
    """Returns what a proof found wrong, in one line, or None."""
    if report["imported"]:
        return f"the proof imported {', '.join(report['imported'])}, expected TensorFlow's C API alone"
    if report["foreign_operations"]:
        return (
            f"the export holds {', '.join(report['foreign_operations'])}, expected only operations with a CPU kernel "
            f"in TensorFlow or tensorflow-text"
        )
    if report["refused_operations"]:
        return f"the export holds {', '.join(report['refused_operations'])}, expected only operations that compute"
    if report["failure"]:
        return f"the export cannot be loaded: {_short(report['failure'])}"
    if not report["wrong"]:
        return None
    first = report["differences"][0]
    return (
        f"the export differs from the run on {report['wrong']} of {sum(report['inputs'].values())} golden inputs; "
        f"first, {first['signature']}, {first['arrangement']}, input {first['input']} {_short(first['given'], 100)}: "
        f"received {first['output']} {_short(first['received'], 100)}, expected {_short(first['expected'], 100)}"
    )


def _summary(report: dict[str, Any]) -> str:
    asked = ", ".join(f"{name} with {count} inputs" for name, count in report["inputs"].items())
    return (
        f"{asked}, {', '.join(report['arrangements'])}; {len(report['operations'])} operations; "
        f"TensorFlow {report['tensorflow']}"
    )


def _all_differences(folder: Path, signatures: dict[str, Any], tolerance: float) -> Iterator[dict[str, Any]]:
    with SavedModel.open(folder) as model:
        for name in model.signatures.keys() - signatures.keys():
            raise FolderRefused(f"{folder / GOLDEN}: has no inputs for the signature {name}, expected some for each")
        for name, examples in signatures.items():
            if name not in model.signatures:
                raise FolderRefused(f"{folder}: has no signature {name}, expected {', '.join(model.signatures)}")
            yield from _differences(model, name, examples, tolerance)


def _differences(model: SavedModel, name: str, examples: Any, tolerance: float) -> Iterator[dict[str, Any]]:
    signature = model.signatures[name]
    inputs = {key: _decoded(values) for key, values in examples["inputs"].items()}
    expected = {key: _decoded(values) for key, values in examples["outputs"].items()}
    for arrangement, batches in _arrangements(_count(examples)):
        for batch in batches:
            for index, output, received, wanted in _answers(model, name, signature, inputs, expected, batch, tolerance):
                yield {
                    "signature": name,
                    "arrangement": arrangement,
                    "input": index,
                    "given": _shown({key: values[index] for key, values in inputs.items()}),
                    "output": output,
                    "received": _shown(received),
                    "expected": _shown(wanted),
                }


def _answers(
    model: SavedModel,
    name: str,
    signature: Signature,
    inputs: dict[str, list[Any]],
    expected: dict[str, list[Any]],
    batch: list[int],
    tolerance: float,
) -> Iterator[tuple[int, str, Any, Any]]:
    """Asks one batch, and yields what is wrong in the answer: input, output, received, expected."""
    try:
        results = model.run(name, {key: _given(signature, key, values, batch) for key, values in inputs.items()})
    except NativeError as error:
        yield batch[0], "an error,", str(error), "an answer"
        return
    if results.keys() != expected.keys():
        yield batch[0], "the outputs", sorted(results), sorted(expected)
        return
    for key, array in results.items():
        shape = signature.outputs[key].shape
        if array.ndim == 0 or len(array) != len(batch):
            yield batch[0], f"{key} of the shape", list(array.shape), f"{len(batch)} rows"
            continue
        for row, index in zip(array, batch, strict=True):
            if not _equal(row, expected[key][index], shape[1:] if shape is not None else None, tolerance):
                yield index, key, row.tolist() if isinstance(row, np.ndarray) else row, expected[key][index]


def _given(signature: Signature, key: str, values: list[Any], batch: list[int]) -> np.ndarray:
    known = signature.inputs.get(key)
    kind = array_type(known.dtype) if known is not None else np.dtype("O")
    return np.array([values[index] for index in batch], kind)


def _arrangements(count: int) -> Iterator[tuple[str, list[list[int]]]]:
    """Yields the ways to cut `count` inputs into batches."""
    yield "one by one", [[index] for index in range(count)]
    yield "in one batch", [list(range(count))]
    shuffled = sorted(range(count), key=lambda index: hashlib.blake2b(str(index).encode()).digest())
    yield "in shuffled batches", [shuffled[start : start + MATES] for start in range(0, count, MATES)]


def _count(examples: Any) -> int:
    counts = {len(values) for values in [*examples["inputs"].values(), *examples["outputs"].values()]}
    if len(counts) != 1 or 0 in counts:
        raise ValueError(f"received columns of {sorted(counts)} values, expected one value of each for every input")
    return counts.pop()


def _decoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_decoded(each) for each in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def _equal(received: Any, expected: Any, free: tuple[int | None, ...] | None, tolerance: float) -> bool:
    """Compares one row.

    Args:
        received: a value, or an array of strings or numbers.
        expected: a value, or lists of values, as deep as the array.
        free: sizes of the row that the signature states; where it states none, the row may be longer, with padding.
        tolerance: how far a number may be off.
    """
    texts = isinstance(received, bytes) or getattr(received, "dtype", np.dtype(float)).kind == "O"
    row = np.array(received, object if texts else None)
    leaves = list(_leaves(expected))
    if any(isinstance(leaf, bytes) is not texts for leaf in leaves):
        return False
    wanted = np.array(expected, object if texts else np.float64)
    if not leaves and wanted.ndim < row.ndim:
        wanted = wanted.reshape((0,) * row.ndim)
    if wanted.ndim != row.ndim or any(few > many for few, many in zip(wanted.shape, row.shape, strict=True)):
        return False
    sizes = (None,) * row.ndim if free is None else free
    if len(sizes) != row.ndim or any(
        few != many and size is not None for few, many, size in zip(wanted.shape, row.shape, sizes, strict=True)
    ):
        return False
    extent: tuple[Any, ...] = (
        *(slice(size) for size in wanted.shape),
        ...,
    )  # with "...", of a single value too, an array
    beyond = np.ones(row.shape, bool)
    beyond[extent] = False
    if texts:
        return bool(np.all(row[extent] == wanted)) and not any(row[beyond])
    return bool(
        # Relative: some roundings of float32, which are more than the tolerance where a number is large.
        np.all(np.isclose(row[extent].astype(np.float64), wanted, rtol=3e-7, atol=tolerance))
        and np.isin(row[beyond], _PADDING).all()
    )


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    else:
        yield value


def _shown(value: Any) -> str:
    if isinstance(value, dict) and len(value) == 1:
        return _shown(next(iter(value.values())))
    return _short(repr(_readable(value)))


def _readable(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _readable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_readable(each) for each in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.item() if isinstance(value, np.generic) else value


def _short(text: str, length: int = _SHOWN) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[:length]}..."
