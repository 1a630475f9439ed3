"""The command line `nmt`: it parses, calls one public function and prints. The work is done in the library."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from textseq import __version__
from textseq.console import json_line, one_line, open_output, print_json, print_table, run_command
from textseq.errors import InputError
from textseq.progress import TrainingProgress

if TYPE_CHECKING:
    from nmt import Config, Translation

LINES_AT_ONCE = 512
_COMMANDS = ("quickstart", "train", "translate", "evaluate", "score", "export")

app = typer.Typer(
    name="nmt",
    help="Train a translator on two text files, translate with it, score it, and export it to be served.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Run = Annotated[str, typer.Option("--run", metavar="DIR", help="The run directory that training made.")]
Beam = Annotated[int | None, typer.Option(min=1, metavar="N", help="Beam size; 1 is greedy. Default: the run's own.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on standard output.")]


def main() -> None:
    """The entry point of the console script."""
    sys.exit(run_command(app, "nmt", resumable=("train", "quickstart")))


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="Show the whole traceback of an error.")] = False,
) -> None:
    # --traceback is listed for the help; run_command takes it out, so that it may stand after the command as well.
    if version:
        typer.echo(f"dragoman {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise InputError(f"no command; expected one of {', '.join(_COMMANDS)}; see `nmt --help`")


@app.command()
def quickstart(
    out: Annotated[str, typer.Option(metavar="DIR", help="Where everything goes.")] = "quickstart",
    as_json: AsJson = False,
) -> None:
    """Train, score, translate, plot and export, on a small English-German corpus that ships with the package."""
    import nmt

    with TrainingProgress() as progress:
        report = nmt.quickstart(out, progress=progress.update)
    _print_report("Quickstart", report, as_json)
    if not as_json:
        with open_output(None) as written:
            for line in report.next_steps().splitlines():
                written.write(line)


@app.command()
def train(
    run: Annotated[str, typer.Option(metavar="DIR", help="Where the run goes; an existing run is resumed.")],
    source: Annotated[
        str | None,
        typer.Option(metavar="F", help="Sentences to translate from, one a line; without --target: pairs with a TAB."),
    ] = None,
    target: Annotated[str | None, typer.Option(metavar="F", help="Their translations, line by line.")] = None,
    valid_source: Annotated[
        str | None, typer.Option(metavar="F", help="Held-out sentences; without it, part of the corpus is held out.")
    ] = None,
    valid_target: Annotated[str | None, typer.Option(metavar="F", help="Their translations.")] = None,
    config: Annotated[str | None, typer.Option(metavar="F.toml", help="Settings; see config.toml of any run.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="One setting, in place of that in --config.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a translator. On an existing run, go on where it stopped.

    Files may be plain, .gz or .xz; "-" is standard input.
    """
    corpus = {"source": source, "target": target, "valid_source": valid_source, "valid_target": valid_target}
    configuration = _configuration(run, config, corpus, settings or [])
    import nmt

    with TrainingProgress() as progress:
        report = nmt.train(configuration, run, progress=progress.update)
    _print_report("Training", report, as_json)


@app.command()
def translate(
    run: Run,
    input_: Annotated[str, typer.Option("--input", metavar="F", help='A text file; "-" is standard input.')] = "-",
    output: Annotated[str, typer.Option(metavar="F", help='Where it goes; "-" is standard output.')] = "-",
    beam: Beam = None,
    n_best: Annotated[
        int, typer.Option(min=1, metavar="N", help="So many translations a line, best first, TABs between them.")
    ] = 1,
    align: Annotated[
        bool, typer.Option("--align", help='Add a TAB and "i-j ...": the source piece i of each piece j.')
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line: n-best, scores, alignment.")] = False,
    sample: Annotated[
        bool, typer.Option("--sample", help="Draw a translation at random instead of searching the best.")
    ] = False,
    temperature: Annotated[
        float, typer.Option(min=0.0, help="With --sample: below 1 sharpens, above 1 flattens.")
    ] = 1.0,
    top_k: Annotated[int, typer.Option(min=0, metavar="N", help="With --sample: from the N likeliest; 0: all.")] = 0,
    top_p: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="With --sample: from the likeliest that sum to this.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="With --sample: another seed, another draw.")] = 0,
    lines_at_once: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help=f"Read so many lines, then answer. {LINES_AT_ONCE}; 1 on a terminal."),
    ] = None,
) -> None:
    """Translate text, line by line: each input line gives one output line, whatever it holds."""
    if align and n_best > 1 and not as_json:
        raise InputError("--align with --n-best 2 or more does not fit one line of text; add --json")
    if sample and (beam is not None or n_best > 1 or align):
        raise InputError("--sample draws one translation a line; leave out --beam, --n-best and --align")
    if not sample and (temperature, top_k, top_p, seed) != (1.0, 0, 1.0, 0):
        raise InputError("--temperature, --top-k, --top-p and --seed are for sampling; add --sample")
    from nmt import Translator
    from textseq.corpus import open_bytes, read_lines_tolerant

    if output != "-" and Path(input_).is_file() and Path(output).is_file() and Path(input_).samefile(output):
        raise InputError(f"{output}: is the input as well; choose another --output")

    with open_bytes(input_) as stream, open_output(output) as written:
        translator = Translator.load(run)

        def batch(lines: list[str], first_line: int) -> list[Translation]:
            if sample:
                return translator.sample(
                    lines,
                    temperature=temperature,
                    top_k=top_k or None,
                    top_p=top_p,
                    seed=seed,
                    first_line=first_line,
                )
            return translator.translate(lines, beam=beam, n_best=n_best, attention=align or as_json)

        at_once = lines_at_once or (1 if input_ == "-" and sys.stdin.isatty() else LINES_AT_ONCE)
        shown = _as_json_line if as_json else _as_text_line(align, n_best)
        for index, lines in enumerate(_chunks(read_lines_tolerant(stream), at_once)):
            for translation in batch(lines, index * at_once):
                written.write(shown(translation))
            written.flush()


