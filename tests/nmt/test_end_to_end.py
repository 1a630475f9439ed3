"""The real command line on a tiny corpus: train, resume, translate, evaluate, score, and every bad input."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from nmt import cli
from nmt.translator import Translator
from textseq.console import run_command


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def nmt(*arguments: object, given: bytes = b"") -> Outcome:
    """Runs the command line in this process, with streams of bytes as a shell gives them."""
    out, err = io.BytesIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
        patch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="utf-8"))
        patch.setattr(sys, "stderr", err)
        code = run_command(cli.app, "nmt", [str(argument) for argument in arguments], resumable=("train",))
        sys.stdout.flush()
        return Outcome(code, out.getvalue().decode("utf-8"), err.getvalue())


def refused(outcome: Outcome, *words: str) -> None:
    """Exit code 2, nothing on standard output, and one line, no traceback, that has the words."""
    assert outcome.code == 2, outcome
    assert outcome.out == ""
    last = outcome.err.splitlines()[-1]
    assert last.startswith("error: ")
    assert "Traceback" not in outcome.err and outcome.err.count("error: ") == 1
    for word in words:
        assert word in last


def files(folder: Path) -> dict[str, str]:
    """Checksums of everything in a folder, but for the lock."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def settings(*values: str) -> list[str]:
    return [part for value in values for part in ("--set", value)]


class Trained(NamedTuple):
    run: Path
    command: list[object]
    outcome: Outcome


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Path, tiny_settings: tuple[str, ...]) -> Trained:
    run = tmp_path_factory.mktemp("end-to-end") / "runs" / "en-de"
    command: list[object] = ["train", "--source", tiny_corpus / "train.en", "--target", tiny_corpus / "train.de"]
    command += ["--valid-source", tiny_corpus / "valid.en", "--valid-target", tiny_corpus / "valid.de"]
    command += ["--run", run, *settings(*tiny_settings, "training.checkpoint_minutes=0")]
    return Trained(run, command, nmt(*command))


@pytest.fixture
def copied(trained: Trained, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained.run, tmp_path / "copied"))


def test_train_makes_a_run(trained: Trained) -> None:
    code, out, err = trained.outcome
    assert code == 0, err
    assert "training pairs" in out and "best weights" in out
    assert "Traceback" not in err and "Warning" not in err
    for name in ("run.json", "config.toml", "best/weights.safetensors", "report.json", "learning_curve.png"):
        assert (trained.run / name).is_file()
    assert list((trained.run / "checkpoints").iterdir())


def test_the_same_command_says_that_it_is_finished(trained: Trained) -> None:
    before = files(trained.run)
    code, out, err = nmt(*trained.command, "--json")
    assert code == 0
    assert "is trained to its end; for another training choose another --run" in err
    assert json.loads(out)["steps"] > 0
    assert files(trained.run) == before


def test_translate_from_stdin_to_stdout(trained: Trained, tiny_corpus: Path, tmp_path: Path) -> None:
    given = (tiny_corpus / "test.en").read_bytes()
    code, out, err = nmt("translate", "--run", trained.run, "--beam", 2, given=given)
    assert (code, err) == (0, "")
    lines = given.decode("utf-8").splitlines()
    translations = Translator.load(trained.run).translate(lines, beam=2)
    assert out == "".join(" ".join(one.text.splitlines()) + "\n" for one in translations)
    written = tmp_path / "out.txt"
    into = ("--input", tiny_corpus / "test.en", "--output", written)
    assert nmt("translate", "--run", trained.run, "--beam", 2, *into) == Outcome(0, "", "")
    assert written.read_text("utf-8") == out


def test_translate_gives_one_line_for_each_whatever_it_holds(trained: Trained) -> None:
    lines = [b"x" * 100_000, b"nul \x00 nul", b"\xed\xa0\x80", b"\xe4", b"dos\r", b"", b"old\rmac", b"a\xe2\x80\xa8b"]
    code, out, _ = nmt("translate", "--run", trained.run, "--beam", 1, given=b"\n".join(lines) + b"\n")
    assert code == 0
    assert len(out.splitlines()) == out.count("\n") == len(lines)
    code, out, _ = nmt("translate", "--run", trained.run, "--beam", 1, "--json", given=b"\n".join(lines[1:]) + b"\n")
    assert [json.loads(line)["text"] for line in out.splitlines()][4] == ""
    assert out.count("\n") == len(lines) - 1


