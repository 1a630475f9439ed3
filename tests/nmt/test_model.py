"""The network against NumPy float64, against search's own step, against padding, and against JAX."""

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

from nmt.config import ModelConfig
from nmt.model import TranslationModel
from nmt.search import score
from textseq.errors import InputError
from textseq.losses import smoothed_cross_entropy
from textseq.special_ids import SpecialIds

# Not 0, 1, 2, 3 in this order: whoever writes a special id as a number is found out.
SPECIAL = SpecialIds(pad_id=3, unk_id=0, bos_id=1, eos_id=2)
VOCABULARY = 11
OTHER_VOCABULARY = 9
SENTENCES = [([4, 5, 6, 7, 8, 2], [9, 4, 10, 2]), ([10, 2], [5, 2]), ([2], [2]), ([6, 0, 6, 2], [0, 0, 7, 8, 6, 4, 2])]
ROOT = Path(__file__).parents[2]
EVERYTHING: dict[str, Any] = {
    "cell": "lstm",
    "layer_norm": True,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "residual": True,
    "tied_embeddings": False,
    "joint": False,
}
OPTIONS: dict[str, dict[str, Any]] = {
    "gru": {},
    "lstm": {"cell": "lstm"},
    "simple_rnn": {"cell": "simple_rnn"},
    "heads": {"attention_heads": 4},
    "layer_norm": {"layer_norm": True},
    "layers": {"encoder_layers": 2, "decoder_layers": 3},
    "residual": {"encoder_layers": 2, "decoder_layers": 2, "residual": True},
    "untied": {"tied_embeddings": False},
    "separate": {"joint": False},
    "separate, untied": {"joint": False, "tied_embeddings": False},
    "no attention": {"attention": "none"},
    "no attention, all": {"attention": "none", **EVERYTHING},
    "all": {"attention_heads": 2, **EVERYTHING},
}


def model_of(joint: bool = True, dropout: float = 0.0, seed: int = 1, **options: Any) -> TranslationModel:
    """A small model with every weight away from its initial zeros and ones."""
    rates = {f"{kind}_dropout": dropout for kind in ("embedding", "state", "memory", "readout", "word")}
    arguments = {name: options.pop(name) for name in ("product_dtype", "unroll") if name in options}
    sizes = {"embedding_units": 6, "encoder_units": 4, "decoder_units": 5, "attention_units": 8}
    model = TranslationModel(
        ModelConfig(**{**sizes, **rates, **options}),
        source_vocabulary_size=VOCABULARY,
        target_vocabulary_size=VOCABULARY if joint else OTHER_VOCABULARY,
        special_ids=SPECIAL,
        joint_vocabulary=joint,
        seed=seed,
        name="translator",
        **arguments,
    )
    random = np.random.RandomState(3)
    for weight in model.trainable_variables:
        weight.assign(random.normal(size=weight.shape) * 0.6)
    return model


def padded(rows: list[list[int]], length: int | None = None) -> np.ndarray:
    """int32[batch, length], right-padded."""
    ids = np.full((len(rows), length or max(map(len, rows))), SPECIAL.pad_id, "int32")
    for row, values in zip(ids, rows, strict=True):
        row[: len(values)] = values
    return ids


