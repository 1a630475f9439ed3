"""The record of what data were prepared from: when they may be used again, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from textseq.configuration import Configuration
from textseq.errors import ConfigurationError, CorpusError, RunDirectoryError
from textseq.prepared import (
    fingerprint,
    fingerprints,
    prepared_before,
    read_prepared,
    require_readable,
    settings_of,
    write_prepared,
)
from textseq.run_directory import RunDirectory


class Tokens(Configuration):
    """Pieces."""

    size: int | None = Field(None, description="Pieces.")
    symbols: tuple[str, ...] = Field(("<a>",), description="Symbols.")


class Training(Configuration):
    """Has no part in what is prepared."""

    epochs: int = Field(3, description="Epochs.")


class Config(Configuration):
    """All."""

    seed: int = Field(1, description="Seed.")
    start: str | None = Field(None, description="Where it starts from.")
    tokens: Tokens = Tokens()
    training: Training = Training()


SECTIONS = ("tokens", "start")


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "run", "toy")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    for name in ("train", "valid"):
        (tmp_path / name).write_text(f"text of {name}\n")
    return {name: str(tmp_path / name) for name in ("train", "valid")}


def prepare(run: RunDirectory, files: dict[str, str], config: Config) -> dict[str, Any]:
    (run.data_path / "train.ids").write_bytes(b"ids")
    inputs = {role: fingerprint(path) for role, path in files.items()}
    made = fingerprints(data=run.data_path)
    choices = {"tokens.size": 300}
    return write_prepared(run.data_path, settings_of(config, SECTIONS), inputs, choices, made, shapes=[[4, 8]])


def again(run: RunDirectory, files: dict[str, str], config: Config) -> tuple[dict[str, Any] | None, list[str]]:
    said: list[str] = []
    settings = settings_of(config, SECTIONS)
    return prepared_before(run, settings, files, said.append, held_out="valid", keys=("shapes",)), said


def test_settings_are_json_values() -> None:
    assert settings_of(Config(), SECTIONS) == {"seed": 1, "tokens": {"size": None, "symbols": ["<a>"]}, "start": None}


def test_data_are_used_again(run: RunDirectory, files: dict[str, str]) -> None:
    assert again(run, files, Config()) == (None, [])
    prepared = prepare(run, files, Config())
    assert again(run, files, Config()) == (prepared, [])
    assert prepared["shapes"] == [[4, 8]]
    # What was chosen then may be written out now, and what has no part in it may change.
    assert again(run, files, Config(tokens=Tokens(size=300), training=Training(epochs=9))) == (prepared, [])
    # A run goes on without its text.
    assert again(run, {}, Config()) == (prepared, [])
    Path(files["train"]).unlink()
    assert again(run, files, Config()) == (prepared, [])


def test_another_configuration_is_refused_by_key(run: RunDirectory, files: dict[str, str]) -> None:
    prepare(run, files, Config())
    other = Config(seed=2, start="there", tokens=Tokens(size=301, symbols=()))
    with pytest.raises(RunDirectoryError) as caught:
        again(run, {"train": files["train"]}, other)
    assert str(caught.value) == (
        f"{run.path}: its data were prepared with another configuration (seed: 1 -> 2; tokens.size: 300 -> 301; "
        'tokens.symbols: ["<a>"] -> []; start: null -> "there"; corpus.valid: set -> not set); '
        "give the same one, or choose a new folder with --run"
    )


@pytest.mark.parametrize("role", ["valid", "test"])
def test_a_file_that_is_new_is_refused(run: RunDirectory, files: dict[str, str], role: str) -> None:
    prepare(run, {"train": files["train"]}, Config())
    with pytest.raises(RunDirectoryError, match=rf"\(corpus.{role}: not set -> set\)"):
        again(run, {"train": files["train"], role: files["valid"]}, Config())


def test_other_text_is_refused_by_name(run: RunDirectory, files: dict[str, str], tmp_path: Path) -> None:
    prepare(run, files, Config())
    (tmp_path / "other").write_text("other\n")
    with pytest.raises(RunDirectoryError) as caught:
        again(run, {**files, "train": str(tmp_path / "other")}, Config())
    assert str(caught.value) == (
        f"{tmp_path / 'other'}: has changed since the run {run.path} began with {files['train']} (14 bytes then, "
        "6 now, another SHA-256); bring the old file back, or choose a new folder with --run"
    )


def test_damaged_data_are_prepared_again(run: RunDirectory, files: dict[str, str]) -> None:
    prepare(run, files, Config())
    path = run.data_path / "train.ids"
    path.write_bytes(b"idz")
    assert again(run, files, Config()) == (None, [f"{path} is missing or altered; the data are prepared again"])
    path.unlink()
    assert again(run, files, Config())[0] is None


@pytest.mark.parametrize("content", ["{", "[]", '{"version": 1}', '{"version": 2}'])
def test_a_record_that_says_nothing(run: RunDirectory, content: str) -> None:
    (run.data_path / "prepared.json").write_text(content)
    assert read_prepared(run) is None


def test_a_record_without_a_key_that_is_needed(run: RunDirectory, files: dict[str, str]) -> None:
    prepare(run, files, Config())
    assert read_prepared(run, ("shapes", "tokens")) is not None
    assert read_prepared(run, ("labels",)) is None


def test_what_cannot_be_compared_has_no_fingerprint(tmp_path: Path) -> None:
    for name in ("-", str(tmp_path / "nowhere")):
        assert fingerprint(name) == {"path": name, "bytes": None, "sha256": None}


def test_files_must_be_readable(files: dict[str, str], tmp_path: Path) -> None:
    require_readable({**files, "test": "-"})
    with pytest.raises(ConfigurationError) as caught:
        require_readable({"train": "-", "valid": "-"})
    assert str(caught.value) == (
        "corpus.train and corpus.valid are both standard input, which can be read once; name files for all but one"
    )
    with pytest.raises(CorpusError, match="nowhere: no such file"):
        require_readable({"train": str(tmp_path / "nowhere")})


def test_the_record_can_be_read_by_people(run: RunDirectory, files: dict[str, str]) -> None:
    prepared = prepare(run, files, Config())
    text = (run.data_path / "prepared.json").read_text(encoding="utf-8")
    assert json.loads(text) == prepared
    assert text.startswith('{\n "version": 1,\n')
