"""A recurrence over a sequence whose backward pass keeps only the recurrence in the loop.

Autodiff through the loop makes each weight's gradient as a sum over time of small products. Here the backward loop
makes the gradients of the projections only, and each weight's gradient is one large product after it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from textseq.layers.cells import Cell, States
from textseq.layers.normalization import normalize, normalize_backward
from textseq.layers.product import kernel_gradient, product
from textseq.layers.scan import scan


class RecurrentWeights(NamedTuple):
    """The weights of the recurrent product `h U + b`."""

    kernel: Any
    """float[units, gates * units]."""
    bias: Any
    """float[gates * units]."""
    gain: Any = None
    """float[gates * units], the gain of the layer normalisation, or None without it."""


def recurrence(
    cell: type[Cell],
    weights: RecurrentWeights,
    input_projection: Any,
    mask: Any,
    states: States,
    state_scale: Any = None,
    *,
    reverse: bool = False,
    fused: bool = True,
    unroll: bool = False,
) -> tuple[Any, States]:
    """Runs a cell over time; where the mask is False the states stay as they are.

    Args:
        cell: the cell.
        weights: of the recurrent product.
        input_projection: float[time, batch, gates * units], `x W + b`.
        mask: float[time, batch, 1], 1 for a real token.
        states: float[batch, units] each, before the first step.
        state_scale: float[batch, units], dropout on the state with one mask for all steps (Gal and Ghahramani 2016,
            arXiv:1512.05287), or None; it gets no gradient from the hand-written backward pass.
        reverse: read from the last time step to the first.
        fused: the hand-written backward pass; False differentiates the loop itself (slower, same result).
        unroll: see `scan`.

    Returns:
        The states `states[0]` at every time, float[time, batch, units], and the last states.
    """
    scale = ops.ones_like(states[0]) if state_scale is None else state_scale
    normalized = weights.gain is not None

    def forward(
        input_projection: Any, mask: Any, scale: Any, kernel: Any, bias: Any, gain: Any, *states: Any
    ) -> tuple[Any, States, Any]:
        def step(states: States, inputs: Any) -> tuple[States, Any]:
            projection, present = inputs
            raw = product(states[0] * scale, kernel)
            hat, factor = normalize(raw) if normalized else (raw, raw[:, :1])
            new, residuals = cell.forward(projection, hat * gain + bias if normalized else hat + bias, states)
            new = tuple(present * after + (1 - present) * before for after, before in zip(new, states, strict=True))
            return new, (new, residuals, (hat, factor) if normalized else ())

        last, saved = scan(step, states, (input_projection, mask), reverse=reverse, unroll=unroll)
        return saved[0][0], last, saved

    def fused_forward(
        input_projection: Any, mask: Any, scale: Any, kernel: Any, bias: Any, gain: Any, *states: Any
    ) -> Any:
        outputs, last, (after, residuals, norms) = forward(input_projection, mask, scale, kernel, bias, gain, *states)
        before = tuple(_shifted(array, first, reverse) for array, first in zip(after, states, strict=True))

        def backward(*gradients: Any, **_: Any) -> Any:
            d_outputs, *d_last = gradients[0] if isinstance(gradients[0], (tuple, list)) else gradients
            transposed = ops.transpose(kernel)

            def step(d_states: States, inputs: Any) -> tuple[States, Any]:
                d_output, present, before, residuals, norms = inputs
                d_states = (d_states[0] + d_output, *d_states[1:])
                d_new = tuple(present * gradient for gradient in d_states)
                d_input, d_state, direct = cell.backward(residuals, before, d_new)
                d_raw = normalize_backward(norms[0], norms[1], d_state * gain) if normalized else d_state
                recurrent = product(d_raw, transposed) * scale
                d_before = tuple(
                    kept + gradient - new for kept, gradient, new in zip(direct, d_states, d_new, strict=True)
                )
                return (d_before[0] + recurrent, *d_before[1:]), (d_input, d_state, d_raw if normalized else ())

            d_states, (d_inputs, d_projections, d_raw) = scan(
                step,
                tuple(d_last),
                (d_outputs, mask, before, residuals, norms),
                reverse=not reverse,
                unroll=unroll,
            )
            d_kernel = kernel_gradient(before[0] * scale, d_raw if normalized else d_projections, kernel)
            d_gain = ops.sum(d_projections * norms[0], axis=(0, 1)) if normalized else ops.zeros_like(gain)
            return (
                d_inputs,
                ops.zeros_like(mask),
                ops.zeros_like(scale),
                d_kernel,
                ops.sum(d_projections, axis=(0, 1)),
                d_gain,
                *d_states,
            )

        return (outputs, *last), backward

    gain = weights.gain if normalized else ops.zeros((1,), dtype=weights.bias.dtype)
    arguments = (input_projection, mask, scale, weights.kernel, weights.bias, gain, *states)
    if not fused:
        outputs, last, _ = forward(*arguments)
        return outputs, last
    outputs, *last = ops.custom_gradient(fused_forward)(*arguments)
    return outputs, tuple(last)


def _shifted(after: Any, first: Any, reverse: bool) -> Any:
    """The states before each step, from those after each step and the first."""
    if reverse:
        return ops.concatenate([after[1:], first[None]], axis=0)
    return ops.concatenate([first[None], after[:-1]], axis=0)
