"""Checkpoints: a folder of tensors and state under checksums, written whole and read only when whole.

A checkpoint holds one safetensors file for each group of tensors (`weights.safetensors`), `state.json`, and
`manifest.json`, which has the size and the SHA-256 of each. There is no pickle and no code in it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textseq.atomic_files import recover_directory, remove_directory, replace_directory, write_bytes, writing
from textseq.errors import CheckpointError, RunDirectoryError

if TYPE_CHECKING:
    import numpy as np

MANIFEST = "manifest.json"
STATE = "state.json"
KEPT = 2
_TENSORS = ".safetensors"
_NAME = re.compile(r"[A-Za-z0-9_]+")
_STEP = re.compile(r"step-(\d{8,})")


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint held.

    Attributes:
        step: the training step after which it was written.
        tensors: the arrays, by file stem and name, with the very bits that were written; they are read-only.
        state: the JSON object that was written with them.
        path: its folder.
    """

    step: int
    tensors: dict[str, dict[str, np.ndarray]]
    state: dict[str, Any]
    path: Path


def write_checkpoint_folder(
    path: Path, step: int, tensors: Mapping[str, Mapping[str, np.ndarray]], state: Mapping[str, Any]
) -> None:
    """Writes a checkpoint at a path, in place of the one that may stand there.

    Raises:
        OutputError: the place cannot be written or the disk is full; the old checkpoint stands untouched.
        ValueError: the state has a number that is not finite, or a key that is no text; a stem is no plain name.
    """
    contents = {STATE: encode_json(state, "state").encode("utf-8")}
    for stem, arrays in tensors.items():
        if not _NAME.fullmatch(stem):
            raise ValueError(f"a checkpoint's file stem is {stem!r}; expected letters, digits and underscores")
        contents[f"{stem}{_TENSORS}"] = _encode_tensors(arrays)
    manifest = {
        "format": "dragoman-checkpoint",
        "version": 1,
        "step": step,
        "files": {name: _seal(content) for name, content in contents.items()},
    }
    contents[MANIFEST] = json.dumps(manifest, indent=2).encode("utf-8")
    with replace_directory(path) as folder:
        for name, content in contents.items():
            write_bytes(folder / name, content)


def read_checkpoint_folder(path: Path) -> Checkpoint:
    """Reads a checkpoint and verifies every checksum.

    Raises:
        CheckpointError: a file is missing, truncated or altered; the message names it.
    """
    for _ in range(5):
        before = _identity(path)
        try:
            return _read(path)
        except CheckpointError:
            # A running training may have put another folder in this one's place meanwhile.
            if _identity(path) == before:
                raise
    return _read(path)


def is_whole(path: Path) -> bool:
    """Tells whether every file of a checkpoint is there and unaltered."""
    try:
        _read(path)
    except CheckpointError:
        return False
    return True


def checkpoint_folder(folder: Path, step: int) -> Path:
    """Returns the folder of one step's checkpoint."""
    return folder / f"step-{step:08d}"


