"""The bag of n-grams against a dictionary of n-grams, and against padding."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.numpy_oracle import bag_of_ngrams
from textseq.layers.ngram_weights import NgramWeights

VOCABULARY, CLASSES, BUCKETS = 40, 3, 16
TEXTS = [[4, 5, 6, 7], [39, 4], [8], []]


def made(longest: int = 3, **options: float) -> NgramWeights:
    layer = NgramWeights(VOCABULARY, CLASSES, longest, BUCKETS, seed=2, **options)
    layer.build()
    layer.table.assign(np.random.RandomState(3).normal(size=layer.table.shape))
    return layer


def padded(texts: list[list[int]], length: int) -> np.ndarray:
    return np.array([text + [0] * (length - len(text)) for text in texts], "int32")


@pytest.mark.parametrize("longest", [1, 2, 3, 5])
def test_the_logits_are_those_of_a_bag(longest: int) -> None:
    layer = made(longest)
    ids = padded(TEXTS, 6)
    added = np.array(layer(ids, mask=ids != 0))
    assert added.shape == (len(TEXTS), 6, CLASSES)
    for row, text in enumerate(TEXTS):
        expected = bag_of_ngrams(np.array(layer.table, "float64"), text, longest, BUCKETS)
        np.testing.assert_allclose(added[row].sum(0), expected, atol=1e-4)
        assert not added[row, len(text) :].any()


def test_each_token_has_an_equal_part_of_its_ngrams() -> None:
    layer = made(2)
    table = np.zeros(layer.table.shape)
    table[VOCABULARY:] = 1.0
    layer.table.assign(table)
    ids = padded([[4, 5, 6]], 4)
    added = np.array(layer(ids, mask=ids != 0))[0, :, 0]
    np.testing.assert_allclose(added, np.array([0.5, 1.0, 0.5, 0.0]) * 20 / 5**0.5, rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.lists(st.integers(1, VOCABULARY - 1), max_size=7), min_size=1, max_size=4), st.integers(0, 5))
def test_padding_and_company_change_nothing(texts: list[list[int]], padding: int) -> None:
    ids = padded(texts, max(1, *map(len, texts)) + padding)
    together = np.array(LAYER(ids, mask=ids != 0)).sum(1)
    for row, text in enumerate(texts):
        alone = padded([text], max(1, len(text)))
        np.testing.assert_allclose(together[row], np.array(LAYER(alone, mask=alone != 0))[0].sum(0), atol=1e-4)


LAYER = made()


def test_dropout_leaves_out_whole_ngrams_and_only_while_training() -> None:
    layer = made(1, rate=0.5)
    ids = padded([list(range(1, 40))], 39)
    plain = np.array(layer(ids, mask=ids != 0))
    np.testing.assert_array_equal(plain, made(1)(ids, mask=ids != 0))
    dropped = np.array(layer(ids, mask=ids != 0, training=True))
    left_out = (dropped == 0).all(-1)
    assert 5 < left_out.sum() < 34
    np.testing.assert_allclose(dropped[~left_out], 2 * plain[~left_out], rtol=1e-6)


def test_no_text_and_a_graph_of_unknown_shape() -> None:
    signature = [tf.TensorSpec([None, None], tf.int32)]
    graph = tf.function(lambda ids: LAYER(ids, mask=ids != 0), input_signature=signature, autograph=False)
    assert graph(tf.zeros([0, 1], tf.int32)).shape == (0, 1, CLASSES)
    ids = padded(TEXTS, 5)
    np.testing.assert_allclose(graph(tf.constant(ids)), LAYER(ids, mask=ids != 0), atol=1e-5)


def test_the_configuration_makes_the_layer_anew() -> None:
    layer = made(2, rate=0.3, scale=7.0)
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(layer)))
    assert keras.saving.deserialize_keras_object(config).get_config() == layer.get_config()
