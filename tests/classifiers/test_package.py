"""The public names of `classifiers`: loaded on first use."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import classifiers
import textseq

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ("evaluate", "explain", "export", "pretrain", "quickstart", "train")


def test_public_names_are_listed() -> None:
    classes = {
        "Classifier",
        "Config",
        "Explanation",
        "Prediction",
        "PretrainingConfig",
        "RemoteClassifier",
        "SentimentClassifier",
    }
    assert {*classes, *FUNCTIONS, "__version__"} == set(classifiers.__all__)
    assert set(classifiers.__all__) <= set(dir(classifiers))
    assert classifiers.__version__ == textseq.__version__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'classifiers' has no attribute 'tarin'$"):
        classifiers.tarin  # noqa: B018


def test_a_light_name_loads_nothing_heavy() -> None:
    code = "import sys, classifiers; classifiers.Prediction; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["explain", "--help"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = f"""
import json, sys
from textseq.console import run_command
from classifiers.cli import app
code = run_command(app, "classifiers", {arguments!r})
print(json.dumps([code, sorted(sys.modules)]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    exit_code, loaded = json.loads(done.stdout.splitlines()[-1])
    assert exit_code == 0
    assert "Usage: classifiers" in done.stdout
    heavy = {"tensorflow", "tensorflow_text", "keras", "matplotlib", "sklearn", "sentencepiece", "numpy"}
    assert heavy.isdisjoint(loaded)


def test_functions_take_the_place_of_modules_of_the_same_name() -> None:
    for name in FUNCTIONS:
        assert callable(getattr(classifiers, name))
    from classifiers.train import TrainingReport

    assert isinstance(TrainingReport, type)
    assert callable(classifiers.train)
