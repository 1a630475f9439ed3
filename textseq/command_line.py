"""What the command lines of both packages share: the app, its options, the configuration of a call, the reports."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

import typer

from textseq import __version__
from textseq.console import open_output, print_json, print_table
from textseq.corpus import open_bytes, read_lines_tolerant
from textseq.errors import InputError
from textseq.progress import TrainingProgress
from textseq.toml_text import toml_value

if TYPE_CHECKING:
    from textseq.configuration import Configuration

    ConfigurationType = TypeVar("ConfigurationType", bound=Configuration)

LINES_AT_ONCE = 512
"""Lines of input that are read before the first is answered, where input is no terminal."""

Run = Annotated[str, typer.Option("--run", metavar="DIR", help="The run directory that training made.")]
NewRun = Annotated[str, typer.Option("--run", metavar="DIR", help="Where the run goes; an existing run is resumed.")]
ConfigFile = Annotated[
    str | None, typer.Option("--config", metavar="F.toml", help="Settings; see config.toml of any run.")
]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="One setting, in place of that in --config.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")]
Input = Annotated[str, typer.Option("--input", metavar="F", help='A text file; "-" is standard input.')]
OutputFolder = Annotated[str, typer.Option("--out", metavar="DIR", help="Where everything goes.")]
Output = Annotated[str, typer.Option("--output", metavar="F", help='Where it goes; "-" is standard output.')]
LinesAtOnce = Annotated[
    int | None,
    typer.Option(
        "--lines-at-once",
        min=1,
        metavar="N",
        help=f"Read so many lines, then answer. {LINES_AT_ONCE}; 1 on a terminal.",
    ),
]


class Report(Protocol):
    """What a command prints: plain values for JSON, rows for a table under its COLUMNS, if it has any."""

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""

    def rows(self) -> Sequence[Sequence[object]]:
        """As rows of a table."""


def make_app(name: str, help: str, commands: Sequence[str]) -> typer.Typer:
    """An app with what every command line here has: --version, --traceback, and an answer where no command is given.

    Args:
        name: of the program.
        help: one sentence: what it is for.
        commands: the names of its commands, for that answer.
    """
    app = typer.Typer(
        name=name,
        help=help,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback(invoke_without_command=True)
    def start(
        context: typer.Context,
        version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
        traceback: Annotated[bool, typer.Option("--traceback", help="Show the whole traceback of an error.")] = False,
    ) -> None:
        # --traceback is listed for the help; run_command takes it out, so that it may stand after the command as well.
        if version:
            typer.echo(f"dragoman {__version__}")
            raise typer.Exit
        if context.invoked_subcommand is None:
            raise InputError(f"no command; expected one of {', '.join(commands)}; see `{name} --help`")

    return app


def setting(key: str, text: str) -> str:
    """A text as an override of a configuration: `key="text"`."""
    return f"{key}={toml_value(text)}"


def configuration(
    config_type: type[ConfigurationType],
    run: str,
    file: str | None,
    corpus: Mapping[str, str | None],
    settings: Sequence[str],
    *,
    needed: Sequence[str],
    advice: str,
) -> ConfigurationType:
    """The configuration of a training that is begun or resumed from the command line.

    It comes from the file, else from the run's own config.toml, else from the defaults.

    Args:
        config_type: the class to read.
        run: the run directory, which may not be there yet.
        file: of --config.
        corpus: what the options say for the keys of [corpus]; None where an option was not given.
        settings: of --set.
        needed: keys without which there is nothing to train on; where there is neither file nor run, an option or a
            setting must give each.
        advice: which options give them.

    Raises:
        InputError: there is nothing to train on.
        ConfigurationError: a file or a setting is wrong.
    """
    given = [setting(f"corpus.{key}", value) for key, value in corpus.items() if value is not None]
    overrides = [*given, *settings]
    kept = Path(run, "config.toml")
    if file is None and kept.is_file():
        return config_type.from_toml(kept).with_overrides(overrides)
    named = {override.partition("=")[0].strip() for override in overrides}
    if file is None and not named.issuperset(needed):
        raise InputError(f"{run}: no run here to resume, and no text to train on; {advice}")
    return (config_type() if file is None else config_type.from_toml(file)).with_overrides(overrides)


def print_report(title: str, report: Report, as_json: bool) -> None:
    """Prints a report on standard output, as JSON, or as a table and the further `tables` that it may have."""
    if as_json:
        print_json(report.to_dict())
        return
    print_table(title, getattr(report, "COLUMNS", ()), report.rows())
    for table in getattr(report, "tables", list)():
        print_table(*table)


class QuickstartReport(Report, Protocol):
    """What `quickstart` prints."""

    def next_steps(self) -> str:
        """What was made and what to type next."""


def print_quickstart(report: QuickstartReport, as_json: bool) -> None:
    """Prints the report of a quickstart, and below its table what to do next."""
    print_report("Quickstart", report, as_json)
    if not as_json:
        with open_output(None) as written:
            for line in report.next_steps().splitlines():
                written.write(line)


def run_training(title: str, train: Callable[..., Report], config: Configuration, run: str, as_json: bool) -> None:
    """Trains, shows on standard error how it goes, and prints the report.

    Args:
        title: of the report.
        train: takes the configuration, the run directory and `progress`.
        config: as it was given.
        run: the run directory.
        as_json: print JSON.
    """
    with TrainingProgress() as progress:
        report = train(config, run, progress=progress.update)
    print_report(title, report, as_json)


def run_quickstart(quickstart: Callable[..., QuickstartReport], out: str, as_json: bool) -> None:
    """Runs a quickstart, shows on standard error how it goes, and prints its report.

    Args:
        quickstart: takes the folder and `progress`.
        out: the folder.
        as_json: print JSON.
    """
    with TrainingProgress() as progress:
        report = quickstart(out, progress=progress.update)
    print_quickstart(report, as_json)


def print_path(path: Path, as_json: bool) -> None:
    """Prints on standard output where a command has put its result."""
    if as_json:
        print_json({"path": path})
    else:
        with open_output(None) as written:
            written.write(str(path))


def chunks(lines: Iterator[str], size: int) -> Iterator[list[str]]:
    """Streams the lines in lists of a size, the last one shorter."""
    while chunk := list(itertools.islice(lines, size)):
        yield chunk


def refuse_same_file(input_: str, output: str) -> None:
    """Checks that a command does not write over the file that it reads.

    Raises:
        InputError: both are one file.
    """
    if output != "-" and Path(input_).is_file() and Path(output).is_file() and Path(input_).samefile(output):
        raise InputError(f"{output}: is the input as well; choose another place for the result")


def answer_lines(
    input_: str,
    output: str,
    lines_at_once: int | None,
    load: Callable[[], Callable[[list[str], int], Iterable[str]]],
) -> None:
    """Reads text, and writes what a model answers to it, as soon as it is known.

    Args:
        input_: a text file, or "-".
        output: where the answers go, or "-".
        lines_at_once: lines that are read before they are answered; None: 1 on a terminal, else `LINES_AT_ONCE`.
        load: loads the model, once both files are open, and returns a function of some lines, whatever they hold, and
            the number of the first, from 0; it gives the lines to write.

    Raises:
        InputError: input and output are one file.
        CorpusError: the input cannot be read.
        OutputError: the output cannot be written.
    """
    refuse_same_file(input_, output)
    with open_bytes(input_) as stream, open_output(output) as written:
        answer = load()
        at_once = lines_at_once or (1 if input_ == "-" and sys.stdin.isatty() else LINES_AT_ONCE)
        for index, lines in enumerate(chunks(read_lines_tolerant(stream), at_once)):
            for line in answer(lines, index * at_once):
                written.write(line)
            written.flush()
