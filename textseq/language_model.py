"""A recurrent language model that reads text in one direction or in both."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from textseq.layers.cells import States
from textseq.layers.dropout import dropout, word_dropout
from textseq.layers.product import product, training_kernel
from textseq.layers.recurrent import Recurrent
from textseq.losses import smoothed_cross_entropy
from textseq.special_ids import SpecialIds


class LanguageModel(keras.Model):
    """Predicts each token from those before it and, by a layer of its own, from those behind it.

    With `x_t` the embedded tokens, `E` the embedding, and one recurrent layer in each direction

    ```
    f_t = forward(x_1 ... x_t)      p(token t + 1 | tokens 1 ... t)    = softmax(E (P_f f_t) + b)
    g_t = backward(x_n ... x_t)     p(token t - 1 | tokens t ... n)    = softmax(E (P_g g_t) + b)
    ```

    (Dai and Le 2015, arXiv:1511.01432, section 2, in both directions). `P` is there only where the sizes of state and
    embedding differ. The directions never see each other's states: a layer above both would see the answer.

    The states are zeros before the first token that is given. So a long text can be read in windows, in bounded memory,
    at the price that a window does not know what stood outside it (truncated backpropagation through time).

    The weights of `embedding` and of the layers have the names, shapes and meaning of `keras.layers.Embedding` named
    "embedding" and of the first layer of a `BidirectionalEncoder` named "encoder".

    Args:
        vocabulary_size: rows of the embedding.
        special_ids: of the tokenizer.
        embedding_units: size of an embedded token.
        encoder_units: state of each direction.
        cell: "gru", "lstm" or "simple_rnn".
        forward_only: no backward layer: a plain language model, which can also write.
        layer_norm: see `Recurrent`.
        embedding_dropout: on embedded tokens.
        state_dropout: see `Recurrent`.
        output_dropout: on the states before the output layer.
        word_dropout: share of tokens that are read as unk; what is predicted stays as it is.
        product_dtype: see `Recurrent`.
        unroll: see `Recurrent`.
        seed: of the initial weights and of the dropout.

    Example:
        >>> from textseq.special_ids import SpecialIds
        >>> model = LanguageModel(
        ...     vocabulary_size=9, special_ids=SpecialIds(0, 1, 2, 3), embedding_units=4, encoder_units=5
        ... )
        >>> [tuple(logits.shape) for logits in model(keras.ops.array([[2, 7, 8, 3]]))]
        [(1, 3, 9), (1, 3, 9)]
    """

    def __init__(
        self,
        *,
        vocabulary_size: int,
        special_ids: SpecialIds,
        embedding_units: int,
        encoder_units: int,
        cell: str = "lstm",
        forward_only: bool = False,
        layer_norm: bool = False,
        embedding_dropout: float = 0.0,
        state_dropout: float = 0.0,
        output_dropout: float = 0.0,
        word_dropout: float = 0.0,
        product_dtype: str = "float32",
        unroll: bool = False,
        seed: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size
        self.special_ids = special_ids
        self.embedding_dropout = embedding_dropout
        self.output_dropout = output_dropout
        self.word_dropout = word_dropout
        self.product_dtype = product_dtype
        self.seed_generator = keras.random.SeedGenerator(seed)
        initializer = keras.initializers.RandomNormal(stddev=embedding_units**-0.5, seed=seed)
        self.embedding = keras.layers.Embedding(vocabulary_size, embedding_units, initializer, name="embedding")
        self.directions = [
            Recurrent(
                encoder_units,
                cell,
                reverse=reverse,
                layer_norm=layer_norm,
                state_dropout=state_dropout,
                product_dtype=product_dtype,
                unroll=unroll,
                seed=seed + 101 + reverse,
                name=f"layer_0_{'backward' if reverse else 'forward'}",
            )
            for reverse in ((False,) if forward_only else (False, True))
        ]
        self._build_weights(embedding_units, encoder_units, seed)

    def _build_weights(self, embedding_units: int, encoder_units: int, seed: int) -> None:
        self.embedding.build(None)
        with keras.name_scope("encoder"):
            for direction in self.directions:
                direction.build((None, None, embedding_units))
        self.projections = [
            self.add_weight(
                name=f"{direction.name}_projection",
                shape=(encoder_units, embedding_units),
                initializer=keras.initializers.GlorotUniform(seed + 400 + number),
            )
            for number, direction in enumerate(self.directions)
            if encoder_units != embedding_units
        ]
        self.output_bias = self.add_weight(name="output_bias", shape=(self.vocabulary_size,), initializer="zeros")
        self.built = True

    def call(self, token_ids: Any, training: bool = False) -> tuple[Any, ...]:
        """Scores every token against its neighbours.

        Args:
            token_ids: int32[batch, length], right-padded.
            training: whether dropout is drawn.

        Returns:
            One array for each direction, float[batch, length - 1, vocabulary]: the forward logits at place t are for
            the token at t + 1, the backward logits at place t for the token at t.
        """
        mask = ops.not_equal(token_ids, self.special_ids.pad_id)
        if training and self.word_dropout > 0:
            token_ids = self._drop_words(token_ids, mask)
        embedded = dropout(self.embedding(token_ids), self.embedding_dropout, self.seed_generator, training)
        logits = []
        for number, direction in enumerate(self.directions):
            states = direction(embedded, mask=mask, training=training)[0]
            states = states[:, 1:] if direction.reverse else states[:, :-1]
            logits.append(self._logits(number, states, training))
        return tuple(logits)

    def start(self, batch: int) -> States:
        """The states of the forward layer before the first token, float[batch, units] each: zeros."""
        layer = self.directions[0]
        return tuple(ops.zeros((batch, layer.units)) for _ in range(layer.cell.states))

    def step(self, previous_ids: Any, states: States) -> tuple[Any, States]:
        """Reads one more token forward, as in generation; without dropout.

        Args:
            previous_ids: int32[batch], the token to read: bos at the start of a text.
            states: float[batch, units] each, from `start` or from the step before.

        Returns:
            The logarithm of the next token's probability, float[batch, vocabulary], and the states after the step.
        """
        states = self.directions[0].step(self.embedding(previous_ids), states)
        return ops.log_softmax(self._logits(0, states[0], training=False), axis=-1), states

    def _logits(self, direction: int, states: Any, training: bool) -> Any:
        outputs = dropout(states, self.output_dropout, self.seed_generator, training)
        if self.projections:
            outputs = product(outputs, training_kernel(self.projections[direction], self.product_dtype, training))
        kernel = training_kernel(ops.transpose(self.embedding.embeddings), self.product_dtype, training)
        return product(outputs, kernel) + self.output_bias

    def _drop_words(self, token_ids: Any, mask: Any) -> Any:
        special = self.special_ids
        ends = ops.logical_or(ops.equal(token_ids, special.bos_id), ops.equal(token_ids, special.eos_id))
        kept = ops.logical_or(ops.logical_not(mask), ends)
        return word_dropout(token_ids, self.word_dropout, special.unk_id, kept, self.seed_generator)


class PredictionLoss(NamedTuple):
    """The cross-entropy of a batch, in nats."""

    smoothed_sum: Any
    """float[], what is minimised, the sum over all predictions of all directions."""
    plain_sums: Any
    """float[directions], without smoothing; no gradient flows through it."""
    predictions: Any
    """float[], predictions of each direction: one for each pair of neighbouring tokens."""


def prediction_loss(
    model: LanguageModel, token_ids: Any, smoothing: float = 0.0, training: bool = False
) -> PredictionLoss:
    """How badly a language model predicts a batch.

    Args:
        model: the model.
        token_ids: int32[batch, length], right-padded. A row of one token, or of none, makes no prediction.
        smoothing: share of the label's mass that the whole vocabulary gets.
        training: whether dropout is drawn.
    """
    mask = ops.not_equal(token_ids[:, 1:], model.special_ids.pad_id)
    smoothed_sum: Any = 0.0
    plain_sums: list[Any] = []
    for direction, logits in zip(model.directions, model(token_ids, training=training), strict=True):
        weights = ops.cast(mask, logits.dtype)
        labels = token_ids[:, :-1] if direction.reverse else token_ids[:, 1:]
        smoothed, plain = smoothed_cross_entropy(logits, labels, smoothing)
        smoothed_sum += ops.sum(smoothed * weights)
        plain_sums.append(ops.sum(plain * weights))
    return PredictionLoss(smoothed_sum, ops.stack(plain_sums), ops.sum(ops.cast(mask, "float32")))
