"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from textseq import atomic_files
from textseq.atomic_files import (
    hidden_directory,
    is_remainder,
    output_error,
    recover_directory,
    remove_directory,
    remove_remainders,
    replace_directory,
    write_atomically,
)
from textseq.errors import OutputError


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(place)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a small disk needs the right to mount one")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def refuse_write_number(monkeypatch: pytest.MonkeyPatch, number: int, code: int = errno.ENOSPC) -> None:
    """Makes one call of os.write fail; those before it write a single byte at a time."""
    write, calls = os.write, [0]

    def failing(descriptor: int, data: bytes) -> int:
        calls[0] += 1
        if calls[0] >= number:
            raise OSError(code, os.strerror(code))
        return write(descriptor, bytes(data[:1]))

    monkeypatch.setattr(os, "write", failing)


def test_text_and_bytes_are_written(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", "ä\n")
    write_atomically(str(tmp_path / "b"), b"\xff\r\n")
    write_atomically(tmp_path / "c", "")
    assert [(tmp_path / name).read_bytes() for name in "abc"] == ["ä\n".encode(), b"\xff\r\n", b""]
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]


def test_a_relative_name_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_atomically("a", "x")
    with replace_directory("folder") as folder:
        (folder / "b").write_text("y")
    assert sorted(os.listdir(tmp_path)) == ["a", "folder"]


def test_a_name_of_the_greatest_length_is_written(tmp_path: Path) -> None:
    for name in ("x" * 255, "ü" * 127):
        write_atomically(tmp_path / name, "x")
        assert (tmp_path / name).read_text() == "x"


def test_the_permissions_of_a_file_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(0o640)
    write_atomically(path, "new")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    old_mask = os.umask(0o027)
    try:
        write_atomically(tmp_path / "b", "new")
    finally:
        os.umask(old_mask)
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o640


def test_a_symbolic_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "far" / "a")
    write_atomically(link, "through a dangling link")
    write_atomically(link, "through a link")
    assert link.is_symlink()
    assert (tmp_path / "far" / "a").read_text() == "through a link"
    assert os.listdir(tmp_path / "far") == ["a"]
    folder_link = tmp_path / "folder_link"
    folder_link.symlink_to(tmp_path / "far")
    with replace_directory(folder_link) as folder:
        (folder / "b").write_text("y")
    assert folder_link.is_symlink()
    assert os.listdir(tmp_path / "far") == ["b"]


def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    with pytest.raises(OutputError, match="cannot be written"):
        write_atomically(tmp_path / "one", "x")


def test_a_device_is_written_and_never_replaced() -> None:
    write_atomically("/dev/null", "x")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    with pytest.raises(OutputError, match=r"^/dev/full: the disk is full; free some space and start again"):
        write_atomically("/dev/full", "x")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_full_disk_leaves_the_old_file_and_no_remainder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    refuse_write_number(monkeypatch, number)
    with pytest.raises(OutputError, match=r"a: the disk is full; free some space and start again, nothing was written"):
        write_atomically(path, "newer")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("function", ["replace", "fsync"])
def test_a_late_refusal_leaves_the_old_file_and_no_remainder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, function, refuse)
    with pytest.raises(OutputError, match="a: cannot be written: Input/output error; choose another place"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_really_full_disk(small_disk: Path) -> None:
    write_atomically(small_disk / "a", b"1" * 20_000)
    with replace_directory(small_disk / "folder") as folder:
        (folder / "b").write_bytes(b"1" * 8_000)
    with pytest.raises(OutputError, match="the disk is full"):
        write_atomically(small_disk / "a", b"2" * 60_000)
    with pytest.raises(OutputError, match="the disk is full"), replace_directory(small_disk / "folder") as folder:
        atomic_files.write_bytes(folder / "b", b"2" * 60_000)
    assert (small_disk / "a").read_bytes() == b"1" * 20_000
    assert (small_disk / "folder" / "b").read_bytes() == b"1" * 8_000
    assert sorted(os.listdir(small_disk)) == ["a", "folder"]


def test_places_that_cannot_be_written_are_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match=r": is a folder; expected the name of a file$"):
        write_atomically(tmp_path, "x")
    with pytest.raises(OutputError, match=r"a: the folder .*/none does not exist; make it first$"):
        write_atomically(tmp_path / "none" / "a", "x")
    with pytest.raises(OutputError, match=r"a: a file stands where a folder is expected; move it or choose another"):
        write_atomically(tmp_path / "file" / "a", "x")
    with pytest.raises(OutputError, match=r"file: a file stands where a folder"), replace_directory(tmp_path / "file"):
        pytest.fail("the block ran")
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_place_without_permission_is_explained(code: int) -> None:
    message = str(output_error("runs/x", OSError(code, os.strerror(code))))
    assert message == "runs/x: no permission to write here; choose another place or change its permissions"


