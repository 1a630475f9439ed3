"""What a training ran on, and how much memory it took: the conditions that its report names."""

from __future__ import annotations

import os
import platform
import resource
import sys
from pathlib import Path


def machine(cpu_info: str | Path = "/proc/cpuinfo") -> str:
    """The processor and the number of cores that this process may use, such as "AMD EPYC 9R14, 2 cores".

    Args:
        cpu_info: the kernel's description of the processor; where it names none, the platform's name stands in.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    name = _processor(Path(cpu_info)) or platform.processor() or platform.machine()
    return f"{name}, {cores} core{'' if cores == 1 else 's'}"


def peak_memory_gib() -> float:
    """The most memory that this process has had at once, in GiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**30 if sys.platform == "darwin" else 2**20)  # bytes on macOS, KiB elsewhere


def _processor(cpu_info: Path) -> str:
    try:
        lines = cpu_info.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
