"""The translator's network: GRU encoder-decoder with Bahdanau attention (arXiv:1409.0473), or without any."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
from keras import ops

from nmt.config import ModelConfig
from textseq.layers.additive_attention import Memory, split_heads
from textseq.layers.attention_recurrent import AttentionRecurrent
from textseq.layers.bidirectional_encoder import BidirectionalEncoder
from textseq.layers.cells import CELLS, States
from textseq.layers.dropout import dropout, word_dropout
from textseq.layers.pooling import LastPooling
from textseq.layers.product import product, training_kernel
from textseq.layers.recurrent import Recurrent
from textseq.special_ids import SpecialIds


class Encoded(NamedTuple):
    """A batch of source sentences after the encoder; every array leads with the batch."""

    source_mask: Any
    """bool[batch, source_length], True for a real token."""
    memory: Any
    """float[batch, heads, source_length, memory_units / heads]."""
    projected_memory: Any
    """float[batch, source_length, attention_units]."""


class Summary(NamedTuple):
    """A batch of source sentences after the encoder, as a decoder without attention knows them."""

    summary: Any
    """float[batch, memory_units]: the encoder's last state of each direction."""


class TranslationModel(keras.Model):
    """Encoder, attention, decoder, readout.

    Without attention the decoder starts from one vector of the sentence and reads it beside every token, as in Cho et
    al. 2014 (arXiv:1406.1078, section 2.2); the vector is the last state of each direction of the encoder.

    The config must be resolved: no size is None.

    Args:
        config: sizes and dropout rates.
        source_vocabulary_size: rows of the source embedding.
        target_vocabulary_size: rows of the target embedding and of the output.
        special_ids: of the tokenizer.
        joint_vocabulary: source and target share one vocabulary (then all embeddings may be tied).
        product_dtype: dtype of the matrix products while training ("float32" or "bfloat16").
        unroll: lay time out step by step in training graphs (faster, but longer to build).
        seed: of the initial weights and of the dropout.
    """

    def __init__(
        self,
        config: ModelConfig,
        *,
        source_vocabulary_size: int,
        target_vocabulary_size: int,
        special_ids: SpecialIds,
        joint_vocabulary: bool = True,
        product_dtype: str = "float32",
        unroll: bool = False,
        seed: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.config = config
        self.special_ids = special_ids
        self.product_dtype = product_dtype
        self.target_vocabulary_size = target_vocabulary_size
        self.seed_generator = keras.random.SeedGenerator(seed)
        options: dict[str, Any] = {
            "cell": config.cell,
            "layer_norm": config.layer_norm,
            "state_dropout": config.state_dropout,
            "product_dtype": product_dtype,
            "unroll": unroll,
        }
        embedding = keras.initializers.RandomNormal
        sizes = self.sizes = config.sizes
        units = sizes.embedding_units
        self.source_embedding = keras.layers.Embedding(
            source_vocabulary_size, units, embedding(stddev=units**-0.5, seed=seed), name="source_embedding"
        )
        self.target_embedding = (
            self.source_embedding
            if joint_vocabulary and config.tied_embeddings
            else keras.layers.Embedding(
                target_vocabulary_size, units, embedding(stddev=units**-0.5, seed=seed + 1), name="target_embedding"
            )
        )
        self.encoder = BidirectionalEncoder(
            sizes.encoder_units,
            config.encoder_layers,
            residual=config.residual,
            dropout=config.memory_dropout,
            seed=seed + 100,
            name="encoder",
            **options,
        )
        self.attends = config.attention != "none"
        self.decoder = (
            AttentionRecurrent(
                sizes.decoder_units,
                sizes.attention_units,
                config.attention_heads,
                seed=seed + 200,
                name="decoder",
                **options,
            )
            if self.attends
            else Recurrent(sizes.decoder_units, seed=seed + 200, name="decoder", **options)
        )
        self.last_states = LastPooling(name="last_states")
        self.upper_layers = [
            Recurrent(sizes.decoder_units, seed=seed + 300 + layer, name=f"decoder_{layer}", **options)
            for layer in range(1, config.decoder_layers)
        ]
        self._states_per_layer = CELLS[config.cell].states
        self._build_weights(seed)

    def _build_weights(self, seed: int) -> None:
        config, sizes = self.config, self.sizes
        embedding, memory, decoder = sizes.embedding_units, 2 * sizes.encoder_units, sizes.decoder_units
        self.source_embedding.build(None)
        if self.target_embedding is not self.source_embedding:
            self.target_embedding.build(None)
        self.encoder.build((None, None, embedding))
        if isinstance(self.decoder, AttentionRecurrent):
            self.decoder.build((None, None, embedding), memory_units=memory)
        else:
            self.decoder.build((None, None, embedding + memory))
        for layer in self.upper_layers:
            layer.build((None, None, decoder))
        glorot = keras.initializers.GlorotUniform
        states = decoder * config.decoder_layers * self._states_per_layer
        self.bridge_kernel = self.add_weight(
            name="bridge_kernel", shape=(memory, states), initializer=glorot(seed + 400)
        )
        self.bridge_bias = self.add_weight(name="bridge_bias", shape=(states,), initializer="zeros")
        self.readout_kernel = self.add_weight(
            name="readout_kernel", shape=(decoder + embedding + memory, embedding), initializer=glorot(seed + 401)
        )
        self.readout_bias = self.add_weight(name="readout_bias", shape=(embedding,), initializer="zeros")
        if not config.tied_embeddings:
            self.output_kernel = self.add_weight(
                name="output_kernel", shape=(embedding, self.target_vocabulary_size), initializer=glorot(seed + 402)
            )
        self.output_bias = self.add_weight(
            name="output_bias", shape=(self.target_vocabulary_size,), initializer="zeros"
        )
        self.built = True

    def encode(self, source_ids: Any, training: bool = False) -> Encoded | Summary:
        """Reads source sentences.

        Args:
            source_ids: int32[batch, source_length], right-padded, each ending in eos.
            training: whether dropout is drawn.

        Returns:
            Every state of each sentence; without attention, one vector of it.
        """
        config = self.config
        source_mask = ops.not_equal(source_ids, self.special_ids.pad_id)
        if training and config.word_dropout > 0:
            source_ids = self._drop_words(source_ids)
        embedded = dropout(self.source_embedding(source_ids), config.embedding_dropout, self.seed_generator, training)
        memory = self.encoder(embedded, mask=source_mask, training=training)
        memory = dropout(memory, config.memory_dropout, self.seed_generator, training)
        if not self.attends:
            return Summary(self.last_states(memory, mask=source_mask))
        projected = self.decoder.project_memory(memory, training)
        return Encoded(source_mask, split_heads(memory, config.attention_heads), projected)

    def start(self, encoded: Encoded | Summary, beam: int = 1, training: bool = False) -> States:
        """The decoder's first states, `tanh(W mean_j(h_j) + b)`: float[batch, beam, units] each.

        Without attention the summary stands in the place of the mean.
        """
        summary = encoded.summary if isinstance(encoded, Summary) else _mean_state(encoded)
        flat = ops.tanh(
            product(summary, training_kernel(self.bridge_kernel, self.product_dtype, training)) + self.bridge_bias
        )
        units = self.sizes.decoder_units
        parts = [flat[:, first : first + units] for first in range(0, flat.shape[-1], units)]
        return tuple(ops.repeat(part[:, None, :], beam, axis=1) for part in parts)

    def step(self, previous_ids: Any, states: States, encoded: Encoded | Summary) -> tuple[Any, States, Any]:
        """One step of search.

        Args:
            previous_ids: int32[batch, beam], the last token of each hypothesis (bos at the start).
            states: float[batch, beam, units] each.
            encoded: the source sentences.

        Returns:
            Log-probabilities float[batch, beam, vocabulary], the new states, and the attention
            float[batch, beam, source_length], the mean over the heads; None without attention.
        """
        batch, beam = ops.shape(previous_ids)
        # [batch, beam, ...] -> [batch * beam, ...]
        embedded = self.target_embedding(ops.reshape(previous_ids, (-1,)))
        flat = tuple(ops.reshape(state, (-1, state.shape[-1])) for state in states)
        count = self._states_per_layer
        first_states, context, attention = self._first_layer_step(embedded, flat[:count], encoded, beam)
        new_states, top = list(first_states), first_states[0]
        for number, layer in enumerate(self.upper_layers, 1):
            layer_states = layer.step(top, flat[number * count : (number + 1) * count])
            new_states += layer_states
            top = self._residual(top, layer_states[0])
        log_probabilities = ops.log_softmax(self._logits(top, embedded, context, training=False), axis=-1)
        # [batch * beam, ...] -> [batch, beam, ...]
        log_probabilities = ops.reshape(log_probabilities, (batch, beam, self.target_vocabulary_size))
        by_beam = tuple(ops.reshape(state, (batch, beam, state.shape[-1])) for state in new_states)
        return log_probabilities, by_beam, attention

    def call(self, source_ids: Any, target_input_ids: Any, training: bool = False) -> Any:
        """Scores whole translations (teacher forcing).

        Args:
            source_ids: int32[batch, source_length], right-padded, each ending in eos.
            target_input_ids: int32[batch, target_length], right-padded, each beginning with bos.
            training: whether dropout is drawn.

        Returns:
            Logits, float[batch, target_length, vocabulary].
        """
        config = self.config
        encoded = self.encode(source_ids, training)
        states = tuple(state[:, 0] for state in self.start(encoded, training=training))
        if training and config.word_dropout > 0:
            target_input_ids = self._drop_words(target_input_ids)
        embedded = self.target_embedding(target_input_ids)
        embedded = dropout(embedded, config.embedding_dropout, self.seed_generator, training)
        count = self._states_per_layer
        top, contexts = self._first_layer(embedded, states[:count], encoded, training)
        for number, layer in enumerate(self.upper_layers, 1):
            initial = states[number * count : (number + 1) * count]
            inputs = dropout(top, config.memory_dropout, self.seed_generator, training)
            top = self._residual(top, layer(inputs, initial_state=initial, training=training)[0])
        return self._logits(top, embedded, contexts, training)

    def _logits(self, state: Any, embedded: Any, context: Any, training: bool) -> Any:
        """`E tanh(W [s; y; c] + b)`, in place of the paper's maxout (A.2.2): float[..., vocabulary]."""
        joined = ops.concatenate([state, embedded, context], axis=-1)
        readout = ops.tanh(
            product(joined, training_kernel(self.readout_kernel, self.product_dtype, training)) + self.readout_bias
        )
        readout = dropout(readout, self.config.readout_dropout, self.seed_generator, training)
        tied = self.config.tied_embeddings
        kernel = ops.transpose(self.target_embedding.embeddings) if tied else self.output_kernel
        return product(readout, training_kernel(kernel, self.product_dtype, training)) + self.output_bias

    def _first_layer(self, embedded: Any, states: States, encoded: Any, training: bool) -> Any:
        """Reads whole targets: the states and the contexts, float[batch, target_length, ...]."""
        if isinstance(self.decoder, AttentionRecurrent):
            return self.decoder(embedded, _memory(encoded), states, training=training)[:2]
        contexts = ops.repeat(encoded.summary[:, None, :], ops.shape(embedded)[1], axis=1)
        joined = ops.concatenate([embedded, contexts], axis=-1)
        return self.decoder(joined, initial_state=states, training=training)[0], contexts

    def _first_layer_step(self, embedded: Any, states: States, encoded: Any, beam: Any) -> Any:
        """Reads one token a hypothesis: the states and the context, float[batch * beam, ...], and the attention."""
        if isinstance(self.decoder, AttentionRecurrent):
            result = self.decoder.step(embedded, _memory(encoded), states)
            context = ops.reshape(result.context, (-1, result.context.shape[-1]))
            return result.states, context, ops.mean(result.attention_weights, axis=1)
        # [batch, memory_units] -> [batch * beam, memory_units]
        context = ops.repeat(encoded.summary, beam, axis=0)
        return self.decoder.step(ops.concatenate([embedded, context], axis=-1), states), context, None

    def _residual(self, inputs: Any, outputs: Any) -> Any:
        return inputs + outputs if self.config.residual else outputs

    def _drop_words(self, ids: Any) -> Any:
        special = self.special_ids
        kept = ops.logical_or(
            ops.equal(ids, special.pad_id),
            ops.logical_or(ops.equal(ids, special.bos_id), ops.equal(ids, special.eos_id)),
        )
        return word_dropout(ids, self.config.word_dropout, special.unk_id, kept, self.seed_generator)


def _memory(encoded: Encoded) -> Memory:
    return Memory.of(encoded.projected_memory, encoded.memory, encoded.source_mask)


def _mean_state(encoded: Encoded) -> Any:
    """The mean of each sentence's states, float[batch, memory_units]."""
    weights = ops.cast(encoded.source_mask, encoded.memory.dtype)
    total = ops.sum(encoded.memory * weights[:, None, :, None], axis=2)
    batch, heads, columns = ops.shape(total)
    # [batch, heads, memory_units / heads] -> [batch, memory_units]
    return ops.reshape(total, (batch, heads * columns)) / ops.sum(weights, axis=1, keepdims=True)
