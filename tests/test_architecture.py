"""The rules of the house that code can check: which way imports flow, what is imported when, how files are named."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = [name for name in ("textseq", "nmt", "classifiers") if (ROOT / name / "__init__.py").is_file()]
FORBIDDEN_IMPORTS = {
    "textseq": {"nmt", "classifiers"},
    "nmt": {"classifiers"},
    "classifiers": {"nmt"},
}
HEAVY = (
    "tensorflow",
    "tensorflow_text",
    "keras",
    "jax",
    "matplotlib",
    "sklearn",
    "scipy",
    "sacrebleu",
    "sentencepiece",
    "numpy",
)


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported_modules(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) in ("importlib.import_module", "import_module", "__import__")
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value)


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_the_packages_are_found() -> None:
    assert PACKAGES == ["textseq", "nmt", "classifiers"]
    assert all(sources(package) for package in PACKAGES)


def test_imports_are_seen_in_every_form() -> None:
    code = "import a.b\nfrom c import d\nfrom . import e\ndef f():\n    import g\n    importlib.import_module('h.i')"
    assert list(imported_modules(ast.parse(code))) == ["a.b", "c", ".", "g", "h.i"]


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_flow_one_way(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sources(package)
        for module in imported_modules(ast.parse(path.read_text(encoding="utf-8")))
        if module.split(".")[0] in FORBIDDEN_IMPORTS[package]
    ]
    assert wrong == []


def test_one_file_imports_tensorflow_text() -> None:
    importing = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in sources(package)
        for module in imported_modules(ast.parse(path.read_text(encoding="utf-8")))
        if module.split(".")[0] == "tensorflow_text"
    }
    assert importing <= {"textseq/graph_tokenization.py"}


@pytest.mark.parametrize("package", PACKAGES)
def test_library_code_raises_and_does_not_assert(package: str) -> None:
    asserts = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources(package)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert)
    ]
    assert asserts == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_file_is_named_for_having_no_subject(package: str) -> None:
    named = [
        str(path.relative_to(ROOT))
        for path in (ROOT / package).rglob("*")
        if path.stem.strip("_") in ("util", "utils", "helper", "helpers", "common", "misc")
    ]
    assert named == []


@pytest.mark.parametrize("module", [*PACKAGES, *(f"{package}.cli" for package in PACKAGES if package != "textseq")])
def test_importing_loads_nothing_heavy(module: str) -> None:
    done = python(f"import json, sys, {module}\nprint(json.dumps(sorted(sys.modules)))")
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout))
    assert module in loaded
    assert loaded.isdisjoint(HEAVY)


HELPS = [
    (program, [*command, "--help"])
    for program, commands in (("nmt", ["train", "translate"]), ("classifiers", ["train", "predict"]))
    for command in ([], *([one] for one in commands))
]


@pytest.mark.parametrize(("program", "arguments"), HELPS)
def test_help_loads_nothing_heavy(program: str, arguments: list[str]) -> None:
    code = f"""
import json, sys
from textseq.console import run_command
from {program}.cli import app
code = run_command(app, {program!r}, {arguments!r})
print(json.dumps([code, sorted(sys.modules)]))
"""
    done = python(code)
    assert done.returncode == 0, done.stderr
    code_, loaded = json.loads(done.stdout.splitlines()[-1])
    assert code_ == 0
    assert f"Usage: {program}" in done.stdout
    assert set(loaded).isdisjoint(HEAVY)


@pytest.mark.parametrize("program", ["nmt", "classifiers"])
def test_help_comes_within_a_second(program: str) -> None:
    seconds = []
    for _ in range(5):  # the first run warms the file cache, the best leaves out what else the machine was doing
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", f"from {program}.cli import main; main()", "--help"],
            cwd=ROOT,
            capture_output=True,
            timeout=60,
        )
        seconds.append(time.perf_counter() - start)
        assert done.returncode == 0, done.stderr
        if len(seconds) >= 3 and min(seconds) < 1.0:
            break
    assert min(seconds) < 1.0
