"""How much of a gradient is left at every step back in time, and what truncation leaves of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from keras import ops

from textseq.errors import InputError
from textseq.input_gradient import input_gradient
from textseq.layers.cells import States
from textseq.layers.recurrent import Recurrent
from textseq.layers.scan import scan

Loss = Callable[[Any], Any]


def gradient_norms(
    layer: Recurrent,
    sequences: Any,
    mask: Any = None,
    *,
    loss: Loss | None = None,
    step: int = -1,
    truncation: int | None = None,
) -> dict[str, np.ndarray]:
    r"""The norm of a loss's gradient with respect to the state after every step (backpropagation through time).

    The loss reads the output of one step. What reaches the state of an earlier step `k` is a product of Jacobians
    (Pascanu, Mikolov, Bengio 2013, arXiv:1211.5063, section 2, equations 4 and 5),

    ```
    dL_t / ds_k = dL_t / ds_t  (ds_t / ds_{t-1}) ... (ds_{k+1} / ds_k)
    ```

    whose norm falls or grows exponentially with `t - k` where the Jacobians shrink or stretch: the gradient vanishes or
    explodes. The state `s` of an LSTM is the pair of output and memory, two arguments of the next step; the gradient of
    each is what comes back through that next step (of the output at step `t`, from the loss).

    Where the mask is False the state stays as it is, and so does its gradient: of right-padded sequences the last step
    reads the last real token's state. Dropout is not drawn.

    Args:
        layer: of any cell, built; of a float64 layer the norms have the range of float64, which long sequences need.
        sequences: float[batch, length, columns].
        mask: bool[batch, length], True for a real token; None if all are.
        loss: of the output float[batch, units] at `step`, a number for each sequence, float[batch]; by default the sum
            of the units, whose gradient with respect to that output is 1 for each.
        step: whose output the loss reads, counted from the end where negative.
        truncation: the number of steps after which the gradient is cut, as by `truncated`; None: it is not cut.

    Returns:
        By name of the state ("output", and of an LSTM "memory"): float64[batch, length], at each step the norm over the
        units. It is 0 at the steps that are read after `step`, and before the cut.

    Raises:
        InputError: sequences that are not of shape (batch, length, columns) or hold no step, a step outside of them, a
            loss that does not give a number for each sequence, or a truncation below 1.

    Example:
        >>> layer = Recurrent(8, cell="simple_rnn", seed=1)
        >>> sequences = np.ones((2, 5, 3), "float32")
        >>> outputs, states = layer(sequences)
        >>> norms = gradient_norms(layer, sequences)
        >>> norms["output"].shape, float(norms["output"][0, -1].round(3))
        ((2, 5), 2.828)
    """
    sequences = ops.cast(sequences, layer.compute_dtype)
    batch, length, place = _checked(sequences, step, truncation)
    present = np.ones((batch, length), bool) if mask is None else ops.convert_to_numpy(mask).astype(bool)
    inputs = (
        ops.transpose(sequences, (1, 0, 2)),
        ops.convert_to_tensor(present.T[:, :, None]),
        ops.convert_to_tensor(_cuts(length, truncation, layer.reverse)),
    )

    def loss_of(nudges: Any) -> Any:
        value = (loss or _sum_of_units)(_outputs(layer, inputs, nudges)[place])
        if tuple(value.shape) != (batch,):
            raise InputError(f"loss: received shape {tuple(value.shape)}; expected a number for each of {batch}")
        return ops.sum(value)

    # The gradient of a state is that of a number which is added to it, and is zero.
    nudges = ops.zeros((length, layer.cell.states, batch, layer.units), dtype=sequences.dtype)
    gradients = ops.convert_to_numpy(input_gradient(loss_of, nudges)).astype(np.float64)
    norms = np.sqrt(np.square(gradients).sum(axis=-1))
    names = ("output", "memory")[: layer.cell.states]
    return {name: norms[:, index].T.copy() for index, name in enumerate(names)}


def truncated(
    layer: Recurrent, sequences: Any, length: int, mask: Any = None, initial_state: States | None = None
) -> tuple[Any, States]:
    """Reads sequences like `layer`, and cuts the gradient after every `length` steps.

    Truncated backpropagation through time (Williams and Peng 1990, "An efficient gradient-based algorithm for on-line
    training of recurrent network trajectories", Neural Computation 2): the state is carried from one stretch of steps
    to the next, its gradient is not. Outputs and states are those of the layer; what is lost is all that a weight or an
    earlier layer could learn from further back than the stretch of the loss. Stretches are counted from the step that
    is read first; the last may be shorter. It works on Keras's symbolic inputs as well, so in a functional model.

    Args:
        layer: what reads.
        sequences: float[batch, time, columns], `time` known.
        length: steps of a stretch.
        mask: bool[batch, time], True for a real token; None if all are.
        initial_state: float[batch, units] each; zeros by default.

    Returns:
        The outputs, float[batch, time, units], and the last states.

    Raises:
        InputError: a length below 1, or sequences of unknown time or without a step.

    Example:
        >>> layer = Recurrent(8)
        >>> outputs, states = truncated(layer, np.ones((2, 50, 3), "float32"), 20)
        >>> tuple(outputs.shape)
        (2, 50, 8)
    """
    if length < 1:
        raise InputError(f"truncation: received {length} steps; expected 1 or more")
    time = sequences.shape[1]
    if not time:
        raise InputError(f"truncation: received sequences of {time} steps; expected a known number, 1 or more")
    stretches = [slice(start, min(start + length, time)) for start in range(0, time, length)]
    if layer.reverse:
        stretches = [slice(time - stretch.stop, time - stretch.start) for stretch in stretches]
    outputs, before = [], initial_state
    states: States = ()
    for stretch in stretches:
        present = None if mask is None else mask[:, stretch]
        output, states = layer(sequences[:, stretch], mask=present, initial_state=before)
        before = tuple(ops.stop_gradient(state) for state in states)
        outputs.append(output)
    return ops.concatenate(outputs[::-1] if layer.reverse else outputs, axis=1), states


def _checked(sequences: Any, step: int, truncation: int | None) -> tuple[int, int, int]:
    """Batch, length and the place of the step."""
    if len(sequences.shape) != 3 or 0 in sequences.shape:
        raise InputError(
            f"sequences: received shape {tuple(sequences.shape)}; expected (batch, length, columns), none of them 0"
        )
    batch, length, _ = sequences.shape
    if not -length <= step < length:
        raise InputError(f"step: received {step} of {length} steps; expected {-length} to {length - 1}")
    if truncation is not None and truncation < 1:
        raise InputError(f"truncation: received {truncation} steps; expected 1 or more")
    return batch, length, step % length


def _cuts(length: int, truncation: int | None, reverse: bool) -> np.ndarray:
    """bool[length]: whether no gradient flows from this step to the one that is read before it."""
    read = np.arange(length)[::-1] if reverse else np.arange(length)
    return np.zeros(length, bool) if truncation is None else read % truncation == 0


def _outputs(layer: Recurrent, inputs: tuple[Any, Any, Any], nudges: Any) -> Any:
    """float[length, batch, units]: the layer's outputs, something having been added to the state after each step."""

    def read(states: States, now: tuple[Any, ...]) -> tuple[States, Any]:
        sequence, present, cut, nudge = now
        before = tuple(ops.where(cut, ops.stop_gradient(state), state) for state in states)
        after = layer.step(sequence, before)
        kept = tuple(ops.where(present, new, old) for new, old in zip(after, before, strict=True))
        states = tuple(state + nudge[index] for index, state in enumerate(kept))
        return states, states[0]

    first = tuple(ops.zeros_like(nudges[0, 0]) for _ in range(layer.cell.states))
    return scan(read, first, (*inputs, nudges), reverse=layer.reverse)[1]


def _sum_of_units(output: Any) -> Any:
    return ops.sum(output, axis=-1)
