"""What every command line of this project shares: exit codes, one-line errors, output, tables and JSON.

Results go to standard output, everything said on the way to standard error. Exit codes: 0 done, 1 failed, 2 the input
or the call is wrong, 130 interrupted, 141 whoever read the output has gone (`| head` for example, that is no error).
"""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import secrets
import signal
import stat
import sys
import tempfile
import threading
import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, BinaryIO, TextIO

import typer

from textseq.atomic_files import output_error
from textseq.errors import DragomanError
from textseq.quiet_tensorflow import quiet_tensorflow

FAILED = 1
WRONG_INPUT = 2
INTERRUPTED = 130
READER_GONE = 141  # what a shell reports of a program that SIGPIPE has ended
TRACEBACK_OPTION = "--traceback"
# JSON allows them as they are, but some readers end a line there.
_LINE_BREAKS_IN_JSON = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}
_PLACES_FULL_OR_CLOSED = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS)


def run_command(
    app: typer.Typer, program: str, arguments: Sequence[str] | None = None, *, resumable: Collection[str] = ()
) -> int:
    """Runs a command line; whatever goes wrong becomes one line on standard error and an exit code.

    Args:
        app: the commands.
        program: the name the user typed, for usage and help.
        arguments: what follows the name; those of this process if None. `--traceback` anywhere among them shows the
            whole traceback of an error.
        resumable: names of commands that go on where they stopped when they are run again.

    Returns:
        The exit code: 0 done, 1 failed, 2 the input or the call is wrong, 130 interrupted, 141 the reader has gone.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    remaining = [argument for argument in given if argument != TRACEBACK_OPTION]
    quiet_tensorflow()
    try:
        with _terminated_as_interrupted():
            code = _invoke(app, program, remaining)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output, `head` for example, has what it wanted
        _discard_standard_output()
        return READER_GONE
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        _discard_unwritable_output()
        if len(remaining) < len(given):
            traceback.print_exc()
        code, message = _explain(error, program)
        print_error(message)
    if code == INTERRUPTED:
        resumes = any(argument in resumable for argument in remaining[:1])
        print_error("interrupted; run the same command to resume" if resumes else "interrupted", prefix="")
    return code


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Answers SIGTERM as Ctrl+C, so that what a command has begun is taken away; commands may have their own answer."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _invoke(app: typer.Typer, program: str, arguments: list[str]) -> int:
    command = typer.main.get_command(app)
    _hide_types_of_flags(command)
    try:
        result = command.main(args=arguments, prog_name=program, standalone_mode=False)
    except SystemExit as exit_:  # typer's own answer to a broken pipe
        if isinstance(exit_.__context__, BrokenPipeError):
            raise exit_.__context__ from None
        result = exit_.code
    except typer.Abort as abort:  # typer's own name for an EOFError
        raise abort.__cause__ or abort from None
    return result if isinstance(result, int) else 0


def _hide_types_of_flags(command: Any, parent: Any = None) -> None:
    """Has the help say nothing, rather than <bool>, of options that take no value."""
    context = command.context_class(command, parent=parent, **command.context_settings)
    for option in command.get_params(context):
        if getattr(option, "is_flag", False) and option.metavar is None:
            option.metavar = ""
    for each in getattr(command, "commands", {}).values():
        _hide_types_of_flags(each, context)


def _explain(error: Exception, program: str) -> tuple[int, str]:
    if isinstance(error, DragomanError):
        return error.exit_code, str(error)
    if isinstance(error, typer.TyperException):
        return WRONG_INPUT, _usage_message(error, program)
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return FAILED, "out of memory; lower the token budget of a batch or the size of the model, and run it again"
    if isinstance(error, OSError) and error.errno in _PLACES_FULL_OR_CLOSED:
        return WRONG_INPUT, str(output_error(error.filename or "<stdout>", error))
    summary = f"unexpected {type(error).__name__}: {error}"
    try:
        descriptor, path = tempfile.mkstemp(prefix="dragoman-", suffix="-traceback.txt")
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        return FAILED, f"{summary} (no place to write the traceback; {TRACEBACK_OPTION} shows it)"
    return FAILED, f"{summary} (traceback in {path}; {TRACEBACK_OPTION} shows it here)"


def _usage_message(error: typer.TyperException, program: str) -> str:
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else program
    message = error.format_message().strip().rstrip(".").replace(". Did you mean", "; did you mean")
    message = message.replace(": Value error, ", ": ", 1)  # pydantic's, which checks choices for typer
    option = getattr(error, "option_name", None)
    if option is not None and hasattr(error, "possibilities"):
        meant = " or ".join((error.possibilities or ())[:2])
        message = f"no such option: {option}" + (f"; did you mean {meant}?" if meant else "")
    end = "" if message.endswith("?") else ";"
    return f"{message[:1].lower()}{message[1:]}{end} see `{command} --help`"


def print_error(message: str, *, prefix: str = "error: ") -> None:
    """Prints one line on standard error, whatever the message holds."""
    line = " ".join(part.strip() for part in message.splitlines() if part.strip())
    shown = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in line)
    with contextlib.suppress(OSError):
        print(f"{prefix}{shown}", file=sys.stderr, flush=True)


def _discard_unwritable_output() -> None:
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _discard_standard_output()


def _discard_standard_output() -> None:
    """Points standard output at nothing, or Python would complain again when it flushes at its end."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class LineWriter:
    """Writes UTF-8 lines to a binary stream: exactly one for each call, whatever the text and the locale.

    Args:
        stream: where the bytes go.
        place: its name in an error message.
    """

    def __init__(self, stream: BinaryIO, place: str) -> None:
        self._stream = stream
        self._place = place

    def write(self, text: str) -> None:
        """Writes one line; each character at which some reader would end a line becomes a space.

        Raises:
            OutputError: the disk is full.
        """
        with self._place_named():
            self._stream.write(one_line(text).encode("utf-8", errors="replace") + b"\n")

    def flush(self) -> None:
        """Hands on what was written.

        Raises:
            OutputError: the disk is full.
        """
        with self._place_named():
            self._stream.flush()

    @contextlib.contextmanager
    def _place_named(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            raise output_error(self._place, error) from error


def one_line(text: str) -> str:
    """The text with a space for each line break, of whatever kind."""
    return text if text.isprintable() else " ".join(text.splitlines())


@contextlib.contextmanager
def open_output(path: str | None) -> Iterator[LineWriter]:
    """Opens a file for lines, or standard output.

    Args:
        path: the file, which appears whole when the block ends and is left as it was if the block fails. A device or
            a pipe is written to directly. None or "-" is standard output.

    Raises:
        OutputError: the place cannot be written or the disk is full.
    """
    if path is None or path == "-":
        writer = LineWriter(sys.stdout.buffer, "<stdout>")
        yield writer
        writer.flush()
        return
    goal = os.path.realpath(path)
    with contextlib.ExitStack() as cleanup:
        try:
            if os.path.isdir(goal):
                raise OSError(errno.EISDIR, "is a folder")
            aside = not os.path.exists(goal) or stat.S_ISREG(os.stat(goal).st_mode)
            written = _partial_name(goal) if aside else goal
            stream = open(written, "wb")  # noqa: SIM115, closed by the stack, which must not hide an earlier error
        except OSError as error:
            raise output_error(path, error) from error
        if aside:
            cleanup.callback(_remove, written)
        cleanup.callback(_close, stream)
        writer = LineWriter(stream, path)
        yield writer
        writer.flush()
        if aside:
            try:
                os.fsync(stream.fileno())
                os.replace(written, goal)
            except OSError as error:
                raise output_error(path, error) from error


def _partial_name(goal: str) -> str:
    # The form of name that textseq.atomic_files sweeps up where a killed process has left it.
    folder, name = os.path.split(goal)
    return os.path.join(folder, f".{name[:40]}-{secrets.token_hex(4)}-{os.getpid()}.partial")


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)


