"""The conditions that a report names."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from textseq.training import machine as module
from textseq.training.machine import machine, peak_memory_gib


def test_names_processor_and_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("vendor_id\t: X\nmodel name\t: Some CPU @ 2.0GHz\n\nmodel name\t: Other\n")
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    assert machine(file) == "Some CPU @ 2.0GHz, 2 cores"
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda process: {0}, raising=False)
    assert machine(file) == "Some CPU @ 2.0GHz, 1 core"


def test_the_platform_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.platform, "processor", lambda: "")
    monkeypatch.setattr(module.platform, "machine", lambda: "arm64")
    assert machine(tmp_path / "none").startswith("arm64, ")


@pytest.mark.parametrize(("system", "unit"), [("linux", 2**20), ("darwin", 2**30)])
def test_peak_memory_knows_its_unit(monkeypatch: pytest.MonkeyPatch, system: str, unit: int) -> None:
    class Usage:
        ru_maxrss = 3 * unit

    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(module.resource, "getrusage", lambda who: Usage)
    assert peak_memory_gib() == 3.0
