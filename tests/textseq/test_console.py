from __future__ import annotations

import errno
import io
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from hypothesis import example, given
from hypothesis import strategies as st

from textseq.console import (
    LineWriter,
    json_line,
    one_line,
    open_output,
    print_error,
    print_json,
    print_table,
    run_command,
)
from textseq.errors import CorpusError, DragomanError, OutputError, TrainingDiverged


@pytest.fixture(autouse=True)
def tracebacks(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where unexpected errors leave their tracebacks: not in the machine's own folder for temporary files."""
    folder = tmp_path_factory.mktemp("tracebacks")
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def app_that(action: Callable[[], Any]) -> typer.Typer:
    app = typer.Typer()

    @app.callback()
    def start() -> None: ...

    @app.command()
    def work(size: int = 1, sources: str = "") -> None:
        action()

    return app


def raising(error: BaseException) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


def outcome(
    capsys: pytest.CaptureFixture[str], action: Callable[[], Any], *arguments: str, **options: Any
) -> tuple[int, str, str]:
    code = run_command(app_that(action), "tool", ["work", *arguments], **options)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_success_is_silent_and_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(capsys, lambda: None) == (0, "", "")


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (CorpusError("is not UTF-8", "a.txt", 7), 2, "error: a.txt:7: is not UTF-8\n"),
        (TrainingDiverged("20 steps in a row"), 1, "error: 20 steps in a row\n"),
        (DragomanError("two\nlines\r\n  of text"), 1, "error: two lines of text\n"),
        (DragomanError("\x1b[31mred \ud800"), 1, "error: \\x1b[31mred \\ud800\n"),
        (
            MemoryError(),
            1,
            "error: out of memory; lower the token budget of a batch or the size of the model, and run it again\n",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/x/weights"),
            2,
            "error: runs/x/weights: the disk is full; free some space and start again, nothing was written over\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "out"),
            2,
            "error: out: no permission to write here; choose another place or change its permissions\n",
        ),
    ],
)
def test_expected_errors_are_one_line(
    capsys: pytest.CaptureFixture[str], error: Exception, code: int, message: str
) -> None:
    assert outcome(capsys, raising(error)) == (code, "", message)


def test_an_accelerator_out_of_memory_is_out_of_memory(capsys: pytest.CaptureFixture[str]) -> None:
    exhausted = type("ResourceExhaustedError", (Exception,), {})
    code, _, said = outcome(capsys, raising(exhausted("OOM when allocating\ntensor")))
    assert code == 1
    assert said.startswith("error: out of memory; ")
    assert said.count("\n") == 1


def test_an_unexpected_error_is_one_line_and_its_traceback_is_in_a_file(
    capsys: pytest.CaptureFixture[str], tracebacks: Path
) -> None:
    code, out, said = outcome(capsys, raising(ZeroDivisionError("by\nzero")))
    (file,) = tracebacks.iterdir()
    assert (code, out) == (1, "")
    shown = f"(traceback in {file}; --traceback shows it here)"
    assert said == f"error: unexpected ZeroDivisionError: by zero {shown}\n"
    assert "in action" in file.read_text()
    assert "ZeroDivisionError: by\nzero" in file.read_text()


def test_no_place_for_the_traceback_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.mkstemp", lambda **_: raising(OSError(errno.ENOSPC, "full"))())
    code, _, said = outcome(capsys, raising(ZeroDivisionError("by zero")))
    assert code == 1
    assert said == (
        "error: unexpected ZeroDivisionError: by zero (no place to write the traceback; --traceback shows it)\n"
    )


@pytest.mark.parametrize("error", [ZeroDivisionError("by zero"), CorpusError("is empty", "a.txt")])
def test_traceback_shows_the_traceback(capsys: pytest.CaptureFixture[str], error: Exception) -> None:
    code, _, said = outcome(capsys, raising(error), "--traceback")
    assert code == getattr(error, "exit_code", 1)
    assert said.startswith("Traceback (most recent call last):\n")
    assert "error: " in said.splitlines()[-1]


@pytest.mark.parametrize(
    ("resumable", "message"),
    [(["work"], "interrupted; run the same command to resume\n"), (["other"], "interrupted\n"), ([], "interrupted\n")],
)
def test_ctrl_c_is_130(capsys: pytest.CaptureFixture[str], resumable: list[str], message: str) -> None:
    assert outcome(capsys, raising(KeyboardInterrupt()), resumable=resumable) == (130, "", message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sizes", "3"], "no such option: --sizes; did you mean --size or --sources? see `tool work --help`"),
        (["--zzz"], "no such option: --zzz; see `tool work --help`"),
        (["more"], "got unexpected extra argument(s) (more); see `tool work --help`"),
    ],
)
def test_a_wrong_call_is_one_line_and_2(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert outcome(capsys, raising(AssertionError()), *arguments) == (2, "", f"error: {message}\n")


def test_a_wrong_value_names_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, said = outcome(capsys, raising(AssertionError()), "--size", "many")
    assert (code, out) == (2, "")
    assert said.startswith("error: invalid value for '--size': ")
    assert said.endswith("; see `tool work --help`\n")
    assert said.count("\n") == 1


def test_an_unknown_command_is_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    code = run_command(app_that(lambda: None), "tool", ["wrk"])
    assert code == 2
    assert capsys.readouterr().err == "error: no such command 'wrk'; did you mean 'work'? see `tool --help`\n"


def test_an_end_of_file_keeps_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, said = outcome(capsys, raising(EOFError("cut off")))
    assert code == 1
    assert said.strip().startswith("error: unexpected EOFError: cut off")


SCRIPT = """
import sys, typer
from textseq.console import run_command
app = typer.Typer()
@app.command()
def work() -> None:
    for number in range(100_000):
        print("line", number)
sys.exit(run_command(app, "tool", []))
"""


def test_a_reader_that_has_enough_is_no_error() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        if process.stdout is None or process.stderr is None:
            raise RuntimeError("no pipes")
        assert process.stdout.readline() == "line 0\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(30) == 141


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is missing")
def test_a_full_disk_under_standard_output_is_one_line() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60
        )
    assert done.returncode == 2
    assert done.stderr == (
        "error: <stdout>: the disk is full; free some space and start again, nothing was written over\n"
    )


