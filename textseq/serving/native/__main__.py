"""Proves an exported version: `python textseq/serving/native FOLDER`.

Started by its path, so that this package is `native` and stands alone: the package around it is not imported.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path


def _load_alone() -> None:
    """Makes this folder importable as `native`, and takes it off the path: no file is found by its bare name."""
    here = Path(__file__).resolve().parent
    sys.path[:] = [place for place in sys.path if Path(place).resolve() != here]
    spec = importlib.util.spec_from_file_location(
        "native", here / "__init__.py", submodule_search_locations=[str(here)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{here}: cannot be imported")
    sys.modules["native"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


if __name__ == "__main__":
    _load_alone()
    sys.exit(importlib.import_module("native.prove").main(sys.argv[1:]))
