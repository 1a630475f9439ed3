"""The precision that is chosen for a processor."""

from __future__ import annotations

from pathlib import Path

import pytest

from textseq.training.precision import fastest_precision


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f avx512_bf16 amx_tile\n", "bfloat16"),
        ("flags\t\t: fpu amx_bf16\n", "bfloat16"),
        ("Features\t: fp asimd bf16 i8mm\n", "bfloat16"),
        ("flags\t\t: fpu avx2 avx512f\n", "float32"),
        ("flags\t\t: fpu notavx512_bf16\n", "float32"),
        ("model name\t: bf16\nflags\t\t: fpu\n", "float32"),
        ("", "float32"),
    ],
)
def test_flags(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text(text)
    assert fastest_precision(file) == expected


def test_without_a_description(tmp_path: Path) -> None:
    assert fastest_precision(tmp_path / "none") == "float32"
    assert fastest_precision(tmp_path) == "float32"
