"""Files and folders that appear whole or not at all.

What is written stands under a hidden name beside its goal, `.NAME-xxxxxxxx-PID.partial`, is brought to the disk
(fsync) and then renamed. A process that is killed at any instant, and a machine that loses power, leave the old
thing or the new one, and at worst a hidden remainder, which `remove_remainders` sweeps up.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from textseq.errors import OutputError

_PARTIAL = re.compile(r"\..*-(\d+)\.partial")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_RENAME_EXCHANGE = 2


def output_error(path: str | os.PathLike[str], error: OSError) -> OutputError:
    """Says in one line why a place cannot be written, and how to mend it."""
    place = os.fspath(path)
    if error.errno in _FULL:
        return OutputError(f"{place}: the disk is full; free some space and start again, nothing was written over")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{place}: no permission to write here; choose another place or change its permissions")
    if error.errno == errno.EISDIR:
        return OutputError(f"{place}: is a folder; expected the name of a file")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return OutputError(f"{place}: a file stands where a folder is expected; move it or choose another place")
    if error.errno == errno.ENOENT:
        return OutputError(f"{place}: the folder {os.path.dirname(place) or '.'} does not exist; make it first")
    return OutputError(f"{place}: cannot be written: {error.strerror or error}; choose another place")


@contextlib.contextmanager
def writing(path: str | os.PathLike[str], faults: frozenset[int] | None = None) -> Iterator[None]:
    """Turns the system's refusals inside the block into an OutputError that names the path.

    Args:
        path: the file or folder that is written.
        faults: the error numbers to turn; all of them where None.

    Raises:
        OutputError: the place cannot be written or the disk is full.
    """
    try:
        yield
    except OSError as error:
        if faults is not None and error.errno not in faults:
            raise
        raise output_error(path, error) from error


def write_atomically(path: str | os.PathLike[str], data: bytes | str) -> None:
    """Writes a whole file, so that a reader sees the old content or the new and never a part.

    A symbolic link is followed and stays. A device such as /dev/stdout is written to directly. The permissions of
    a file that is replaced are kept.

    Args:
        path: the file; its folder must exist.
        data: bytes, or text that is written as UTF-8.

    Raises:
        OutputError: the place cannot be written or the disk is full; the old file stands untouched.
    """
    content = data.encode("utf-8") if isinstance(data, str) else data
    goal = os.path.realpath(path)
    partial = _partial_name(goal)
    try:
        with writing(path):
            mode = _mode_of(goal)
            if mode is not None and stat.S_ISDIR(mode):
                raise OSError(errno.EISDIR, "is a folder")
            if mode is not None and not stat.S_ISREG(mode):
                write_bytes(goal, content, os.O_WRONLY)
                return
            write_bytes(partial, content, mode=mode)
            sync(partial)
            os.replace(partial, goal)
            sync(os.path.dirname(goal))
    finally:
        with contextlib.suppress(OSError):
            os.unlink(partial)


@contextlib.contextmanager
def replace_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Makes a folder aside and puts it in place when the block ends; after an exception the old one stands untouched.

    Args:
        path: the folder to make or to replace; the folder above it must exist.

    Yields:
        The folder to fill, on the same disk.

    Raises:
        OutputError: the place cannot be written or the disk is full.

    Example:
        >>> import tempfile
        >>> place = Path(tempfile.mkdtemp(), "export")
        >>> with replace_directory(place) as folder:
        ...     _ = (folder / "a.txt").write_text("whole")
        >>> [file.name for file in place.iterdir()]
        ['a.txt']
    """
    goal = os.path.realpath(path)
    partial = Path(_partial_name(goal))
    try:
        with writing(path):
            recover_directory(goal)
            mode = _mode_of(goal)
            if mode is not None and not stat.S_ISDIR(mode):
                raise OSError(errno.ENOTDIR, "is a file")
            partial.mkdir()
        with writing(path, faults=_FULL):
            yield partial
        with writing(path):
            _sync_tree(partial)
            _put_in_place(str(partial), goal)
            sync(os.path.dirname(goal))
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def hidden_directory(folder: Path) -> Iterator[Path]:
    """Makes a folder inside another that does not stay; what a killed process leaves of it is a remainder.

    Args:
        folder: must exist.

    Yields:
        The folder, empty, under a hidden name.

    Raises:
        OutputError: the place cannot be written or the disk is full.
    """
    place = Path(_partial_name(str(folder / "hidden")))
    with writing(folder):
        place.mkdir()
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def recover_directory(path: str | os.PathLike[str]) -> None:
    """Puts the old folder back where a process was killed between the two renames of a replacement."""
    goal = os.path.realpath(path)
    if not os.path.lexists(goal):
        with contextlib.suppress(FileNotFoundError):
            os.rename(_old_name(goal), goal)


