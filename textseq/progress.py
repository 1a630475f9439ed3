"""The line that shows how training goes."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from textseq.metric_names import display_name

if TYPE_CHECKING:
    from rich.live import Live

_SPEED = "_per_second"


class TrainingProgress:
    """Shows how training goes, on standard error: one living line on a terminal, else a line now and then.

    Use it as a context manager and hand its `update` to the training function. A record may hold any of these keys;
    `epoch`, `epochs`, `step`, `steps`, `loss`, `perplexity`, any `..._per_second`, `gradient_norm`,
    `skipped_steps`, `seconds_left`, any `validation_...`, and `message`, which is printed on a line of its own. What
    a record does not hold stays as it was.

    Args:
        interval: seconds between two lines where there is no terminal.
        file: standard error if None.
        clock: seconds, for tests.
    """

    def __init__(
        self, interval: float = 30.0, file: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._interval = interval
        self._file = sys.stderr if file is None else file
        self._clock = clock
        self._live: Live | None = None
        self._known: dict[str, Any] = {}
        self._printed_at = -math.inf
        self._pending = ""

    def __enter__(self) -> TrainingProgress:
        if self._file.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(file=self._file), refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        elif self._pending:
            self._print(self._pending)

    def update(self, record: Mapping[str, Any]) -> None:
        """Takes what is new."""
        if "message" in record:
            self._print(str(record["message"]))
        news = {key: value for key, value in record.items() if key != "message"}
        if not news:
            return
        self._known.update(news)
        line = progress_line(self._known)
        validated = any(key.startswith("validation_") for key in news)
        if self._live is not None:
            from rich.text import Text

            self._live.update(Text(line, no_wrap=True, overflow="ellipsis"))
        elif validated or self._clock() - self._printed_at >= self._interval:
            self._print(line)
            self._printed_at = self._clock()
            self._pending = ""
        else:
            self._pending = line

    def _print(self, line: str) -> None:
        if self._live is not None:
            self._live.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=self._file, flush=True)


def progress_line(record: Mapping[str, Any]) -> str:
    """One line of training progress from whatever of its keys are there (see `TrainingProgress`)."""
    parts = [
        f"{name} {_count(record[name])}" + (f"/{_count(record[name + 's'])}" if record.get(name + "s") else "")
        for name in ("epoch", "step")
        if record.get(name) is not None
    ]
    for key, form in (
        ("loss", "loss {:.3f}"),
        ("perplexity", "perplexity {:.2f}"),
        *((key, f"{{:,.0f}} {display_name(key.removesuffix(_SPEED))}/s") for key in record if key.endswith(_SPEED)),
        ("gradient_norm", "gradient norm {:.2f}"),
    ):
        if record.get(key) is not None:
            parts.append(form.format(record[key]))
    for key, value in record.items():
        if key.startswith("validation_") and isinstance(value, (int, float)):
            parts.append(f"validation {display_name(key.removeprefix('validation_'))} {value:.2f}")
    if record.get("skipped_steps"):
        parts.append(f"{record['skipped_steps']:,} steps skipped")
    if record.get("seconds_left") is not None:
        parts.append(f"{_duration(record['seconds_left'])} left")
    return "  ".join(parts)


def _count(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def _duration(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
