"""What happens inside a recurrent layer while it reads: its gates, its candidates, its states at every token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from keras import ops

from textseq.errors import InputError

if TYPE_CHECKING:
    import numpy.typing as npt

    from textseq.layers.recurrent import Recurrent

# Names of the leading ones of what each cell's `forward` gives besides its states; the others are products of them.
_INSIDE = {
    "gru": ("update", "reset", "candidate"),
    "lstm": ("input", "forget", "candidate", "output"),
    "simple_rnn": (),
}
_STATES = ("state", "memory")


def gate_activations(
    layer: Recurrent, sequences: npt.ArrayLike, mask: npt.ArrayLike | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Reads sequences as the layer does without dropout, and keeps everything that its cell computes.

    A gate is between 0 (shut) and 1 (open), a candidate between -1 and 1. Of an LSTM (Hochreiter and Schmidhuber 1997;
    Gers et al. 2000): "input", how much of the candidate is written; "forget", how much of the memory is kept, so that
    1 forgets nothing; "output", how much of the memory is shown; "candidate"; "memory", the sum that is carried on. Of
    a GRU (Cho et al. 2014, arXiv:1406.1078, section 2.3, with the reset gate after the product): "update", how much of
    the state is kept; "reset", how much of the state the candidate reads; "candidate". Of a simple RNN the state alone.

    Args:
        layer: of any cell; `reverse` and `layer_norm` are honoured, and each array stands at its token.
        sequences: float[batch, length, columns].
        mask: bool[batch, length], True for a real token; None if all are.

    Returns:
        By name, float[batch, length, units] each: the gates and candidates of the cell, which are NaN at a padded
        place, where none are made; and "state", the layer's outputs, and of an LSTM "memory", which stay as they are
        at padded places.

    Raises:
        InputError: sequences or mask have another shape.

    Example:
        >>> from textseq.layers.recurrent import Recurrent
        >>> inside = gate_activations(Recurrent(8, "gru"), np.zeros((1, 5, 3)))
        >>> sorted(inside), inside["update"].shape
        (['candidate', 'reset', 'state', 'update'], (1, 5, 8))
    """
    inputs = np.asarray(sequences, layer.compute_dtype)
    if inputs.ndim != 3:
        raise InputError(f"sequences: received shape {inputs.shape}; expected (batch, length, columns)")
    batch, length, columns = inputs.shape
    real = np.ones((batch, length), bool) if mask is None else np.asarray(mask, bool)
    if real.shape != (batch, length):
        raise InputError(f"mask: received shape {real.shape}; expected (batch, length) = ({batch}, {length})")
    if not layer.built:
        layer.build((None, None, columns))
    names = _INSIDE[layer.cell_name]
    states = [np.zeros((batch, layer.units), inputs.dtype)] * layer.cell.states
    inside = {
        name: np.full((batch, length, layer.units), np.nan, inputs.dtype) for name in (*names, *_STATES[: len(states)])
    }
    for time in reversed(range(length)) if layer.reverse else range(length):
        after, opened = layer.open_step(
            ops.convert_to_tensor(inputs[:, time]), tuple(map(ops.convert_to_tensor, states))
        )
        present = real[:, time, None]
        for name, values in zip(names, opened, strict=False):
            inside[name][:, time] = np.where(present, ops.convert_to_numpy(values), np.nan)
        states = [np.where(present, ops.convert_to_numpy(new), old) for new, old in zip(after, states, strict=True)]
        for name, state in zip(_STATES, states, strict=False):
            inside[name][:, time] = state
    return inside