def test_evaluate_as_json(trained: Trained, tiny_corpus: Path) -> None:
    text = ("--source", tiny_corpus / "test.en", "--reference", tiny_corpus / "test.de")
    code, out, err = nmt("evaluate", "--run", trained.run, *text, "--beam", 1, "--json")
    assert (code, err, out.count("\n")) == (0, "", 1)
    values = json.loads(out)
    assert 0 <= values["bleu"]["score"] <= 100 and "nrefs:1" in values["bleu"]["signature"]
    code, out, err = nmt("evaluate", "--run", trained.run, *text, "--beam", 1, "--baseline", trained.run, "--by-length")
    assert (code, err) == (0, "")
    for words in ("chrF", "nrefs:1", "p = 1.0000", "sentences/s", "words"):
        assert words in out


def test_score(trained: Trained, tiny_corpus: Path) -> None:
    text = ("--source", tiny_corpus / "test.en", "--target", tiny_corpus / "test.de")
    code, out, err = nmt("score", "--run", trained.run, *text)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 20 and all(float(line) < 0 for line in out.splitlines())
    code, as_json, _ = nmt("score", "--run", trained.run, *text, "--json")
    assert code == 0
    assert [round(json.loads(line)["log_probability"], 3) for line in as_json.splitlines()] == pytest.approx(
        [float(line) for line in out.splitlines()], abs=2e-3
    )


@pytest.fixture
def train_on(tmp_path: Path) -> Callable[..., Outcome]:
    def train(source: bytes | None, target: bytes | None, *options: object) -> Outcome:
        for name, content in (("s", source), ("t", target)):
            if content is not None:
                (tmp_path / name).write_bytes(content)
        return nmt("train", "--source", tmp_path / "s", "--target", tmp_path / "t", "--run", tmp_path / "run", *options)

    return train


def test_train_refuses_bad_text(train_on: Callable[..., Outcome], tmp_path: Path) -> None:
    refused(train_on(b"a\nb\n", b"a\n"), f"{tmp_path / 's'}: has 2 lines, but {tmp_path / 't'} has 1; expected line n")
    refused(train_on(b"", b""), f"{tmp_path / 's'}: is empty; expected one sentence a line")
    refused(train_on(b"a\n\xff\n", b"a\nb\n"), f"{tmp_path / 's'}:2: is not UTF-8: byte 1 of the line is 0xff")
    refused(train_on(b"\n\n", b"\n\n"), f"{tmp_path / 's'}: none of 2 pairs is left after cleaning (one side is")
    (tmp_path / "t").unlink()
    refused(train_on(b"a\n", None), f"{tmp_path / 't'}: no such file; expected a text file")
    (tmp_path / "t").mkdir()
    refused(train_on(b"a\n", None), f"{tmp_path / 't'}: is a directory; expected a text file")


def test_train_refuses_a_bad_configuration(train_on: Callable[..., Outcome], tmp_path: Path) -> None:
    refused(train_on(b"a\n", b"b\n", "--set", "training.epoch=3"), "training.epoch", "did you mean", "epochs")
    refused(train_on(b"a\n", b"b\n", "--set", "training.epochs=0"), "training.epochs", "0", "1")
    refused(train_on(b"a\n", b"b\n", "--set", "model.embedding_dropout=1.5"), "model.embedding_dropout", "1.5")
    (tmp_path / "x.toml").write_text("[model]\nunits = 3\n")
    refused(train_on(b"a\n", b"b\n", "--config", tmp_path / "x.toml"), "x.toml", "units")
    refused(train_on(b"a\n", b"b\n", "--epochs", "3"), "no such option: --epochs")
    assert not (tmp_path / "run").exists()


