"""The process that proves an export: it knows the exported folder and nothing else.

`textseq.export` starts this file by its path, in a fresh interpreter, on the CPU. It imports TensorFlow and the
tokenizer's operations, and can import neither Keras nor this package; so it needs what a server needs, and no more. It
answers the golden inputs one by one, in one batch and in shuffled batches, and writes what differs to
`assets.extra/proof.json`.

    python export_proof.py FOLDER
"""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import math
import os
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

GOLDEN = Path("assets.extra", "golden.json")
PROOF = Path("assets.extra", "proof.json")

MATES = 5
"""Texts of one shuffled batch."""

_REFUSED = ("keras", "tf_keras", "textseq", "nmt", "classifiers")


class Refusal:
    """An import hook and loader: what a server does not have cannot be imported here either.

    TensorFlow imports Keras where it finds it, and does without where it fails.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Takes the refused names upon itself."""
        return ModuleSpec(name, self) if name.partition(".")[0] in _REFUSED else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Fails, as if the module was not installed."""
        raise ModuleNotFoundError(f"{spec.name} may not be imported by the proof of an export", name=spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Never comes to its turn, but a loader must have it."""


def main(folder: Path) -> None:
    """Proves the export in a folder and writes the report beside it."""
    import tensorflow as tf

    _load_tokenizer_operations(tf)
    golden = json.loads((folder / GOLDEN).read_text(encoding="utf-8"))
    operations, foreign = _operations(folder)
    differences: list[dict[str, Any]] = []
    if not foreign:
        # Without these operations it would not load, and the message would not name them.
        loaded = tf.saved_model.load(str(folder))
        for name, examples in golden["signatures"].items():
            differences += _differences(tf, loaded.signatures[name], name, examples, golden["tolerance"])
    report = {
        "tensorflow": tf.__version__,
        "imported": sorted(name for name in _REFUSED if name in sys.modules),
        "operations": operations,
        "foreign_operations": foreign,
        "inputs": {name: len(next(iter(each["inputs"].values()))) for name, each in golden["signatures"].items()},
        "arrangements": [name for name, _ in _arrangements(1)],
        "differences": differences,
    }
    (folder / PROOF).write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def _load_tokenizer_operations(tf: Any) -> None:
    """Loads the kernels alone: the package around them would import Keras."""
    spec = importlib.util.find_spec("tensorflow_text")
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        for library in sorted(Path(place, "python", "ops").glob("_sentencepiece_tokenizer.*")):
            if library.suffix in (".so", ".dylib", ".dll", ".pyd"):
                tf.load_op_library(str(library))


def _operations(folder: Path) -> tuple[list[str], list[str]]:
    """Returns every operation of every graph and function, and those that a server without XLA cannot run."""
    from tensorflow.core.protobuf import saved_model_pb2
    from tensorflow.python.framework import kernels

    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    used, foreign = set(), set()
    for graph in (meta_graph.graph_def for meta_graph in model.meta_graphs):
        functions = {function.signature.name for function in graph.library.function}
        for function in graph.library.function:
            if function.attr["_XlaMustCompile"].b:
                foreign.add(f"{function.signature.name} (compiled by XLA)")
        nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
        used |= {node.op for node in nodes} - functions
    for name in used:
        devices = {kernel.device_type for kernel in kernels.get_registered_kernels_for_op(name).kernel}
        if devices.isdisjoint({"CPU", "DEFAULT"}):
            foreign.add(name)
    return sorted(used), sorted(foreign)


def _differences(tf: Any, function: Any, name: str, examples: dict[str, Any], tolerance: float) -> list[dict[str, Any]]:
    inputs = {key: _decoded(values) for key, values in examples["inputs"].items()}
    expected = {key: _decoded(values) for key, values in examples["outputs"].items()}
    found = []
    for arrangement, batches in _arrangements(len(next(iter(inputs.values())))):
        for batch in batches:
            given = {key: tf.constant([values[index] for index in batch]) for key, values in inputs.items()}
            received = {key: value.numpy().tolist() for key, value in function(**given).items()}
            for key, values in expected.items():
                for index, value in zip(batch, received[key], strict=True):
                    if not _equal(value, values[index], tolerance):
                        found.append(
                            {
                                "signature": name,
                                "arrangement": arrangement,
                                "input": index,
                                "output": key,
                                "received": _shown(value),
                                "expected": _shown(values[index]),
                            }
                        )
    return found


def _arrangements(count: int) -> Iterator[tuple[str, list[list[int]]]]:
    """Yields the ways to cut `count` inputs into batches."""
    yield "one by one", [[index] for index in range(count)]
    yield "in one batch", [list(range(count))]
    shuffled = sorted(range(count), key=lambda index: hashlib.blake2b(str(index).encode()).digest())
    yield "in shuffled batches", [shuffled[start : start + MATES] for start in range(0, count, MATES)]


def _decoded(values: list[Any]) -> list[Any]:
    return [base64.b64decode(value["b64"]) if isinstance(value, dict) else value for value in values]


def _equal(received: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, list):
        return (
            isinstance(received, list)
            and len(received) == len(expected)
            and all(_equal(*pair, tolerance) for pair in zip(received, expected, strict=True))
        )
    if isinstance(expected, (int, float)):
        return isinstance(received, (int, float)) and math.isclose(received, expected, rel_tol=0.0, abs_tol=tolerance)
    return bool(received == expected)


def _shown(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    # Python puts this file's folder first; what lies there must not be found under a bare name.
    sys.path[:] = [
        place for place in sys.path if os.path.realpath(place) != os.path.dirname(os.path.realpath(__file__))
    ]
    sys.meta_path.insert(0, Refusal())  # type: ignore[arg-type]
    main(Path(sys.argv[1]))