def test_a_folder_is_made_and_replaced(tmp_path: Path) -> None:
    place = tmp_path / "folder"
    for content in ("one", "two"):
        with replace_directory(place) as folder:
            (folder / content).write_text(content)
            (folder / "deep").mkdir()
            (folder / "deep" / "a").write_text(content)
        assert sorted(os.listdir(place)) == ["deep", content]
        assert (place / "deep" / "a").read_text() == content
        assert os.listdir(tmp_path) == ["folder"]


def test_a_folder_is_replaced_where_names_cannot_be_exchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atomic_files, "_exchange", lambda one, other: False)
    test_a_folder_is_made_and_replaced(tmp_path)


def test_a_folder_comes_back_after_a_kill_between_two_renames(tmp_path: Path) -> None:
    place = tmp_path / "folder"
    (tmp_path / ".folder.old").mkdir()
    (tmp_path / ".folder.old" / "a").write_text("old")
    recover_directory(place)
    assert (place / "a").read_text() == "old"
    recover_directory(place)
    assert os.listdir(tmp_path) == ["folder"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, FileNotFoundError])
def test_an_exception_in_the_block_leaves_the_old_folder(tmp_path: Path, error: type[BaseException]) -> None:
    place = tmp_path / "folder"
    place.mkdir()
    (place / "a").write_text("old")
    with pytest.raises(error), replace_directory(place) as folder:
        (folder / "a").write_text("new")
        raise error
    assert (place / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["folder"]


def test_a_hidden_folder_goes_with_the_block_and_is_a_remainder(tmp_path: Path) -> None:
    for error in (None, KeyboardInterrupt, OSError):
        with pytest.raises(error) if error else contextlib.nullcontext(), hidden_directory(tmp_path) as folder:
            assert folder.parent == tmp_path and is_remainder(folder.name)
            (folder / "file").write_text("x")
            remove_remainders(tmp_path)  # of dead processes only
            assert (folder / "file").exists()
            if error:
                raise error
        assert list(tmp_path.iterdir()) == []
    with pytest.raises(OutputError, match="does not exist"), hidden_directory(tmp_path / "none"):
        pass


def test_a_removed_folder_is_gone(tmp_path: Path) -> None:
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    remove_directory(tmp_path / "folder")
    assert os.listdir(tmp_path) == []


def test_a_removed_folder_is_never_seen_half_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as if killed before the first file is gone
    remove_directory(tmp_path / "folder")
    assert [is_remainder(name) for name in os.listdir(tmp_path)] == [True]


def test_remainders_of_dead_processes_are_removed_and_others_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    (tmp_path / f".a-12345678-{dead.pid}.partial").write_text("half")
    (tmp_path / f".b-12345678-{dead.pid}.partial").mkdir()
    (tmp_path / f".b-12345678-{dead.pid}.partial" / "c").write_text("half")
    staying = [f".d-12345678-{os.getpid()}.partial", "e.partial", ".f", "g"]
    for name in staying:
        (tmp_path / name).write_text("whole")
    remove_remainders(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted(staying)
    assert [is_remainder(name) for name in staying] == [True, False, False, False]
    remove_remainders(tmp_path / "none")
