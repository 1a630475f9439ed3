"""The lessons in notebooks/ keep their form, and run from top to bottom in a kernel of this interpreter."""

from __future__ import annotations

import ast
import os
import re
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import nbformat
import pytest

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
LESSONS = sorted(NOTEBOOKS.glob("*.ipynb"))
NAMES = (
    "01_recurrence", "02_through_time", "03_gates", "04_text_to_batches", "05_attention", "06_searching",
    "07_your_language_pair", "08_sentiment", "09_sequences", "10_serving",
)  # fmt: skip
LIBRARY = {"textseq", "nmt", "classifiers"}
# What a lesson would fetch something with.
FETCHING = {"aiohttp", "datasets", "ftplib", "http", "huggingface_hub", "kagglehub", "requests", "socket",
            "tensorflow_datasets", "urllib", "wget"}  # fmt: skip
LONGEST_FUNCTION = 10
LARGEST_FILE = 64 * 1024
LONGEST_RUN = 600.0
"""Seconds; a lesson is to take less than 180 on two cores of its own, and a busy machine needs more."""

# No lesson may ask anything beyond this machine, which CI has to see on machines that could.
NO_NETWORK = """
import sys

def refuse(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in ("127.0.0.1", "::1"):
        raise PermissionError(f"a lesson may not use the network; it asked for {arguments[1]}")
    if event == "socket.getaddrinfo" and arguments[0] not in ("127.0.0.1", "::1", "localhost", None, b"localhost"):
        raise PermissionError(f"a lesson may not use the network; it asked for {arguments[0]}")

sys.addaudithook(refuse)
"""


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def tags(cell: Any) -> list[str]:
    return list(cell.metadata.get("tags", []))


def nodes(notebook: Any) -> Iterator[ast.AST]:
    for cell in code_cells(notebook):
        yield from ast.walk(ast.parse(cell.source))


def imported(notebook: Any) -> set[str]:
    """The top-level packages that a lesson imports."""
    found = set()
    for node in nodes(notebook):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def is_plain_python(notebook: Any) -> str | None:
    for cell in code_cells(notebook):
        try:
            ast.parse(cell.source)
        except SyntaxError as error:
            return f"no Python without magics or shell commands: {error.text}"
    return None


def is_of_the_form(notebook: Any) -> str | None:
    if (notebook.nbformat, notebook.nbformat_minor) != (4, 5):
        return f"format {notebook.nbformat}.{notebook.nbformat_minor}, not 4.5"
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        return f"not valid: {error}"
    kernel = notebook.metadata.get("kernelspec", {}).get("name")
    return None if kernel == "python3" else f"the kernel {kernel}, not python3"


def has_no_outputs(notebook: Any) -> str | None:
    for cell in code_cells(notebook):
        if cell.outputs or cell.execution_count is not None:
            return f"stored with outputs or with the number of an execution:\n{cell.source}"
    return None


def imports_the_library(notebook: Any) -> str | None:
    return None if imported(notebook) & LIBRARY else "imports nothing of the library"


def fetches_nothing(notebook: Any) -> str | None:
    found = imported(notebook) & FETCHING
    named = {node.attr for node in nodes(notebook) if isinstance(node, ast.Attribute)} & {"get_file", "urlretrieve"}
    return f"uses {', '.join(sorted(found | named))}, which fetch things" if found | named else None


def has_parameters(notebook: Any) -> str | None:
    first = code_cells(notebook)[0]
    if [cell for cell in notebook.cells if "parameters" in tags(cell)] != [first]:
        return "the first code cell, and no other, is to be tagged parameters"
    statements = ast.parse(first.source).body
    start = ast.unparse(statements[0]) if statements else ""
    return None if start == "DATA = None" else f"the parameters start with {start!r}, not with DATA = None"


def functions_are_short(notebook: Any) -> str | None:
    for node in nodes(notebook):
        if isinstance(node, ast.ClassDef):
            return f"defines a class, {node.name}; classes belong in the library"
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FUNCTION:
                return f"{node.name} has {lines} lines, at most {LONGEST_FUNCTION} are allowed"
    return None


def starts_with_its_title(notebook: Any) -> str | None:
    first = notebook.cells[0]
    found = first.cell_type == "markdown" and re.match(r"# \d+\. \S", first.source)
    return None if found else "the first cell is to be its title, such as '# 1. Recurrence'"


