"""The backend that Keras runs on."""

from __future__ import annotations

from textseq.errors import InputError


def require_tensorflow(purpose: str) -> None:
    """Checks that Keras runs on TensorFlow; models and search run on every backend, the rest on TensorFlow.

    Args:
        purpose: what needs it, such as "training".

    Raises:
        InputError: it runs on another.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"{purpose} needs Keras on TensorFlow, here it runs on {keras.backend.backend()}; "
            f"set KERAS_BACKEND=tensorflow, the same run will load"
        )
