"""The command line `classifiers`: it parses, calls one public function and prints. The work is done in the library."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from textseq.command_line import (
    AsJson,
    ConfigFile,
    Input,
    LinesAtOnce,
    NewRun,
    Output,
    OutputFolder,
    Run,
    Settings,
    answer_lines,
    configuration,
    make_app,
    print_report,
    refuse_same_file,
    run_quickstart,
    run_training,
    setting,
)
from textseq.console import json_line, one_line, open_output, print_error, run_command
from textseq.counted import counted
from textseq.errors import InputError
from textseq.serving.commands import (
    TIMEOUT,
    Exports,
    Keep,
    RunOrServer,
    ServedModel,
    Server,
    Timeout,
    add_serving_commands,
    print_version,
    require_run_or_server,
)

if TYPE_CHECKING:
    from classifiers import Explanation, Prediction

    Predict = Callable[[list[str]], list[Prediction]]

app = make_app(
    "classifiers",
    help="Train a classifier on labelled text, label text with it, score it, explain it, and export it to be served.",
    commands=("quickstart", "pretrain", "train", "predict", "evaluate", "explain", "export", "serve", "rollback"),
)


def main() -> None:
    """The entry point of the console script."""
    sys.exit(run_command(app, "classifiers", resumable=("train", "pretrain", "quickstart")))


@app.command()
def quickstart(
    out: OutputFolder = "quickstart/classifiers",
    as_json: AsJson = False,
) -> None:
    """Train, score, explain, plot and export, on a small corpus of English reviews that ships with the package."""
    import classifiers

    run_quickstart(classifiers.quickstart, out, as_json)


@app.command()
def pretrain(
    run: NewRun,
    text: Annotated[
        str | None, typer.Option(metavar="F", help="Unlabelled text, one text a line, or a folder of text files.")
    ] = None,
    valid_text: Annotated[
        str | None, typer.Option(metavar="F", help="Held-out text; without it, part of the text is held out.")
    ] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Train on text without labels, for `train --from-run` to start from. On an existing run, go on where it stopped.

    Files may be plain, .gz or .xz; "-" is standard input.
    """
    import classifiers

    corpus = {"text": text, "valid_text": valid_text}
    resolved = configuration(
        classifiers.PretrainingConfig,
        *(run, config, corpus, settings or []),
        needed=("corpus.text",),
        advice="give --text, or --config",
    )
    run_training("Pretraining", classifiers.pretrain, resolved, run, as_json)


