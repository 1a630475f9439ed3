"""A package whose names are loaded on first use, and are functions also where a module has the same name."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

INIT = """
from textseq.lazy_package import make_lazy

__version__ = "1"
make_lazy(__name__, {"train": "lazy_shop.train", "Config": "lazy_shop.config"})
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A new package lazy_shop with the modules train and config, none of them loaded."""
    folder = tmp_path / "lazy_shop"
    folder.mkdir()
    (folder / "__init__.py").write_text(INIT)
    (folder / "train.py").write_text("def train(): return 'trained'\n")
    (folder / "config.py").write_text("class Config: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("lazy_shop", "lazy_shop.train", "lazy_shop.config"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module("lazy_shop")
    for name in ("lazy_shop", "lazy_shop.train", "lazy_shop.config"):
        sys.modules.pop(name, None)


def test_a_name_is_loaded_on_first_use(package: Any) -> None:
    assert "lazy_shop.train" not in sys.modules
    assert package.train() == "trained"
    assert "lazy_shop.train" in sys.modules
    assert "lazy_shop.config" not in sys.modules
    assert vars(package)["train"] is package.train


def test_a_name_is_loaded_by_an_import_statement(package: Any) -> None:
    scope: dict[str, Any] = {}
    exec("from lazy_shop import Config", scope)
    assert scope["Config"] is package.Config


def test_names_are_listed_before_they_are_loaded(package: Any) -> None:
    assert {"train", "Config", "__version__"} <= set(dir(package))
    assert "lazy_shop.train" not in sys.modules


def test_an_unknown_name_is_an_attribute_error(package: Any) -> None:
    with pytest.raises(AttributeError, match=r"^module 'lazy_shop' has no attribute 'tarin'$"):
        package.tarin  # noqa: B018


def test_a_module_that_something_else_loads_does_not_take_the_place_of_its_function(package: Any) -> None:
    module = importlib.import_module("lazy_shop.train")
    assert isinstance(module, ModuleType)
    assert package.train is module.train
    assert importlib.import_module("lazy_shop.train") is module


def test_what_is_set_by_hand_stays(package: Any) -> None:
    package.train = 3
    assert package.train == 3
