"""The language model against NumPy float64, what each direction may see, padding, and that it learns."""

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

from textseq.language_model import LanguageModel, prediction_loss
from textseq.layers.bidirectional_encoder import BidirectionalEncoder
from textseq.special_ids import SpecialIds

# Not 0, 1, 2, 3 in this order: whoever writes a special id as a number is found out.
SPECIAL = SpecialIds(pad_id=3, unk_id=0, bos_id=1, eos_id=2)
VOCABULARY = 11
TEXTS = [[1, 4, 5, 6, 7, 8, 2], [1, 10, 2], [1, 2], [9, 0, 9, 9], [6]]
OPTIONS: dict[str, dict[str, Any]] = {
    "lstm": {},
    "gru": {"cell": "gru"},
    "simple_rnn": {"cell": "simple_rnn"},
    "layer_norm": {"layer_norm": True},
    "equal sizes": {"encoder_units": 6},
    "forward only": {"forward_only": True},
}


def model_of(**options: Any) -> LanguageModel:
    """A small model with every weight away from its initial zeros and ones."""
    sizes: dict[str, Any] = {"vocabulary_size": VOCABULARY, "embedding_units": 6, "encoder_units": 5}
    model = LanguageModel(special_ids=SPECIAL, **{**sizes, **options})
    random = np.random.RandomState(3)
    for weight in model.trainable_variables:
        weight.assign(random.normal(size=weight.shape) * 0.6)
    return model


def padded(rows: list[list[int]], padding: int = 0) -> np.ndarray:
    """int32[batch, length], right-padded."""
    ids = np.full((len(rows), max(map(len, rows)) + padding), SPECIAL.pad_id, "int32")
    for row, values in zip(ids, rows, strict=True):
        row[: len(values)] = values
    return ids


def expected_logits(model: LanguageModel, cell: str, text: list[int]) -> list[np.ndarray]:
    """One array [length - 1, vocabulary] for each direction, by NumPy in float64."""
    from tests.numpy_oracle import recurrent, weights_of

    embeddings = np.array(model.embedding.embeddings, "float64")
    results = []
    for number, direction in enumerate(model.directions):
        outputs, _ = recurrent(cell, weights_of(direction), embeddings[text], reverse=number == 1)
        outputs = outputs[1:] if number == 1 else outputs[:-1]
        if model.projections:
            outputs = outputs @ np.array(model.projections[number], "float64")
        results.append(outputs @ embeddings.T + np.array(model.output_bias, "float64"))
    return results


@pytest.mark.parametrize("name", OPTIONS)
def test_logits_and_loss_follow_the_equations(name: str) -> None:
    from tests.numpy_oracle import log_softmax

    model = model_of(**OPTIONS[name])
    cell = OPTIONS[name].get("cell", "lstm")
    ids = padded(TEXTS, padding=2)
    logits = model(ids)
    assert len(logits) == (1 if name == "forward only" else 2)
    sums = np.zeros(len(logits))
    for row, text in enumerate(TEXTS):
        for number, expected in enumerate(expected_logits(model, cell, text)):
            np.testing.assert_allclose(logits[number][row, : len(text) - 1], expected, atol=1e-5)
            labels = text[:-1] if number == 1 else text[1:]
            sums[number] -= log_softmax(expected)[np.arange(len(labels)), labels].sum()
    loss = prediction_loss(model, ids)
    assert float(loss.predictions) == sum(len(text) - 1 for text in TEXTS)
    np.testing.assert_allclose(loss.plain_sums, sums, rtol=1e-5)
    np.testing.assert_allclose(loss.smoothed_sum, sums.sum(), rtol=1e-5)


@pytest.mark.parametrize("place", [1, 3, 5])
def test_no_direction_sees_what_it_predicts(place: int) -> None:
    model = model_of()
    text = padded(TEXTS[:1])
    other = text.copy()
    other[0, place] = 9
    forward, backward = model(text)
    other_forward, other_backward = model(other)
    # Forward, the logits at t are for t + 1 and may know up to t; backward, those at t are for t and know from t + 1.
    np.testing.assert_array_equal(forward[:, :place], other_forward[:, :place])
    assert (np.array(forward[:, place:]) != np.array(other_forward[:, place:])).any(-1).all()
    np.testing.assert_array_equal(backward[:, place:], other_backward[:, place:])
    assert (np.array(backward[:, :place]) != np.array(other_backward[:, :place])).any(-1).all()


