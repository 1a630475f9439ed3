"""A recurrence over a sequence whose backward pass keeps only the recurrence in the loop.

Autodiff through the loop makes each weight's gradient as a sum over time of small products. Here the backward loop
makes the gradients of the projections only, and each weight's gradient is one large product after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from keras import ops, tree

from textseq.layers.cells import Cell, States
from textseq.layers.fused import fused as fused_by_xla
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
    compiled: bool = False,
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
        compiled: have XLA compile the loops (TensorFlow; JAX does so anyway): a third less processor time for long
            sequences, after a second or two for each shape. Only with the hand-written backward pass.

    Returns:
        The states `states[0]` at every time, float[time, batch, units], and the last states.
    """
    scale = ops.ones_like(states[0]) if state_scale is None else state_scale
    normalized = weights.gain is not None
    options: dict[str, Any] = {"cell": cell, "reverse": reverse, "unroll": unroll}
    forward_loop = _COMPILED_FORWARD_LOOP if compiled else _forward_loop

    def fused_forward(projection: Any, mask: Any, scale: Any, *flat: Any) -> Any:
        weights, states = _unflatten(flat, normalized)
        last, (after, residuals, norms) = forward_loop(weights, projection, mask, scale, states, **options)
        before = tuple(_shifted(array, first, reverse) for array, first in zip(after, states, strict=True))

        def backward(*gradients: Any, **_: Any) -> Any:
            upstream = gradients[0] if isinstance(gradients[0], (tuple, list)) else gradients
            backward_loop = _COMPILED_BACKWARD_LOOP if compiled else _backward_loop
            saved = (before, residuals, norms)
            loop = backward_loop(weights, mask, scale, *saved, tuple(upstream), **options)
            return _gradients(weights, mask, scale, before, norms, loop)

        return (after[0], *last), backward

    if not fused:
        last, (after, _, _) = _forward_loop(weights, input_projection, mask, scale, states, **options)
        return after[0], last
    outputs, *last = ops.custom_gradient(fused_forward)(input_projection, mask, scale, *_flatten(weights, states))
    return outputs, tuple(last)


def _forward_loop(
    weights: RecurrentWeights,
    projection: Any,
    mask: Any,
    scale: Any,
    states: States,
    *,
    cell: type[Cell],
    reverse: bool,
    unroll: bool,
) -> tuple[States, tuple[States, Any, Any]]:
    """The last states, and at every time: the states, what the cell's backward pass needs, the normalised rows."""
    kernel, bias, gain = weights

    def step(states: States, inputs: Any) -> tuple[States, Any]:
        projection, present = inputs
        raw = product(states[0] * scale, kernel)
        hat, factor = normalize(raw) if gain is not None else (raw, ())
        new, residuals = cell.forward(projection, hat + bias if gain is None else hat * gain + bias, states)
        new = tuple(present * after + (1 - present) * before for after, before in zip(new, states, strict=True))
        return new, (new, residuals, () if gain is None else (hat, factor))

    return scan(step, states, (projection, mask), reverse=reverse, unroll=unroll)


def _backward_loop(
    weights: RecurrentWeights,
    mask: Any,
    scale: Any,
    before: States,
    residuals: Any,
    norms: Any,
    upstream: tuple[Any, ...],
    *,
    cell: type[Cell],
    reverse: bool,
    unroll: bool,
) -> tuple[States, tuple[Any, Any, Any]]:
    """The gradients of the first states, and at every time those of the projections of input and state and of `h U`."""
    kernel, gain = ops.transpose(weights.kernel), weights.gain

    def step(d_states: States, inputs: Any) -> tuple[States, Any]:
        d_output, present, before, residuals, norms = inputs
        d_states = (d_states[0] + d_output, *d_states[1:])
        d_new = tuple(present * gradient for gradient in d_states)
        d_input, d_state, direct = cell.backward(residuals, before, d_new)
        d_raw = d_state if gain is None else normalize_backward(norms[0], norms[1], d_state * gain)
        recurrent = product(d_raw, kernel) * scale
        d_before = tuple(kept + gradient - new for kept, gradient, new in zip(direct, d_states, d_new, strict=True))
        return (d_before[0] + recurrent, *d_before[1:]), (d_input, d_state, () if gain is None else d_raw)

    d_outputs, *d_last = upstream
    inputs = (d_outputs, mask, before, residuals, norms)
    return scan(step, tuple(d_last), inputs, reverse=not reverse, unroll=unroll)


def _gradients(
    weights: RecurrentWeights, mask: Any, scale: Any, before: States, norms: Any, loop: tuple[States, Any]
) -> tuple[Any, ...]:
    """The gradients of every argument of `fused_forward`, in their order, from what the backward loop gave."""
    d_states, (d_inputs, d_projections, d_raw) = loop
    normalized = weights.gain is not None
    d_weights = RecurrentWeights(
        kernel=kernel_gradient(before[0] * scale, d_raw if normalized else d_projections, weights.kernel),
        bias=ops.sum(d_projections, axis=(0, 1)),
        gain=ops.sum(d_projections * norms[0], axis=(0, 1)) if normalized else None,
    )
    return d_inputs, ops.zeros_like(mask), ops.zeros_like(scale), *_flatten(d_weights, d_states)


def _compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
    compiled = fused_by_xla(loop)

    def call(*arrays: Any, **options: Any) -> Any:
        # A tape that watches would ask for what the loop holds inside, which XLA does not hand out.
        unwatched = tree.map_structure(lambda array: None if array is None else ops.stop_gradient(array), arrays)
        return compiled(*unwatched, **options)

    return call


_COMPILED_FORWARD_LOOP, _COMPILED_BACKWARD_LOOP = _compiled(_forward_loop), _compiled(_backward_loop)


def _shifted(after: Any, first: Any, reverse: bool) -> Any:
    """The states before each step, from those after each step and the first."""
    if reverse:
        return ops.concatenate([after[1:], first[None]], axis=0)
    return ops.concatenate([first[None], after[:-1]], axis=0)


def _flatten(weights: RecurrentWeights, states: States) -> tuple[Any, ...]:
    """One flat tuple of arrays, as `custom_gradient` wants it; an absent gain is left out."""
    return (*(array for array in weights if array is not None), *states)


def _unflatten(flat: tuple[Any, ...], normalized: bool) -> tuple[RecurrentWeights, States]:
    count = 3 if normalized else 2
    return RecurrentWeights(*flat[:count]), tuple(flat[count:])
