"""A recurrent layer of one direction."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from textseq.layers.cells import CELLS, States
from textseq.layers.dropout import dropout_scale
from textseq.layers.initialization import GatewiseOrthogonal, bias_initializer, weight_seeds
from textseq.layers.normalization import normalize
from textseq.layers.product import product, tensor_of, training_kernel
from textseq.layers.recurrence import RecurrentWeights, recurrence


@keras.saving.register_keras_serializable("textseq")
class Recurrent(keras.layers.Layer):
    """Reads a sequence with one recurrent cell; where the mask is False its states stay as they are.

    Args:
        units: size of the state.
        cell: "gru", "lstm" or "simple_rnn".
        reverse: read from the last token to the first; outputs still stand at their token.
        layer_norm: normalise the two projections of each step (Ba et al. 2016, arXiv:1607.06450, equation 20).
        state_dropout: rate of variational dropout on the state.
        product_dtype: dtype of the matrix products while training ("float32" or "bfloat16"); otherwise float32.
        unroll: lay short sequences out step by step in the graph (TensorFlow; faster, but longer to build).
        compiled: have XLA compile the loops while training (TensorFlow; for long sequences of few shapes).
        seed: of the initial weights and of the dropout.

    Example:
        >>> layer = Recurrent(8, cell="lstm")
        >>> outputs, states = layer(keras.random.normal((2, 5, 3)), mask=keras.ops.ones((2, 5), "bool"))
        >>> tuple(outputs.shape)
        (2, 5, 8)
    """

    def __init__(
        self,
        units: int,
        cell: str = "gru",
        *,
        reverse: bool = False,
        layer_norm: bool = False,
        state_dropout: float = 0.0,
        product_dtype: str = "float32",
        unroll: bool = False,
        compiled: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.cell_name = cell
        self.cell = CELLS[cell]
        self.reverse = reverse
        self.layer_norm = layer_norm
        self.state_dropout = state_dropout
        self.product_dtype = product_dtype
        self.unroll = unroll
        self.compiled = compiled
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights for inputs of shape (batch, length, columns)."""
        columns = self.cell.gates * self.units
        seeds = weight_seeds(self.seed)
        self.input_kernel = self.add_weight(
            name="input_kernel",
            shape=(input_shape[-1], columns),
            initializer=keras.initializers.GlorotUniform(next(seeds)),
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
        if self.layer_norm:
            self.input_gain = self.add_weight(name="input_gain", shape=(columns,), initializer="ones")
            self.state_gain = self.add_weight(name="state_gain", shape=(columns,), initializer="ones")

    def call(
        self, sequences: Any, mask: Any = None, initial_state: States | None = None, training: bool = False
    ) -> tuple[Any, States]:
        """Reads whole sequences.

        Args:
            sequences: float[batch, length, columns].
            mask: bool[batch, length], True for a real token; None if all are.
            initial_state: float[batch, units] each; zeros by default.
            training: whether dropout is drawn.

        Returns:
            The outputs, float[batch, length, units], and the last states.
        """
        sequences = ops.transpose(sequences, (1, 0, 2))
        length, batch = ops.shape(sequences)[:2]
        mask = ops.ones((length, batch, 1)) if mask is None else ops.cast(ops.transpose(mask), "float32")[:, :, None]
        mask = ops.cast(mask, sequences.dtype)
        states = initial_state or tuple(
            ops.zeros((batch, self.units), dtype=sequences.dtype) for _ in range(self.cell.states)
        )
        scale = None
        if training and self.state_dropout > 0:
            scale = dropout_scale((batch, self.units), self.state_dropout, self.seed_generator, sequences.dtype)
        outputs, states = recurrence(
            self.cell,
            self._state_weights(training),
            self._project_input(sequences, training),
            mask,
            states,
            scale,
            reverse=self.reverse,
            unroll=self.unroll and training,
            compiled=self.compiled and training,
        )
        return ops.transpose(outputs, (1, 0, 2)), states

    def step(self, inputs: Any, states: States) -> States:
        """Reads one token, as in search; without dropout.

        Args:
            inputs: float[batch, columns].
            states: float[batch, units] each, before the token.

        Returns:
            The states after it, float[batch, units] each.
        """
        return self.open_step(inputs, states)[0]

    def open_step(self, inputs: Any, states: States) -> tuple[States, States]:
        """Reads one token as `step` does, and shows what the cell computed on the way.

        Args:
            inputs: float[batch, columns].
            states: float[batch, units] each, before the token.

        Returns:
            The states after it, and the gates and candidates, float[batch, units] each, in the order in which
            `Cell.forward` hands them to its backward pass.
        """
        weights = self._state_weights(training=False)
        raw = product(states[0], weights.kernel)
        if weights.gain is not None:
            raw = normalize(raw)[0] * weights.gain
        return self.cell.forward(self._project_input(inputs, training=False), raw + weights.bias, states)

    def _project_input(self, inputs: Any, training: bool) -> Any:
        raw = product(inputs, training_kernel(self.input_kernel, self.product_dtype, training))
        if self.layer_norm:
            raw = normalize(raw)[0] * self.input_gain
        return raw + self.input_bias

    def _state_weights(self, training: bool) -> RecurrentWeights:
        gain = tensor_of(self.state_gain) if self.layer_norm else None
        return RecurrentWeights(
            training_kernel(self.state_kernel, self.product_dtype, training),
            tensor_of(self.state_bias),
            gain,
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor, JSON values only."""
        return {
            **super().get_config(),
            "units": self.units,
            "cell": self.cell_name,
            "reverse": self.reverse,
            "layer_norm": self.layer_norm,
            "state_dropout": self.state_dropout,
            "product_dtype": self.product_dtype,
            "unroll": self.unroll,
            "compiled": self.compiled,
            "seed": self.seed,
        }
