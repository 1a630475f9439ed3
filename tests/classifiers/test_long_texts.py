"""Long texts are read whole, and in memory that the tokens of a batch bound, not the length of a text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from classifiers.config import ModelConfig
from classifiers.losses import classification_loss
from classifiers.model import ClassifierModel
from textseq.special_ids import SpecialIds

SPECIAL = SpecialIds(pad_id=0, unk_id=1, bos_id=2, eos_id=3)
BAD, GOOD, FIRST_FILLER, VOCABULARY = 4, 5, 6, 30
LONG = 4000
ROOT = Path(__file__).parents[2]


def model_of(*pooling: str, units: int = 12) -> ClassifierModel:
    rates = dict.fromkeys(
        (f"{kind}_dropout" for kind in ("embedding", "state", "layer", "pooled", "word", "ngram")), 0.0
    )
    config = ModelConfig(embedding_units=units, encoder_units=units, attention_units=8, pooling=pooling, **rates)
    return ClassifierModel(config, vocabulary_size=VOCABULARY, classes=2, special_ids=SPECIAL, seed=2)


def texts_of(length: int, texts: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Texts of filler whose last word, before eos, says the label."""
    random = np.random.RandomState(seed)
    token_ids = random.randint(FIRST_FILLER, VOCABULARY, size=(texts, length)).astype("int32")
    labels = np.arange(texts) % 2
    token_ids[:, -2], token_ids[:, -1] = np.where(labels, GOOD, BAD), SPECIAL.eos_id
    return token_ids, np.eye(2, dtype="int32")[labels]


@pytest.mark.parametrize("pooling", [("max", "mean"), ("last",), ("attention",)])
def test_the_end_of_a_long_text_counts(pooling: tuple[str, ...]) -> None:
    """Trained on texts of 12 tokens, the network finds the last word of texts of 4,000."""
    model = model_of(*pooling)
    optimizer = keras.optimizers.Adam(0.02)
    optimizer.build(model.trainable_variables)

    @tf.function
    def step(token_ids: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        values = [variable.value for variable in model.trainable_variables]
        with tf.GradientTape() as tape:
            reading = model.read(model.embed(token_ids, training=True), model.token_mask(token_ids), training=True)
            # As it is trained: network and n-grams each by itself.
            parts = [reading.logits - reading.ngram_logits, reading.ngram_logits]
            loss = sum(tf.reduce_mean(classification_loss(logits, targets)[0]) for logits in parts)
        optimizer.apply(tape.gradient(loss, values), model.trainable_variables)
        return loss

    for number in range(120):
        token_ids, targets = texts_of(12, 16, seed=number)
        loss = step(tf.constant(token_ids), tf.constant(targets))
    assert float(loss) < 0.05
    token_ids, targets = texts_of(LONG, 6, seed=1000)
    logits = tf.function(model)(token_ids).numpy()
    np.testing.assert_array_equal(logits.argmax(1), targets.argmax(1))


MEASURE = f"""
import resource, sys
import numpy as np
from classifiers.config import Config
from classifiers.labels import LabelInventory
from classifiers.model import ClassifierModel
from classifiers.task import ClassificationTask
from textseq.special_ids import SpecialIds
from textseq.training.tensorflow_step import TensorFlowStep

class Data:
    labels, training_texts = LabelInventory(("bad", "good"), (1, 1)), 2

def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

config = Config().with_overrides(["model.embedding_units=32", "model.encoder_units=32"])
special = SpecialIds(*{tuple(SPECIAL)})
model = ClassifierModel(config.model, vocabulary_size={VOCABULARY}, classes=2, special_ids=special)
task = ClassificationTask(model, Data(), config)
step = TensorFlowStep(task, config.training)
for texts, length in ((64, 128), (2, 4096)):
    token_ids = np.full((texts, length), {GOOD}, "int32")
    targets = np.eye(2, dtype="int32")[np.arange(texts) % 2]
    assert step((token_ids, targets, np.ones(texts, "int32")), 0.001, 0.9).applied
    print(peak_mib())
"""


@pytest.mark.slow
def test_memory_is_bounded_by_the_tokens_of_a_batch() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURE], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    many_short, few_long = map(float, done.stdout.split())
    assert few_long < many_short + 100
