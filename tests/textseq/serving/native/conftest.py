"""A small SavedModel with signatures of many kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def small_module() -> Any:
    """Gives a text in capital letters, its words, numbers back, and more."""
    import tensorflow as tf

    text = tf.TensorSpec([None], tf.string, name="text")
    count = tf.TensorSpec([None], tf.int32, name="count")

    class Small(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = tf.Variable(0.5, name="weight")

        @tf.function(input_signature=[text], autograph=False)
        def shout(self, text: Any) -> dict[str, Any]:
            length = tf.cast(tf.strings.length(text), tf.float32)
            score = length * self.weight
            return {"loud": tf.strings.upper(text), "score": score, "pair": tf.stack([length, score], axis=1)}

        @tf.function(input_signature=[text], autograph=False)
        def words(self, text: Any) -> dict[str, Any]:
            words = tf.strings.split(text)
            return {"words": words.to_tensor(""), "word_count": tf.cast(words.row_lengths(), tf.int32)}

        @tf.function(
            input_signature=[
                *(tf.TensorSpec([None, 2], kind, name=kind.name) for kind in (tf.float32, tf.float64)),
                *(tf.TensorSpec([None], kind, name=kind.name) for kind in (tf.int32, tf.int64, tf.bool, tf.string)),
            ],
            autograph=False,
        )
        def echo(self, float32: Any, float64: Any, int32: Any, int64: Any, boolean: Any, string: Any) -> dict[str, Any]:
            given = {"f4": float32, "f8": float64, "i4": int32, "i8": int64, "b": boolean, "s": string}
            return {name: tf.identity(value) for name, value in given.items()}

        @tf.function(input_signature=[count], autograph=False)
        def spin(self, count: Any) -> dict[str, Any]:
            def step(number: Any, total: Any) -> tuple[Any, Any]:
                return number + 1, total + tf.cast(number, tf.int64)

            start = (tf.constant(0), tf.zeros_like(count, tf.int64))
            return {"total": tf.while_loop(lambda number, _: number < tf.reduce_max(count), step, start)[1]}

        @tf.function(input_signature=[count], autograph=False)
        def positive(self, count: Any) -> dict[str, Any]:
            with tf.control_dependencies([tf.debugging.assert_positive(count, message="too small")]):
                return {"count": tf.identity(count)}

    return Small()


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version that is not to be changed."""
    tf = pytest.importorskip("tensorflow")
    module = small_module()
    signatures = {"serving_default": module.shout}
    signatures |= {name: getattr(module, name) for name in ("words", "echo", "spin", "positive")}
    place = tmp_path_factory.mktemp("small") / "1"
    tf.saved_model.save(module, str(place), signatures=signatures)
    return place