@app.command()
def train(
    run: NewRun,
    train: Annotated[
        str | None,
        typer.Option(metavar="F", help="Labelled text: label, TAB, text; or .csv, .jsonl, or a folder for each label."),
    ] = None,
    valid: Annotated[
        str | None,
        typer.Option(metavar="F", help="Held-out text with labels; without it, part of the corpus is held out."),
    ] = None,
    test: Annotated[
        str | None, typer.Option(metavar="F", help="Test text; read only to keep its texts out of the training text.")
    ] = None,
    from_run: Annotated[
        str | None, typer.Option(metavar="DIR", help="Start from a translator's run, or from one of `pretrain`.")
    ] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Train a classifier. On an existing run, go on where it stopped.

    Files may be plain, .gz or .xz; "-" is standard input.
    """
    import classifiers

    corpus = {"train": train, "valid": valid, "test": test}
    given = [] if from_run is None else [setting("from_run", from_run)]
    resolved = configuration(
        classifiers.Config,
        *(run, config, corpus, [*given, *(settings or [])]),
        needed=("corpus.train",),
        advice="give --train, or --config",
    )
    run_training("Training", classifiers.train, resolved, run, as_json)


@app.command()
def predict(
    run: RunOrServer = None,
    server: Server = None,
    model: ServedModel = None,
    input_: Input = "-",
    output: Output = "-",
    abstain: Annotated[
        bool, typer.Option("--abstain", help="Give no label where the confidence is too low; see `evaluate`.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line: all probabilities.")] = False,
    timeout: Timeout = TIMEOUT,
    lines_at_once: LinesAtOnce = None,
) -> None:
    """Label text, line by line: each input line gives one output line, whatever it holds.

    A line is the label, a TAB and its probability; where there was nothing to read, a TAB and "empty: prior" follow.
    A run answers here; a server, TF Serving or `classifiers serve`, needs no TensorFlow here.
    """
    require_run_or_server(run, server, model)
    if server is not None and abstain:
        raise InputError("--abstain with --server: an export answers always; leave it out, or predict with --run")
    empty = read = 0
    connections = contextlib.ExitStack()

    def load() -> Callable[[list[str], int], Iterator[str]]:
        if run is not None:
            predict_lines, separator = _from_run(run, abstain)
        else:
            predict_lines, separator = _from_server(connections, str(server), model, timeout)

        def predicted(lines: list[str], first_line: int) -> Iterator[str]:
            nonlocal empty, read
            for prediction in predict_lines(lines):
                read += 1
                empty += prediction.empty
                yield json_line(prediction.to_dict()) if as_json else _as_text_line(prediction, separator())

        return predicted

    with connections:
        answer_lines(input_, output, lines_at_once, load)
    if empty:
        texts = f"{empty:,} of {counted(read, 'text')}"
        print_error(f"{texts} held nothing to read and got the labels' shares in the training text", prefix="note: ")


@app.command()
def evaluate(
    run: Run,
    test: Annotated[str, typer.Option(metavar="F", help="Labelled text, written as the training text was.")],
    baseline: Annotated[
        str | None,
        typer.Option(metavar="F|DIR", help="Another run, or what it predicts; adds McNemar's test between the two."),
    ] = None,
    by_length: Annotated[bool, typer.Option("--by-length", help="Add the scores by text length.")] = False,
    format: Annotated[
        str | None, typer.Option(metavar="NAME", help="tsv, csv, jsonl, folder or auto. Default: the run's own.")
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column or key of the text. Default: the run's own.")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column or key of the label. Default: the run's own.")
    ] = None,
    plot: Annotated[
        str | None, typer.Option(metavar="F", help="Draw the confusion matrix: a .png, .svg or .pdf file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score a run on labelled text: accuracy, F1, calibration and more, with confidence intervals."""
    import classifiers

    if plot is not None:
        from classifiers.evaluation import require_confusion
        from textseq.figures import require_plot_ending

        require_plot_ending(plot)
        require_confusion(run)

    evaluation = classifiers.evaluate(
        run,
        test,
        baseline=baseline,
        by_length=by_length,
        format=format,
        text_column=text_column,
        label_column=label_column,
    )
    print_report("Evaluation", evaluation, as_json)
    if plot is not None:
        evaluation.plot(plot)


@app.command()
def explain(
    run: Run,
    input_: Input = "-",
    output: Output = "-",
    method: Annotated[
        Literal["attention", "gradients"] | None,
        typer.Option(help="attention: what its pooling looked at; gradients: what each word adds, in any run."),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Explain this label, by gradients. Default: the most probable one given."),
    ] = None,
    html: Annotated[
        str | None,
        typer.Option("--html", metavar="F", help="Write a page of coloured texts, and print its name."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line: the weight of each word.")] = False,
    lines_at_once: LinesAtOnce = None,
) -> None:
    """Say for each line of text which words made the label, in colour on a terminal."""
    kept: list[Explanation] = []
    if html is not None:
        if output != "-" and not as_json:
            raise InputError("--output with --html: the page holds all; leave --output out, or add --json for both")
        refuse_same_file(input_, html)
    colours = output == "-" and sys.stdout.isatty()

    def load() -> Callable[[list[str], int], Iterator[str]]:
        from classifiers import Classifier

        classifier = Classifier.load(run)

        def explained(lines: list[str], first_line: int) -> Iterator[str]:
            for explanation in classifier.explain(lines, method=method, label=label):
                if html is not None:
                    kept.append(explanation)
                if as_json:
                    yield json_line(explanation.to_dict())
                elif html is None:
                    yield from [*_shown_lines(explanation, colours), ""]

        return explained

    answer_lines(input_, output, lines_at_once, load)
    if html is not None:
        _write_page(kept, html, print_name=not as_json)


@app.command()
def export(
    run: Run,
    out: Exports,
    keep: Keep = None,
    as_json: AsJson = False,
) -> None:
    """Write a SavedModel with text in and label out, for TF Serving; prints its folder."""
    import classifiers

    version = classifiers.export(run, out)
    print_version(version, keep, as_json)


add_serving_commands(app, "classifiers")


def _from_run(run: str, abstain: bool) -> tuple[Predict, Callable[[], str]]:
    """What predicts lines, and what stands between several labels of one."""
    from classifiers import Classifier

    classifier = Classifier.load(run)
    return (
        lambda lines: classifier.predict(lines, abstain=abstain),
        lambda: classifier.config.corpus.label_separator,
    )


def _from_server(
    connections: contextlib.ExitStack, url: str, model: str | None, timeout: float
) -> tuple[Predict, Callable[[], str]]:
    from classifiers import RemoteClassifier

    classifier = connections.enter_context(RemoteClassifier.connect(url, model, timeout=timeout))
    return classifier.predict, lambda: classifier.separator


def _as_text_line(prediction: Prediction, separator: str) -> str:
    from classifiers.prediction import ABSTAINED

    answer = "" if prediction.abstained else separator.join(prediction.labels)
    fields = [one_line(answer).replace("\t", " "), f"{prediction.probability:.4f}"]
    notes = {
        "empty: prior": prediction.empty,
        ABSTAINED: prediction.abstained,
        "too long: only the first part was read": prediction.truncated,
    }
    return "\t".join([*fields, *(note for note, holds in notes.items() if holds)])


def _shown_lines(explanation: Explanation, terminal: bool) -> list[str]:
    """The text as a terminal shows it, in colour, or as a file holds it."""
    from rich.console import Console

    shown = io.StringIO()
    console = Console(file=shown, force_terminal=terminal, width=None if terminal else 10_000, highlight=False)
    console.print(explanation, soft_wrap=not terminal)
    return shown.getvalue().split("\n")[:-1]


def _write_page(explanations: list[Explanation], path: str, *, print_name: bool) -> None:
    from classifiers.explanation import html_page
    from textseq.atomic_files import write_atomically

    write_atomically(path, html_page(explanations))
    if print_name:
        with open_output(None) as written:
            written.write(path)
