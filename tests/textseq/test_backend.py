from __future__ import annotations

import keras
import pytest

from textseq.backend import require_tensorflow
from textseq.errors import InputError


def test_tensorflow_is_enough() -> None:
    require_tensorflow("training")


def test_other_backends_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(
        InputError, match=r"^training needs Keras on TensorFlow, here it runs on jax; set KERAS_BACKEND"
    ):
        require_tensorflow("training")