def ends_with_exercises(notebook: Any) -> str | None:
    headings = [
        line
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for line in re.findall(r"(?m)^## .*", cell.source)
    ]
    if headings[-2:] != ["## What you saw", "## Exercises"]:
        return f"the last headings are {headings[-2:]}, not 'What you saw' and 'Exercises'"
    last = list(takewhile(lambda cell: "## Exercises" not in cell.source, reversed(notebook.cells)))
    last.append(notebook.cells[-1 - len(last)])
    folded = [cell for cell in last if cell.cell_type == "markdown" and "<details>" in cell.source]
    if not folded and not any("answer" in tags(cell) for cell in last):
        return "the exercises have no answers"
    return None


def answers_are_collapsed(notebook: Any) -> str | None:
    for cell in notebook.cells:
        shown = cell.metadata.get("jupyter", {})
        if "answer" in tags(cell) and not (shown.get("source_hidden") and shown.get("outputs_hidden")):
            return f"an answer whose source or output is not hidden:\n{cell.source}"
        if cell.cell_type == "markdown" and cell.source.count("<details>") != cell.source.count("</details>"):
            return f"<details> without its end:\n{cell.source}"
    return None


Rule = Callable[[Any], str | None]
RULES: tuple[Rule, ...] = (
    is_of_the_form, is_plain_python, has_no_outputs, imports_the_library, fetches_nothing, has_parameters,
    functions_are_short, starts_with_its_title, ends_with_exercises, answers_are_collapsed,
)  # fmt: skip


def sound() -> Any:
    """A lesson that breaks no rule."""
    new = nbformat.v4
    hidden = {"tags": ["answer"], "jupyter": {"source_hidden": True, "outputs_hidden": True}}
    cells = [
        new.new_markdown_cell("# 1. A lesson"),
        new.new_code_cell("DATA = None  # or a path\nSEED = 1", metadata={"tags": ["parameters"]}),
        new.new_code_cell("import nmt\n\ndef double(x):\n    return 2 * x"),
        new.new_markdown_cell("## What you saw"),
        new.new_markdown_cell("## Exercises\n1. Why?\n<details><summary>Answer</summary>So.</details>"),
        new.new_code_cell("double(2)", metadata=hidden),
    ]
    return new.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})


def with_source(place: int, source: str) -> Callable[[Any], Any]:
    return lambda notebook: notebook.cells[place].update(source=source)


