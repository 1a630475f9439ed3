"""Input that cannot be used, from the command line: exit code 2 and one line that names the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from classifiers import cli
from textseq.console import run_command

GOOD = "".join(
    f"{label}\t{word} {number}\n" for number in range(20) for label, word in (("good", "fine"), ("bad", "no"))
)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Runs a command that must fail; returns its line on standard error."""
    code = run_command(cli.app, "classifiers", arguments)
    written = capsys.readouterr()
    assert (code, written.out) == (2, ""), written.err
    last = written.err.splitlines()[-1]
    assert last.startswith("error: ")
    return last


CASES = {
    "one class only": ("a.tsv", b"good\tfine\ngood\tnice\n", (), "{path}: ", "expected two labels or more"),
    "no TAB": ("a.tsv", b"good\tfine\nbad one\n", (), "{path}:2: ", "has no TAB"),
    "no label": ("a.tsv", b"good\tfine\n\tbad one\n", (), "{path}:2: ", "has no label"),
    "a column that does not exist": ("a.csv", b"stars,review\n5,fine\n", (), "{path}:1: ", "its columns are"),
    "a key that does not exist": ("a.jsonl", b'{"stars": 5, "text": "x"}\n', (), "{path}:1: ", "has no key 'label'"),
    "unbalanced quotes": ("a.csv", b'label,text\ngood,fine\nbad,"never closed\n', (), "{path}:3: ", "quot"),
    "invalid UTF-8": ("a.tsv", b"good\tfine\nbad\t\xff\xfe\n", (), "{path}:2: ", "UTF-8"),
    "an empty file": ("a.tsv", b"", (), "{path}: ", "is empty"),
    "no JSON": ("a.jsonl", b'{"label": "good", "text": "x"}\n{"label"\n', (), "{path}:2: ", "is not JSON"),
}


@pytest.mark.parametrize("case", CASES)
def test_training_text(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, content, settings, place, words = CASES[case]
    path = tmp_path / name
    path.write_bytes(content)
    message = run(capsys, "train", "--train", str(path), "--run", str(tmp_path / "run"), *settings)
    assert message.startswith("error: " + place.format(path=path)), message
    assert words in message
    assert not (tmp_path / "run").exists()


def test_a_label_with_no_validation_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, valid = tmp_path / "train.tsv", tmp_path / "valid.tsv"
    train.write_text(GOOD)
    valid.write_text("good\tall well\n")
    message = run(capsys, "train", "--train", str(train), "--valid", str(valid), "--run", str(tmp_path / "run"))
    assert message.startswith(f"error: {valid}: ")
    assert "bad" in message


def test_an_unknown_label_in_the_validation_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train, valid = tmp_path / "train.tsv", tmp_path / "valid.tsv"
    train.write_text(GOOD)
    valid.write_text("good\tall well\nbad\tnot so\nodd\thm\n")
    message = run(capsys, "train", "--train", str(train), "--valid", str(valid), "--run", str(tmp_path / "run"))
    assert message.startswith(f"error: {valid}:3: unknown label 'odd'; the training text has ")


def test_an_unknown_label_in_the_test_text(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test = tmp_path / "test.tsv"
    test.write_text("positive\tall well\nodd\thm\n")
    message = run(capsys, "evaluate", "--run", str(tiny_run), "--test", str(test))
    assert message.startswith(f"error: {test}:2: unknown label 'odd'")


def test_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "none.tsv"
    assert str(path) in run(capsys, "train", "--train", str(path), "--run", str(tmp_path / "run"))


def test_an_unknown_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = run(capsys, "train", "--train", "a.tsv", "--run", str(tmp_path / "run"), "--set", "model.cel=gru")
    assert "did you mean" in message and "model.cell" in message
