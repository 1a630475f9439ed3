"""The numbered versions of an export: which there are, which one is served, how many stay, and the way back.

OUT/
  export.json    marks the folder
  1/, 2/, ...    what servers see; TF Serving's policy "latest", and ours, serve the highest number
  retired/3/     what was rolled back: whole, and out of every server's sight

**Roll-back.** A server that watches the folder asks for one thing only: the highest number. So a roll-back moves what
stands above the wanted version into `retired/`, a name that is no number and that servers pass over. Each move is one
rename on one disk, lowest number first, so that the last one alone changes what is served: a process that is killed
leaves the folder serving the old version or the wanted one, and the same call once more finishes the work. TF Serving
loads the wanted version before it lets go of the other. The reverse is a roll-back to the retired version's number.

**Numbers are never used twice**, since a server takes a number that it has loaded for the same model and would not
look again. The next number is above every version, those that are retired counted, and retention never removes the
highest of all: no other record is needed, so there is none that could be lost.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from pathlib import Path

from textseq.atomic_files import remove_directory, sync, writing
from textseq.errors import InputError, OutputError

MARKER = "export.json"
"""In the folder of an export, beside its versions."""

FORMAT = {"format": "dragoman-export", "version": 1}
"""What the marker says, besides the task."""

RETIRED = "retired"
"""In the folder of an export: the versions that were rolled back."""

_LARGEST_MARK = 1 << 16

# TF Serving reads a version as an int64 and passes over what does not fit.
_LARGEST = 2**63 - 1


def exported_task(folder: str | os.PathLike[str]) -> str:
    """Returns what an export is for, such as "nmt".

    Args:
        folder: the folder of the versions.

    Raises:
        OutputError: it is no folder of an export.
    """
    place = Path(folder)
    try:
        mark = json.loads(_read_mark(place / MARKER))
    except FileNotFoundError:
        mark = None
    except (OSError, ValueError, RecursionError):
        mark = {}
    if mark is None:
        raise OutputError(
            f"{place}: no export here; expected {MARKER} and folders named 1, 2, ...; "
            f"give the folder that the export was written to, or export a run to it"
        )
    task = mark.get("task") if isinstance(mark, dict) else None
    if not isinstance(task, str) or {**mark, "task": None} != {**FORMAT, "task": None}:
        raise OutputError(
            f"{place / MARKER}: not the mark of an export; expected format {FORMAT['format']} {FORMAT['version']}; "
            f"give the folder that an export was written to"
        )
    return task


def versions(folder: str | os.PathLike[str]) -> list[int]:
    """Returns the numbers of the versions that servers see, the lowest first; the last one is served.

    Args:
        folder: the folder of the versions; without versions or missing, it has none.
    """
    try:
        return sorted(version_folders(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []


def version_folders(folder: str | os.PathLike[str]) -> dict[int, Path]:
    """Returns the versions that servers see, by their numbers; a name may begin with zeros.

    Args:
        folder: the folder of the versions.

    Raises:
        OSError: it is not there, maybe for a moment only.
    """
    return {number: path for number, path in _numbered(Path(folder)).items() if path.is_dir()}


def retired(folder: str | os.PathLike[str]) -> list[int]:
    """Returns the numbers of the versions that were rolled back, the lowest first."""
    return versions(Path(folder) / RETIRED)


def next_version(folder: str | os.PathLike[str]) -> int:
    """Returns the number for a new version: above every other, those that were rolled back counted.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> for name in ("1", "2", "retired/3"):
        ...     (folder / name).mkdir(parents=True)
        >>> next_version(folder)
        4
    """
    numbers = [0]
    for place in (Path(folder), Path(folder, RETIRED)):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            numbers += _numbered(place)
    return max(numbers) + 1


def served_version(folder: str | os.PathLike[str]) -> Path:
    """Returns the version that a server with the policy "latest" serves.

    Raises:
        OutputError: it is no folder of an export, or holds no version.
    """
    exported_task(folder)
    numbers = versions(folder)
    if not numbers:
        raise OutputError(f"{os.fspath(folder)}: no version here; expected folders named 1, 2, ...; export a run to it")
    return version_folders(folder)[numbers[-1]]


def keep_newest(folder: str | os.PathLike[str], keep: int) -> list[Path]:
    """Removes all versions but the newest; what is served stays.

    Of the versions that were rolled back, as many of the newest stay as well. A version is renamed to a hidden name
    before its files are deleted, so that no server finds it half empty; `textseq.atomic_files.remove_remainders`
    sweeps up what a killed process left under such a name.

    Args:
        folder: the folder of the versions.
        keep: how many stay, 1 or more.

    Returns:
        The versions that were removed.

    Raises:
        InputError: `keep` is below 1.
        OutputError: it is no folder of an export, or cannot be written.
    """
    if keep < 1:
        raise InputError(
            f"keep is {keep}, expected 1 or more versions to stay; the one that is served is never removed"
        )
    exported_task(folder)
    place = Path(folder)
    old = [place / str(number) for number in versions(place)[:-keep]]
    old += [place / RETIRED / str(number) for number in retired(place)[:-keep]]
    for version in old:
        with writing(version):
            remove_directory(version)
    return old


def roll_back(folder: str | os.PathLike[str], to: int | None = None) -> Path:
    """Makes an earlier version the one that is served; the head of this file says how.

    Args:
        folder: the folder of the versions.
        to: the version's number; the one before the served one when None. A version that was rolled back may be named
            too, which undoes that roll-back.

    Returns:
        The version that is served now.

    Raises:
        OutputError: it is no folder of an export, has no such version, or cannot be written.

    Example:
        >>> roll_back("serving/en-de")  # doctest: +SKIP
        PosixPath('serving/en-de/1')
        >>> roll_back("serving/en-de", to=2)  # doctest: +SKIP
        PosixPath('serving/en-de/2')
    """
    served_version(folder)
    place = Path(folder)
    wanted = _wanted(place, to)
    aside = place / RETIRED
    try:
        with writing(place):
            if wanted not in versions(place):
                os.rename(aside / str(wanted), place / str(wanted))
                sync(place)
            above = [number for number in versions(place) if number > wanted]
            if above:
                aside.mkdir(exist_ok=True)
                sync(place)
            for number in above:
                os.rename(place / str(number), aside / str(number))
            for changed in (aside, place):
                if changed.is_dir():
                    sync(changed)
    except OutputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise OutputError(
                f"{place}: another process moved its versions at the same time; look what is there, and start again"
            ) from error
        raise
    return place / str(wanted)


def _read_mark(path: Path) -> bytes:
    """Reads a mark, which may be a stranger's: no device that never ends, no pipe that nobody writes to."""
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise OSError(errno.EINVAL, "not a file")
    with open(path, "rb") as file:
        return file.read(_LARGEST_MARK)


def _wanted(place: Path, to: int | None) -> int:
    """Returns the version to serve, checked."""
    seen, aside = versions(place), retired(place)
    if to is None:
        if len(seen) < 2:
            again = f"; {_named(aside)} can be served again by its number" if aside else ""
            raise OutputError(
                f"{place}: nothing to roll back to; version {seen[-1]} is the only one that is left{again}"
            )
        to = seen[-2]
    if to not in seen and to not in aside:
        raise OutputError(f"{place}: no version {to} here; expected {_named(sorted({*seen, *aside}))}")
    version = place / str(to) if to in seen else place / RETIRED / str(to)
    if not (version / "saved_model.pb").is_file():
        raise OutputError(f"{version}: holds no saved_model.pb and cannot be served; choose another version")
    return to


def _named(numbers: list[int]) -> str:
    return ", ".join(str(number) for number in numbers)


def _numbered(place: Path) -> dict[int, Path]:
    """Everything whose name a server could read as a version's number, whatever it is."""
    names = sorted(name for name in os.listdir(place) if name.isascii() and name.isdigit())
    # Of several names of one number the shortest, which is the last here.
    return {int(name): place / name for name in names if int(name) <= _LARGEST}