texts = st.lists(st.integers(4, VOCABULARY - 1), max_size=6).map(lambda ids: [SPECIAL.bos_id, *ids, SPECIAL.eos_id])
PADDING_MODELS = {"lstm": model_of(), "gru": model_of(cell="gru", layer_norm=True)}


@settings(max_examples=8, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4), st.integers(0, 3), st.sampled_from(list(PADDING_MODELS)))
def test_padding_and_company_change_nothing(rows: list[list[int]], padding: int, name: str) -> None:
    model = PADDING_MODELS[name]
    together = model(padded(rows, padding))
    loss = prediction_loss(model, padded(rows, padding), smoothing=0.1)
    alone = [prediction_loss(model, padded([row]), smoothing=0.1) for row in rows]
    np.testing.assert_allclose(loss.smoothed_sum, sum(float(one.smoothed_sum) for one in alone), rtol=1e-5)
    for index, row in enumerate(rows):
        for logits, expected in zip(together, model(padded([row])), strict=True):
            np.testing.assert_allclose(logits[index, : len(row) - 1], expected[0], atol=1e-5)


def test_a_step_is_what_the_forward_layer_does() -> None:
    model = model_of(embedding_dropout=0.3, state_dropout=0.3, output_dropout=0.3, product_dtype="bfloat16")
    ids = padded(TEXTS[:1] * 2)
    forward = model(ids)[0]
    states = model.start(2)
    for time in range(ids.shape[1] - 1):
        log_probabilities, states = model.step(ids[:, time], states)
        np.testing.assert_allclose(log_probabilities, ops.log_softmax(forward[:, time]), atol=1e-5)


def test_the_output_is_tied_to_the_embedding() -> None:
    paths = {variable.path: tuple(variable.shape) for variable in model_of(name="pretraining").trainable_variables}
    large = {path for path, shape in paths.items() if VOCABULARY in shape}
    assert large == {"embedding/embeddings", "pretraining/output_bias"}
    projected = {path for path in paths if path.endswith("projection")}
    assert projected == {f"pretraining/layer_0_{direction}_projection" for direction in ("forward", "backward")}
    assert not model_of(encoder_units=6).projections


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn"])
def test_the_layers_are_those_of_an_encoder(cell: str) -> None:
    """By name and shape, and by what they make of a text."""
    model = model_of(cell=cell, layer_norm=True)
    encoder = BidirectionalEncoder(5, 1, cell, layer_norm=True, name="encoder")
    encoder.build((None, None, 6))
    weights = {variable.path: variable for variable in model.trainable_variables}
    for variable in encoder.trainable_variables:
        variable.assign(weights[variable.path])
    ids = padded(TEXTS, padding=1)
    mask = ids != SPECIAL.pad_id
    states = encoder(model.embedding(ids), mask=mask)
    one = [direction(model.embedding(ids), mask=mask)[0] for direction in model.directions]
    np.testing.assert_allclose(states, np.concatenate(one, -1), atol=1e-6)


def test_dropout_while_training_only_and_by_the_seed() -> None:
    ids = padded(TEXTS)
    plain = np.array(model_of()(ids)[0])
    rates = dict.fromkeys(("embedding_dropout", "state_dropout", "output_dropout", "word_dropout"), 0.3)
    one, same, other = (model_of(seed=seed, **rates) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one(ids)[0], plain)
    first = np.array(one(ids, training=True)[0])
    np.testing.assert_array_equal(first, same(ids, training=True)[0])
    assert (first != np.array(other(ids, training=True)[0])).any()


@pytest.mark.parametrize("kind", ["embedding", "state", "output", "word"])
def test_each_rate_has_its_effect(kind: str) -> None:
    model = model_of(**{f"{kind}_dropout": 0.5})
    ids = padded(TEXTS[:1] * 4)
    for trained, plain in zip(model(ids, training=True), model(ids), strict=True):
        assert (np.array(trained) != np.array(plain)).any()


def test_word_dropout_never_touches_pad_bos_eos() -> None:
    model = model_of(word_dropout=1 - 1e-7)
    ids = padded(TEXTS)
    dropped = np.array(model._drop_words(ids, ids != SPECIAL.pad_id))
    special = np.isin(ids, [SPECIAL.pad_id, SPECIAL.bos_id, SPECIAL.eos_id])
    np.testing.assert_array_equal(dropped[special], ids[special])
    assert (dropped[~special] == SPECIAL.unk_id).all()


