"""The classifier's network: embedding, convolution, bidirectional recurrent layers, pooling, output layer.

Beside it stands a bag of n-grams (`textseq.layers.ngram_weights`), whose logits are added: a wide part beside a deep
one, as Cheng et al. 2016 (arXiv:1606.07792) put it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from classifiers.config import ModelConfig
from textseq.layers.bidirectional_encoder import BidirectionalEncoder
from textseq.layers.convolution import Convolution
from textseq.layers.dropout import dropout, word_dropout
from textseq.layers.ngram_weights import NgramWeights
from textseq.layers.pooling import Pooling
from textseq.layers.product import product, training_kernel
from textseq.special_ids import SpecialIds


class Reading(NamedTuple):
    """What the network makes of a batch of texts; every array leads with the batch."""

    logits: Any
    """float[batch, classes], of the network and the n-grams together."""
    ngram_logits: Any
    """float[batch, classes], what the n-grams add; None without them."""
    attention_weights: Any
    """float[batch, length], how much each token counts in the attention pooling; None without it."""


class ClassifierModel(keras.Model):
    """Embedding, convolution where asked for, encoder, pooling, output layer; beside them the bag of n-grams.

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
        self.ngrams = (
            NgramWeights(
                vocabulary_size,
                classes,
                config.ngrams,
                config.ngram_buckets,
                rate=config.ngram_dropout,
                seed=seed + 500,
                name="ngrams",
            )
            if config.ngrams
            else None
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
        if self.ngrams is not None:
            self.ngrams.build()
        self.built = True

    def token_mask(self, token_ids: Any) -> Any:
        """bool[batch, length], True for a real token, of int32[batch, length]."""
        return ops.not_equal(token_ids, self.special_ids.pad_id)

    def embed(self, token_ids: Any, training: bool = False) -> Any:
        """What the network reads, and behind it what the n-grams add to the logits.

        Args:
            token_ids: int32[batch, length], right-padded, each ending in eos.
            training: whether words and embedded values are dropped.

        Returns:
            float[batch, length, units + classes]; without n-grams float[batch, length, units].
        """
        config = self.config
        # The end of a text is no word of it.
        words = ops.logical_and(self.token_mask(token_ids), ops.not_equal(token_ids, self.special_ids.eos_id))
        added = None if self.ngrams is None else self.ngrams(token_ids, mask=words, training=training)
        if training and config.word_dropout > 0:
            token_ids = self._drop_words(token_ids)
        embedded = dropout(self.embedding(token_ids), config.embedding_dropout, self.seed_generator, training)
        return embedded if added is None else ops.concatenate([embedded, added], axis=-1)

    def read(self, embedded: Any, token_mask: Any, training: bool = False) -> Reading:
        """Reads embedded texts; explanations come in here.

        Args:
            embedded: from `embed`.
            token_mask: bool[batch, length], True for a real token; one at least in each row.
            training: whether dropout is drawn.

        Returns:
            See `Reading`.
        """
        embedded, added = self.divided(embedded)
        logits, attention_weights = self.read_network(embedded, token_mask, training)
        if added is None:
            return Reading(logits, None, attention_weights)
        ngram_logits = ops.sum(added, axis=1)
        return Reading(logits + ngram_logits, ngram_logits, attention_weights)

    def divided(self, embedded: Any) -> tuple[Any, Any]:
        """The two parts of what `embed` gives: for the network float[batch, length, units], and of the n-grams."""
        if self.ngrams is None:
            return embedded, None
        units = self.sizes.embedding_units
        return embedded[..., :units], embedded[..., units:]

    def read_network(self, embedded: Any, token_mask: Any, training: bool = False) -> tuple[Any, Any]:
        """Reads embedded texts without their n-grams; adversarial training comes in here.

        Args:
            embedded: float[batch, length, units].
            token_mask: bool[batch, length], True for a real token; one at least in each row.
            training: whether dropout is drawn.

        Returns:
            Logits float[batch, classes], and the weights of the attention pooling, None without it.
        """
        config = self.config
        if self.convolution is not None:
            embedded = self.convolution(embedded, mask=token_mask, training=training)
        states = self.encoder(embedded, mask=token_mask, training=training)
        pooled, attention_weights = self.pooling(states, mask=token_mask, training=training)
        pooled = dropout(pooled, config.pooled_dropout, self.seed_generator, training)
        kernel = training_kernel(self.output_kernel, self.product_dtype, training)
        return product(pooled, kernel) + self.output_bias, attention_weights

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
