"""The report of a training: as a table, and to JSON and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from textseq.run_directory import RunDirectory
from textseq.training.report import TrainingReport


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "run", "toy")


@pytest.fixture
def report(run: RunDirectory) -> TrainingReport:
    return TrainingReport(
        run=str(run.path),
        examples=29_000,
        example_name="pairs",
        weights=1_234_567,
        epochs=9,
        steps=12_000,
        best_step=11_000,
        metric="macro_f1",
        scores={"loss": 1.234, "bleu": 36.5, "chrf": 60.0, "macro_f1": 0.5, "perplexity": 3.4},
        skipped_steps=0,
        stopped_early=True,
        minutes=12.34,
        peak_memory_gib=1.04,
        seed=1,
        machine="A processor, 2 cores",
    )


def test_table(report: TrainingReport) -> None:
    rows = dict(report.rows())
    assert rows["training pairs"] == "29,000"
    assert rows["epochs"] == "9 (stopped early)"
    assert rows["best weights"] == "step 11,000 of 12,000, by validation macro F1"
    assert rows["validation"] == "loss 1.23, BLEU 36.50, chrF 60.00, macro F1 0.50, perplexity 3.40"
    assert rows["time"] == "12.3 minutes"


def test_examples_stand_under_their_name(report: TrainingReport, run: RunDirectory) -> None:
    assert list(report.to_dict())[:3] == ["run", "pairs", "weights"]
    run.report_path.write_text(json.dumps(report.to_dict()))
    assert TrainingReport.read(run, "pairs") == report
    assert TrainingReport.read(run, "texts") is None


@pytest.mark.parametrize("content", [None, "{", "[]", '{"run": "x"}'])
def test_a_report_that_says_nothing(run: RunDirectory, content: str | None) -> None:
    if content is not None:
        run.report_path.write_text(content)
    assert TrainingReport.read(run, "pairs") is None


def test_a_run_that_was_moved(report: TrainingReport, run: RunDirectory, tmp_path: Path) -> None:
    run.report_path.write_text(json.dumps(report.to_dict()))
    moved = run.path.rename(tmp_path / "moved")
    read = TrainingReport.read(RunDirectory.open(moved, "toy"), "pairs")
    assert read is not None
    assert read.run == str(moved)