def test_a_row_of_no_prediction_adds_nothing() -> None:
    model = model_of()
    loss, more = prediction_loss(model, padded(TEXTS)), prediction_loss(model, padded([*TEXTS, [SPECIAL.eos_id], []]))
    np.testing.assert_allclose(more.plain_sums, loss.plain_sums, rtol=1e-6)
    assert float(more.predictions) == float(loss.predictions)
    empty = prediction_loss(model, padded([[5]]))
    assert float(empty.predictions) == float(empty.smoothed_sum) == 0.0


def test_the_seed_decides_the_initial_weights() -> None:
    sizes: dict[str, Any] = {"vocabulary_size": VOCABULARY, "embedding_units": 6, "encoder_units": 5}
    models = [LanguageModel(special_ids=SPECIAL, seed=seed, **sizes) for seed in (1, 1, 2)]
    values = [[np.array(weight) for weight in model.trainable_variables] for model in models]
    for one, same in zip(values[0], values[1], strict=True):
        np.testing.assert_array_equal(one, same)
    kernels = [model.directions[0].input_kernel for model in (models[0], models[2])]
    assert (np.array(kernels[0]) != np.array(kernels[1])).any()
    first, second = models[0].directions
    assert (np.array(first.input_kernel) != np.array(second.input_kernel)).any()


def test_unrolled_training_is_the_same() -> None:
    tf = pytest.importorskip("tensorflow")
    results = []
    for unroll in (False, True):
        model = model_of(unroll=unroll)
        values = [variable.value for variable in model.trainable_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            loss = prediction_loss(model, padded(TEXTS), smoothing=0.1, training=True).smoothed_sum
        results.append((float(loss), [np.array(tf.convert_to_tensor(one)) for one in tape.gradient(loss, values)]))
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-6)
    for one, other in zip(results[0][1], results[1][1], strict=True):
        assert np.abs(one).max() > 1e-8
        np.testing.assert_allclose(one, other, atol=1e-5)


def periodic(rows: int, length: int, seed: int) -> np.ndarray:
    """Texts that repeat 4 5 6 7 8 9 from a place drawn at random, int32[rows, length]."""
    starts = np.random.RandomState(seed).randint(0, 6, (rows, 1))
    return (4 + (starts + np.arange(length)) % 6).astype("int32")


@pytest.mark.parametrize("forward_only", [False, True])
def test_learns_a_periodic_language(forward_only: bool) -> None:
    """Perplexity 1 is perfect, 6 is what knowing only the letters gives."""
    tf = pytest.importorskip("tensorflow")
    sizes: dict[str, Any] = {"vocabulary_size": VOCABULARY, "embedding_units": 8, "encoder_units": 12}
    model = LanguageModel(special_ids=SPECIAL, forward_only=forward_only, **sizes)
    optimizer = keras.optimizers.Adam(0.02)

    @tf.function(autograph=False)
    def step(ids: Any) -> Any:
        values = [weight.value for weight in model.trainable_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            loss = prediction_loss(model, ids, training=True)
            objective = loss.smoothed_sum / loss.predictions
        gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(objective, values)]
        optimizer.apply(gradients, model.trainable_variables)
        return objective

    before = prediction_loss(model, periodic(16, 12, seed=100))
    for number in range(60):
        step(tf.constant(periodic(16, 12, seed=number)))
    loss = prediction_loss(model, periodic(16, 12, seed=100))
    assert np.exp(np.array(before.plain_sums) / float(before.predictions)).min() > 5
    assert np.exp(np.array(loss.plain_sums) / float(loss.predictions)).max() < 1.1


ON_JAX = """
import keras
from tests.textseq import test_language_model as tests
assert keras.backend.backend() == "jax"
loss = tests.prediction_loss(tests.model_of(cell="gru", layer_norm=True), tests.padded(tests.TEXTS), smoothing=0.1)
print(float(loss.smoothed_sum), *map(float, loss.plain_sums))
"""


def test_jax_gives_the_same_loss() -> None:
    pytest.importorskip("jax")
    root = Path(__file__).parents[2]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", ON_JAX], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    loss = prediction_loss(model_of(cell="gru", layer_norm=True), padded(TEXTS), smoothing=0.1)
    expected = [float(loss.smoothed_sum), *map(float, loss.plain_sums)]
    np.testing.assert_allclose([float(value) for value in done.stdout.split()], expected, rtol=1e-5)
