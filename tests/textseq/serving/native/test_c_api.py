"""The libraries of the wheels are found and loaded without their Python."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import Any

import pytest

from textseq.serving.native import c_api
from textseq.serving.native.c_api import CODES, NativeError, library, version


def test_nothing_is_imported_and_nothing_is_said() -> None:
    code = """
import os, sys
os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)
from textseq.serving.native.c_api import library
library()
print(sorted({"tensorflow", "tensorflow_text", "keras"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


def test_it_is_the_installed_tensorflow() -> None:
    tf = pytest.importorskip("tensorflow")
    assert version() == tf.__version__
    assert library() is library()


def test_codes_are_those_of_tensorflow() -> None:
    errors = pytest.importorskip("tensorflow").errors
    assert {getattr(errors, name): name for name in CODES.values()} == CODES


@pytest.mark.parametrize("package", ["tensorflow", "tensorflow_text"])
def test_a_wheel_is_missing(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    found: Any = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else found(name))
    name = package.replace("_", "-")
    with pytest.raises(NativeError, match=rf"NOT_FOUND: .* of {name} is missing; install {name}") as caught:
        c_api.Library()
    assert caught.value.code == 5


def test_what_is_not_declared() -> None:
    with pytest.raises(AttributeError, match="TF_Run is not among the declared functions of TensorFlow's C API"):
        library().TF_Run  # noqa: B018


def test_a_status_speaks() -> None:
    api = library()
    with pytest.raises(NativeError, match=r"NOT_FOUND: .*nowhere.so") as caught, api.status() as status:
        api.TF_LoadLibrary(b"nowhere.so", status)
    assert caught.value.code == 5
