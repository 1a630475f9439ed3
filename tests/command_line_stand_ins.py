"""What takes the place of a task's library, and of the terminal, when its command line is tested."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import typer

from textseq.console import run_command
from textseq.errors import RunDirectoryError
from textseq.serving.client_errors import ServerUnavailable

if TYPE_CHECKING:
    from typing_extensions import Self

Command = Callable[..., tuple[int, str, str]]
"""Runs a command line: exit code, standard output, standard error."""


class StandIns:
    """Takes the place of the library's public names and keeps what they were called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def function(self, name: str, result: object = None) -> Callable[..., object]:
        def call(*arguments: Any, **options: Any) -> object:
            progress = options.pop("progress", None)
            if progress is not None:
                progress({"message": f"{name} begins"})
            self.calls.append((name, arguments, options))
            return result

        return call

    def replace(self, monkeypatch: pytest.MonkeyPatch, package: ModuleType, names: Mapping[str, object]) -> None:
        for name, value in names.items():
            # Into the namespace itself: asking the package for the name it has now would load TensorFlow.
            monkeypatch.setitem(vars(package), name, value)


class FakeConfig:
    def __init__(self, source: str = "defaults", overrides: Sequence[str] = ()) -> None:
        self.source = source
        self.overrides = list(overrides)

    @classmethod
    def from_toml(cls, path: str | Path) -> FakeConfig:
        return cls(str(path))

    def with_overrides(self, overrides: Sequence[str]) -> FakeConfig:
        return FakeConfig(self.source, overrides)


class FakeModel:
    """A model of a run, or on a server: the run `none` is missing, and `nobody` does not answer."""

    def __init__(self, stand_ins: StandIns) -> None:
        self.stand_ins = stand_ins

    def load(self, run: str) -> Self:
        if run == "none":
            raise RunDirectoryError("none: no run here")
        self.stand_ins.calls.append(("load", (run,), {}))
        return self

    def connect(self, url: str, model: str | None, **options: Any) -> Self:
        if url == "http://nobody:1":
            raise ServerUnavailable("http://nobody:1: no connection")
        self.stand_ins.calls.append(("connect", (url, model), options))
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.stand_ins.calls.append(("close", (), {}))


class Standard:
    """Standard input and output as bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, given: bytes, terminal: bool = False) -> None:
        self.out = io.BytesIO()
        self.err = io.StringIO()
        stdin = io.TextIOWrapper(io.BytesIO(given))
        monkeypatch.setattr(stdin, "isatty", lambda: terminal)
        monkeypatch.setattr(sys, "stdin", stdin)
        # An encoding that cannot hold the text: what is printed must not depend on the locale.
        self.text_out = io.TextIOWrapper(self.out, encoding="ascii", errors="replace")
        monkeypatch.setattr(self.text_out, "isatty", lambda: terminal)
        monkeypatch.setattr(sys, "stdout", self.text_out)
        monkeypatch.setattr(sys, "stderr", self.err)


def command_of(app: typer.Typer, program: str, resumable: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """What runs the command line of a program in this process."""

    def call(*arguments: str, given: bytes = b"", terminal: bool = False) -> tuple[int, str, str]:
        with monkeypatch.context() as patch:
            standard = Standard(patch, given, terminal)
            code = run_command(app, program, arguments, resumable=resumable)
        return code, standard.out.getvalue().decode("utf-8"), standard.err.getvalue()

    return call
