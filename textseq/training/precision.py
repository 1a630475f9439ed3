"""Which precision of matrix products is fast on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Precision = Literal["float32", "bfloat16"]

_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def fastest_precision(cpu_info: str | Path = "/proc/cpuinfo") -> Precision:
    """Returns "bfloat16" where the processor multiplies bfloat16 in hardware, else "float32".

    Args:
        cpu_info: the kernel's description of the processor; where there is none, the answer is "float32".
    """
    try:
        text = Path(cpu_info).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "float32"
    for line in text.splitlines():
        name, _, flags = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return "bfloat16" if _BFLOAT16_FLAGS & set(flags.split()) else "float32"
    return "float32"
