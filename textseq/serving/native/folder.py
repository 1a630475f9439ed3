"""The folder of one version, looked at before anything in it is believed."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath
from typing import Any

from google.protobuf.message import DecodeError

from .messages import SavedModel

LARGEST_GRAPH = 1 << 28
"""Most bytes of `saved_model.pb`; an export of this project has one to ten millions."""

LARGEST_FOLDER = 1 << 34
"""Most bytes of all files."""

MOST_FILES = 10_000

_GRAPH = "saved_model.pb"
_TAGS = ["serve"]


class FolderRefused(Exception):
    """A folder is no model, or tries to be more than one."""


def check_folder(folder: str | os.PathLike[str]) -> None:
    """Checks the folder of one version of a model, which may be a stranger's.

    What it holds must lie in it (no links to elsewhere, no paths in the graph that leave it), must be files and
    folders of plausible sizes, and `saved_model.pb` must be one graph for serving. What that graph may do is for
    `refused_operations` to say.

    Raises:
        FolderRefused: in one line, what is wrong and where.
    """
    place = Path(folder)
    if not place.is_dir():
        raise FolderRefused(f"{place}: not a folder; expected a version of a model, with {_GRAPH} in it")
    if place.is_symlink() and place.resolve().parent != place.parent.resolve():
        raise FolderRefused(f"{place}: a link to elsewhere; expected a folder, or a link to another version beside it")
    _check_files(place)
    for other in ("saved_model.pbtxt", "saved_model.cpb"):
        if os.path.lexists(place / other):
            raise FolderRefused(f"{place / other}: a second graph; expected {_GRAPH} alone")
    graphs = read_model(place).meta_graphs
    tags = [list(graph.meta_info_def.tags) for graph in graphs]
    if tags != [_TAGS]:
        raise FolderRefused(f"{place / _GRAPH}: received graphs tagged {tags}, expected one, tagged {_TAGS}")
    if "saved_model_assets" in graphs[0].collection_def and not graphs[0].asset_file_def:
        raise FolderRefused(f"{place / _GRAPH}: names its assets as TensorFlow 1 did, expected asset_file_def")
    for asset in graphs[0].asset_file_def:
        _check_asset(place, asset.filename)


def read_model(folder: str | os.PathLike[str]) -> Any:
    """Reads `saved_model.pb` of a version, a `SavedModel`.

    Raises:
        FolderRefused: it is missing, too large or broken.
    """
    path = Path(folder, _GRAPH)
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_GRAPH + 1)
    except OSError as error:
        raise FolderRefused(f"{path}: cannot be read: {error.strerror}; expected the graph of a model") from error
    if len(content) > LARGEST_GRAPH:
        raise FolderRefused(f"{path}: larger than {LARGEST_GRAPH >> 20} MiB, expected the graph of a model")
    try:
        return SavedModel.FromString(content)
    except DecodeError as error:
        raise FolderRefused(f"{path}: broken: no SavedModel can be read from its {len(content)} bytes") from error


def _check_files(place: Path) -> None:
    real = os.path.realpath(place)
    count = size = 0
    for parent, folders, files in os.walk(real):
        for name in [*folders, *files]:
            path = os.path.join(parent, name)
            count += 1
            try:
                found = os.lstat(path)
                if stat.S_ISLNK(found.st_mode):
                    goal = os.path.realpath(path)
                    if os.path.commonpath([real, goal]) != real:
                        raise FolderRefused(f"{path}: a link to {goal}, expected nothing outside of {real}")
                    found = os.stat(path)
            except OSError as error:
                raise FolderRefused(f"{path}: cannot be read: {error.strerror}") from error
            if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
                raise FolderRefused(f"{path}: neither a file nor a folder, expected nothing else in a model")
            size += found.st_size
        if count > MOST_FILES:
            raise FolderRefused(f"{place}: holds more than {MOST_FILES} files, expected the few of a model")
    if size > LARGEST_FOLDER:
        raise FolderRefused(f"{place}: holds {size} bytes, expected at most {LARGEST_FOLDER}")


def _check_asset(place: Path, name: str) -> None:
    parts = PurePosixPath(name).parts
    if not name or "\0" in name or "\\" in name or name.startswith("/") or ".." in parts:
        raise FolderRefused(f"{place / _GRAPH}: names the asset {name!r}, expected a file in {place / 'assets'}")