@app.command()
def evaluate(
    run: Run,
    source: Annotated[str, typer.Option(metavar="F", help="Sentences to translate.")],
    reference: Annotated[str, typer.Option(metavar="F", help="Their human translations.")],
    beam: Beam = None,
    lowercase: Annotated[bool, typer.Option("--lowercase", help="Score without regard to case.")] = False,
    tokenize: Annotated[str, typer.Option(metavar="NAME", help="sacreBLEU's tokenizer for BLEU: 13a, zh, ...")] = "13a",
    baseline: Annotated[
        str | None,
        typer.Option(metavar="F|DIR", help="Another system's translations, or run; adds the paired significance."),
    ] = None,
    by_length: Annotated[bool, typer.Option("--by-length", help="Add the scores by source length.")] = False,
    as_json: AsJson = False,
) -> None:
    """Score a run on text with known translations: BLEU, chrF and TER, with signature and confidence interval."""
    import nmt

    evaluation = nmt.evaluate(
        run,
        source,
        reference,
        beam=beam,
        lowercase=lowercase,
        tokenize=tokenize,
        baseline=baseline,
        by_length=by_length,
    )
    _print_report("Evaluation", evaluation, as_json)


@app.command()
def score(
    run: Run,
    source: Annotated[str, typer.Option(metavar="F", help="Sentences.")],
    target: Annotated[str, typer.Option(metavar="F", help="Their translations, line by line.")],
    output: Annotated[str, typer.Option(metavar="F", help='Where it goes; "-" is standard output.')] = "-",
    as_json: Annotated[bool, typer.Option("--json", help='One JSON object a line: "log_probability".')] = False,
) -> None:
    """Print the log-probability of each given translation, in nats, one a line."""
    import nmt

    scores = nmt.score(run, source, target)
    with open_output(output) as written:
        for value in scores:
            written.write(json_line({"log_probability": value}) if as_json else f"{value:.6f}")


@app.command()
def export(
    run: Run,
    out: Annotated[str, typer.Option(metavar="DIR", help="The folder that TF Serving will watch.")],
    as_json: AsJson = False,
) -> None:
    """Write a SavedModel with text in and text out, for TF Serving; prints its folder."""
    import nmt

    path = nmt.export(run, out)
    if as_json:
        print_json({"path": path})
    else:
        with open_output(None) as written:
            written.write(str(path))


def _configuration(run: str, file: str | None, corpus: dict[str, str | None], settings: list[str]) -> Config:
    from nmt import Config

    given = [f"corpus.{key}={_toml_string(value)}" for key, value in corpus.items() if value is not None]
    kept = Path(run, "config.toml")
    if file is None and kept.is_file():
        configuration = Config.from_toml(kept)
    elif file is None and not any(
        setting.startswith(("corpus.source=", "corpus.source =")) for setting in given + settings
    ):
        raise InputError(f"{run}: no run here to resume, and no text to train on; give --source, or --config")
    else:
        configuration = Config() if file is None else Config.from_toml(file)
    return configuration.with_overrides([*given, *settings])


def _toml_string(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


class _Report(Protocol):
    def to_dict(self) -> dict[str, Any]: ...

    def rows(self) -> Sequence[Sequence[object]]: ...


def _print_report(title: str, report: _Report, as_json: bool) -> None:
    if as_json:
        print_json(report.to_dict())
    else:
        print_table(title, getattr(report, "COLUMNS", ()), report.rows())


def _as_json_line(translation: Translation) -> str:
    plain = translation.to_dict()
    plain.pop("attention", None)  # a matrix for each line; the alignment says what it found
    return json_line(plain)


def _as_text_line(align: bool, n_best: int) -> Callable[[Translation], str]:
    def shown(translation: Translation) -> str:
        found = translation.n_best[:n_best] if n_best > 1 and translation.n_best else (translation,)
        if len(found) == 1 and not align:
            return one_line(translation.text)
        fields = [one_line(each.text).replace("\t", " ") for each in found]
        if align:
            fields.append(" ".join(f"{source}-{target}" for source, target in translation.alignment))
        return "\t".join(fields)

    return shown


def _chunks(lines: Iterator[str], size: int) -> Iterator[list[str]]:
    while chunk := list(itertools.islice(lines, size)):
        yield chunk
