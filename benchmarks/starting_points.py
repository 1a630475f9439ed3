"""SST-2 from three starting points: zero, a Multi30k translator, a language model of unlabelled IMDB reviews.

Usage: python benchmarks/starting_points.py --translator RUN [--runs DIR] [--seeds N] [--starts NAME ...] [--set A.B=C]

All runs stand in DIR, one for each starting point and seed, and the results in DIR/results.jsonl, one line each. The
language model is pretrained there first, once, on the texts of imdb/train.tsv without their labels. Killed, the same
command goes on where it was. The test texts are read after the training, by the best weights of the validation.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

from classifiers.classifier import Classifier
from classifiers.config import Config, CorpusConfig
from classifiers.corpus import read_labelled
from classifiers.pretrain import pretrain
from classifiers.pretraining_config import PretrainingConfig
from classifiers.train import train
from textseq.progress import TrainingProgress

STARTS = ("zero", "translator", "language_model")


def unlabelled(data: Path, runs: Path) -> Path:
    """The texts of IMDB without their labels, one a line."""
    path = runs / "imdb.txt"
    if not path.exists():
        partial = path.with_suffix(".partial")
        with open(partial, "w", encoding="utf-8", newline="\n") as file:
            for one in read_labelled(data / "imdb" / "train.tsv", CorpusConfig()):
                file.write(f"{one.text}\n")
        partial.replace(path)
    return path


def language_model(data: Path, runs: Path, settings: list[str]) -> Path:
    """The pretraining run, trained to its end."""
    run = runs / "imdb-language-model"
    config = PretrainingConfig().with_overrides([f"corpus.text={unlabelled(data, runs)}", *settings])
    with TrainingProgress() as progress:
        report = pretrain(config, run, progress=progress.update)
    print(f"language model: validation perplexity {report.scores['perplexity']:.1f}, {report.minutes:.1f} minutes")
    return run


def measure(data: Path, run: Path, seed: int, start: Path | None, settings: list[str]) -> dict[str, Any]:
    """Trains one classifier, or ends its training, and scores it on the test texts."""
    corpus = [f"corpus.train={data / 'sst2' / 'train.tsv'}", f"corpus.valid={data / 'sst2' / 'dev.tsv'}"]
    begun = [] if start is None else [f"from_run={start}"]
    config = Config().with_overrides([*corpus, f"seed={seed}", *begun, *settings])
    with TrainingProgress() as progress:
        report = train(config, run, progress=progress.update)
    test = list(read_labelled(data / "sst2" / "test.tsv", CorpusConfig()))
    predictions = Classifier.load(run).predict([one.text for one in test])
    right = sum(prediction.label in one.labels for prediction, one in zip(predictions, test, strict=True))
    return {
        "accuracy": 100.0 * right / len(test),
        "validation_accuracy": 100.0 * report.scores["accuracy"],
        "epochs": report.epochs,
        "best_step": report.best_step,
        "steps": report.steps,
        "weights": report.weights,
        "minutes": round(report.minutes, 2),
        "machine": report.machine,
        "date": time.strftime("%Y-%m-%d"),
    }


def table(records: list[dict[str, Any]]) -> str:
    """Mean and standard deviation of each starting point, and the mean difference from zero over common seeds."""
    by_start = {name: {one["seed"]: one["accuracy"] for one in records if one["start"] == name} for name in STARTS}
    lines = ["| start | seeds | test accuracy | against zero |", "|---|---|---|---|"]
    for name, scores in by_start.items():
        if not scores:
            continue
        spread = statistics.stdev(scores.values()) if len(scores) > 1 else 0.0
        gains = [score - by_start["zero"][seed] for seed, score in scores.items() if seed in by_start["zero"]]
        against = f"{statistics.mean(gains):+.2f}" if gains and name != "zero" else ""
        lines.append(f"| {name} | {len(scores)} | {statistics.mean(scores.values()):.2f} ± {spread:.2f} | {against} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--translator", metavar="RUN", help="a run of `nmt train`")
    parser.add_argument("--runs", type=Path, default=Path("runs/starting-points"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--starts", nargs="+", choices=STARTS, default=list(STARTS))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C", help="of the classifiers")
    parser.add_argument("--set-pretraining", action="append", default=[], metavar="A.B=C", help="of the language model")
    arguments = parser.parse_args()
    if "translator" in arguments.starts and arguments.translator is None:
        parser.error("--translator is missing; give the run of a translator, or --starts zero language_model")
    runs: Path = arguments.runs
    runs.mkdir(parents=True, exist_ok=True)
    results = runs / "results.jsonl"
    records = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    done = {(one["start"], one["seed"]) for one in records}
    places: dict[str, Path | None] = {"zero": None}
    if "translator" in arguments.starts:
        places["translator"] = Path(arguments.translator)
    if "language_model" in arguments.starts:
        places["language_model"] = language_model(arguments.data, runs, arguments.set_pretraining)
    # Seeds outside: when the script is stopped, the starting points have been measured about equally often.
    for seed in range(1, arguments.seeds + 1):
        for name in arguments.starts:
            if (name, seed) in done:
                continue
            measured = measure(arguments.data, runs / f"{name}-{seed}", seed, places[name], arguments.set)
            records.append({"start": name, "seed": seed, **measured})
            with open(results, "a", encoding="utf-8") as file:
                file.write(json.dumps(records[-1]) + "\n")
            print(f"{name}, seed {seed}: test accuracy {measured['accuracy']:.2f}, {measured['minutes']} minutes")
    print(table(records))


if __name__ == "__main__":
    main()