BREAKS: dict[str, tuple[Rule, Callable[[Any], Any]]] = {
    "an old format": (is_of_the_form, lambda notebook: notebook.update(nbformat_minor=4)),
    "not valid": (is_of_the_form, lambda notebook: notebook.cells[0].update(cell_type="text")),
    "another kernel": (is_of_the_form, lambda notebook: notebook.metadata.kernelspec.update(name="ir")),
    "shell": (is_plain_python, with_source(2, "!pip install nmt")),
    "numbered": (has_no_outputs, lambda notebook: notebook.cells[2].update(execution_count=3)),
    "outputs": (
        has_no_outputs,
        lambda notebook: notebook.cells[2].update(outputs=[nbformat.v4.new_output("stream", text="4")]),
    ),
    "no library": (imports_the_library, with_source(2, "import numpy")),
    "fetching": (fetches_nothing, with_source(2, "def get():\n    from urllib.request import urlopen")),
    "get_file": (fetches_nothing, with_source(2, "import keras\nkeras.utils.get_file('x')")),
    "no parameters": (has_parameters, lambda notebook: notebook.cells[1].metadata.clear()),
    "other parameters": (has_parameters, with_source(1, "SEED = 1\nDATA = None")),
    "a default path": (has_parameters, with_source(1, "DATA = '/mine'")),
    "a class": (functions_are_short, with_source(2, "class Net: pass")),
    "a long function": (functions_are_short, with_source(2, "def f():\n" + "    print()\n" * 10)),
    "no title": (starts_with_its_title, with_source(0, "A lesson")),
    "no exercises": (ends_with_exercises, with_source(4, "## The end")),
    "no answers": (ends_with_exercises, lambda notebook: notebook.cells.__setitem__(slice(4, None), [
        nbformat.v4.new_markdown_cell("## Exercises\n1. Why?")])),
    "an open answer": (answers_are_collapsed, lambda notebook: notebook.cells[5].metadata.pop("jupyter")),
    "no end of details": (answers_are_collapsed, with_source(4, "## Exercises\n<details>")),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rules_pass_what_is_sound(rule: Rule) -> None:
    assert rule(sound()) is None


@pytest.mark.parametrize("what", BREAKS)
def test_the_rules_find_what_is_broken(what: str) -> None:
    rule, spoil = BREAKS[what]
    notebook = sound()
    spoil(notebook)
    assert rule(notebook)


def test_the_course_is_whole() -> None:
    assert [lesson.stem for lesson in LESSONS] == list(NAMES)
    course = (NOTEBOOKS / "README.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"({name}.ipynb)" not in course] == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_form(lesson: Path, rule: Rule) -> None:
    wrong = rule(nbformat.read(lesson, as_version=nbformat.NO_CONVERT))
    assert wrong is None, f"{lesson.name}: {wrong}"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_file(lesson: Path) -> None:
    assert lesson.stat().st_size <= LARGEST_FILE
    title = nbformat.read(lesson, as_version=nbformat.NO_CONVERT).cells[0].source
    assert title.startswith(f"# {int(lesson.stem[:2])}. ")


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A kernel named python3 that is this interpreter; nothing of the user's is read or written.

    Returns:
        The environment for it.
    """
    from ipykernel.kernelspec import write_kernel_spec

    write_kernel_spec(str(tmp_path / "jupyter" / "kernels" / "python3"))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "0")
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(NO_NETWORK)
    # With the variable of pytest, ipykernel would leave out what libraries in C write to standard error.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    places = [str(tmp_path / "site"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**inherited, "PYTHONPATH": os.pathsep.join(places)}


def execute(notebook: Any, folder: Path, environment: dict[str, str]) -> None:
    """Runs every cell in place; what goes wrong is shown with the cell that it went wrong in."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellControlSignal, CellExecutionError, DeadKernelError

    until = time.monotonic() + LONGEST_RUN
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout_func=lambda cell: max(1, round(until - time.monotonic())),
        resources={"metadata": {"path": str(folder)}},
    )
    try:
        client.execute(env=environment)
    except (CellExecutionError, CellControlSignal, DeadKernelError, TimeoutError) as error:
        pytest.fail(re.sub(r"\x1b\[[0-9;]*m", "", str(error)), pytrace=False)


def test_a_cell_that_fails_is_shown(tmp_path: Path, kernel: dict[str, str]) -> None:
    notebook = sound()
    notebook.cells[2].source = "import sys\n\nassert sys.executable == 0, sys.executable"
    with pytest.raises(pytest.fail.Exception, match=r"assert sys\.executable == 0(.|\n)*AssertionError: ") as failure:
        execute(notebook, tmp_path, kernel)
    import sys

    assert f"AssertionError: {sys.executable}" in str(failure.value)


def test_a_lesson_that_asks_the_network_fails(tmp_path: Path, kernel: dict[str, str]) -> None:
    notebook = sound()
    notebook.cells[2].source = "import urllib.request\n\nurllib.request.urlopen('http://192.0.2.1/', timeout=5)"
    with pytest.raises(pytest.fail.Exception, match="may not use the network; it asked for"):
        execute(notebook, tmp_path, kernel)


@pytest.mark.slow
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.stem)
def test_lesson_runs(lesson: Path, tmp_path: Path, kernel: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    stored = lesson.read_bytes()
    notebook = nbformat.reads(stored.decode("utf-8"), as_version=nbformat.NO_CONVERT)
    folder = tmp_path / "notebooks"
    folder.mkdir()
    started = time.monotonic()
    execute(notebook, folder, kernel)
    with capsys.disabled():
        print(f"\n{lesson.name}: {time.monotonic() - started:.0f} s")
    assert lesson.read_bytes() == stored
    for cell in code_cells(notebook):
        noise = [output.text for output in cell.outputs if output.get("name") == "stderr"]
        assert not noise, f"{cell.source}\n\nwrites to standard error:\n{''.join(noise)}"
