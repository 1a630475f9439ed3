"""The command line `nmt`: it parses, calls one public function and prints. The work is done in the library."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

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
    run_quickstart,
    run_training,
)
from textseq.console import json_line, one_line, open_output, print_error, run_command
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
    from nmt import Translation

app = make_app(
    "nmt",
    help="Train a translator on two text files, translate with it, score it, and export it to be served.",
    commands=("quickstart", "train", "translate", "evaluate", "score", "export", "serve", "rollback"),
)

Translations = Callable[[list[str], int], "list[Translation]"]
"""Translates lines, of which the number of the first is given."""

Beam = Annotated[int | None, typer.Option(min=1, metavar="N", help="Beam size; 1 is greedy. Default: the run's own.")]


def main() -> None:
    """The entry point of the console script."""
    sys.exit(run_command(app, "nmt", resumable=("train", "quickstart")))


@app.command()
def quickstart(
    out: OutputFolder = "quickstart/nmt",
    as_json: AsJson = False,
) -> None:
    """Train, score, translate, plot and export, on a small English-German corpus that ships with the package."""
    import nmt

    run_quickstart(nmt.quickstart, out, as_json)


@app.command()
def train(
    run: NewRun,
    source: Annotated[
        str | None,
        typer.Option(metavar="F", help="Sentences to translate from, one a line; without --target: pairs with a TAB."),
    ] = None,
    target: Annotated[str | None, typer.Option(metavar="F", help="Their translations, line by line.")] = None,
    valid_source: Annotated[
        str | None, typer.Option(metavar="F", help="Held-out sentences; without it, part of the corpus is held out.")
    ] = None,
    valid_target: Annotated[str | None, typer.Option(metavar="F", help="Their translations.")] = None,
    config: ConfigFile = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Train a translator. On an existing run, go on where it stopped.

    Files may be plain, .gz or .xz; "-" is standard input.
    """
    corpus = {"source": source, "target": target, "valid_source": valid_source, "valid_target": valid_target}
    import nmt

    resolved = configuration(
        nmt.Config,
        *(run, config, corpus, settings or []),
        needed=("corpus.source",),
        advice="give --source, or --config",
    )
    run_training("Training", nmt.train, resolved, run, as_json)


@app.command()
def translate(
    run: RunOrServer = None,
    server: Server = None,
    model: ServedModel = None,
    input_: Input = "-",
    output: Output = "-",
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
        float, typer.Option(min=0.0, metavar="T", help="With --sample: below 1 sharpens, above 1 flattens.")
    ] = 1.0,
    top_k: Annotated[int, typer.Option(min=0, metavar="N", help="With --sample: from the N likeliest; 0: all.")] = 0,
    top_p: Annotated[
        float, typer.Option(min=0.0, max=1.0, metavar="P", help="With --sample: from the likeliest that sum to this.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="With --sample: another seed, another draw.")] = 0,
    timeout: Timeout = TIMEOUT,
    lines_at_once: LinesAtOnce = None,
) -> None:
    """Translate text, line by line: each input line gives one output line, whatever it holds.

    A run translates here; a server, TF Serving or `nmt serve`, needs no TensorFlow here.
    """
    require_run_or_server(run, server, model)
    if server is not None and (beam is not None or sample):
        raise InputError(
            f"{'--sample' if sample else '--beam'} with --server: an export searches as its run does, and does not "
            f"sample; leave it out, or translate with --run"
        )
    if align and n_best > 1 and not as_json:
        raise InputError("--align with --n-best 2 or more does not fit one line of text; add --json")
    if sample and (beam is not None or n_best > 1 or align):
        raise InputError("--sample draws one translation a line; leave out --beam, --n-best and --align")
    if not sample and (temperature, top_k, top_p, seed) != (1.0, 0, 1.0, 0):
        raise InputError("--temperature, --top-k, --top-p and --seed are for sampling; add --sample")
    shown = _as_json_line if as_json else _as_text_line(align, n_best)

    sampling = {"temperature": temperature, "top_k": top_k or None, "top_p": top_p, "seed": seed} if sample else None
    with contextlib.ExitStack() as connections:

        def load() -> Callable[[list[str], int], Iterator[str]]:
            if run is not None:
                translated = _from_run(run, beam, n_best, align, as_json, sampling)
            else:
                translated = _from_server(connections, str(server), model, timeout, n_best, align, as_json)
            return lambda lines, first_line: map(shown, translated(lines, first_line))

        answer_lines(input_, output, lines_at_once, load)


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
    print_report("Evaluation", evaluation, as_json)


@app.command()
def score(
    run: Run,
    source: Annotated[str, typer.Option(metavar="F", help="Sentences.")],
    target: Annotated[str, typer.Option(metavar="F", help="Their translations, line by line.")],
    output: Output = "-",
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
    out: Exports,
    classifier: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="An exported classifier: translations are classified too, in one model."),
    ] = None,
    keep: Keep = None,
    as_json: AsJson = False,
) -> None:
    """Write a SavedModel with text in and text out, for TF Serving; prints its folder."""
    import nmt

    version = nmt.export(run, out) if classifier is None else nmt.combined_export(run, classifier, out)
    print_version(version, keep, as_json)


add_serving_commands(app, "nmt")


def _from_run(
    run: str, beam: int | None, n_best: int, align: bool, as_json: bool, sampling: dict[str, Any] | None
) -> Translations:
    from nmt import Translator

    translator = Translator.load(run)
    if sampling is not None:
        return lambda lines, first_line: translator.sample(lines, **sampling, first_line=first_line)
    attention = align or (as_json and translator.aligns)
    return lambda lines, first_line: translator.translate(lines, beam=beam, n_best=n_best, attention=attention)


def _from_server(
    connections: contextlib.ExitStack,
    url: str,
    model: str | None,
    timeout: float,
    n_best: int,
    align: bool,
    as_json: bool,
) -> Translations:
    from nmt import RemoteTranslator

    translator = connections.enter_context(RemoteTranslator.connect(url, model, timeout=timeout))
    attention = align or (as_json and translator.aligns)
    told = False

    def translated(lines: list[str], first_line: int) -> list[Translation]:
        nonlocal told
        translations = translator.translate(lines, n_best=n_best, attention=attention)
        most = max((len(each.n_best) for each in translations), default=0)
        if 1 < n_best != most and not told:
            print_error(
                f"the export gives at most {most} translations of a line, which its beam holds", prefix="note: "
            )
            told = True
        return translations

    return translated


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