def test_print_error_takes_away_controls(capsys: pytest.CaptureFixture[str]) -> None:
    print_error("Grüße 日本 \x07")
    assert capsys.readouterr().err == "error: Grüße 日本 \\x07\n"


@given(st.text())
def test_one_line_is_one_line_in_every_reader(text: str) -> None:
    assert len(one_line(text).splitlines()) <= 1
    assert one_line(text).split() == text.split()


def test_output_appears_whole(tmp_path: Path) -> None:
    goal = tmp_path / "out.txt"
    goal.write_text("old")
    with open_output(str(goal)) as writer:
        writer.write("eins")
        writer.write("zwei\u2028drei\r\nvier\udc80")
        writer.flush()
        assert goal.read_text() == "old"
    assert goal.read_bytes() == b"eins\nzwei drei vier?\n"
    assert list(tmp_path.iterdir()) == [goal]


def test_output_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    goal = tmp_path / "out.txt"
    goal.write_text("old")
    with pytest.raises(ZeroDivisionError), open_output(str(goal)) as writer:
        writer.write("eins")
        raise ZeroDivisionError
    assert goal.read_text() == "old"
    assert list(tmp_path.iterdir()) == [goal]


def test_output_in_a_wrong_place(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r": is a folder; expected the name of a file$"), open_output(str(tmp_path)):
        raise AssertionError
    missing = tmp_path / "no" / "out.txt"
    with pytest.raises(OutputError, match=r"no does not exist; make it first$"), open_output(str(missing)):
        raise AssertionError


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is missing")
def test_output_to_a_full_device() -> None:
    full = pytest.raises(OutputError, match=r"^/dev/full: the disk is full; free some space")
    with full, open_output("/dev/full") as writer:
        writer.write("eins")
    assert os.path.exists("/dev/full")


@pytest.mark.parametrize("path", [None, "-"])
def test_output_to_standard_output_is_utf_8(path: str | None, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    with open_output(path) as writer:
        writer.write("日本")
    assert capfdbinary.readouterr().out == "日本\n".encode()


def test_json_is_strict(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    value = {
        "score": np.float32(0.5),
        "none": math.nan,
        "matrix": np.array([[1, 2], [3, 4]], dtype=np.int32),
        "infinite": np.float64("inf"),
        "path": Path("runs/x"),
        "pair": ("ä", True),
        1: None,
    }
    print_json(value)
    out = capfdbinary.readouterr().out
    assert out.count(b"\n") == 1
    assert json.loads(out) == {
        "score": 0.5,
        "none": None,
        "matrix": [[1, 2], [3, 4]],
        "infinite": None,
        "path": "runs/x",
        "pair": ["ä", True],
        "1": None,
    }
    assert "ä".encode() in out


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(st.characters()), st.lists))
@example("a\u2028b\u2029c\x85d\x1ce\x0bf\ud800\x00")
def test_json_comes_back(value: object) -> None:
    line = json_line(value)
    assert json.loads(line.encode("utf-8")) == value
    assert line.splitlines() == [line]
    stream = io.BytesIO()
    LineWriter(stream, "here").write(line)
    assert stream.getvalue() == line.encode("utf-8") + b"\n"


def test_a_table_shows_cells_as_they_are() -> None:
    file = io.StringIO()
    print_table("Scores", ["metric", "value"], [("[bold]BLEU[/bold]", 36.512), ("chrF" * 40, 7.0)], file)
    shown = file.getvalue()
    assert "Scores" in shown
    assert "[bold]BLEU[/bold]" in shown
    assert "chrF" * 40 in shown
    assert "36.51 " in shown
    assert " 7.00 " in shown
    assert len({len(line) for line in shown.splitlines()[1:]}) == 1


def test_a_table_without_heads_and_with_uneven_rows() -> None:
    file = io.StringIO()
    print_table("", (), [("a",), ("b", "c", 3)], file)
    assert [line.split("│")[1:-1] for line in file.getvalue().splitlines() if "│" in line] == [
        [" a ", "   ", "   "],
        [" b ", " c ", " 3 "],
    ]


def test_an_empty_table_is_no_error() -> None:
    print_table("Nothing", ("a",), [], io.StringIO())
    print_table("Nothing", (), [], io.StringIO())