def arrays_of(
    pairs: list[tuple[list[int], list[int]]], vocabulary: int = VOCABULARY, padding: tuple[int, int] = (0, 0)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`source_ids`, `target_input_ids`, `target_label_ids`; ids beyond the target vocabulary become others."""
    targets = [[number if number < vocabulary else number - 5 for number in target] for _, target in pairs]
    source_length = max(len(source) for source, _ in pairs) + padding[0]
    target_length = max(map(len, targets)) + padding[1]
    return (
        padded([source for source, _ in pairs], source_length),
        padded([[SPECIAL.bos_id, *target[:-1]] for target in targets], target_length),
        padded(targets, target_length),
    )


def loss_of(model: TranslationModel, arrays: tuple[Any, ...], training: bool = True) -> Any:
    """The mean smoothed cross-entropy over the target tokens."""
    logits = model(arrays[0], arrays[1], training=training)
    smoothed, _ = smoothed_cross_entropy(logits, arrays[2], 0.1)
    mask = ops.cast(ops.not_equal(arrays[2], SPECIAL.pad_id), smoothed.dtype)
    return ops.sum(smoothed * mask) / ops.sum(mask)


def gradients_of(model: TranslationModel, arrays: tuple[Any, ...]) -> tuple[float, dict[str, np.ndarray]]:
    """The training loss and its gradient for every weight, on whichever backend runs."""
    paths = [weight.path for weight in model.trainable_variables]
    if keras.backend.backend() == "jax":
        import jax

        def stateless(values: list[Any]) -> Any:
            replaced = zip(model.trainable_variables, values, strict=True)
            with keras.StatelessScope(state_mapping=list(replaced)):
                return loss_of(model, arrays)

        values = [weight.value for weight in model.trainable_variables]
        loss, gradients = jax.jit(jax.value_and_grad(stateless))(values)
    else:
        import tensorflow as tf

        values = [weight.value for weight in model.trainable_variables]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(values)
            loss = loss_of(model, arrays)
        gradients = [tf.convert_to_tensor(gradient) for gradient in tape.gradient(loss, values)]
    return float(loss), {path: np.array(gradient) for path, gradient in zip(paths, gradients, strict=True)}


@pytest.mark.parametrize("name", OPTIONS)
def test_model_follows_the_equations(name: str) -> None:
    from tests.numpy_oracle import TranslationOracle, log_softmax

    model = model_of(**OPTIONS[name])
    oracle = TranslationOracle(model)
    source_ids, target_input_ids, _ = arrays_of(SENTENCES, model.target_vocabulary_size)
    logits = model(source_ids, target_input_ids)
    encoded = model.encode(source_ids)
    states = model.start(encoded)
    attends = OPTIONS[name].get("attention") != "none"
    memories = [oracle.encode(source) for source, _ in SENTENCES]
    expected_states = [oracle.start(memory) for memory in memories]
    for row, memory in enumerate(memories):
        if attends:
            np.testing.assert_array_equal(encoded.source_mask[row], source_ids[row] != SPECIAL.pad_id)
            # [heads, source_length, memory_units / heads] -> [source_length, memory_units]
            values = np.concatenate(list(np.array(encoded.memory[row])), axis=1)
            np.testing.assert_allclose(values[: len(memory)], memory, atol=1e-5)
        else:
            # The forward half has read up to the last token, the backward half back to the first.
            np.testing.assert_allclose(encoded.summary[row], np.append(memory[-1, :4], memory[0, 4:]), atol=1e-5)
        for state, expected in zip(states, expected_states[row], strict=True):
            np.testing.assert_allclose(state[row, 0], expected, atol=1e-5)
    for time in range(target_input_ids.shape[1]):
        log_probabilities, states, attention = model.step(target_input_ids[:, time : time + 1], states, encoded)
        np.testing.assert_allclose(np.exp(log_probabilities).sum(-1), 1, atol=1e-5)
        for row, (source, target) in enumerate(SENTENCES):
            if time >= len(target):
                continue
            expected, expected_states[row], weights = oracle.step(
                int(target_input_ids[row, time]), expected_states[row], memories[row]
            )
            np.testing.assert_allclose(logits[row, time], expected, atol=1e-5)
            np.testing.assert_allclose(log_probabilities[row, 0], log_softmax(expected), atol=1e-5)
            if attends:
                np.testing.assert_allclose(attention[row, 0, : len(source)], weights.mean(0), atol=1e-5)
                assert not np.array(attention)[row, 0, len(source) :].any()
            else:
                assert attention is None
            for state, expected_state in zip(states, expected_states[row], strict=True):
                np.testing.assert_allclose(state[row, 0], expected_state, atol=1e-5)


@pytest.mark.parametrize("name", OPTIONS)
def test_search_scores_what_training_scores(name: str) -> None:
    model = model_of(dropout=0.4, product_dtype="bfloat16", **OPTIONS[name])  # neither may reach search
    source_ids, target_input_ids, target_label_ids = arrays_of(SENTENCES, model.target_vocabulary_size)
    scores = score(model, source_ids, target_label_ids, SPECIAL)
    _, plain = smoothed_cross_entropy(model(source_ids, target_input_ids), target_label_ids)
    expected = np.where(target_label_ids != SPECIAL.pad_id, -np.array(plain), 0)
    np.testing.assert_allclose(scores.token_log_probabilities, expected, atol=1e-5)
    np.testing.assert_allclose(scores.log_probabilities, expected.sum(1), atol=1e-5)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_weight_gets_a_gradient(name: str) -> None:
    model = model_of(dropout=0.1, **OPTIONS[name])
    arrays = arrays_of(SENTENCES * 4, model.target_vocabulary_size)
    loss, gradients = gradients_of(model, arrays)
    assert np.isfinite(loss)
    assert len(gradients) == len(model.trainable_variables)
    for path, gradient in gradients.items():
        assert np.isfinite(gradient).all(), path
        assert np.abs(gradient).max() > 1e-8, path


@pytest.mark.parametrize(
    ("joint", "tied", "matrices"), [(True, True, 1), (True, False, 3), (False, True, 2), (False, False, 3)]
)
def test_tied_embeddings_are_one_matrix(joint: bool, tied: bool, matrices: int) -> None:
    model = model_of(joint, tied_embeddings=tied)
    shapes = [tuple(weight.shape) for weight in model.trainable_variables]
    sizes = {(VOCABULARY, 6), (6, VOCABULARY), (OTHER_VOCABULARY, 6), (6, OTHER_VOCABULARY)}
    assert sum(shape in sizes for shape in shapes) == matrices
    assert (model.source_embedding is model.target_embedding) == (joint and tied)
    paths = [variable.path for variable in model.variables]
    assert len(set(paths)) == len(paths)


words = st.lists(st.integers(4, VOCABULARY - 1), max_size=5).map(lambda ids: [*ids, SPECIAL.eos_id])
PADDING_MODELS = {
    "gru": model_of(attention_heads=2),
    "all": model_of(**{**OPTIONS["all"], "joint": True}),
    "no attention": model_of(**{**OPTIONS["no attention, all"], "joint": True}),
}


@settings(max_examples=6, deadline=None)
@given(
    st.lists(st.tuples(words, words), min_size=1, max_size=4),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.sampled_from(list(PADDING_MODELS)),
)
def test_padding_and_company_change_nothing(
    pairs: list[tuple[list[int], list[int]]], padding: tuple[int, int], name: str
) -> None:
    model = PADDING_MODELS[name]
    arrays = arrays_of(pairs, padding=padding)
    logits = np.array(model(arrays[0], arrays[1]))
    encoded = model.encode(arrays[0])
    states = model.start(encoded)
    for row, pair in enumerate(pairs):
        alone = arrays_of([pair])
        np.testing.assert_allclose(logits[row, : len(pair[1])], model(*alone[:2])[0], atol=1e-5)
        for state, state_alone in zip(states, model.start(model.encode(alone[0])), strict=True):
            np.testing.assert_allclose(state[row], state_alone[0], atol=1e-5)


@pytest.mark.parametrize("name", ["all", "no attention, all"])
def test_loss_and_gradients_do_not_depend_on_padding(name: str) -> None:
    model = model_of(**OPTIONS[name])
    loss, expected = gradients_of(model, arrays_of(SENTENCES, model.target_vocabulary_size))
    padded_loss, gradients = gradients_of(model, arrays_of(SENTENCES, model.target_vocabulary_size, (3, 2)))
    np.testing.assert_allclose(padded_loss, loss, rtol=1e-6)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected[path], atol=1e-6, err_msg=path)


def test_a_row_of_no_sentence_changes_nothing_and_stays_finite() -> None:
    model = model_of()
    source_ids, target_input_ids, target_label_ids = arrays_of(SENTENCES)
    loss, gradients = gradients_of(model, (source_ids, target_input_ids, target_label_ids))
    rows = (
        (source_ids, [SPECIAL.eos_id]),
        (target_input_ids, [SPECIAL.bos_id]),
        (target_label_ids, []),
    )
    filled = tuple(np.concatenate([array, padded([row], array.shape[1])]) for array, row in rows)
    filled_loss, filled_gradients = gradients_of(model, filled)
    np.testing.assert_allclose(filled_loss, loss, rtol=1e-6)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(filled_gradients[path], gradient, atol=1e-6)


@pytest.mark.parametrize("name", ["all", "no attention, all"])
def test_hypotheses_of_a_beam_do_not_see_each_other(name: str) -> None:
    model = model_of(**{**OPTIONS[name], "joint": True})
    source_ids = arrays_of(SENTENCES)[0]
    encoded = model.encode(source_ids)
    previous = np.array([[4, 5, 6]] * len(SENTENCES), "int32")
    wide, wide_states, wide_attention = model.step(previous, model.start(encoded, 3), encoded)
    for hypothesis in range(3):
        one, states, attention = model.step(previous[:, hypothesis : hypothesis + 1], model.start(encoded, 1), encoded)
        np.testing.assert_allclose(wide[:, hypothesis], one[:, 0], atol=1e-5)
        if name == "all":
            np.testing.assert_allclose(wide_attention[:, hypothesis], attention[:, 0], atol=1e-5)
        for wide_state, state in zip(wide_states, states, strict=True):
            np.testing.assert_allclose(wide_state[:, hypothesis], state[:, 0], atol=1e-5)


def test_without_attention_a_sentence_is_one_vector_of_fixed_size_and_no_weight_is_left_over() -> None:
    model = model_of(attention="none")
    for length in (1, 7):
        encoded = model.encode(padded([[4] * length + [SPECIAL.eos_id]] * 2))
        assert [tuple(array.shape) for array in encoded] == [(2, 8)]
    names = {weight.path.split("/")[-1] for weight in model.decoder.trainable_weights}
    assert names == {"input_kernel", "input_bias", "state_kernel", "state_bias"}


def test_attention_is_refused_where_there_is_none() -> None:
    source_ids, _, target_label_ids = arrays_of(SENTENCES)
    message = r"attention: this model has none, its model.attention is none; leave attention and alignments out"
    with pytest.raises(InputError, match=message):
        score(model_of(attention="none"), source_ids, target_label_ids, SPECIAL, attention=True)


def test_dropout_while_training_only_and_by_the_seed() -> None:
    arrays = arrays_of(SENTENCES)
    plain = np.array(model_of()(*arrays[:2]))
    one, same, other = (model_of(dropout=0.3, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one(*arrays[:2]), plain)
    first = np.array(one(*arrays[:2], training=True))
    np.testing.assert_array_equal(first, same(*arrays[:2], training=True))
    assert (first != np.array(other(*arrays[:2], training=True))).any()
    assert (first != np.array(one(*arrays[:2], training=True))).any()


@pytest.mark.parametrize("kind", ["embedding", "state", "memory", "readout", "word"])
def test_each_rate_has_its_effect(kind: str) -> None:
    arrays = arrays_of(SENTENCES)
    model = model_of(**{f"{kind}_dropout": 0.5})
    assert (np.array(model(*arrays[:2], training=True)) != np.array(model(*arrays[:2]))).any()


def test_the_state_dropout_of_the_decoder_is_one_mask_a_sentence() -> None:
    """Read off the gradient: a unit whose state is dropped gives the recurrent kernel nothing at any step."""
    model = model_of(state_dropout=0.5)
    _, gradients = gradients_of(model, arrays_of([SENTENCES[3]]))
    (kernel,) = (gradient for path, gradient in gradients.items() if path.endswith("decoder/state_kernel"))
    rows = np.abs(kernel).max(axis=1)
    assert (rows == 0).any()
    assert (rows > 0).any()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=9))
def test_word_dropout_never_touches_pad_bos_eos(ids: list[int]) -> None:
    array = np.array([ids], "int32")
    dropped = np.array(WORD_DROPPING._drop_words(array))
    special = np.isin(array, [SPECIAL.pad_id, SPECIAL.bos_id, SPECIAL.eos_id])
    np.testing.assert_array_equal(dropped[special], array[special])
    assert (dropped[~special] == SPECIAL.unk_id).all()


WORD_DROPPING = model_of(word_dropout=1 - 1e-7)


@pytest.mark.parametrize("name", ["gru", "all", "no attention"])
def test_unrolled_training_is_the_same(name: str) -> None:
    models = [model_of(unroll=unroll, **OPTIONS[name]) for unroll in (False, True)]
    results = [gradients_of(model, arrays_of(SENTENCES, model.target_vocabulary_size)) for model in models]
    np.testing.assert_allclose(results[0][0], results[1][0], rtol=1e-6)
    for path, gradient in results[0][1].items():
        np.testing.assert_allclose(results[1][1][path], gradient, atol=1e-6, err_msg=path)


def test_half_precision_products_are_near() -> None:
    exact, rounded = (model_of(product_dtype=dtype, **OPTIONS["all"]) for dtype in ("float32", "bfloat16"))
    arrays = arrays_of(SENTENCES, exact.target_vocabulary_size)
    loss, gradients = gradients_of(exact, arrays)
    rounded_loss, rounded_gradients = gradients_of(rounded, arrays)
    assert 0 < abs(rounded_loss - loss) < 0.02
    norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients.values()))
    for path, gradient in gradients.items():
        assert rounded_gradients[path].dtype == np.float32
        assert np.linalg.norm(rounded_gradients[path] - gradient) < 0.03 * norm, path


def test_the_seed_decides_the_initial_weights() -> None:
    config = ModelConfig(embedding_units=6, encoder_units=4, decoder_units=5, attention_units=8)
    sizes = {"source_vocabulary_size": VOCABULARY, "target_vocabulary_size": VOCABULARY, "special_ids": SPECIAL}
    one, same, other = (TranslationModel(config, **sizes, seed=seed) for seed in (1, 1, 2))
    for weight, weight_same, weight_other in zip(one.weights, same.weights, other.weights, strict=True):
        np.testing.assert_array_equal(weight, weight_same)
        if "kernel" in weight.path or "embedding" in weight.path:
            assert (np.array(weight) != np.array(weight_other)).any(), weight.path


JAX_OPTIONS = ["lstm", "layer_norm", "no attention"]


def test_jax_gives_the_same_loss_and_gradients(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    for number, name in enumerate(JAX_OPTIONS):
        model = model_of(**OPTIONS[name])
        np.savez(tmp_path / f"{number}.npz", **{weight.path: np.array(weight) for weight in model.trainable_variables})
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for number, name in enumerate(JAX_OPTIONS):
        model = model_of(**OPTIONS[name])
        loss, gradients = gradients_of(model, arrays_of(SENTENCES, model.target_vocabulary_size))
        with np.load(tmp_path / f"{number}.jax.npz") as found:
            assert str(found["backend"]) == "jax"
            np.testing.assert_allclose(float(found["loss"]), loss, rtol=1e-5)
            for path, gradient in gradients.items():
                np.testing.assert_allclose(found[path], gradient, atol=1e-5, err_msg=path)


def on_jax(folder: Path) -> None:
    """Loads the weights by path and writes loss and gradients beside them."""
    for number, name in enumerate(JAX_OPTIONS):
        model = model_of(**OPTIONS[name])
        with np.load(folder / f"{number}.npz") as saved:
            for weight in model.trainable_variables:
                weight.assign(np.zeros(weight.shape))
                weight.assign(saved[weight.path])
        loss, gradients = gradients_of(model, arrays_of(SENTENCES, model.target_vocabulary_size))
        np.savez(folder / f"{number}.jax.npz", loss=loss, backend=keras.backend.backend(), **gradients)


if __name__ == "__main__":
    on_jax(Path(sys.argv[1]))
