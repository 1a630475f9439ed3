"""Checkpoints: the same bits back, and nothing but whole ones."""

from __future__ import annotations

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from textseq.checkpoint import (
    checkpoint_folders,
    decode_json,
    encode_json,
    is_whole,
    read_checkpoint_folder,
    read_newest,
    write_checkpoint_folder,
    write_newest,
)
from textseq.errors import CheckpointError, RunDirectoryError

WEIGHTS = {"weights": {"a": np.arange(6, dtype="float32").reshape(2, 3)}, "optimizer": {"step": np.array(3)}}
DTYPES = st.sampled_from(["float32", "float64", "int64", "uint32", "bool"])


def write_steps(folder: Path, *steps: int) -> None:
    folder.mkdir(exist_ok=True)
    for step in steps:
        write_newest(folder, step, {"weights": {"a": np.full(3, step, "float32")}}, {"step": step})


def error_of(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_newest(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(folder), "checkpoints")


@settings(max_examples=60, deadline=None)
@given(
    array=DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0, max_dims=4))),
    order=st.sampled_from(["C", "F", "reversed", "big-endian"]),
)
def test_arrays_come_back_bit_for_bit(array: Any, order: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    array = np.asarray(array)
    given_array = {
        "C": array,
        "F": np.asarray(array, order="F"),
        "reversed": array.T,
        "big-endian": array.astype(array.dtype.newbyteorder(">")),
    }[order]
    path = tmp_path_factory.getbasetemp() / "bits"
    write_checkpoint_folder(path, 1, {"weights": {"a": given_array, "empty": np.zeros((0, 3), "bool")}}, {})
    back = read_checkpoint_folder(path).tensors["weights"]
    expected = np.ascontiguousarray(given_array).reshape(given_array.shape)
    expected = expected.astype(array.dtype)
    assert back["a"].dtype == array.dtype
    assert back["a"].shape == given_array.shape
    assert back["a"].tobytes() == expected.tobytes()
    assert back["empty"].shape == (0, 3)


def test_scalars_and_strange_numbers_come_back_bit_for_bit(tmp_path: Path) -> None:
    strange = np.array([math.nan, -0.0, math.inf, -math.inf, 5e-324])
    tensors: dict[str, dict[str, Any]] = {
        "weights": {"strange": strange, "scalar": np.array(2**63 - 1), "single": np.float32(0.1)},
        "empty": {},
    }
    write_checkpoint_folder(tmp_path / "c", 1, tensors, {})
    back = read_checkpoint_folder(tmp_path / "c").tensors
    assert back["weights"]["strange"].tobytes() == strange.tobytes()
    assert back["weights"]["scalar"].shape == ()
    assert back["weights"]["scalar"] == 2**63 - 1
    assert back["weights"]["single"].dtype == np.float32
    assert back["empty"] == {}


def test_step_state_and_path_come_back(tmp_path: Path) -> None:
    state = {"epoch": 3, "best": 36.25, "names": ["ä", None, True], "deep": {"big": 2**70}, "tiny": 1e-300}
    write_checkpoint_folder(tmp_path / "c", 1234, WEIGHTS, state)
    back = read_checkpoint_folder(tmp_path / "c")
    assert (back.step, back.state, back.path) == (1234, state, tmp_path / "c")
    assert sorted(os.listdir(tmp_path / "c")) == [
        "manifest.json",
        "optimizer.safetensors",
        "state.json",
        "weights.safetensors",
    ]
    with pytest.raises(ValueError, match="read-only"):
        back.tensors["weights"]["a"][0, 0] = 1


def test_the_same_content_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_checkpoint_folder(tmp_path / name, 1, WEIGHTS, {"a": 1})
    for file in os.listdir(tmp_path / "one"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    assert read_newest(tmp_path / "none") is None
    write_steps(tmp_path, 5, 10, 99_999_999, 100_000_000)
    assert [step for step, _ in checkpoint_folders(tmp_path)] == [99_999_999, 100_000_000]
    assert sorted(os.listdir(tmp_path)) == ["step-100000000", "step-99999999"]
    newest = read_newest(tmp_path)
    assert newest is not None
    assert newest.step == 100_000_000


def test_a_step_can_be_written_again(tmp_path: Path) -> None:
    write_steps(tmp_path, 5, 10)
    write_newest(tmp_path, 10, WEIGHTS, {"again": True})
    newest = read_newest(tmp_path)
    assert newest is not None
    assert newest.state == {"again": True}
    assert sorted(os.listdir(tmp_path)) == ["step-00000005", "step-00000010"]


def test_a_later_checkpoint_is_never_overtaken(tmp_path: Path) -> None:
    write_steps(tmp_path, 5, 10)
    with pytest.raises(RunDirectoryError, match=r"step-00000010: is later than step 7, .*; delete it to go on from"):
        write_newest(tmp_path, 7, WEIGHTS, {})
    assert sorted(os.listdir(tmp_path)) == ["step-00000005", "step-00000010"]


@pytest.mark.parametrize("file", ["weights.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("harm", ["truncate", "lengthen", "flip", "empty", "remove", "folder"])
def test_harm_is_found_and_the_one_before_is_offered(tmp_path: Path, file: str, harm: str) -> None:
    write_steps(tmp_path, 5, 10)
    path = tmp_path / "step-00000010" / file
    content = path.read_bytes()
    if harm == "truncate":
        path.write_bytes(content[:-1])
    elif harm == "lengthen":
        path.write_bytes(content + b"x")
    elif harm == "flip":
        path.write_bytes(content[:-3] + bytes([content[-3] ^ 1]) + content[-2:])
    elif harm == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()
        if harm == "folder":
            path.mkdir()
    message = error_of(tmp_path)
    assert message.startswith(f"checkpoints/step-00000010/{file}: ")
    assert message.endswith(
        "; the one before it, step-00000005 (step 5), is whole: delete checkpoints/step-00000010 to go on from there"
    )
    assert sorted(os.listdir(tmp_path)) == ["step-00000005", "step-00000010"]


def test_every_single_altered_byte_is_found(tmp_path: Path) -> None:
    write_steps(tmp_path, 5)
    for file in (tmp_path / "step-00000005").iterdir():
        content = file.read_bytes()
        before = read_checkpoint_folder(tmp_path / "step-00000005")
        for place in range(0, len(content), 1 + len(content) // 60):
            file.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
            if is_whole(tmp_path / "step-00000005"):
                # Only what the manifest says beside its checksums, such as white space, can change unseen.
                assert file.name == "manifest.json"
                back = read_checkpoint_folder(tmp_path / "step-00000005")
                assert back.state == before.state
                assert back.tensors["weights"]["a"].tobytes() == before.tensors["weights"]["a"].tobytes()
        file.write_bytes(content)


def test_messages_say_what_is_wrong(tmp_path: Path) -> None:
    write_steps(tmp_path, 10)
    path = tmp_path / "step-00000010" / "state.json"
    path.write_bytes(b'{"step": 11}')
    assert error_of(tmp_path) == (
        "checkpoints/step-00000010/state.json: altered; its SHA-256 differs from the one in manifest.json; "
        "no other checkpoint is whole: delete checkpoints to start anew"
    )
    path.write_bytes(b'{"step": 1')
    assert "state.json: truncated or altered; it has 10 bytes, expected 12; no other" in error_of(tmp_path)
    path.unlink()
    assert "state.json: missing; the checkpoint is not whole; no other" in error_of(tmp_path)
    (tmp_path / "step-00000010" / "manifest.json").write_text("{}")
    assert "manifest.json: truncated or altered; expected the checkpoint's list of files" in error_of(tmp_path)


def test_only_a_whole_checkpoint_is_offered(tmp_path: Path) -> None:
    write_steps(tmp_path, 5, 10)
    for step in ("step-00000005", "step-00000010"):
        (tmp_path / step / "weights.safetensors").write_bytes(b"")
    assert error_of(tmp_path).endswith("no other checkpoint is whole: delete checkpoints to start anew")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b.safetensors", ".safetensors", "x.py", ""])
def test_a_manifest_cannot_name_files_elsewhere(tmp_path: Path, name: str) -> None:
    write_steps(tmp_path, 5)
    path = tmp_path / "step-00000005" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][name] = {"sha256": "0" * 64, "bytes": 0}
    path.write_text(json.dumps(manifest))
    with pytest.raises(CheckpointError, match=r"manifest.json: truncated or altered"):
        read_checkpoint_folder(tmp_path / "step-00000005")


def test_sealed_nonsense_is_refused(tmp_path: Path) -> None:
    """A stranger can make checksums fit; what they seal must still be tensors."""
    write_steps(tmp_path, 5)
    folder = tmp_path / "step-00000005"
    manifest = json.loads((folder / "manifest.json").read_text())
    nonsense = [("weights.safetensors", b"\xff" * 100)]
    nonsense += [("state.json", text) for text in (b'{"a": NaN}', b"\xff", b"[1]", b"[" * 100_000)]
    for file, content in nonsense:
        kept = (folder / file).read_bytes(), dict(manifest["files"][file])
        manifest["files"][file] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        (folder / file).write_bytes(content)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(CheckpointError, match=f"{file}: altered; expected"):
            read_checkpoint_folder(folder)
        (folder / file).write_bytes(kept[0])
        manifest["files"][file] = kept[1]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"best": {"score": math.nan}}, r"state.best.score is nan; expected a finite number"),
        ({"scores": [1, -math.inf]}, r"state.scores\[1\] is -inf; expected a finite number"),
        ({1: 2}, r"state has the key 1; expected text"),
        ({"a": {2, 3}}, r"state.a is a set; expected text, numbers"),
        ({"a": np.zeros(2)}, r"state.a is a ndarray; expected text, numbers"),
    ],
)
def test_a_state_that_is_no_strict_json_is_refused(tmp_path: Path, state: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_checkpoint_folder(tmp_path / "c", 1, WEIGHTS, state)
    assert os.listdir(tmp_path) == []


def test_a_stem_that_is_no_plain_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"file stem is '\.\./x'; expected letters, digits and underscores"):
        write_checkpoint_folder(tmp_path / "c", 1, {"../x": {}}, {})


def test_numpy_scalars_become_numbers() -> None:
    value = {"a": np.float64(0.1), "b": np.int64(3), "c": np.bool_(True), "d": (1, 2)}
    assert decode_json(encode_json(value, "state")) == {"a": 0.1, "b": 3, "c": True, "d": [1, 2]}
