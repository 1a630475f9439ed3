"""The decoder's first layer: a recurrent layer that attends to the source at every step."""

from __future__ import annotations

from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from textseq.layers.additive_attention import Memory, split_heads
from textseq.layers.attention_recurrence import AttentionWeights, StepResult, attention_recurrence, attention_step
from textseq.layers.cells import CELLS, States
from textseq.layers.dropout import dropout_scale
from textseq.layers.initialization import GatewiseOrthogonal, bias_initializer, weight_seeds
from textseq.layers.product import product, tensor_of, training_kernel


class AttentionEquation(NamedTuple):
    """The weights of `e_ij = v . tanh(W s_{i-1} + U h_j + b)` (Bahdanau et al. 2015, A.1.2; the paper has no b).

    A matrix stands to the right of its vector here, `s @ W`, so it is the transpose of the paper's.
    """

    W: npt.NDArray[np.float64]
    """float64[units, attention_units], of the decoder's state before the step."""
    U: npt.NDArray[np.float64]
    """float64[memory_units, attention_units], of a state of the source."""
    b: npt.NDArray[np.float64]
    """float64[attention_units]."""
    v: npt.NDArray[np.float64]
    """float64[attention_units]; with several heads each has its own part of the columns."""


@keras.saving.register_keras_serializable("textseq")
class AttentionRecurrent(keras.layers.Layer):
    """A recurrent layer with additive attention (Bahdanau et al. 2015, arXiv:1409.0473, A.1.2 and A.2.2).

    Args:
        units: size of the state.
        attention_units: size of the attention's hidden layer.
        heads: number of attention heads; it divides `attention_units` and the memory's size.
        cell: "gru", "lstm" or "simple_rnn".
        layer_norm: normalise the projections of input and state at each step.
        state_dropout: rate of variational dropout on the state.
        product_dtype: see `Recurrent`.
        unroll: see `Recurrent`.
        seed: of the initial weights and of the dropout.
    """

    def __init__(
        self,
        units: int,
        attention_units: int,
        heads: int = 1,
        cell: str = "gru",
        *,
        layer_norm: bool = False,
        state_dropout: float = 0.0,
        product_dtype: str = "float32",
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.attention_units = attention_units
        self.heads = heads
        self.cell_name = cell
        self.cell = CELLS[cell]
        self.layer_norm = layer_norm
        self.state_dropout = state_dropout
        self.product_dtype = product_dtype
        self.unroll = unroll
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: tuple[int | None, ...], memory_units: int) -> None:
        """Makes the weights.

        Args:
            input_shape: (batch, length, columns) of the target embeddings.
            memory_units: size of one state of the source's memory.
        """
        columns, seeds = self.cell.gates * self.units, weight_seeds(self.seed)
        glorot = keras.initializers.GlorotUniform
        self.input_kernel = self.add_weight(
            name="input_kernel", shape=(input_shape[-1], columns), initializer=glorot(next(seeds))
        )
        self.context_kernel = self.add_weight(
            name="context_kernel", shape=(memory_units, columns), initializer=glorot(next(seeds))
        )
        self.input_bias = self.add_weight(
            name="input_bias", shape=(columns,), initializer=bias_initializer(self.cell_name, self.cell.gates)
        )
        self.state_kernel = self.add_weight(
            name="state_kernel",
            shape=(self.units, columns),
            initializer=GatewiseOrthogonal(self.cell.gates, next(seeds)),
        )
        self.state_bias = self.add_weight(name="state_bias", shape=(columns,), initializer="zeros")
        self.query_kernel = self.add_weight(
            name="query_kernel", shape=(self.units, self.attention_units), initializer=glorot(next(seeds))
        )
        self.memory_kernel = self.add_weight(
            name="memory_kernel", shape=(memory_units, self.attention_units), initializer=glorot(next(seeds))
        )
        self.memory_bias = self.add_weight(name="memory_bias", shape=(self.attention_units,), initializer="zeros")
        self.energy = self.add_weight(
            name="energy",
            shape=(self.attention_units,),
            initializer=keras.initializers.RandomNormal(stddev=self.attention_units**-0.5, seed=next(seeds)),
        )
        if self.layer_norm:
            self.input_gain = self.add_weight(name="input_gain", shape=(columns,), initializer="ones")
            self.state_gain = self.add_weight(name="state_gain", shape=(columns,), initializer="ones")
        self.built = True

    def attention_equation(self) -> AttentionEquation:
        """The weights of the attention as NumPy arrays under the names of the paper, to compute it by hand.

        Example:
            >>> layer = AttentionRecurrent(units=4, attention_units=3)
            >>> layer.build((None, None, 5), memory_units=6)
            >>> W, U, b, v = layer.attention_equation()
            >>> W.shape, U.shape, b.shape, v.shape
            ((4, 3), (6, 3), (3,), (3,))
        """
        weights = (self.query_kernel, self.memory_kernel, self.memory_bias, self.energy)
        return AttentionEquation(*(ops.convert_to_numpy(weight).astype(np.float64) for weight in weights))

    def project_memory(self, memory: Any, training: bool = False) -> Any:
        """The part of the energies that is the same at every step, `U h_j + b`; made once a sentence.

        Args:
            memory: float[batch, source_length, memory_units].
            training: whether the product is in `product_dtype`.

        Returns:
            float[batch, source_length, attention_units].
        """
        return product(memory, training_kernel(self.memory_kernel, self.product_dtype, training)) + self.memory_bias

    def prepare_memory(self, states: Any, mask: Any = None) -> Memory:
        """What the layer attends to, from the states of the source; without half precision, as in search.

        Args:
            states: float[batch, source_length, memory_units].
            mask: bool[batch, source_length], True for a real token; None if all are.
        """
        states = ops.convert_to_tensor(states)
        mask = ops.ones(ops.shape(states)[:2], "bool") if mask is None else mask
        return Memory.of(self.project_memory(states), split_heads(states, self.heads), mask)

    def call(self, inputs: Any, memory: Memory, initial_state: States, training: bool = False) -> tuple[Any, Any, Any]:
        """Reads whole target sentences (teacher forcing).

        Args:
            inputs: float[batch, target_length, columns], the embedded `target_input_ids`.
            memory: of the source, see `Memory`.
            initial_state: float[batch, units] each.
            training: whether dropout is drawn.

        Returns:
            The states float[batch, target_length, units], the contexts float[batch, target_length, memory_units] and
            the attention weights float[batch, heads, target_length, source_length].
        """
        scale = None
        if training and self.state_dropout > 0:
            scale = dropout_scale(
                ops.shape(initial_state[0]), self.state_dropout, self.seed_generator, initial_state[0].dtype
            )
        states, contexts, attention = attention_recurrence(
            self.cell,
            self._weights(training),
            memory,
            self._project_input(ops.transpose(inputs, (1, 0, 2)), training),
            initial_state,
            scale,
            unroll=self.unroll and training,
        )
        # [length, batch, heads, 1, source_length] -> [batch, heads, length, source_length]
        attention = ops.transpose(attention[:, :, :, 0, :], (1, 2, 0, 3))
        return ops.transpose(states, (1, 0, 2)), ops.transpose(contexts, (1, 0, 2)), attention

    def step(self, inputs: Any, memory: Memory, states: States) -> StepResult:
        """One step of search: see `attention_step`.

        Args:
            inputs: float[batch * beam, columns], the embedded previous target token.
            memory: of the source.
            states: float[batch * beam, units] each.

        Returns:
            See `StepResult`.
        """
        return attention_step(self.cell, self._weights(False), memory, states, self._project_input(inputs, False))

    def _project_input(self, inputs: Any, training: bool) -> Any:
        return product(inputs, training_kernel(self.input_kernel, self.product_dtype, training))

    def _weights(self, training: bool) -> AttentionWeights:
        state_kernel = ops.concatenate([self.query_kernel, self.state_kernel], axis=-1)
        head_of_unit = ops.arange(self.attention_units) // (self.attention_units // self.heads)
        energy = ops.expand_dims(self.energy, -1) * ops.one_hot(head_of_unit, self.heads, dtype=self.energy.dtype)
        normalized = self.layer_norm
        return AttentionWeights(
            state_kernel=training_kernel(state_kernel, self.product_dtype, training),
            state_bias=tensor_of(self.state_bias),
            context_kernel=training_kernel(self.context_kernel, self.product_dtype, training),
            input_bias=tensor_of(self.input_bias),
            energy=energy,
            state_gain=tensor_of(self.state_gain) if normalized else None,
            input_gain=tensor_of(self.input_gain) if normalized else None,
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, JSON values only."""
        return {
            **super().get_config(),
            "units": self.units,
            "attention_units": self.attention_units,
            "heads": self.heads,
            "cell": self.cell_name,
            "layer_norm": self.layer_norm,
            "state_dropout": self.state_dropout,
            "product_dtype": self.product_dtype,
            "unroll": self.unroll,
            "seed": self.seed,
        }
