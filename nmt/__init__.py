"""Translation: a recurrent encoder-decoder with attention, from two text files to a model that serves.

Example:
    >>> import nmt
    >>> translator = nmt.Translator.load("runs/en-de")  # doctest: +SKIP
    >>> print(translator.translate(["A man is sleeping."])[0])  # doctest: +SKIP
    Ein Mann schläft.

Public names are loaded on first use, so that importing the package, or asking the command line for help, does not
load TensorFlow.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

from textseq import __version__

if TYPE_CHECKING:
    from nmt.config import Config
    from nmt.evaluate import evaluate
    from nmt.export import export
    from nmt.quickstart import quickstart
    from nmt.score import score
    from nmt.train import train
    from nmt.translation import Translation
    from nmt.translator import Translator

__all__ = [
    "Config",
    "Translation",
    "Translator",
    "__version__",
    "evaluate",
    "export",
    "quickstart",
    "score",
    "train",
]

_HOMES = {
    "Config": "nmt.config",
    "Translation": "nmt.translation",
    "Translator": "nmt.translator",
    "evaluate": "nmt.evaluate",
    "export": "nmt.export",
    "quickstart": "nmt.quickstart",
    "score": "nmt.score",
    "train": "nmt.train",
}


class _Package(ModuleType):
    """A package in which `nmt.train` is the function, also after something has imported the module `nmt.train`.

    Python sets a submodule as an attribute of its package when it has loaded it, whoever asked for it. Here, the
    function takes the place of a module of the same name; `from nmt.train import ...` works as ever.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if isinstance(value, ModuleType) and name in _HOMES:
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
