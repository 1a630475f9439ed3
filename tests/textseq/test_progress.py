from __future__ import annotations

import io
import math

import pytest

from textseq.progress import TrainingProgress, progress_line

RECORD = {
    "epoch": 3,
    "epochs": 24,
    "step": 1200,
    "steps": 10900,
    "loss": 3.2114,
    "perplexity": 18.4,
    "target_tokens_per_second": 5712.3,
    "gradient_norm": 0.834,
    "validation_bleu": 31.24,
    "seconds_left": 751.0,
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_the_line_shows_all_that_is_known() -> None:
    assert progress_line(RECORD) == (
        "epoch 3/24  step 1,200/10,900  loss 3.211  perplexity 18.40  5,712 target tokens/s  gradient norm 0.83  "
        "validation BLEU 31.24  12:31 left"
    )


@pytest.mark.parametrize(
    ("record", "line"),
    [
        ({}, ""),
        ({"loss": None, "step": 5}, "step 5"),
        ({"epoch": 1.5, "loss": math.nan}, "epoch 1.5  loss nan"),
        ({"skipped_steps": 0, "step": 1}, "step 1"),
        ({"skipped_steps": 2, "step": 1}, "step 1  2 steps skipped"),
        ({"seconds_left": 3725}, "1:02:05 left"),
        ({"seconds_left": math.inf}, "? left"),
        ({"tokens_per_second": 1200.4, "validation_macro_f1": 0.5}, "1,200 tokens/s  validation macro F1 0.50"),
        ({"validation_loss": 2.0, "validation_signature": "nrefs:1"}, "validation loss 2.00"),
    ],
)
def test_what_is_not_known_is_left_out(record: dict[str, float], line: str) -> None:
    assert progress_line(record) == line


def test_without_a_terminal_a_line_comes_at_intervals_and_with_each_validation() -> None:
    clock, file = Clock(), io.StringIO()
    with TrainingProgress(interval=10, file=file, clock=clock) as progress:
        for step in range(1, 26):
            clock.seconds = step
            progress.update({"step": step})
        progress.update({"step": 26, "validation_bleu": 12.5})
        progress.update({"step": 27})
    assert file.getvalue().splitlines() == [
        "step 1",
        "step 11",
        "step 21",
        "step 26  validation BLEU 12.50",
        "step 27  validation BLEU 12.50",
    ]


def test_what_a_record_does_not_hold_stays() -> None:
    file = io.StringIO()
    with TrainingProgress(file=file) as progress:
        progress.update({"step": 10, "loss": 2.5})
        progress.update({"step": 12, "validation_bleu": 30.0, "best": True})
    assert file.getvalue().splitlines()[-1] == "step 12  loss 2.500  validation BLEU 30.00"


def test_a_message_has_its_own_line() -> None:
    file = io.StringIO()
    with TrainingProgress(file=file) as progress:
        progress.update({"message": "resumed at step 400"})
    assert file.getvalue() == "resumed at step 400\n"


def test_on_a_terminal_one_line_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    file = Terminal()
    with TrainingProgress(file=file) as progress:
        progress.update({"step": 1})
        progress.update({"message": "a [message]"})
        progress.update(RECORD)
    shown = file.getvalue()
    assert "a [message]" in shown
    assert "epoch 3/24" in shown
    assert "…" in shown  # cut, not wrapped, where the terminal is narrow
    assert "left" not in shown
