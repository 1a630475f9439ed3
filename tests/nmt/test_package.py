"""The public names of `nmt`: loaded on first use, and functions also where a module has the same name."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

import pytest

import nmt
import textseq


def test_public_names_are_listed() -> None:
    public = {"train", "evaluate", "score", "export", "quickstart", "Translator", "Translation", "Config"}
    assert public | {"__version__"} == set(nmt.__all__)
    assert set(nmt.__all__) <= set(dir(nmt))
    assert nmt.__version__ == textseq.__version__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'nmt' has no attribute 'tarin'$"):
        nmt.tarin  # noqa: B018


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A stand-in for the module nmt.train, not yet seen by the package."""
    made = ModuleType("nmt.train")
    made.__dict__["train"] = lambda: "trained"
    monkeypatch.setitem(vars(nmt), "train", None)  # restores what is there now
    monkeypatch.delitem(vars(nmt), "train")
    monkeypatch.setitem(sys.modules, "nmt.train", made)
    return made


def test_a_name_is_loaded_on_first_use(module: ModuleType) -> None:
    assert nmt.train is module.train
    assert vars(nmt)["train"] is module.train


def test_a_module_that_something_else_loads_does_not_take_the_place_of_its_function(module: Any) -> None:
    # What Python's import does with a submodule that it has loaded.
    nmt.train = module  # type: ignore[assignment]
    assert nmt.train is module.train
    assert importlib.import_module("nmt.train") is module
    from nmt import train

    assert train is module.train
