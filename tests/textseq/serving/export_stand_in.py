"""A folder that looks like an export to everything that does not run it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textseq.serving.native import messages


@dataclass(frozen=True)
class Examples:
    inputs: Mapping[str, Sequence[Any]]
    outputs: Mapping[str, Sequence[Any]]


SIGNATURES: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "serving_default": (
        {"text": messages.DT_STRING},
        {"translation": messages.DT_STRING, "score": messages.DT_FLOAT, "truncated": messages.DT_BOOL},
    ),
    "n_best": (
        {"text": messages.DT_STRING, "n": messages.DT_INT32},
        {"translations": messages.DT_STRING, "count": messages.DT_INT32},
    ),
}

TEXTS = [b"one", b"", "größer ሰው".encode(), b"\xff\x00", b"a longer line of text", b"two", b"x" * 300, b"three four"]

GOLDEN = {
    "serving_default": Examples({"text": TEXTS}, {"translation": TEXTS, "score": [0.0] * 8, "truncated": [False] * 8}),
    "n_best": Examples(
        {"text": TEXTS, "n": list(range(8))}, {"translations": [[text] for text in TEXTS], "count": [1] * 8}
    ),
}


def saved_model(
    signatures: Mapping[str, tuple[Mapping[str, int], Mapping[str, int]]] = SIGNATURES, tensorflow: str = "2.21.0"
) -> bytes:
    model = messages.SavedModel(saved_model_schema_version=1)
    graph = model.meta_graphs.add(meta_info_def={"tags": ["serve"], "tensorflow_version": tensorflow})
    for name, (inputs, outputs) in {**signatures, "__saved_model_init_op": ({}, {})}.items():
        for kinds, fields in (
            (inputs, graph.signature_def[name].inputs),
            (outputs, graph.signature_def[name].outputs),
        ):
            for key, kind in kinds.items():
                sizes = [-1, -1] if key == "translations" else [-1]
                fields[key].CopyFrom(
                    messages.TensorInfo(
                        name=f"{key}:0", dtype=kind, tensor_shape={"dim": [{"size": size} for size in sizes]}
                    )
                )
    return bytes(model.SerializeToString())


def made_export(folder: Path, *numbers: int, task: str = "nmt", model: bytes | None = None) -> Path:
    """Makes versions whose `variables` say their number."""
    for number in numbers:
        place = folder / str(number)
        (place / "assets.extra").mkdir(parents=True)
        (place / "saved_model.pb").write_bytes(saved_model() if model is None else model)
        (place / "variables").write_text(str(number))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "export.json").write_text(json.dumps({"format": "dragoman-export", "version": 1, "task": task}))
    return folder
