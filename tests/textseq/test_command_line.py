"""What both command lines are made of."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import Field

from textseq import __version__
from textseq.command_line import (
    LINES_AT_ONCE,
    AsJson,
    answer_lines,
    chunks,
    configuration,
    make_app,
    print_quickstart,
    print_report,
    refuse_same_file,
    run_quickstart,
    run_training,
    setting,
)
from textseq.configuration import Configuration
from textseq.console import run_command
from textseq.errors import ConfigurationError, CorpusError, InputError


class Corpus(Configuration):
    """Where the text is."""

    text: str | None = Field(None, description="Text.")
    valid: str | None = Field(None, description="Validation text.")


class Config(Configuration):
    """All."""

    seed: int = Field(1, description="Seed.")
    corpus: Corpus = Corpus()


def made(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    app = make_app("tool", help="A tool.", commands=("work", "rest"))

    @app.command()
    def work(as_json: AsJson = False, name: str = typer.Option("x", metavar="NAME")) -> None:
        typer.echo("json" if as_json else name)

    @app.command()
    def rest() -> None: ...

    code = run_command(app, "tool", arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_an_app(capsys: pytest.CaptureFixture[str]) -> None:
    assert made("--version", capsys=capsys) == (0, f"dragoman {__version__}\n", "")
    assert made(capsys=capsys) == (2, "", "error: no command; expected one of work, rest; see `tool --help`\n")
    assert made("work", "--json", capsys=capsys) == (0, "json\n", "")
    assert made("work", "--traceback", capsys=capsys) == (0, "x\n", "")


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("work", "--help"), ("work", "-h")])
def test_help_has_no_types(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = made(*arguments, capsys=capsys)
    assert code == 0
    assert "Usage: tool" in out
    assert "<" not in out


def test_a_setting_is_a_text_whatever_it_holds() -> None:
    for text in ('a".txt', "7", "true", "ünï \\", "none of it"):
        config = Config().with_overrides([setting("corpus.text", text)])
        assert config.corpus.text == text


def resolved(run: Path, file: str | None = None, settings: Iterable[str] = (), **corpus: str | None) -> Config:
    needed, advice = ("corpus.text",), "give --text, or --config"
    return configuration(Config, str(run), file, corpus, list(settings), needed=needed, advice=advice)


def test_from_options(tmp_path: Path) -> None:
    config = resolved(tmp_path, text="a", valid=None, settings=["seed=3", "corpus.valid=v"])
    assert config == Config(seed=3, corpus=Corpus(text="a", valid="v"))
    assert resolved(tmp_path, settings=["corpus.text = b"]).corpus.text == "b"
    assert resolved(tmp_path, settings=["corpus.text=b"], text="a").corpus.text == "b"


def test_from_a_file_and_from_the_run(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(Config(seed=5).to_toml())
    (tmp_path / "other.toml").write_text(Config(seed=6).to_toml())
    assert resolved(tmp_path).seed == 5
    assert resolved(tmp_path, settings=["seed=7"]).seed == 7
    assert resolved(tmp_path, str(tmp_path / "other.toml"), text="a") == Config(seed=6, corpus=Corpus(text="a"))


def test_nothing_to_train_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for settings in ([], ["seed=3"], ["corpus.valid=v"]):
        with pytest.raises(InputError) as caught:
            resolved(run, settings=settings)
        assert str(caught.value) == (f"{run}: no run here to resume, and no text to train on; give --text, or --config")
    with pytest.raises(ConfigurationError, match=r"nowhere\.toml"):
        resolved(run, "nowhere.toml")


class Report:
    COLUMNS = ("metric", "value")

    def to_dict(self) -> dict[str, Any]:
        return {"bleu": 36.5}

    def rows(self) -> list[tuple[str, float]]:
        return [("BLEU", 36.5)]


def test_a_report_is_a_table_or_json(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    print_report("Scores", Report(), as_json=True)
    assert capfdbinary.readouterr().out == b'{"bleu": 36.5}\n'
    print_report("Scores", Report(), as_json=False)
    shown = capfdbinary.readouterr().out.decode()
    assert "Scores" in shown and "metric" in shown and "36.50" in shown


class Quickstart(Report):
    def next_steps(self) -> str:
        return "Next:\n  tool work"


def test_a_quickstart_says_what_is_next(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    print_quickstart(Quickstart(), as_json=False)
    shown = capfdbinary.readouterr().out.decode()
    assert "BLEU" in shown and shown.endswith("Next:\n  tool work\n")
    print_quickstart(Quickstart(), as_json=True)
    assert capfdbinary.readouterr().out == b'{"bleu": 36.5}\n'


def test_a_training_and_a_quickstart_are_told_of_their_progress(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    calls: list[Any] = []

    def train(config: Any, run: str, *, progress: Callable[[dict[str, Any]], None]) -> Report:
        progress({"message": "training"})
        calls.append((config, run))
        return Report()

    def quickstart(out: str, *, progress: Callable[[dict[str, Any]], None]) -> Quickstart:
        progress({"message": "starting"})
        calls.append(out)
        return Quickstart()

    config = Config()
    run_training("Training", train, config, "runs/x", True)
    run_quickstart(quickstart, "there", True)
    shown = capfdbinary.readouterr()
    assert shown.out == b'{"bleu": 36.5}\n' * 2
    assert shown.err.splitlines() == [b"training", b"starting"]
    assert calls == [(config, "runs/x"), "there"]


def test_chunks() -> None:
    assert list(chunks(iter("abcde"), 2)) == [["a", "b"], ["c", "d"], ["e"]]
    assert list(chunks(iter(()), 2)) == []


def test_a_file_is_not_written_over_while_it_is_read(tmp_path: Path) -> None:
    text, link = tmp_path / "text", tmp_path / "link"
    text.write_text("a\n")
    link.symlink_to(text)
    with pytest.raises(InputError, match=r"link: is the input as well; choose another place for the result"):
        refuse_same_file(str(text), str(link))
    for input_, output in ((str(text), "-"), ("-", str(text)), (str(text), str(tmp_path / "new"))):
        refuse_same_file(input_, output)


Answer = Callable[[list[str], int], list[str]]


def upper(seen: list[tuple[int, int]]) -> Callable[[], Answer]:
    def answer(lines: list[str], first: int) -> list[str]:
        seen.append((len(lines), first))
        return [line.upper() for line in lines]

    return lambda: answer


def test_lines_are_answered_in_parts(tmp_path: Path) -> None:
    text, out = tmp_path / "text", tmp_path / "out"
    text.write_bytes(b"eins\r\n\nzw\xffei\n" + b"x\n" * LINES_AT_ONCE)
    seen: list[tuple[int, int]] = []
    answer_lines(str(text), str(out), None, upper(seen))
    assert out.read_text(encoding="utf-8") == "EINS\n\nZW\ufffdEI\n" + "X\n" * LINES_AT_ONCE
    assert seen == [(LINES_AT_ONCE, 0), (3, LINES_AT_ONCE)]
    seen.clear()
    text.write_text("a\nb\nc\n")
    answer_lines(str(text), str(out), 2, upper(seen))
    assert seen == [(2, 0), (1, 2)]


def test_a_terminal_is_answered_line_by_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"a\nb\n"))
    monkeypatch.setattr(stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", stdin)
    seen: list[tuple[int, int]] = []
    answer_lines("-", str(tmp_path / "out"), None, upper(seen))
    assert seen == [(1, 0), (1, 1)]


def test_no_model_is_loaded_for_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="nowhere"):
        answer_lines(str(tmp_path / "nowhere"), "-", None, lambda: pytest.fail("loaded"))


def test_a_failure_leaves_the_output_as_it_was(tmp_path: Path) -> None:
    text, out = tmp_path / "text", tmp_path / "out"
    text.write_text("a\n")
    out.write_text("old")

    def fail() -> Answer:
        raise InputError("no run")

    with pytest.raises(InputError):
        answer_lines(str(text), str(out), None, fail)
    assert out.read_text() == "old"