def test_train_leaves_another_s_folder_alone(train_on: Callable[..., Outcome], tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")
    before = files(tmp_path / "run")
    refused(train_on(b"a\n", b"b\n"), f"{tmp_path / 'run'}: holds something else (thesis.txt) and no run.json")
    assert files(tmp_path / "run") == before


def test_train_with_another_configuration_shows_the_difference(trained: Trained) -> None:
    before = files(trained.run)
    outcome = nmt(*trained.command, *settings("training.epochs=3", "model.decoder_units=8"))
    refused(outcome, "trained with another configuration", "training.epochs: 1 -> 3", "model.decoder_units: 16 -> 8")
    assert files(trained.run) == before


def test_train_on_other_text_is_refused(trained: Trained, copied: Path, tmp_path: Path, tiny_corpus: Path) -> None:
    other = tmp_path / "other.en"
    other.write_text((tiny_corpus / "train.en").read_text("utf-8").replace("dog", "cat"), encoding="utf-8")
    before = files(copied)
    command = [other if part == tiny_corpus / "train.en" else part for part in trained.command]
    refused(nmt(*[copied if part == trained.run else part for part in command]), "other.en")
    assert files(copied) == before


@pytest.mark.parametrize("damage", ["truncated", "altered", "missing"])
def test_damaged_weights_are_found(copied: Path, tiny_corpus: Path, damage: str) -> None:
    path = copied / "best" / "weights.safetensors"
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[:-100] if damage == "truncated" else content[:-1] + bytes([content[-1] ^ 1]))
    before = files(copied)
    refused(nmt("translate", "--run", copied, given=b"a\n"), "weights.safetensors", "delete it and run `train` again")
    text = ("--source", tiny_corpus / "test.en")
    refused(nmt("evaluate", "--run", copied, *text, "--reference", tiny_corpus / "test.de"), "weights.safetensors")
    refused(nmt("score", "--run", copied, *text, "--target", tiny_corpus / "test.de"), "weights.safetensors")
    assert files(copied) == before


def test_an_altered_checkpoint_is_refused_and_the_one_before_goes_on(trained: Trained, copied: Path) -> None:
    (copied / "report.json").unlink()  # as if it had been killed before its end
    before, newest = sorted((copied / "checkpoints").iterdir())
    path = newest / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    kept = files(copied)
    command = [copied if part == trained.run else part for part in trained.command]
    refused(nmt(*command), f"{path}: ", f"the one before it, {before.name} (step ", f"is whole: delete {newest} to go")
    assert files(copied) == kept
    shutil.rmtree(newest)
    outcome = nmt(*command)
    assert outcome.code == 0, outcome.err
    assert "resuming at step" in outcome.err
    weights = Path("best", "weights.safetensors")
    assert (copied / weights).read_bytes() == (trained.run / weights).read_bytes()


@pytest.mark.parametrize("command", ["translate", "evaluate", "score"])
def test_a_folder_that_is_no_run(tmp_path: Path, tiny_corpus: Path, command: str) -> None:
    options: dict[str, list[object]] = {
        "translate": [],
        "evaluate": ["--source", tiny_corpus / "test.en", "--reference", tiny_corpus / "test.de"],
        "score": ["--source", tiny_corpus / "test.en", "--target", tiny_corpus / "test.de"],
    }
    outcome = nmt(command, "--run", tmp_path, *options[command], given=b"a\n")
    refused(outcome, f"{tmp_path}: no run here; expected run.json; train one with `nmt train`")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("command", "option"), [("evaluate", "--reference"), ("score", "--target")])
def test_bad_text_to_score(trained: Trained, tiny_corpus: Path, tmp_path: Path, command: str, option: str) -> None:
    source = tiny_corpus / "test.en"
    (tmp_path / "short").write_text("eins\n")
    (tmp_path / "latin").write_bytes(b"a\n\xe4\n")
    (tmp_path / "empty").write_bytes(b"")

    def call(source: Path, other: Path) -> Outcome:
        return nmt(command, "--run", trained.run, "--source", source, option, other)

    refused(call(source, tmp_path / "short"), f"{source}: has 20 lines, but {tmp_path / 'short'} has 1;")
    refused(call(tmp_path / "none", source), f"{tmp_path / 'none'}: no such file")
    refused(call(source, tmp_path), f"{tmp_path}: is a directory; expected a text file")
    refused(call(tmp_path / "latin", tmp_path / "latin"), f"{tmp_path / 'latin'}:2: is not UTF-8")
    refused(call(tmp_path / "empty", tmp_path / "empty"), f"{tmp_path / 'empty'}: is empty")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("command", ["translate", "score"])
def test_a_full_disk(trained: Trained, tiny_corpus: Path, command: str) -> None:
    text = ("--source", tiny_corpus / "test.en", "--target", tiny_corpus / "test.de")
    options = () if command == "translate" else text
    outcome = nmt(command, "--run", trained.run, *options, "--output", "/dev/full", given=b"a\n")
    refused(outcome, "/dev/full: ", "disk is full")


def test_what_was_written_stays_where_the_input_fails(trained: Trained, tmp_path: Path) -> None:
    output = tmp_path / "out.txt"
    output.write_text("old")
    packed = tmp_path / "a.gz"
    packed.write_bytes(b"\x1f\x8b\x08" + bytes(20))
    refused(nmt("translate", "--run", trained.run, "--input", packed, "--output", output), f"{packed}: the compressed")
    assert output.read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gz", "out.txt"]
