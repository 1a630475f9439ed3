"""`serve` and `rollback`, which both command lines have, and the extra they need."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import textseq.serving
from textseq.command_line import make_app
from textseq.console import run_command
from textseq.errors import InputError
from textseq.serving.commands import add_serving_commands, keep_versions, print_version, require_run_or_server
from textseq.serving.extras import needing

Command = Callable[..., int]


@pytest.fixture
def command() -> Command:
    app = make_app("nmt", help="For tests.", commands=("serve", "rollback"))
    add_serving_commands(app, "nmt")
    return lambda *arguments: run_command(app, "nmt", arguments)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    calls: list[tuple[Any, Any]] = []
    stand_in = SimpleNamespace(serve=lambda *given, **options: calls.append((given, options)))
    monkeypatch.setitem(sys.modules, "textseq.serving.server", stand_in)
    return calls


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    for number in (1, 2, 3):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "saved_model.pb").write_bytes(b"")
    (tmp_path / "export.json").write_text('{"format": "dragoman-export", "version": 1, "task": "nmt"}')
    return tmp_path


def versions(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.isdigit())


def test_serve_hands_over_everything(command: Command, served: list[tuple[Any, Any]]) -> None:
    assert command("serve", "exported") == 0
    options = ("--name", "en-de", "--host", "0.0.0.0", "--port", "1", "--grpc-port", "2", "--pin", "3")
    assert command("serve", "exported", *options, "--threads", "4", "--queue", "5", "--timeout", "0.5") == 0
    addresses = {"host": "127.0.0.1", "port": 8501, "grpc_port": 8500}
    default = {"name": None, **addresses, "version": None, "threads": None, "timeout": 60.0}
    addresses = {"host": "0.0.0.0", "port": 1, "grpc_port": 2}
    given = {"name": "en-de", **addresses, "version": 3, "threads": 4, "queue": 5, "timeout": 0.5}
    assert served == [(("exported",), default), (("exported",), given)]


def test_the_server_takes_what_it_is_given() -> None:
    import inspect

    from textseq.serving.server import serve

    taken = set(inspect.signature(serve).parameters)
    assert {"folder", "name", "host", "port", "grpc_port", "version", "threads", "queue"} <= taken


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "grpc", "prometheus_client"])
def test_serve_without_its_packages_says_what_to_install(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], package: str
) -> None:
    for name in [each for each in sys.modules if re.fullmatch(r"textseq\.serving\.\w+", each)]:
        if name.rpartition(".")[2] not in ("commands", "extras", "native"):
            # Set to what it is, so that afterwards it is again what later tests have imported.
            monkeypatch.setattr(textseq.serving, name.rpartition(".")[2], sys.modules[name], raising=False)
            monkeypatch.delitem(sys.modules, name)
    for name in [each for each in sys.modules if each.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)

    class Missing:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name.partition(".")[0] == package:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Missing, *sys.meta_path])
    assert command("serve", "exported") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: `nmt serve` needs the package {package}")
    assert error.endswith(", which is not installed; run `pip install 'dragoman[serve]'`\n")
    assert error.count("\n") == 1


def test_a_module_of_ours_that_is_missing_is_no_missing_package() -> None:
    with pytest.raises(ModuleNotFoundError), needing("serve", "a server"):
        raise ModuleNotFoundError("No module named 'textseq.gone'", name="textseq.gone")
    with pytest.raises(InputError, match=r"a server needs the package a\.b, which"), needing("serve", "a server"):
        raise ModuleNotFoundError("No module named 'a.b'", name="a.b")


def test_rollback_and_back(command: Command, exported: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert command("rollback", str(exported)) == 0
    assert versions(exported) == ["1", "2"]
    assert command("rollback", str(exported), "--to", "1", "--json") == 0
    assert versions(exported) == ["1"]
    assert command("rollback", str(exported), "--to", "3") == 0
    assert versions(exported) == ["1", "3"]
    first, second, third = capsysbinary.readouterr().out.decode().splitlines()
    assert (first, json.loads(second)) == (str(exported / "2"), {"path": str(exported / "1")})
    assert third == str(exported / "3")


def test_rollback_to_nowhere(command: Command, exported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("rollback", str(exported), "--to", "9") == 2
    assert "no version 9 here; expected 1, 2, 3" in capsys.readouterr().err
    assert command("rollback", str(exported / "none")) == 2
    assert "no export here" in capsys.readouterr().err


def test_old_versions_go_where_that_was_asked(exported: Path) -> None:
    keep_versions(exported / "3", None)
    assert versions(exported) == ["1", "2", "3"]
    keep_versions(exported / "3", 2)
    assert versions(exported) == ["2", "3"]


def test_an_export_ends_with_its_folder(exported: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    print_version(exported / "3", None, as_json=False)
    assert capsysbinary.readouterr().out.decode() == f"{exported / '3'}\n"
    print_version(exported / "3", 1, as_json=True)
    assert json.loads(capsysbinary.readouterr().out) == {"path": str(exported / "3")}
    assert versions(exported) == ["3"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((None, None, None), "received neither of --run and --server, expected one"),
        (("run", "http://h:1", None), "received both of --run and --server, expected one"),
        (("run", None, "nmt"), "--model is the name on a server; add --server, or leave it out"),
    ],
)
def test_a_run_or_a_server(given: tuple[str | None, str | None, str | None], message: str) -> None:
    with pytest.raises(InputError, match=message):
        require_run_or_server(*given)
    require_run_or_server("run", None, None)
    require_run_or_server(None, "http://h:1", "nmt")