def checkpoint_folders(folder: Path) -> list[tuple[int, Path]]:
    """Returns steps and folders of all checkpoints, the oldest first."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunDirectoryError(f"{folder}: cannot be read: {error.strerror}; expected checkpoints") from None
    found = [(int(match[1]), folder / match[0]) for match in map(_STEP.fullmatch, names) if match]
    return sorted(found)


def write_newest(
    folder: Path, step: int, tensors: Mapping[str, Mapping[str, np.ndarray]], state: Mapping[str, Any]
) -> Path:
    """Writes a step's checkpoint, then removes all but the newest two.

    Returns:
        The folder of the checkpoint.

    Raises:
        RunDirectoryError: there is a checkpoint of a later step, which would be read in place of this one.
        OutputError: the place cannot be written or the disk is full; the checkpoints before stand untouched.
    """
    later = [path for other, path in checkpoint_folders(folder) if other > step]
    if later:
        raise RunDirectoryError(
            f"{later[-1]}: is later than step {step}, which would be written; delete it to go on from there"
        )
    path = checkpoint_folder(folder, step)
    write_checkpoint_folder(path, step, tensors, state)
    with writing(folder):
        for _, old in checkpoint_folders(folder)[:-KEPT]:
            remove_directory(old)
    return path


def read_newest(folder: Path) -> Checkpoint | None:
    """Reads the newest checkpoint, or returns None where there is none.

    Raises:
        CheckpointError: it is truncated or altered; the message offers the one before where that is whole.
    """
    for _ in range(5):
        found = checkpoint_folders(folder)
        if not found:
            return None
        try:
            return read_checkpoint_folder(found[-1][1])
        except CheckpointError as error:
            # A running training may have written two newer ones and removed this one meanwhile.
            if checkpoint_folders(folder) == found:
                raise CheckpointError(f"{error}; {_offer(found)}") from None
    raise CheckpointError(f"{folder}: the checkpoints change while they are read; try again")


def _offer(found: list[tuple[int, Path]]) -> str:
    newest = found[-1][1]
    for step, path in reversed(found[:-1]):
        if is_whole(path):
            return f"the one before it, {path.name} (step {step}), is whole: delete {newest} to go on from there"
    return f"no other checkpoint is whole: delete {newest.parent} to start anew"


def _read(path: Path) -> Checkpoint:
    manifest = _read_manifest(path)
    tensors: dict[str, dict[str, np.ndarray]] = {}
    state: dict[str, Any] = {}
    for name, seal in manifest["files"].items():
        file = path / name
        content = _verified(file, seal)
        if name == STATE:
            state = _decode_state(file, content)
        else:
            tensors[name.removesuffix(_TENSORS)] = _decode_tensors(file, content)
    return Checkpoint(manifest["step"], tensors, state, path)


def _read_manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    try:
        manifest = decode_json(_read_bytes(file).decode("utf-8"))
        names = set(manifest["files"])
        sealed = all(set(seal) == {"sha256", "bytes"} for seal in manifest["files"].values())
        plain = all(name == STATE or _NAME.fullmatch(name.removesuffix(_TENSORS)) for name in names)
        valid = STATE in names and sealed and plain and isinstance(manifest["step"], int) and manifest["version"] == 1
    except (ValueError, KeyError, TypeError, AttributeError):
        valid = False
    if not valid:
        raise CheckpointError(f"{file}: truncated or altered; expected the checkpoint's list of files and checksums")
    return manifest


def _verified(file: Path, seal: Mapping[str, Any]) -> bytes:
    content = _read_bytes(file)
    if len(content) != seal["bytes"]:
        raise CheckpointError(f"{file}: truncated or altered; it has {len(content)} bytes, expected {seal['bytes']}")
    if _seal(content) != seal:
        raise CheckpointError(f"{file}: altered; its SHA-256 differs from the one in {MANIFEST}")
    return content


def _read_bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{file}: missing; the checkpoint is not whole") from None
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror}; the checkpoint is not whole") from None


def _seal(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _identity(path: Path) -> int | None:
    try:
        recover_directory(path)
        return path.stat().st_ino
    except OSError:
        return None


def _encode_tensors(arrays: Mapping[str, np.ndarray]) -> bytes:
    import numpy as np
    from safetensors.numpy import save

    # asarray keeps scalars scalar, where ascontiguousarray would not.
    return save({name: np.asarray(array, order="C") for name, array in arrays.items()})


def _decode_tensors(file: Path, content: bytes) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError):
        raise CheckpointError(f"{file}: altered; expected tensors in the safetensors format") from None
    for array in arrays.values():
        array.flags.writeable = False
    return arrays


def _decode_state(file: Path, content: bytes) -> dict[str, Any]:
    try:
        state = decode_json(content.decode("utf-8"))
    except ValueError:
        state = None
    if not isinstance(state, dict):
        raise CheckpointError(f"{file}: altered; expected a JSON object")
    return state


def encode_json(value: Any, name: str) -> str:
    """Writes strict JSON: text keys and finite numbers only; NumPy scalars become numbers.

    Args:
        value: the value to write.
        name: what to call it in an error.

    Raises:
        ValueError: a number is not finite, a key is no text, a value is of another kind; the message names it.
    """
    return json.dumps(_plain(value, name), ensure_ascii=False, allow_nan=False)


def decode_json(text: str) -> Any:
    """Reads strict JSON.

    Raises:
        ValueError: it is not JSON, or holds NaN or an infinity.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _plain(value: Any, name: str) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"{name} has the key {key!r}; expected text")
        return {key: _plain(entry, f"{name}.{key}") for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry, f"{name}[{index}]") for index, entry in enumerate(value)]
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, int):
        return value
    if not isinstance(value, float):
        raise ValueError(f"{name} is a {type(value).__name__}; expected text, numbers, true, false, None, lists, dicts")
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}; expected a finite number")
    return value
