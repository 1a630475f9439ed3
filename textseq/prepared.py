"""The record of what a run's data were prepared from: data/prepared.json, written last.

It is read when training goes on, to tell the three cases apart: nothing changed, so the data are used again; the
corpus or its settings changed, so the run must not go on; what was prepared is damaged, so it is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from textseq.configuration import Configuration
from textseq.corpus import STANDARD_INPUT, require_files
from textseq.errors import ConfigurationError, RunDirectoryError
from textseq.run_directory import RunDirectory, write_atomically

PREPARED = "prepared.json"
VERSION = 1
_KEYS = {"inputs", "choices", "files"}

Notify = Callable[[str], None]


def settings_of(config: Configuration, sections: Sequence[str]) -> dict[str, Any]:
    """The part of a configuration that decides what is prepared, as JSON values: the seed and some sections.

    Args:
        config: it has the field `seed`.
        sections: names of sections, or of plain fields beside `seed`.
    """
    values = config.model_dump(mode="json", include={"seed", *sections})
    return {name: values[name] for name in ("seed", *sections)}


def write_prepared(
    folder: Path,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Any],
    choices: Mapping[str, int],
    files: Mapping[str, Any],
    **more: Any,
) -> dict[str, Any]:
    """Writes prepared.json, the last file of a folder of prepared data.

    Args:
        folder: receives it.
        settings: from `settings_of`.
        inputs: the fingerprint of each text file, by role, taken before it was read.
        choices: what was chosen from the corpus, by dotted key.
        files: from `fingerprints`, of all that was made.
        more: what else is to be read back, as JSON values.

    Returns:
        What `read_prepared` will give.
    """
    prepared = {
        "version": VERSION,
        **settings,
        "inputs": dict(inputs),
        "choices": dict(choices),
        **more,
        "files": dict(files),
    }
    write_json(folder / PREPARED, prepared)
    return prepared


def read_prepared(run: RunDirectory, keys: Collection[str] = ()) -> dict[str, Any] | None:
    """The content of prepared.json; None where there is none, or one that this release does not know.

    Args:
        run: of the data.
        keys: that it must have besides those that every one has: names of settings, and of what else was stored.
    """
    try:
        prepared = json.loads((run.data_path / PREPARED).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(prepared, dict) or prepared.get("version") != VERSION or not prepared.keys() >= {*_KEYS, *keys}:
        return None
    return prepared


def prepared_before(
    run: RunDirectory,
    settings: Mapping[str, Any],
    files: Mapping[str, str],
    notify: Notify,
    *,
    held_out: str,
    keys: Collection[str] = (),
) -> dict[str, Any] | None:
    """The content of prepared.json where the data can be used again; None where they are to be prepared.

    Args:
        run: of the data.
        settings: from `settings_of`, of the configuration now.
        files: that the configuration names now, by role; none at all where a run goes on without them.
        notify: told where the data are damaged.
        held_out: role of the validation text; whether there is one decides how the corpus is split.
        keys: see `read_prepared`.

    Raises:
        RunDirectoryError: the data were prepared from other text or with another configuration.
    """
    prepared = read_prepared(run, {*settings, *keys})
    if prepared is None:
        return None
    more = []
    more += [f"corpus.{role}: not set -> set" for role in files if role not in prepared["inputs"]]
    if files and held_out not in files and held_out in prepared["inputs"]:
        more.append(f"corpus.{held_out}: set -> not set")
    check_configuration(settings, run, prepared, more)
    check_inputs(files, run, prepared)
    altered = altered_file(run, prepared["files"])
    if altered is None:
        return prepared
    notify(f"{altered} is missing or altered; the data are prepared again")
    return None


def check_configuration(
    settings: Mapping[str, Any], run: RunDirectory, prepared: Mapping[str, Any], more: Sequence[str] = ()
) -> None:
    """Compares settings with those then; what was chosen then and is written out now is no difference.

    Args:
        settings: from `settings_of`, of the configuration now.
        run: of the data.
        prepared: from `read_prepared`.
        more: differences that were found besides, in words.

    Raises:
        RunDirectoryError: there is a difference.
    """
    before = _flat({name: prepared[name] for name in settings}, prepared["choices"])
    now = _flat(settings, prepared["choices"])
    different = [
        f"{key}: {json.dumps(before[key])} -> {json.dumps(value)}"
        for key, value in now.items()
        if before.get(key, value) != value
    ]
    different += more
    if different:
        raise RunDirectoryError(
            f"{run.path}: its data were prepared with another configuration ({'; '.join(different)}); "
            "give the same one, or choose a new folder with --run"
        )


def _flat(settings: Mapping[str, Any], choices: Mapping[str, int]) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for name, value in settings.items():
        keys |= {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, Mapping) else {name: value}
    return {key: choices.get(key) if value is None else value for key, value in keys.items()}


def check_inputs(files: Mapping[str, str], run: RunDirectory, prepared: Mapping[str, Any]) -> None:
    """Compares the files that are still there with what the run was begun with.

    Args:
        files: that the configuration names now, by role.
        run: of the data.
        prepared: from `read_prepared`.

    Raises:
        RunDirectoryError: one has changed.
    """
    for role, path in files.items():
        before = prepared["inputs"].get(role)
        now = fingerprint(path)
        if before is None or before["sha256"] is None or now["sha256"] is None or before["sha256"] == now["sha256"]:
            continue
        was = "" if before["path"] == path else f" with {before['path']}"
        raise RunDirectoryError(
            f"{path}: has changed since the run {run.path} began{was} ({before['bytes']:,} bytes then, "
            f"{now['bytes']:,} now, another SHA-256); bring the old file back, or choose a new folder with --run"
        )


def require_readable(files: Mapping[str, str]) -> None:
    """Checks, before any work, that the files can be read, and that no two are standard input.

    Args:
        files: that the configuration names in [corpus], by role.

    Raises:
        ConfigurationError: two are standard input.
        CorpusError: a file is missing or cannot be read.
    """
    piped = [f"corpus.{role}" for role, path in files.items() if path == STANDARD_INPUT]
    if len(piped) > 1:
        raise ConfigurationError(
            f"{' and '.join(piped)} are both standard input, which can be read once; name files for all but one"
        )
    require_files(*files.values())


def altered_file(run: RunDirectory, files: Mapping[str, Any]) -> Path | None:
    """The first prepared file that is missing or differs from its checksum."""
    for name, expected in files.items():
        path = run.path / name
        if fingerprint(path)["sha256"] != expected["sha256"]:
            return path
    return None


def fingerprints(**folders: Path) -> dict[str, Any]:
    """Size and SHA-256 of every file in the folders, by "folder/file" with the folder's name in the run."""
    files = {f"{name}/{path.name}": path for name, folder in folders.items() for path in sorted(folder.iterdir())}
    prints = {name: fingerprint(path) for name, path in files.items()}
    return {name: {"bytes": entry["bytes"], "sha256": entry["sha256"]} for name, entry in prints.items()}


