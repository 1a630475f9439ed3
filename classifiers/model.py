"""The classifier's network: embedding, convolution, bidirectional recurrent layers, pooling, output layer."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from classifiers.config import ModelConfig
from textseq.layers.bidirectional_encoder import BidirectionalEncoder
from textseq.layers.convolution import Convolution
from textseq.layers.dropout import dropout, word_dropout
from textseq.layers.pooling import Pooling
from textseq.layers.product import product, training_kernel
from textseq.special_ids import SpecialIds


class Reading(NamedTuple):
    """What the network makes of a batch of texts; every array leads with the batch."""

    logits: Any
    """float[batch, classes]."""
    attention_weights: Any
    """float[batch, length], how much each token counts in the attention pooling; None without it."""


class ClassifierModel(keras.Model):
    """Embedding, convolution where asked for, encoder, pooling, output layer.

    The config must be resolved: no size is None.

    Args:
        config: sizes, pooling and dropout rates.
        vocabulary_size: rows of the embedding.
        classes: number of labels.
        special_ids: of the tokenizer.
        product_dtype: dtype of the matrix products while training ("float32" or "bfloat16").
        unroll: lay time out step by step in training graphs; for short texts only.
        compiled: have XLA compile the recurrent loops while training; for long texts in long trainings.
        seed: of the initial weights and of the dropout.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        vocabulary_size: int,
        classes: int,
        special_ids: SpecialIds,
        product_dtype: str = "float32",
        unroll: bool = False,
        compiled: bool = False,
        seed: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.classes = classes
        self.special_ids = special_ids
        self.product_dtype = product_dtype
        self.seed_generator = keras.random.SeedGenerator(seed)
        sizes = self.sizes = config.sizes
        units = sizes.embedding_units
        self.embedding = keras.layers.Embedding(
            vocabulary_size,
            units,
            keras.initializers.RandomNormal(stddev=units**-0.5, seed=seed),
            name="embedding",
        )
        self.convolution = (
            Convolution(
                config.convolution_filters,
                config.convolution_width,
                product_dtype=product_dtype,
                seed=seed + 200,
                name="convolution",
            )
            if config.convolution_filters
            else None
        )
        self.encoder = BidirectionalEncoder(
            sizes.encoder_units,
            config.encoder_layers,
            config.cell,
            residual=config.residual,
            layer_norm=config.layer_norm,
            state_dropout=config.state_dropout,
            dropout=config.layer_dropout,
            product_dtype=product_dtype,
            unroll=unroll,
            compiled=compiled,
            seed=seed + 100,
            name="encoder",
        )
        self.pooling = Pooling(
            config.pooling, config.attention_units, product_dtype=product_dtype, seed=seed + 300, name="pooling"
        )
        self._build_weights(seed)

    def _build_weights(self, seed: int) -> None:
        columns, states = self.sizes.embedding_units, 2 * self.sizes.encoder_units
        self.embedding.build(None)
        if self.convolution is not None:
            self.convolution.build((None, None, columns))
            columns = self.convolution.filters
        self.encoder.build((None, None, columns))
        self.pooling.build((None, None, states))
        self.output_kernel = self.add_weight(
            name="output_kernel",
            shape=(len(self.config.pooling) * states, self.classes),
            initializer=keras.initializers.GlorotUniform(seed + 400),
        )
        self.output_bias = self.add_weight(name="output_bias", shape=(self.classes,), initializer="zeros")
        self.built = True

    def token_mask(self, token_ids: Any) -> Any:
        """bool[batch, length], True for a real token, of int32[batch, length]."""
        return ops.not_equal(token_ids, self.special_ids.pad_id)

    def embed(self, token_ids: Any, training: bool = False) -> Any:
        """The embedded tokens.

        Args:
            token_ids: int32[batch, length], right-padded, each ending in eos.
            training: whether words and embedded values are dropped.

        Returns:
            float[batch, length, units].
        """
        config = self.config
        if training and config.word_dropout > 0:
            token_ids = self._drop_words(token_ids)
        return dropout(self.embedding(token_ids), config.embedding_dropout, self.seed_generator, training)

    def read(self, embedded: Any, token_mask: Any, training: bool = False) -> Reading:
        """Reads embedded texts; adversarial training and explanations come in here.

        Args:
            embedded: float[batch, length, units], from `embed`.
            token_mask: bool[batch, length], True for a real token; one at least in each row.
            training: whether dropout is drawn.

        Returns:
            See `Reading`.
        """
        config = self.config
        if self.convolution is not None:
            embedded = self.convolution(embedded, mask=token_mask, training=training)
        states = self.encoder(embedded, mask=token_mask, training=training)
        pooled, attention_weights = self.pooling(states, mask=token_mask, training=training)
        pooled = dropout(pooled, config.pooled_dropout, self.seed_generator, training)
        kernel = training_kernel(self.output_kernel, self.product_dtype, training)
        return Reading(product(pooled, kernel) + self.output_bias, attention_weights)

    def call(self, token_ids: Any, training: bool = False) -> Any:
        """Reads texts.

        Args:
            token_ids: int32[batch, length], right-padded, each ending in eos.
            training: whether dropout is drawn.

        Returns:
            Logits, float[batch, classes].
        """
        return self.read(self.embed(token_ids, training), self.token_mask(token_ids), training).logits

    def _drop_words(self, token_ids: Any) -> Any:
        special = self.special_ids
        kept = ops.logical_or(ops.equal(token_ids, special.pad_id), ops.equal(token_ids, special.eos_id))
        return word_dropout(token_ids, self.config.word_dropout, special.unk_id, kept, self.seed_generator)
