"""TensorFlow without the lines it prints while it starts."""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

from textseq.serving.native.standard_error import standard_error_held_back


def quiet_tensorflow() -> None:
    """Keeps TensorFlow's start-up messages off standard error, unless TF_CPP_MIN_LOG_LEVEL asks for them (0 or 1).

    Call it before anything imports TensorFlow; it does not import it. What TensorFlow prints is shown where its
    import fails.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") in ("0", "1") or "tensorflow" in sys.modules:
        return
    if not any(isinstance(finder, _QuietTensorFlow) for finder in sys.meta_path):
        sys.meta_path.insert(0, _QuietTensorFlow())


class _QuietTensorFlow:
    """An import hook for one import of TensorFlow.

    TensorFlow 2.21 prints some lines while its libraries load, before it has read TF_CPP_MIN_LOG_LEVEL.
    """

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_quietly(module: ModuleType) -> None:
            with standard_error_held_back():
                execute(module)

        spec.loader.exec_module = execute_quietly  # type: ignore[method-assign]
        return spec
