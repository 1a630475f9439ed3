"""Packages whose public names are loaded on first use.

Importing such a package, or asking its command line for help, loads none of what its functions need.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from types import ModuleType


class _LazyPackage(ModuleType):
    """A package in which `nmt.train` is the function, also after something has imported the module `nmt.train`.

    Python sets a submodule as an attribute of its package when it has loaded it, whoever asked for it. Here, the
    function takes the place of a module of the same name; `from nmt.train import ...` works as ever.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and name in self.__dict__["_homes"]:
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> object:
        homes = self.__dict__["_homes"]
        if name not in homes:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(homes[name]), name)
        self.__dict__[name] = value
        return value

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *self.__dict__["_homes"]})


def make_lazy(name: str, homes: Mapping[str, str]) -> None:
    """Gives a package public names that are loaded from their modules when they are first asked for.

    Call it in the package's `__init__`, with `__name__`.

    Args:
        name: of the package.
        homes: the module of each public name, such as {"train": "nmt.train"}.
    """
    package = sys.modules[name]
    package.__dict__["_homes"] = dict(homes)
    package.__class__ = _LazyPackage