def fingerprint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Path, size and SHA-256 of a file; the latter two are None for standard input, pipes and what cannot be read.

    Of a folder, they are of the names and contents of the files in it and in its folders, hidden ones left out.
    """
    name = os.fspath(path)
    if os.path.isdir(name):
        return _folder_fingerprint(Path(path))
    unknown = {"path": name, "bytes": None, "sha256": None}
    if name == STANDARD_INPUT or not os.path.isfile(name):
        return unknown
    digest, size = hashlib.sha256(), 0
    try:
        with open(name, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
                size += len(block)
    except OSError:
        return unknown
    return {"path": name, "bytes": size, "sha256": digest.hexdigest()}


def _folder_fingerprint(folder: Path) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    inside = {path.relative_to(folder): path for pattern in ("*", "*/*") for path in folder.glob(pattern)}
    for name, path in sorted(inside.items()):
        if path.is_dir() or any(part.startswith(".") for part in name.parts):
            continue
        file = fingerprint(path)
        if file["sha256"] is None:
            return {**file, "path": os.fspath(folder)}
        digest.update(f"{name.as_posix()}\0{file['sha256']}\n".encode("utf-8", "surrogateescape"))
        size += file["bytes"]
    return {"path": os.fspath(folder), "bytes": size, "sha256": digest.hexdigest()}


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Writes JSON that people can read as well."""
    write_atomically(path, json.dumps(values, indent=1, ensure_ascii=False) + "\n")
