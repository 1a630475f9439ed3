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

from typing import TYPE_CHECKING

from textseq import __version__
from textseq.lazy_package import make_lazy

if TYPE_CHECKING:
    from nmt.combined_export import combined_export
    from nmt.config import Config
    from nmt.evaluate import evaluate
    from nmt.export import export
    from nmt.quickstart import quickstart
    from nmt.remote_translator import RemoteTranslator
    from nmt.score import score
    from nmt.train import train
    from nmt.translation import Translation
    from nmt.translator import Translator

__all__ = [
    "Config",
    "RemoteTranslator",
    "Translation",
    "Translator",
    "__version__",
    "combined_export",
    "evaluate",
    "export",
    "quickstart",
    "score",
    "train",
]

make_lazy(
    __name__,
    {
        "Config": "nmt.config",
        "RemoteTranslator": "nmt.remote_translator",
        "Translation": "nmt.translation",
        "Translator": "nmt.translator",
        "combined_export": "nmt.combined_export",
        "evaluate": "nmt.evaluate",
        "export": "nmt.export",
        "quickstart": "nmt.quickstart",
        "score": "nmt.score",
        "train": "nmt.train",
    },
)
