"""An export that is interrupted in its proof leaves no process and, but for SIGKILL, no file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")
if not Path("/proc/self/stat").exists():
    pytest.skip("processes are looked for in /proc", allow_module_level=True)

# A shell that starts the tests in the background has them ignore Ctrl+C, and what they start as well.
PROGRAM = """
import signal, sys, typer
signal.signal(signal.SIGINT, signal.default_int_handler)
from pathlib import Path
from textseq.console import run_command
app = typer.Typer()
@app.command()
def export(out: str) -> None:
    from tests.textseq.test_export import published
    published(Path(out))
sys.exit(run_command(app, "tool", [sys.argv[1]]))
"""


def children(process: int) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(place.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == process:
            found.append(int(place.parent.name))
    return found


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for(condition: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def proving(process: int) -> list[int]:
    """The proof's process, once it watches the one that started it."""

    def ready(child: int) -> bool:
        try:
            arguments = Path(f"/proc/{child}/cmdline").read_bytes()
            return b"--end-with-input" in arguments and len(os.listdir(f"/proc/{child}/task")) > 1
        except OSError:
            return False

    return [child for child in children(process) if ready(child)]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_export_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    out, temporary = tmp_path / "out", tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": os.getcwd()}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(out)], env=environment, stderr=subprocess.PIPE, start_new_session=True
    )
    found: list[int] = []
    wait_for(lambda: found.extend(proving(process.pid)) or found or process.poll() is not None)
    assert found
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    wait_for(lambda: not is_alive(found[0]), 30)
    assert list(temporary.glob("dragoman*")) == []
    if number == signal.SIGKILL:
        assert [name.startswith(".1-") and name.endswith(".partial") for name in os.listdir(out)] == [True]
        return
    assert process.returncode == 130
    assert said.decode().splitlines()[-1] == "interrupted"
    assert not out.exists()
