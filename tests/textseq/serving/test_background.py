"""A server in the background: where it listens, how it ends, and what is said where it cannot start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from textseq.errors import DragomanError, InputError
from textseq.serving.background import served
from textseq.serving.client import connect

HERE = Path(__file__).parent
# Read by every Python that starts: the server then has a model that answers in upper case.
STAND_IN = """
import conftest
from textseq.serving import server
server.open_checked = lambda path, threads: conftest.StandIn()
"""


@pytest.fixture
def export(tmp_path: Path) -> Path:
    folder = tmp_path / "exported"
    (folder / "1").mkdir(parents=True)
    (folder / "export.json").write_text('{"format": "dragoman-export", "version": 1, "task": "nmt"}')
    return folder


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), str(HERE), str(HERE.parents[2])]))


@pytest.mark.usefixtures("stand_in")
def test_it_serves_while_the_block_runs(export: Path, tmp_path: Path) -> None:
    with open(tmp_path / "log", "wb") as log, served(export, log=log, largest_batch=7) as server:
        assert server.model == "nmt"
        assert server.rest.startswith("http://127.0.0.1:")
        assert server.grpc.startswith("grpc://127.0.0.1:")
        for address in (server.rest, server.grpc):
            with connect(address, server.model) as client:
                assert client.predict({"text": ["a", "b"]})["translation"] == ["A", "B"]
        assert server.process.poll() is None
    assert server.process.returncode == 0
    said = (tmp_path / "log").read_text()
    assert "Serving nmt, version 1" in said
    assert "stopped after" in said


@pytest.mark.usefixtures("stand_in")
def test_it_ends_with_an_error_in_the_block(export: Path) -> None:
    with pytest.raises(KeyError), served(export) as server:
        raise KeyError
    assert server.process.returncode == 0


@pytest.mark.usefixtures("stand_in")
def test_it_ends_with_a_process_that_is_killed(export: Path) -> None:
    program = """
        import sys, time
        from textseq.serving.background import served
        with served(sys.argv[1]) as server:
            print(server.process.pid, flush=True)
            time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(export)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        server = int(parent.stdout.readline())
        assert runs(server)
        parent.send_signal(signal.SIGKILL)
    until = time.monotonic() + 20
    while runs(server) and time.monotonic() < until:
        time.sleep(0.05)
    assert not runs(server)


def runs(process: int) -> bool:
    """Whether a process runs; one that has ended may wait for a parent to ask for its exit code."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"largest_batch": 0}, "received batch_delay 0.003, largest_batch 0 and queue 1024, expected 0 to 10"),
        ({"colour": "red"}, "unexpected keyword argument 'colour'"),
    ],
)
def test_options_that_cannot_be(export: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message), served(export, **options):
        pass


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: no such folder; expected an export"), served(tmp_path / "none"):
        pass


def test_a_server_that_takes_too_long(export: Path) -> None:
    with (
        pytest.raises(DragomanError, match=r"exported: the server was not ready after 0\.01 s; give it longer"),
        served(export, ready_seconds=0.01),
    ):
        pass


def test_a_server_that_ends_by_itself(export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os\nos._exit(7)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(DragomanError, match="the server ended with exit code 7; its log says why"), served(export):
        pass