def _close(stream: BinaryIO) -> None:
    with contextlib.suppress(OSError):
        stream.close()


def print_json(value: object, file: TextIO | None = None) -> None:
    """Prints one JSON object on one line, as strict JSON in UTF-8.

    Args:
        value: dicts, sequences, strings, numbers, paths, NumPy scalars and arrays. What JSON has no number for (NaN,
            infinity) becomes null.
        file: standard output if None.
    """
    file = sys.stdout if file is None else file
    file.flush()
    file.buffer.write(json_line(value).encode("utf-8") + b"\n")
    file.buffer.flush()


def json_line(value: object) -> str:
    """The value as strict JSON on one line, of characters that UTF-8 can hold."""
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)
    # A lone surrogate cannot be encoded; Python's escape for it is JSON's as well.
    return text.translate(_LINE_BREAKS_IN_JSON).encode("utf-8", errors="backslashreplace").decode("utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # NumPy
        return _plain(value.tolist())
    if isinstance(value, Iterable):
        return [_plain(item) for item in value]
    return str(value)


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], file: TextIO | None = None
) -> None:
    """Prints a table, as wide as the terminal; where there is no terminal, as wide as its cells.

    Args:
        title: the line above it.
        columns: the heads; none, or all empty, for a table without.
        rows: cells of any kind, shown as `str` shows them; floats to two places. A column of numbers stands right.
        file: standard output if None.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    file = sys.stdout if file is None else file
    cells = [list(row) for row in rows]
    table = Table(title=Text(title), title_justify="left", show_header=any(columns))
    for index in range(max([len(columns), *map(len, cells)])):
        numbers = all(isinstance(row[index], (int, float)) for row in cells if index < len(row))
        head = Text(columns[index] if index < len(columns) else "")
        table.add_column(head, justify="right" if numbers else "left")
    for row in cells:
        table.add_row(*(Text(f"{cell:.2f}" if isinstance(cell, float) else str(cell)) for cell in row))
    terminal = file.isatty()
    Console(file=file, width=None if terminal else 10_000, soft_wrap=False).print(table)
