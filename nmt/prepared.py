"""The record of what a run's data were prepared from: data/prepared.json, written last.

It is read when training goes on, to tell the three cases apart: nothing changed, so the data are used again; the
corpus or its settings changed, so the run must not go on; what was prepared is damaged, so it is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textseq.corpus import STANDARD_INPUT
from textseq.errors import RunDirectoryError
from textseq.run_directory import RunDirectory

if TYPE_CHECKING:
    from nmt.config import Config, CorpusConfig

PREPARED = "prepared.json"
VERSION = 1
_SECTIONS = ("cleaning", "tokenization", "batching")
_KEYS = {"seed", *_SECTIONS, "inputs", "choices", "shapes", "files"}
_ROLES = ("source", "target", "valid_source", "valid_target", "test_source", "test_target")


def named_files(corpus: CorpusConfig) -> dict[str, str]:
    """The files that the configuration names, by their role."""
    named = {role: getattr(corpus, role) for role in _ROLES}
    return {role: path for role, path in named.items() if path is not None}


def settings_of(config: Config) -> dict[str, Any]:
    """The part of the configuration that decides what is prepared, as JSON values."""
    sections = {name: getattr(config, name).model_dump(mode="json") for name in _SECTIONS}
    return {"seed": config.seed, **sections}


def check_configuration(config: Config, run: RunDirectory, prepared: Mapping[str, Any]) -> None:
    """Compares settings with those then; what was chosen then and is written out now is no difference."""
    before = _flat(prepared, prepared["choices"])
    now = _flat(settings_of(config), prepared["choices"])
    different = [
        f"{key}: {json.dumps(before[key])} -> {json.dumps(value)}"
        for key, value in now.items()
        if before.get(key, value) != value
    ]
    if config.corpus.source is not None and (config.corpus.valid_source is None) != (
        "valid_source" not in prepared["inputs"]
    ):
        words = ("not set", "set") if config.corpus.valid_source is not None else ("set", "not set")
        different.append("corpus.valid_source: {} -> {}".format(*words))
    if different:
        raise RunDirectoryError(
            f"{run.path}: its data were prepared with another configuration ({'; '.join(different)}); "
            "give the same one, or choose a new folder with --run"
        )


def _flat(settings: Mapping[str, Any], choices: Mapping[str, int]) -> dict[str, Any]:
    keys = {"seed": settings["seed"]}
    keys |= {f"{name}.{key}": value for name in _SECTIONS for key, value in settings[name].items()}
    return {key: choices.get(key) if value is None else value for key, value in keys.items()}


def check_inputs(corpus: CorpusConfig, run: RunDirectory, prepared: Mapping[str, Any]) -> None:
    """Compares the files that are still there with what the run was begun with."""
    for role, path in named_files(corpus).items():
        before = prepared["inputs"].get(role)
        now = fingerprint(path)
        if before is None or before["sha256"] is None or now["sha256"] is None or before["sha256"] == now["sha256"]:
            continue
        was = "" if before["path"] == path else f" with {before['path']}"
        raise RunDirectoryError(
            f"{path}: has changed since the run {run.path} began{was} ({before['bytes']:,} bytes then, "
            f"{now['bytes']:,} now, another SHA-256); bring the old file back, or choose a new folder with --run"
        )


def read_prepared(run: RunDirectory) -> dict[str, Any] | None:
    """The content of prepared.json; None where there is none, or one that this release does not know."""
    try:
        prepared = json.loads((run.data_path / PREPARED).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(prepared, dict) or prepared.get("version") != VERSION or not prepared.keys() >= _KEYS:
        return None
    return prepared


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
    """Path, size and SHA-256 of a file; the latter two are None for standard input, pipes and what cannot be read."""
    name = os.fspath(path)
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
