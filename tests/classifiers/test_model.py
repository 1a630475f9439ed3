"""The classifier's network against NumPy float64, against padding, and against JAX."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from classifiers.adversarial import adversarial_loss
from classifiers.config import ModelConfig
from classifiers.losses import classification_loss
from classifiers.model import ClassifierModel
from textseq.special_ids import SpecialIds

# Not 0, 1, 2, 3 in this order: whoever writes a special id as a number is found out.
SPECIAL = SpecialIds(pad_id=3, unk_id=0, bos_id=1, eos_id=2)
VOCABULARY, CLASSES = 11, 3
EMPTY = [SPECIAL.eos_id]
TEXTS = [[4, 5, 6, 7, 8, 2], [10, 2], EMPTY, [6, 0, 6, 9, 4, 4, 5, 2]]
TARGETS = np.eye(CLASSES, dtype="int32")[[0, 2, 1, 2]]
ROOT = Path(__file__).parents[2]
EVERY_POOLING = ("max", "mean", "last", "attention")

OPTIONS: dict[str, dict[str, Any]] = {
    "lstm": {},
    "gru": {"cell": "gru"},
    "simple_rnn": {"cell": "simple_rnn"},
    "max": {"pooling": ("max",)},
    "mean": {"pooling": ("mean",)},
    "last": {"pooling": ("last",)},
    "attention": {"pooling": ("attention",)},
    "convolution": {"convolution_filters": 5},
    "layer_norm": {"layer_norm": True},
    "layers": {"encoder_layers": 3},
    "ngrams": {"ngrams": 2},
    "all": {
        "cell": "gru",
        "layer_norm": True,
        "encoder_layers": 2,
        "residual": True,
        "pooling": EVERY_POOLING,
        "convolution_filters": 8,
        "convolution_width": 4,
        "ngrams": 3,
    },
}
DROPOUTS = ("embedding", "state", "layer", "pooled", "word", "ngram")


def model_of(dropout: float = 0.0, seed: int = 1, scale: float = 0.6, **options: Any) -> ClassifierModel:
    """A small model with every weight away from its initial zeros and ones."""
    rates = {f"{kind}_dropout": dropout for kind in DROPOUTS}
    arguments = {name: options.pop(name) for name in ("product_dtype", "unroll", "compiled") if name in options}
    sizes = {"embedding_units": 6, "encoder_units": 4, "attention_units": 5, "ngrams": 0, "ngram_buckets": 8}
    model = ClassifierModel(
        ModelConfig(**{**sizes, **rates, **options}),
        vocabulary_size=VOCABULARY,
        classes=CLASSES,
        special_ids=SPECIAL,
        seed=seed,
        name="classifier",
        **arguments,
    )
    random = np.random.RandomState(3)
    for weight in model.trainable_variables:
        weight.assign(random.normal(size=weight.shape) * scale)
    return model


def padded(rows: list[list[int]], length: int | None = None) -> np.ndarray:
    """int32[batch, length], right-padded."""
    ids = np.full((len(rows), length or max(map(len, rows))), SPECIAL.pad_id, "int32")
    for row, values in zip(ids, rows, strict=True):
        row[: len(values)] = values
    return ids


def loss_of(model: ClassifierModel, token_ids: np.ndarray, adversarial: bool = False) -> Any:
    """The mean loss of `TARGETS`, as it is trained."""

    def loss(logits: Any) -> Any:
        return classification_loss(logits, TARGETS, smoothing=0.1, focal_gamma=1.5)[0]

    if not adversarial:
        return ops.mean(loss(model(token_ids, training=True)))
    mask = model.token_mask(token_ids)

    embedded, added = model.divided(model.embed(token_ids, True))

    def read(embedded: Any, training: bool) -> Any:
        return model.read_network(embedded, mask, training)[0]

    ngrams = 0.0 if added is None else ops.mean(loss(ops.sum(added, axis=1)))
    return ngrams + ops.mean(adversarial_loss(read, embedded, mask, loss, size=0.5))


def gradients_of(model: ClassifierModel, *arguments: Any) -> tuple[float, dict[str, np.ndarray]]:
    """The training loss and its gradient for every weight, on whichever backend runs."""
    paths = [weight.path for weight in model.trainable_variables]
    values = [weight.value for weight in model.trainable_variables]
    if keras.backend.backend() == "jax":
        import jax

        def stateless(values: list[Any]) -> Any:
            replaced = zip(model.trainable_variables, values, strict=True)
            with keras.StatelessScope(state_mapping=list(replaced)):
                return loss_of(model, *arguments)

        loss, gradients = jax.jit(jax.value_and_grad(stateless))(values)
    else:
        import tensorflow as tf

        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            loss = loss_of(model, *arguments)
        gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, values)]
    return float(loss), {path: np.array(gradient) for path, gradient in zip(paths, gradients, strict=True)}


@pytest.mark.parametrize("name", OPTIONS)
def test_model_follows_the_equations(name: str) -> None:
    from tests.numpy_oracle import ClassifierOracle

    model = model_of(**OPTIONS[name])
    oracle = ClassifierOracle(model)
    token_ids = padded(TEXTS)
    reading = model.read(model.embed(token_ids), model.token_mask(token_ids))
    np.testing.assert_array_equal(model(token_ids), reading.logits)
    for row, text in enumerate(TEXTS):
        logits, attention = oracle.read(text)
        np.testing.assert_allclose(reading.logits[row], logits, atol=1e-5)
        if attention is None:
            assert reading.attention_weights is None
        else:
            np.testing.assert_allclose(reading.attention_weights[row, : len(text)], attention, atol=1e-5)
            assert not np.array(reading.attention_weights)[row, len(text) :].any()


@pytest.mark.parametrize("name", OPTIONS)
def test_every_weight_gets_a_gradient(name: str) -> None:
    model = model_of(dropout=0.1, **OPTIONS[name])
    loss, gradients = gradients_of(model, padded(TEXTS))
    assert np.isfinite(loss)
    assert len(gradients) == len(model.trainable_variables)
    for path, gradient in gradients.items():
        assert np.isfinite(gradient).all(), path
        assert np.abs(gradient).max() > 1e-8, path


def test_the_parts_have_their_names() -> None:
    paths = [variable.path for variable in model_of(**OPTIONS["all"]).trainable_variables]
    assert len(set(paths)) == len(paths)
    assert {
        "embedding/embeddings",
        "convolution/kernel",
        "encoder/layer_0_forward/input_kernel",
        "encoder/layer_1_backward/state_kernel",
        "pooling/attention/energy",
        "ngrams/table",
        "classifier/output_kernel",
        "classifier/output_bias",
    } <= set(paths)


words = st.lists(st.integers(4, VOCABULARY - 1), max_size=9).map(lambda ids: [*ids, SPECIAL.eos_id])
PADDING_MODELS = {name: model_of(scale=0.4, **OPTIONS[name]) for name in ("lstm", "all")}


@settings(max_examples=10, deadline=None)
@given(st.lists(words, min_size=1, max_size=5), st.integers(0, 7), st.sampled_from(list(PADDING_MODELS)))
def test_padding_and_company_change_nothing(texts: list[list[int]], padding: int, name: str) -> None:
    model = PADDING_MODELS[name]
    logits = np.array(model(padded(texts, max(map(len, texts)) + padding)))
    assert np.isfinite(logits).all()
    for row, text in enumerate(texts):
        np.testing.assert_allclose(logits[row], model(padded([text]))[0], atol=1e-6)


@pytest.mark.parametrize("name", OPTIONS)
def test_loss_and_gradients_do_not_depend_on_padding(name: str) -> None:
    model = model_of(**OPTIONS[name])
    loss, expected = gradients_of(model, padded(TEXTS))
    padded_loss, gradients = gradients_of(model, padded(TEXTS, 13))
    np.testing.assert_allclose(padded_loss, loss, rtol=1e-6)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected[path], atol=1e-6, err_msg=path)


def test_an_empty_text_is_read() -> None:
    for name in OPTIONS:
        assert np.isfinite(np.array(model_of(**OPTIONS[name])(padded([EMPTY])))).all()


def test_dropout_while_training_only_and_by_the_seed() -> None:
    token_ids = padded(TEXTS)
    plain = np.array(model_of(encoder_layers=2)(token_ids))
    one, same, other = (model_of(dropout=0.3, seed=seed, encoder_layers=2) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one(token_ids), plain)
    first = np.array(one(token_ids, training=True))
    np.testing.assert_array_equal(first, same(token_ids, training=True))
    assert (first != np.array(other(token_ids, training=True))).any()
    assert (first != np.array(one(token_ids, training=True))).any()


@pytest.mark.parametrize("kind", DROPOUTS)
def test_each_rate_has_its_effect(kind: str) -> None:
    token_ids = padded(TEXTS)
    model = model_of(**{f"{kind}_dropout": 0.5}, encoder_layers=2, ngrams=2)
    assert (np.array(model(token_ids, training=True)) != np.array(model(token_ids))).any()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=9))
def test_word_dropout_never_touches_pad_and_eos(ids: list[int]) -> None:
    array = np.array([ids], "int32")
    dropped = np.array(WORD_DROPPING._drop_words(array))
    special = np.isin(array, [SPECIAL.pad_id, SPECIAL.eos_id])
    np.testing.assert_array_equal(dropped[special], array[special])
    assert (dropped[~special] == SPECIAL.unk_id).all()


WORD_DROPPING = model_of(word_dropout=1 - 1e-7)


@pytest.mark.parametrize("way", ["unroll", "compiled"])
def test_unrolled_and_compiled_training_is_the_same(way: str) -> None:
    models = model_of(**OPTIONS["all"]), model_of(**{way: True}, **OPTIONS["all"])
    results = [gradients_of(model, padded(TEXTS)) for model in models]
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-6)
    for path, gradient in results[0][1].items():
        np.testing.assert_allclose(results[1][1][path], gradient, atol=1e-6, err_msg=path)


def test_half_precision_products_are_near_and_in_training_only() -> None:
    exact, rounded = (model_of(product_dtype=dtype, **OPTIONS["all"]) for dtype in ("float32", "bfloat16"))
    token_ids = padded(TEXTS)
    np.testing.assert_array_equal(exact(token_ids), rounded(token_ids))
    loss, gradients = gradients_of(exact, token_ids)
    rounded_loss, rounded_gradients = gradients_of(rounded, token_ids)
    assert 0 < abs(rounded_loss - loss) < 0.05
    norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients.values()))
    for path, gradient in gradients.items():
        assert rounded_gradients[path].dtype == np.float32
        assert np.linalg.norm(rounded_gradients[path] - gradient) < 0.05 * norm, path


def test_the_seed_decides_the_initial_weights() -> None:
    config = ModelConfig(embedding_units=6, encoder_units=4, pooling=EVERY_POOLING, convolution_filters=5)
    sizes = {"vocabulary_size": VOCABULARY, "classes": CLASSES, "special_ids": SPECIAL}
    one, same, other = (ClassifierModel(config, **sizes, seed=seed) for seed in (1, 1, 2))
    for weight, weight_same, weight_other in zip(one.weights, same.weights, other.weights, strict=True):
        np.testing.assert_array_equal(weight, weight_same)
        if "kernel" in weight.path or "embedding" in weight.path:
            assert (np.array(weight) != np.array(weight_other)).any(), weight.path


JAX_CASES = [("lstm", False), ("all", False), ("all", True)]


def test_jax_gives_the_same_loss_and_gradients(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    for number, (name, _) in enumerate(JAX_CASES):
        model = model_of(**OPTIONS[name])
        weights = {weight.path: np.array(weight) for weight in model.trainable_variables}
        np.savez(tmp_path / f"{number}.npz", **weights)
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for number, (name, adversarial) in enumerate(JAX_CASES):
        model = model_of(**OPTIONS[name])
        loss, gradients = gradients_of(model, padded(TEXTS), adversarial)
        with np.load(tmp_path / f"{number}.jax.npz") as found:
            assert str(found["backend"]) == "jax"
            np.testing.assert_allclose(found["logits"], model(padded(TEXTS)), atol=1e-4)
            np.testing.assert_allclose(float(found["loss"]), loss, rtol=1e-4)
            for path, gradient in gradients.items():
                np.testing.assert_allclose(found[path], gradient, atol=1e-4, err_msg=path)


def on_jax(folder: Path) -> None:
    """Loads the weights by path and writes logits, loss and gradients beside them."""
    for number, (name, adversarial) in enumerate(JAX_CASES):
        model = model_of(**OPTIONS[name])
        with np.load(folder / f"{number}.npz") as saved:
            for weight in model.trainable_variables:
                weight.assign(np.zeros(weight.shape))
                weight.assign(saved[weight.path])
        loss, gradients = gradients_of(model, padded(TEXTS), adversarial)
        logits = np.array(model(padded(TEXTS)))
        backend = keras.backend.backend()
        np.savez(folder / f"{number}.jax.npz", loss=loss, logits=logits, backend=backend, **gradients)


if __name__ == "__main__":
    on_jax(Path(sys.argv[1]))
