"""A run's directory: created, opened, locked, and refused where it cannot be used."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textseq import run_directory
from textseq.errors import CheckpointError, OutputError, RunDirectoryError
from textseq.run_directory import RunDirectory, replace_directory, write_atomically

WEIGHTS = {"weights": {"a": np.arange(4, dtype="float32")}}

LOCKED = """
import sys
from textseq.run_directory import RunDirectory

with RunDirectory.create(sys.argv[1], task="nmt").lock():
    print("locked")
"""


def write_steps(run: RunDirectory, *steps: int) -> None:
    for step in steps:
        run.write_checkpoint(step, {"weights": {"a": np.full(3, step)}}, {"step": step})


def hidden_names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(".*"))


def test_a_run_is_made_and_reopened(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "deep" / "en-de"
    run = RunDirectory.create(path, task="nmt")
    assert json.loads((path / "run.json").read_text()) == {"format": "dragoman-run", "version": 1, "task": "nmt"}
    assert sorted(os.listdir(path)) == ["checkpoints", "data", "run.json", "tokenizer"]
    assert run.path == path
    assert run.config_path == path / "config.toml"
    assert run.tokenizer_path == path / "tokenizer"
    assert run.data_path == path / "data"
    assert run.metrics_path == path / "metrics.jsonl"
    assert run.tensorboard_path == path / "tensorboard"
    assert run.report_path == path / "report.json"
    assert run.learning_curve_path == path / "learning_curve.png"
    write_steps(run, 7)
    for again in (RunDirectory.create(str(path), task="nmt"), RunDirectory.open(str(path), task="nmt")):
        checkpoint = again.read_checkpoint()
        assert checkpoint is not None
        assert checkpoint.step == 7
        assert again.read_checkpoint(checkpoint.path) is not None
        assert again.read_best() is None


def test_a_run_stands_behind_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "run"
    link.symlink_to(tmp_path / "disk")
    run = RunDirectory.create(link, task="nmt")
    write_steps(run, 1, 2, 3)
    run.write_best(3, WEIGHTS, {})
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path / "disk" / "checkpoints")) == ["step-00000002", "step-00000003"]
    assert RunDirectory.open(tmp_path / "disk", task="nmt").read_best() is not None


def test_what_a_killed_create_leaves_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / ".run.json-12345678-999999999.partial").write_text("{")
    (tmp_path / ".lock").write_text("1\n")
    run = RunDirectory.create(tmp_path, task="nmt")
    with run.lock():
        assert hidden_names(tmp_path) == [".lock"]


def test_a_folder_that_holds_something_else_is_refused_and_untouched(tmp_path: Path) -> None:
    for name in ("thesis.tex", "a", "b", "c"):
        (tmp_path / name).write_text("precious")
    with pytest.raises(RunDirectoryError) as caught:
        RunDirectory.create(tmp_path, task="nmt")
    assert str(caught.value) == (
        f"{tmp_path}: holds something else (a, b, c, ...) and no run.json; choose a new or an empty folder"
    )
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c", "thesis.tex"]


def test_a_file_in_place_of_the_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.write_text("precious")
    with pytest.raises(RunDirectoryError, match=r"run: is a file; expected a folder for the run$"):
        RunDirectory.create(path, task="nmt")
    with pytest.raises(RunDirectoryError, match=r"run: is a file; expected the folder of a run$"):
        RunDirectory.open(path, task="nmt")
    with pytest.raises(OutputError, match=r"inner: a file stands where a folder is expected"):
        RunDirectory.create(path / "inner", task="nmt")
    assert path.read_text() == "precious"


def test_a_file_in_place_of_a_folder_of_the_run_is_refused(tmp_path: Path) -> None:
    (RunDirectory.create(tmp_path, task="nmt").data_path).rmdir()
    (tmp_path / "data").write_text("precious")
    with pytest.raises(OutputError, match=r"data: a file stands where a folder is expected; move it"):
        RunDirectory.create(tmp_path, task="nmt")
    run = RunDirectory.open(tmp_path, task="nmt")
    run.best_path.write_text("precious")
    with pytest.raises(OutputError, match=r"best: a file stands where a folder is expected"):
        run.write_best(1, WEIGHTS, {})
    with pytest.raises(CheckpointError, match=r"best/manifest.json: cannot be read: Not a directory"):
        run.read_best()
    run.checkpoints_path.rmdir()
    run.checkpoints_path.write_text("precious")
    with pytest.raises(RunDirectoryError, match=r"checkpoints: cannot be read: Not a directory; expected checkpoints"):
        run.read_checkpoint()


def test_a_place_without_a_run_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(RunDirectoryError) as caught:
            RunDirectory.open(path, task="nmt")
        assert str(caught.value) == f"{path}: no run here; expected run.json; train one with `nmt train`"
    assert os.listdir(tmp_path) == []


def test_a_run_of_another_task_is_refused(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path, task="classifiers")
    for opening in (RunDirectory.create, RunDirectory.open):
        with pytest.raises(RunDirectoryError, match=r": a run of the task classifiers, expected nmt; choose another"):
            opening(tmp_path, task="nmt")


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        (
            b'{"format": "dragoman-run", "version": 2, "task": "nmt"}',
            "run.json: version 2; this release reads version 1",
        ),
        (
            b'{"format": "other"}',
            "run.json: not the mark of a run; expected format dragoman-run; choose another folder",
        ),
        (b"[1]", "run.json: not the mark of a run"),
        (b"", "run.json: not the mark of a run"),
        (b"\xff", "run.json: not the mark of a run"),
    ],
)
def test_a_foreign_mark_is_refused(tmp_path: Path, marker: bytes, message: str) -> None:
    (tmp_path / "run.json").write_bytes(marker)
    for opening in (RunDirectory.create, RunDirectory.open):
        with pytest.raises(RunDirectoryError, match=message):
            opening(tmp_path, task="nmt")
    assert os.listdir(tmp_path) == ["run.json"]


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDirectory.create(tmp_path / "run", task="nmt")

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "mkdir", refuse)
    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OutputError, match=r"other: no permission to write here; choose another place"):
        RunDirectory.create(tmp_path / "other", task="nmt")
    with pytest.raises(OutputError, match=r"(metrics.jsonl|step-00000002): no permission to write here"):
        write_steps(run, 2)
    with pytest.raises(OutputError, match=r"metrics.jsonl: no permission to write here"):
        run.append_metrics({"step": 1})
    with pytest.raises(OutputError, match=r"\.lock: no permission to write here"), run.lock():
        pytest.fail("the block ran")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another user to be")
def test_another_user_can_read_a_run_but_not_write_it(request: pytest.FixtureRequest) -> None:
    place = Path(tempfile.mkdtemp())  # tmp_path lies in folders that are closed to others
    request.addfinalizer(lambda: shutil.rmtree(place))
    place.chmod(0o755)
    run = RunDirectory.create(place / "run", task="nmt")
    write_steps(run, 1)
    run.write_best(1, WEIGHTS, {})
    code = (
        "import os, sys; from textseq.errors import OutputError; from textseq.run_directory import RunDirectory\n"
        "import numpy, safetensors.numpy; os.setuid(65534)\n"
        "run = RunDirectory.open(sys.argv[1], task='nmt'); print(run.read_best().step, run.read_checkpoint().step)\n"
        "try:\n    run.write_best(2, {}, {})\nexcept OutputError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(run.path)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("1 1\n")
    assert "best: no permission to write here; choose another place or change its permissions" in done.stdout


def test_a_full_disk_leaves_all_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDirectory.create(tmp_path, task="nmt")
    write_steps(run, 1, 2)
    run.write_best(1, WEIGHTS, {"score": 1})
    run.append_metrics({"step": 1})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    write = os.write
    for allowed in range(4):
        left = [allowed]

        def failing(descriptor: int, data: bytes, left: list[int] = left) -> int:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(descriptor, bytes(data[:5]))

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", failing)
            with pytest.raises(OutputError, match=r"step-00000003: the disk is full; free some space"):
                write_steps(run, 3)
            with pytest.raises(OutputError, match=r"best: the disk is full; free some space"):
                run.write_best(3, WEIGHTS, {})
            left[0] = allowed
            if allowed < 3:
                with pytest.raises(OutputError, match=r"metrics.jsonl: the disk is full; free some space"):
                    run.append_metrics({"step": 2, "text": "long enough"})
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
        assert hidden_names(tmp_path) == []


def test_the_newest_that_is_harmed_is_named_and_the_one_before_offered(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, task="nmt")
    write_steps(run, 800, 1200)
    (run.checkpoints_path / "step-00001200" / "weights.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError) as caught:
        run.read_checkpoint()
    assert "step-00001200/weights.safetensors: truncated or altered; it has 0 bytes, expected" in str(caught.value)
    assert str(caught.value).endswith(
        f"step-00000800 (step 800), is whole: delete {run.checkpoints_path / 'step-00001200'} to go on from there"
    )
    assert caught.value.exit_code == 2


def test_the_best_weights_are_replaced_and_verified(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, task="nmt")
    for step in (1, 2):
        run.write_best(step, WEIGHTS, {"score": step})
        best = run.read_best()
        assert best is not None
        assert (best.step, best.state) == (step, {"score": step})
    (run.best_path / "state.json").write_text('{"score": 3}')
    with pytest.raises(
        CheckpointError, match=r"best/state.json: altered; .*; copy .*best anew, or delete it and run `train` again"
    ):
        run.read_best()


def test_best_weights_come_back_after_a_kill_between_two_renames(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, task="nmt")
    run.write_best(1, WEIGHTS, {})
    run.best_path.rename(tmp_path / ".best.old")
    best = run.read_best()
    assert best is not None
    assert best.step == 1


def test_metrics_are_appended_and_truncated(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, task="nmt")
    run.truncate_metrics(3)
    assert not run.metrics_path.exists()
    run.append_metrics({"seed": 1})
    for step in (1, 2, 3):
        run.append_metrics({"step": step, "loss": np.float32(0.5), "norm": math.inf if step == 1 else 1.0})
    content = run.metrics_path.read_text()
    run.truncate_metrics(3)
    assert run.metrics_path.read_text() == content
    run.truncate_metrics(1)
    assert run.metrics_path.read_text() == '{"seed": 1}\n{"step": 1, "loss": 0.5, "norm": null}\n'
    run.metrics_path.write_text('{"step": 1}\n{"step": 2, "lo')
    run.truncate_metrics(5)
    assert run.metrics_path.read_text() == '{"step": 1}\n'


@pytest.mark.parametrize("line", ["x", "[1]", '{"step": "many"}', '{"step": NaN}', ""])
def test_an_altered_line_of_the_metrics_is_named(tmp_path: Path, line: str) -> None:
    run = RunDirectory.create(tmp_path, task="nmt")
    run.metrics_path.write_text(f'{{"step": 1}}\n{line}\n{{"step": 3}}\n')
    with pytest.raises(RunDirectoryError, match=r"metrics.jsonl:2: altered; expected a JSON object with its step; del"):
        run.truncate_metrics(1)


def test_a_second_process_is_locked_out(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, task="nmt")
    with run.lock():
        done = subprocess.run(
            [sys.executable, "-c", LOCKED, str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert f"in use by process {os.getpid()}; wait until it ends, or choose another folder" in done.stderr
        with pytest.raises(RunDirectoryError, match="in use by process"), run.lock():
            pytest.fail("the block ran")
    with run.lock():
        pass


def test_a_lock_that_is_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", task="nmt")
    (tmp_path / "precious").write_text("x")
    (run.path / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError, match="cannot be written"), run.lock():
        pytest.fail("the block ran")
    assert (tmp_path / "precious").read_text() == "x"


def test_the_import_is_light() -> None:
    code = "import sys, textseq.run_directory; print({'numpy', 'tensorflow', 'keras', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_writing_functions_are_offered_here() -> None:
    assert run_directory.write_atomically is write_atomically
    assert run_directory.replace_directory is replace_directory


def test_a_run_of_any_of_several_tasks(tmp_path: Path) -> None:
    tasks = {"nmt": "nmt train", "pretraining": "classifiers pretrain"}
    for task in tasks:
        RunDirectory.create(tmp_path / task, task=task)
        assert RunDirectory.open_any(tmp_path / task, tasks).task == task
    RunDirectory.create(tmp_path / "other", task="classifiers")
    words = r"other: a run of the task classifiers, expected nmt or pretraining; choose another folder"
    with pytest.raises(RunDirectoryError, match=words):
        RunDirectory.open_any(tmp_path / "other", tasks)
    words = r"none: no run here; expected run.json; train one with `nmt train` or `classifiers pretrain`"
    with pytest.raises(RunDirectoryError, match=words):
        RunDirectory.open_any(tmp_path / "none", tasks)
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunDirectoryError, match=r"file: is a file; expected the folder of a run"):
        RunDirectory.open_any(tmp_path / "file", tasks)


def test_a_run_that_was_never_used_is_removed(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "runs" / "new", task="nmt")
    (run.tokenizer_path / "joint.model").write_bytes(b"half done")
    with run.lock():
        run.remove_if_unused()
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_folder_that_was_there_before_stays(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path, task="nmt")
    with run.lock():
        (tmp_path / "mine").touch()
        run.remove_if_unused()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", ["config.toml", "data/prepared.json", "metrics.jsonl", "best", "checkpoints/step-1"])
def test_a_run_with_something_in_it_is_kept(tmp_path: Path, name: str) -> None:
    run = RunDirectory.create(tmp_path / "run", task="nmt")
    (run.path / name).touch()
    with run.lock():
        before = sorted(run.path.rglob("*"))
        run.remove_if_unused()
    assert sorted(run.path.rglob("*")) == before
