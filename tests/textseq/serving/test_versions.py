"""Servers serve the highest number: publishing, rolling back and removing show them nothing but what is meant."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.textseq.serving.export_stand_in import made_export
from textseq import atomic_files
from textseq.errors import InputError, OutputError
from textseq.serving.versions import (
    exported_task,
    keep_newest,
    next_version,
    retired,
    roll_back,
    served_version,
    version_folders,
    versions,
)


class Killed(BaseException):
    """The process ends here."""


def seen(folder: Path) -> dict[int, str]:
    """What TensorFlow Serving sees: children whose name is a number; and what they hold."""
    return {
        int(name): (folder / name / "variables").read_text()
        for name in os.listdir(folder)
        if name.strip().lstrip("+-").isdigit()
    }


def error(call: Callable[[], Any]) -> str:
    with pytest.raises(OutputError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_versions_are_numbers(tmp_path: Path) -> None:
    folder = made_export(tmp_path / "out", 10, 9, 100)
    for name in ("kit", "retired", ".7-abcdef01-1.partial", "-3", "4a", "٣", "9" * 30):
        (folder / name).mkdir()
    (folder / "200").write_text("no version, but taken")
    assert versions(folder) == [9, 10, 100]
    assert served_version(folder) == folder / "100"
    assert next_version(folder) == 201
    assert next_version(tmp_path / "nowhere") == 1
    assert versions(tmp_path / "nowhere") == retired(folder) == []


def test_folders_of_versions(tmp_path: Path) -> None:
    for name in ("1", "0002", "02", "30", "kit", "٤"):
        (tmp_path / name).mkdir()
    (tmp_path / "5").write_text("no folder")
    assert version_folders(tmp_path) == {1: tmp_path / "1", 2: tmp_path / "02", 30: tmp_path / "30"}
    assert versions(tmp_path) == [1, 2, 30]
    with pytest.raises(FileNotFoundError):  # maybe for a moment only
        version_folders(tmp_path / "gone")


def test_rolling_back_serves_the_version_before(tmp_path: Path) -> None:
    folder = made_export(tmp_path, 1, 2, 5)
    assert roll_back(folder) == folder / "2"
    assert seen(folder) == {1: "1", 2: "2"}
    assert retired(folder) == [5]
    assert (folder / "retired" / "5" / "variables").read_text() == "5"
    assert next_version(folder) == 6
    assert roll_back(folder) == folder / "1"
    assert roll_back(folder, to=5) == folder / "5"
    assert seen(folder) == {1: "1", 5: "5"}
    assert roll_back(folder, to=5) == folder / "5"
    assert retired(folder) == [2]


def test_a_version_that_was_rolled_back_is_served_below_a_newer_one(tmp_path: Path) -> None:
    folder = made_export(tmp_path, 1, 2, 3)
    roll_back(folder)
    made_export(folder, 4)
    assert roll_back(folder, to=3) == served_version(folder) == folder / "3"
    assert versions(folder) == [1, 2, 3]
    assert retired(folder) == [4]


@pytest.mark.parametrize("to", [None, 1, 3])
def test_a_killed_roll_back_serves_the_old_version_or_the_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: int | None
) -> None:
    rename = os.rename
    for allowed in range(4):
        folder = made_export(tmp_path / str(allowed), 1, 2, 4, 5)
        (folder / "retired").mkdir()
        made_export(tmp_path / f"{allowed}-aside", 3)
        rename(tmp_path / f"{allowed}-aside" / "3", folder / "retired" / "3")
        wanted = 4 if to is None else to
        steps = 0

        def stopping(*arguments: Any) -> None:
            nonlocal steps
            if steps == allowed:  # noqa: B023
                raise Killed
            steps += 1
            rename(*arguments)
            assert max(seen(folder)) in (5, wanted)  # noqa: B023

        with monkeypatch.context() as patched:
            patched.setattr(os, "rename", stopping)
            try:
                roll_back(folder, to)
            except Killed:
                assert max(seen(folder)) == 5  # the last rename alone changes what is served
        roll_back(folder, wanted)
        assert max(seen(folder)) == wanted
        assert sorted(versions(folder) + retired(folder)) == [1, 2, 3, 4, 5]


def test_keeping_the_newest(tmp_path: Path) -> None:
    folder = made_export(tmp_path, 1, 2, 3, 10)
    assert keep_newest(folder, 2) == [folder / "1", folder / "2"]
    assert seen(folder) == {3: "3", 10: "10"}
    assert keep_newest(folder, 2) == []
    assert sorted(os.listdir(folder)) == ["10", "3", "export.json"]


def test_what_is_served_after_a_roll_back_stays(tmp_path: Path) -> None:
    folder = made_export(tmp_path, 1, 2, 3, 4)
    roll_back(folder, to=2)
    assert keep_newest(folder, 1) == [folder / "1", folder / "retired" / "3"]
    assert served_version(folder) == folder / "2"
    assert next_version(folder) == 5


def test_a_version_is_never_seen_half_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made_export(tmp_path, 1, 2, 3)

    def killed(place: Path, **_: Any) -> None:
        (Path(place) / "variables").unlink()
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(atomic_files.shutil, "rmtree", killed)
        with pytest.raises(Killed):
            keep_newest(folder, 1)
    assert seen(folder) == {2: "2", 3: "3"}
    [remainder] = [name for name in os.listdir(folder) if name.startswith(".")]
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    os.rename(folder / remainder, folder / f".1-00000000-{dead.pid}.partial")
    atomic_files.remove_remainders(folder)
    assert sorted(os.listdir(folder)) == ["2", "3", "export.json"]


def test_what_cannot_be_rolled_back(tmp_path: Path) -> None:
    folder = made_export(tmp_path / "out", 3)
    only = f"{folder}: nothing to roll back to; version 3 is the only one that is left"
    assert error(lambda: roll_back(folder)) == only
    made_export(folder, 4)
    assert roll_back(folder) == folder / "3"
    assert error(lambda: roll_back(folder)) == f"{only}; 4 can be served again by its number"
    assert error(lambda: roll_back(folder, to=7)) == f"{folder}: no version 7 here; expected 3, 4"
    (folder / "retired" / "4" / "saved_model.pb").unlink()
    assert error(lambda: roll_back(folder, to=4)) == (
        f"{folder / 'retired' / '4'}: holds no saved_model.pb and cannot be served; choose another version"
    )
    assert versions(folder) == [3]


def test_a_folder_that_is_no_export(tmp_path: Path) -> None:
    (tmp_path / "other" / "1").mkdir(parents=True)
    for call in (roll_back, served_version, lambda folder: keep_newest(folder, 1)):
        assert error(lambda call=call: call(tmp_path / "other")) == (
            f"{tmp_path / 'other'}: no export here; expected export.json and folders named 1, 2, ...; "
            f"give the folder that the export was written to, or export a run to it"
        )
    assert (tmp_path / "other" / "1").is_dir()
    empty = made_export(tmp_path / "empty")
    assert error(lambda: roll_back(empty)) == (
        f"{empty}: no version here; expected folders named 1, 2, ...; export a run to it"
    )


@pytest.mark.parametrize("mark", ["", "[]", "7", '{"format": "dragoman-export", "version": 2, "task": "nmt"}', "{}"])
def test_another_mark(tmp_path: Path, mark: str) -> None:
    (tmp_path / "export.json").write_text(mark)
    assert error(lambda: exported_task(tmp_path)) == (
        f"{tmp_path / 'export.json'}: not the mark of an export; expected format dragoman-export 1; "
        f"give the folder that an export was written to"
    )


@pytest.mark.parametrize("kind", ["a pipe", "a device", "deep"])
def test_a_strangers_mark_does_not_hold_anybody_up(tmp_path: Path, kind: str) -> None:
    mark = tmp_path / "export.json"
    if kind == "a pipe":
        os.mkfifo(mark)
    elif kind == "a device":
        mark.symlink_to("/dev/zero")
    else:
        mark.write_text("[" * 200_000)
    assert "not the mark of an export" in error(lambda: exported_task(tmp_path))


def test_the_task(tmp_path: Path) -> None:
    assert exported_task(made_export(tmp_path, task="classifiers")) == "classifiers"


@pytest.mark.parametrize("keep", [0, -1])
def test_keeping_none(tmp_path: Path, keep: int) -> None:
    folder = made_export(tmp_path, 1)
    with pytest.raises(InputError, match=rf"keep is {keep}, expected 1 or more versions to stay; the one that is"):
        keep_newest(folder, keep)
    assert versions(folder) == [1]


def test_another_process_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = made_export(tmp_path, 1, 2)

    def too_late(*_: Any) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "rename", too_late)
    assert error(lambda: roll_back(folder)) == (
        f"{folder}: another process moved its versions at the same time; look what is there, and start again"
    )


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user whom permissions hold back")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    folder = made_export(tmp_path, 1, 2)
    folder.chmod(0o555)
    try:
        assert "no permission to write here" in error(lambda: roll_back(folder))
        assert "no permission to write here" in error(lambda: keep_newest(folder, 1))
    finally:
        folder.chmod(0o755)
    assert versions(folder) == [1, 2]


def test_looking_at_versions_loads_nothing_heavy() -> None:
    code = "import json, sys, textseq.serving.versions\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert {"tensorflow", "numpy", "keras", "google.protobuf"}.isdisjoint(json.loads(done.stdout))


class History(RuleBasedStateMachine):
    """Any order of exports, roll-backs and removals."""

    @initialize()
    def start(self) -> None:
        self.place = tempfile.TemporaryDirectory()
        self.folder = made_export(Path(self.place.name))
        self.given: list[int] = []
        self.served = 0

    @rule()
    def export(self) -> None:
        number = next_version(self.folder)
        assert number not in self.given
        made_export(self.folder, number)
        self.given.append(number)
        self.served = number

    @precondition(lambda self: len(versions(self.folder)) > 1)
    @rule()
    def back(self) -> None:
        before = versions(self.folder)[-2]
        assert roll_back(self.folder) == self.folder / str(before)
        self.served = before

    @precondition(lambda self: versions(self.folder))
    @rule(data=st.data())
    def back_to(self, data: st.DataObject) -> None:
        self.served = data.draw(st.sampled_from(versions(self.folder) + retired(self.folder)))
        roll_back(self.folder, self.served)

    @rule(keep=st.integers(1, 3))
    def remove(self, keep: int) -> None:
        before = versions(self.folder)
        keep_newest(self.folder, keep)
        assert versions(self.folder) == before[-keep:]
        assert len(retired(self.folder)) <= keep

    @invariant()
    def the_served_version_is_whole_and_the_highest(self) -> None:
        if self.served:
            assert max(seen(self.folder)) == self.served
            assert served_version(self.folder) == self.folder / str(self.served)
        assert all(text == str(number) for number, text in seen(self.folder).items())

    def teardown(self) -> None:
        self.place.cleanup()


History.TestCase.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)
TestHistory = History.TestCase
