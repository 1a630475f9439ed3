"""What a quickstart reports, and what an evaluation tells beside its scores, with a toy for the task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from textseq import __version__
from textseq.quickstart import Quickstart, QuickstartReport, beside_reference
from textseq.run_directory import RunDirectory
from textseq.run_evaluation import RunEvaluation


@dataclass(frozen=True, kw_only=True)
class ToyEvaluation(RunEvaluation):
    """Of ten toys."""

    EXAMPLES: ClassVar[str] = "toys"

    @property
    def command(self) -> str:
        return self._command("toy", "--box", "my toys")

    @property
    def _answered(self) -> int:
        return 10

    def summary(self) -> str:
        return "fun 9"

    def to_dict(self) -> dict[str, Any]:
        return {"fun": 9, **self._measured()}

    def rows(self) -> list[tuple[str, str, str, str]]:
        return self._last_rows("toys.txt: 10 toys", "beam 5", ["a note"])


@dataclass(frozen=True, kw_only=True)
class ToyReport(QuickstartReport):
    """Two toys."""

    picture: Path
    MORE_FILES: ClassVar = {"picture": "a rather long name"}

    def _sample_dicts(self) -> list[dict[str, Any]]:
        return [{"toy": "ball"}, {"toy": "kite"}]

    def _commands(self) -> Sequence[str]:
        return "toy play", "toy rest"


EVALUATION = ToyEvaluation(
    run="runs/toy", step=1200, seed=7, baseline="other", lengths=(1,), seconds=4.0, machine="a machine, 2 cores"
)


def test_an_evaluation_tells_its_conditions() -> None:
    assert EVALUATION.to_dict() == {
        "fun": 9,
        "seconds": 4.0,
        "toys_per_second": 2.5,
        "machine": "a machine, 2 cores",
        "version": __version__,
        "command": "toy evaluate --run runs/toy --box 'my toys' --baseline other --by-length",
    }
    plain = replace(EVALUATION, baseline=None, lengths=())
    assert plain.command == "toy evaluate --run runs/toy --box 'my toys'"
    assert EVALUATION.rows() == [
        ("text", "", "", "toys.txt: 10 toys"),
        ("run", "", "", "runs/toy, step 1,200, seed 7, beam 5"),
        ("time", "", "", "4.0 s, 2.5 toys/s, a machine, 2 cores"),
        ("baseline", "", "", "other"),
        ("note", "", "", "a note"),
    ]
    rows = replace(EVALUATION, step=None, baseline=None, seconds=0.0).rows()
    assert [row[3] for row in rows][1:3] == ["runs/toy, seed 7, beam 5", "0.0 s, 0.0 toys/s, a machine, 2 cores"]
    assert "baseline" not in {row[0] for row in rows}


def test_a_report_as_json_and_as_text() -> None:
    report = ToyReport(
        run=Path("qs/run"),
        export=Path("qs/export/1"),
        learning_curve=Path("qs/curve.png"),
        picture=Path("qs/picture.png"),
        evaluation=EVALUATION,
        references=("ball", "doll"),
        minutes=1.26,
    )
    assert report.to_dict() == {
        "run": "qs/run",
        "export": "qs/export/1",
        "learning_curve": "qs/curve.png",
        "picture": "qs/picture.png",
        "minutes": 1.26,
        "evaluation": EVALUATION.to_dict(),
        "samples": [{"toy": "ball", "reference": "ball"}, {"toy": "kite", "reference": "doll"}],
    }
    assert report.next_steps() == (
        "test split: fun 9, in 1.3 minutes\n"
        "learning curve      qs/curve.png\n"
        "a rather long name  qs/picture.png\n"
        "SavedModel          qs/export/1\n"
        "\nNext:\n  toy play\n  toy rest\n"
    )


def test_a_quickstart_has_its_places_its_messages_and_its_clock(tmp_path: Path) -> None:
    told: list[Any] = []
    begun = Quickstart(tmp_path / "qs", "toy", told.append)
    begun.tell("playing")
    assert told == [{"message": "playing"}]
    assert RunDirectory.open(begun.run, "toy").path == tmp_path / "qs" / "run"
    assert not begun.data.exists()
    made = begun.made(Path("qs/export/1"))
    assert 0.0 <= made.pop("minutes") < 1.0
    curve = tmp_path / "qs" / "run" / "learning_curve.png"
    assert made == {"run": begun.run, "export": Path("qs/export/1"), "learning_curve": curve}
    Quickstart(tmp_path / "qs", "toy", None).tell("to nobody")


def test_a_right_answer_is_not_written_twice() -> None:
    assert (beside_reference("ball", "ball"), beside_reference("kite", "doll")) == ("the same", "doll")
