"""All that a finished training leaves behind, but for times: two trainings with the same bits have the same outcome."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from textseq.run_directory import RunDirectory


class Killed(BaseException):
    """Stands for a SIGKILL in this process: nothing in the library catches it."""


def outcome(run: Path, task: str) -> dict[str, Any]:
    directory = RunDirectory.open(run, task)
    checkpoint, best = directory.read_checkpoint(), directory.read_best()
    assert checkpoint is not None
    assert best is not None
    hashes = {
        f"{kind} {stem} {name}": hashlib.sha256(array.tobytes()).hexdigest()
        for kind, tensors in (("checkpoint", checkpoint.tensors), ("best", best.tensors))
        for stem, arrays in tensors.items()
        for name, array in arrays.items()
    }
    state = json.loads(json.dumps(checkpoint.state))
    assert state["finished"]
    del state["seconds"], state["window"]["seconds"]
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    metrics = [{key: value for key, value in record.items() if not _is_time(key)} for record in metrics]
    report = json.loads((run / "report.json").read_text())
    for key in ("run", "minutes", "peak_memory_gib", "machine"):
        del report[key]
    return {"state": state, "best": (best.step, best.state), "metrics": metrics, "report": report, **hashes}


def _is_time(key: str) -> bool:
    return key.endswith("_per_second") or key == "seconds_validating"