def remove_directory(path: Path) -> None:
    """Removes a folder so that it is never seen half empty."""
    partial = _partial_name(str(path))
    os.rename(path, partial)
    shutil.rmtree(partial, ignore_errors=True)


def remove_remainders(folder: Path) -> None:
    """Removes what killed processes left half written in a folder; what a living process writes stays."""
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        found = _PARTIAL.fullmatch(name)
        if found is None or _is_alive(int(found[1])):
            continue
        remainder = folder / name
        if remainder.is_dir() and not remainder.is_symlink():
            shutil.rmtree(remainder, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                remainder.unlink()


def is_remainder(name: str) -> bool:
    """Tells whether a name is one that only a half written file or folder carries."""
    return _PARTIAL.fullmatch(name) is not None


def sync(path: str | os.PathLike[str]) -> None:
    """Brings a file's content, or the names in a folder, to the disk."""
    if os.name == "nt" and os.path.isdir(path):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network and user-space file systems cannot sync a folder; that is no reason to fail.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


def write_bytes(
    path: str | os.PathLike[str],
    content: bytes,
    flags: int = os.O_WRONLY | os.O_CREAT | os.O_EXCL,
    mode: int | None = None,
) -> None:
    """Writes bytes into one file, as a rule a new one, and leaves it to the caller to sync it.

    Args:
        path: the file.
        content: the bytes, all of which are written.
        flags: as for os.open.
        mode: the permissions, or None for those that the user's mask gives.

    Raises:
        OSError: as the system says.
    """
    descriptor = os.open(path, flags, 0o666)
    try:
        if mode is not None:
            with contextlib.suppress(OSError):
                os.chmod(path, stat.S_IMODE(mode))
        view = memoryview(content)
        while view:
            view = view[os.write(descriptor, view) :]
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    for place, _, names in os.walk(folder):
        for name in names:
            sync(os.path.join(place, name))
        sync(place)


def _put_in_place(partial: str, goal: str) -> None:
    """Renames a folder over another; what stood there ends under the partial name or is removed."""
    if not os.path.lexists(goal):
        os.rename(partial, goal)
        return
    if _exchange(partial, goal):
        return
    # Without an exchange there is an instant without the folder; recover_directory mends it.
    old = _old_name(goal)
    shutil.rmtree(old, ignore_errors=True)
    os.rename(goal, old)
    try:
        os.rename(partial, goal)
    except OSError:
        os.rename(old, goal)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _exchange(one: str, other: str) -> bool:
    """Swaps two names in one step where the system can (Linux), else returns False and changes nothing."""
    import ctypes

    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here = -100  # AT_FDCWD
    return bool(renameat2(here, os.fsencode(one), here, os.fsencode(other), _RENAME_EXCHANGE) == 0)


def _mode_of(path: str) -> int | None:
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


def _partial_name(goal: str) -> str:
    folder, name = os.path.split(goal)
    return os.path.join(folder, f".{name[:40]}-{secrets.token_hex(4)}-{os.getpid()}.partial")


def _old_name(goal: str) -> str:
    folder, name = os.path.split(goal)
    return os.path.join(folder, f".{name}.old")


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
