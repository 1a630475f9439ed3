"""One step of a recurrent cell, forward and backward, after the matrix products are done.

A cell sees two projections of `gates * units` columns, one of the input (`x W + b`) and one of the state
(`h U + b`), and does what is element-wise. So the loops that use it (recurrent layer, attention decoder) choose
themselves where the products are made, and one hand-written backward pass serves both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from keras import ops

States = tuple[Any, ...]


class Cell(ABC):
    """One step of a recurrent cell; every array is `float[batch, columns]`.

    `states[0]` is the cell's output, and the only state that the recurrent product reads.
    """

    gates: int
    states: int

    @staticmethod
    @abstractmethod
    def forward(input_projection: Any, state_projection: Any, states: States) -> tuple[States, States]:
        """One step.

        Args:
            input_projection: float[batch, gates * units], `x W + b`.
            state_projection: float[batch, gates * units], `h U + b`.
            states: float[batch, units] each, before the step.

        Returns:
            The states after the step, float[batch, units] each, and what `backward` needs besides the arguments.
        """

    @staticmethod
    @abstractmethod
    def backward(residuals: States, states: States, gradients: States) -> tuple[Any, Any, States]:
        """The gradient of one step.

        Args:
            residuals: the second result of `forward`.
            states: before the step, as `forward` got them.
            gradients: float[batch, units] each, of the states after the step.

        Returns:
            The gradients of `input_projection` and `state_projection`, float[batch, gates * units] each, and of
            `states`, float[batch, units] each, without what flows through `state_projection`.
        """


class GRUCell(Cell):
    """Gated recurrent unit, Cho et al. 2014 (arXiv:1406.1078), in the reset-after form of cuDNN.

    ```
    z = sigmoid(x_z + h_z)      r = sigmoid(x_r + h_r)      n = tanh(x_n + r * h_n)
    h' = z * h + (1 - z) * n
    ```
    """

    gates, states = 3, 1

    @staticmethod
    def forward(input_projection: Any, state_projection: Any, states: States) -> tuple[States, States]:
        """One step, see `Cell.forward`."""
        units = states[0].shape[-1]
        state_candidate = state_projection[:, 2 * units :]
        gates = ops.sigmoid(input_projection[:, : 2 * units] + state_projection[:, : 2 * units])
        update, reset = gates[:, :units], gates[:, units:]
        candidate = ops.tanh(input_projection[:, 2 * units :] + reset * state_candidate)
        return (candidate + update * (states[0] - candidate),), (update, reset, candidate, state_candidate)

    @staticmethod
    def backward(residuals: States, states: States, gradients: States) -> tuple[Any, Any, States]:
        """The gradient of one step, see `Cell.backward`."""
        update, reset, candidate, state_candidate = residuals
        (gradient,) = gradients
        kept = gradient * update
        d_candidate = (gradient - kept) * (1 - candidate * candidate)
        d_update = kept * (1 - update) * (states[0] - candidate)
        d_state_candidate = d_candidate * reset
        d_reset = d_state_candidate * state_candidate * (1 - reset)
        d_gates = ops.concatenate([d_update, d_reset], axis=-1)
        d_input = ops.concatenate([d_gates, d_candidate], axis=-1)
        d_state = ops.concatenate([d_gates, d_state_candidate], axis=-1)
        return d_input, d_state, (kept,)


class LSTMCell(Cell):
    """Long short-term memory, Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.

    ```
    i, f, o = sigmoid(x_i + h_i), sigmoid(x_f + h_f), sigmoid(x_o + h_o)      g = tanh(x_g + h_g)
    c' = f * c + i * g      h' = o * tanh(c')
    ```
    The columns stand in the order i, f, g, o, which is that of Keras and cuDNN.
    """

    gates, states = 4, 2

    @staticmethod
    def forward(input_projection: Any, state_projection: Any, states: States) -> tuple[States, States]:
        """One step, see `Cell.forward`."""
        in_, forget, candidate, out = ops.split(input_projection + state_projection, 4, axis=-1)
        in_, forget, out = ops.sigmoid(in_), ops.sigmoid(forget), ops.sigmoid(out)
        candidate = ops.tanh(candidate)
        memory = forget * states[1] + in_ * candidate
        squashed = ops.tanh(memory)
        return (out * squashed, memory), (in_, forget, candidate, out, squashed)

    @staticmethod
    def backward(residuals: States, states: States, gradients: States) -> tuple[Any, Any, States]:
        """The gradient of one step, see `Cell.backward`."""
        in_, forget, candidate, out, squashed = residuals
        gradient, memory_gradient = gradients
        d_memory = memory_gradient + gradient * out * (1 - squashed * squashed)
        d_projection = ops.concatenate(
            [
                d_memory * candidate * in_ * (1 - in_),
                d_memory * states[1] * forget * (1 - forget),
                d_memory * in_ * (1 - candidate * candidate),
                gradient * squashed * out * (1 - out),
            ],
            axis=-1,
        )
        return d_projection, d_projection, (ops.zeros_like(gradient), d_memory * forget)


class SimpleRNNCell(Cell):
    """Simple recurrent network, Elman 1990: `h' = tanh(x + h U)`."""

    gates, states = 1, 1

    @staticmethod
    def forward(input_projection: Any, state_projection: Any, states: States) -> tuple[States, States]:
        """One step, see `Cell.forward`."""
        state = ops.tanh(input_projection + state_projection)
        return (state,), (state,)

    @staticmethod
    def backward(residuals: States, states: States, gradients: States) -> tuple[Any, Any, States]:
        """The gradient of one step, see `Cell.backward`."""
        d_projection = gradients[0] * (1 - residuals[0] * residuals[0])
        return d_projection, d_projection, (ops.zeros_like(d_projection),)


CELLS: dict[str, type[Cell]] = {"gru": GRUCell, "lstm": LSTMCell, "simple_rnn": SimpleRNNCell}
