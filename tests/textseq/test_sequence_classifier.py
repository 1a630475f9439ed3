"""A class for each sequence or token: what is embedded, read and scored."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest

from textseq.errors import InputError
from textseq.layers.recurrent import Recurrent
from textseq.layers.transformer_encoder import TransformerEncoder
from textseq.sequence_classifier import SequenceClassifier

IDS = np.random.RandomState(0).randint(0, 5, (3, 7, 2)).astype("int32")


def made(**options: Any) -> SequenceClassifier:
    settings: dict[str, Any] = {"vocabulary_sizes": [6, 5], "embedding_units": 4, "seed": 1, **options}
    return SequenceClassifier([Recurrent(8, seed=1)], 3, **settings)


@pytest.mark.parametrize("every_token", [False, True])
def test_it_embeds_reads_and_scores(every_token: bool) -> None:
    classifier = made(every_token=every_token)
    logits = classifier(IDS)
    first, second = (np.array(embedding.embeddings) for embedding in classifier.embeddings)
    embedded = np.concatenate([first[IDS[..., 0]], second[IDS[..., 1]]], axis=-1)
    states = np.array(classifier.reading_layers[0](embedded)[0])
    kernel, bias = (np.array(weight) for weight in classifier.output_layer.weights)
    expected = (states if every_token else states[:, -1]) @ kernel + bias
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)


def test_tokens_of_one_field_need_no_axis_for_it() -> None:
    classifier = made(vocabulary_sizes=[6])
    np.testing.assert_allclose(classifier(IDS[..., 0]), classifier(IDS[..., :1]), atol=1e-6)


def test_the_seed_decides() -> None:
    np.testing.assert_array_equal(made()(IDS), made()(IDS))
    assert (np.array(made()(IDS)) != np.array(made(seed=2)(IDS))).any()


def test_it_can_be_made_again() -> None:
    classifier = made(every_token=True)
    config = classifier.get_config()
    written = json.dumps(keras.saving.serialize_keras_object(classifier))
    again = keras.saving.deserialize_keras_object(json.loads(written))
    assert json.dumps(again.get_config()) == json.dumps(config)
    np.testing.assert_array_equal(again(IDS), classifier(IDS))


@pytest.mark.parametrize("layer", [Recurrent(12, seed=1), TransformerEncoder(8, heads=2, causal=True, seed=1)])
def test_it_learns_which_token_came_before(layer: Any) -> None:
    keras.utils.set_random_seed(1)
    ids = np.random.RandomState(1).randint(0, 3, (512, 8))
    labels = np.concatenate([np.zeros((512, 1), int), ids[:, :-1]], axis=1)
    classifier = SequenceClassifier([layer], 3, [3], embedding_units=8, every_token=True, seed=1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    classifier.compile(keras.optimizers.Adam(1e-2), loss, metrics=["accuracy"], jit_compile=False)
    history = classifier.fit(ids, labels, epochs=8, batch_size=32, verbose=0).history
    assert history["accuracy"][-1] > 0.95


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: SequenceClassifier([], 2, [3]), "sequence classifier: received 0 layers, 1 vocabulary sizes and 2"),
        (lambda: SequenceClassifier([Recurrent(2)], 2, []), "0 vocabulary sizes"),
        (
            lambda: SequenceClassifier([Recurrent(2)], 1, [3]),
            "and 1 classes; expected one or more, one or more, and two",
        ),
    ],
)
def test_wrong_calls_say_what_was_wrong(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call()
