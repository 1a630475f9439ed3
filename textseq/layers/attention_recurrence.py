"""The decoder's recurrence: attention, then a cell on the input and the context (Bahdanau et al. 2015, A.2.2).

`attention_step` is the one decoder step of this project: the training loop below, greedy and beam search, sampling,
forced scoring and the exported graph all call it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from keras import ops

from textseq.layers.additive_attention import Memory, attend, attend_backward, values_gradient
from textseq.layers.cells import Cell, States
from textseq.layers.normalization import normalize, normalize_backward
from textseq.layers.product import kernel_gradient, product
from textseq.layers.scan import scan


class AttentionWeights(NamedTuple):
    """The weights of one step; the state is read by one product for the attention's query and the cell."""

    state_kernel: Any
    """float[units, attention_units + gates * units], `W | U`."""
    state_bias: Any
    """float[gates * units]."""
    context_kernel: Any
    """float[memory_units, gates * units]."""
    input_bias: Any
    """float[gates * units]."""
    energy: Any
    """float[attention_units, heads]."""
    state_gain: Any = None
    """float[gates * units], gain of the layer normalisation of `h U`, or None without it."""
    input_gain: Any = None
    """float[gates * units], gain of the layer normalisation of `x W + c C`, or None without it."""


class StepResult(NamedTuple):
    """What one step gives."""

    states: States
    """float[batch * beam, units] each."""
    context: Any
    """float[batch, beam, memory_units]."""
    attention_weights: Any
    """float[batch, heads, beam, source_length]."""
    residuals: Any
    """What the backward pass needs besides the arguments."""


def attention_step(
    cell: type[Cell],
    weights: AttentionWeights,
    memory: Memory,
    states: States,
    input_projection: Any,
    state_scale: Any = None,
) -> StepResult:
    """One decoder step.

    Args:
        cell: the cell.
        weights: see `AttentionWeights`.
        memory: of the source sentences.
        states: float[batch * beam, units] each; `beam` is 1 in training.
        input_projection: float[batch * beam, gates * units], `y W` of the previous target token.
        state_scale: float[batch * beam, units], dropout on the state, or None.

    Returns:
        See `StepResult`.
    """
    batch, attention_units = ops.shape(memory.projected)[0], memory.projected.shape[-1]
    state = states[0] if state_scale is None else states[0] * state_scale
    joint = product(state, weights.state_kernel)
    # [batch * beam, attention_units] -> [batch, beam, attention_units]
    query = ops.reshape(joint[:, :attention_units], (batch, -1, attention_units))
    context, attention, _ = attend(query, weights.energy, memory)
    # [batch, beam, memory_units] -> [batch * beam, memory_units]
    flat_context = ops.reshape(context, (-1, context.shape[-1]))
    raw_input = input_projection + product(flat_context, weights.context_kernel)
    input_hat, input_norm = _normalize(raw_input, weights.input_gain)
    state_hat, state_norm = _normalize(joint[:, attention_units:], weights.state_gain)
    states, gates = cell.forward(
        _scaled(input_hat, weights.input_gain) + weights.input_bias,
        _scaled(state_hat, weights.state_gain) + weights.state_bias,
        states,
    )
    return StepResult(states, context, attention, (query, gates, input_norm, state_norm))


def attention_recurrence(
    cell: type[Cell],
    weights: AttentionWeights,
    memory: Memory,
    input_projection: Any,
    states: States,
    state_scale: Any = None,
    *,
    fused: bool = True,
    unroll: bool = False,
) -> tuple[Any, Any, Any]:
    """Runs `attention_step` over a whole target sentence (teacher forcing).

    Args:
        cell: the cell.
        weights: see `AttentionWeights`.
        memory: of the source sentences.
        input_projection: float[time, batch, gates * units].
        states: float[batch, units] each, before the first step.
        state_scale: float[batch, units], dropout on the state with one mask for all steps, or None; it gets no
            gradient from the hand-written backward pass.
        fused: the hand-written backward pass; False differentiates the loop itself (slower, same result).
        unroll: see `scan`.

    Returns:
        The states float[time, batch, units], the contexts float[time, batch, memory_units] and the attention weights
        float[time, batch, heads, 1, source_length].
    """
    scale = ops.ones_like(states[0]) if state_scale is None else state_scale
    normalized = weights.state_gain is not None

    def forward(weights: AttentionWeights, memory: Memory, projection: Any, scale: Any, states: States) -> Any:
        def step(states: States, projection: Any) -> tuple[States, Any]:
            result = attention_step(cell, weights, memory, states, projection, scale)
            return result.states, (result.states, result.context[:, 0], result.attention_weights, result.residuals)

        return scan(step, states, projection, unroll=unroll)[1]

    def fused_forward(projection: Any, scale: Any, *flat: Any) -> Any:
        weights, memory, states = _unflatten(flat, normalized)
        after, contexts, attention, residuals = forward(weights, memory, projection, scale, states)
        before = tuple(
            ops.concatenate([first[None], array[:-1]], axis=0) for array, first in zip(after, states, strict=True)
        )

        def backward(*gradients: Any, **_: Any) -> Any:
            upstream = gradients[0] if isinstance(gradients[0], (tuple, list)) else gradients
            return _backward(
                cell, weights, memory, scale, before, contexts, attention, residuals, tuple(upstream), unroll
            )

        return (after[0], contexts, attention), backward

    if not fused:
        after, contexts, attention, _ = forward(weights, memory, input_projection, scale, states)
        return after[0], contexts, attention
    return tuple(ops.custom_gradient(fused_forward)(input_projection, scale, *_flatten(weights, memory, states)))


def _backward(
    cell: type[Cell],
    weights: AttentionWeights,
    memory: Memory,
    scale: Any,
    before: States,
    contexts: Any,
    attention: Any,
    residuals: Any,
    upstream: tuple[Any, Any, Any],
    unroll: bool,
) -> tuple[Any, ...]:
    """The gradients of every argument of `fused_forward`, in their order."""
    normalized = weights.state_gain is not None
    state_kernel, context_kernel = ops.transpose(weights.state_kernel), ops.transpose(weights.context_kernel)

    def step(carry: Any, inputs: Any) -> tuple[Any, Any]:
        d_states, d_energy, d_projected = carry
        (d_output, d_context, d_attention), before, attention, (query, gates, input_norm, state_norm) = inputs
        d_states = (d_states[0] + d_output, *d_states[1:])
        d_input, d_state, direct = cell.backward(gates, before, d_states)
        d_raw_input, d_raw_state = d_input, d_state
        if normalized:
            d_raw_input = normalize_backward(input_norm[0], input_norm[1], d_input * weights.input_gain)
            d_raw_state = normalize_backward(state_norm[0], state_norm[1], d_state * weights.state_gain)
        d_context = d_context + product(d_raw_input, context_kernel)
        hidden = ops.tanh(query[:, :, None, :] + memory.projected[:, None, :, :])
        d_query, d_energy_now, d_projected_now = attend_backward(
            hidden, attention, weights.energy, memory, d_context[:, None], d_attention
        )
        d_joint = ops.concatenate([d_query[:, 0], d_raw_state], axis=-1)
        d_before = direct[0] + product(d_joint, state_kernel) * scale
        carry = ((d_before, *direct[1:]), d_energy + d_energy_now, d_projected + d_projected_now)
        return carry, (d_input, d_raw_input if normalized else (), d_state if normalized else (), d_joint, d_context)

    zeros = tuple(ops.zeros_like(array[0]) for array in before)
    carry = (zeros, ops.zeros_like(weights.energy), ops.zeros_like(memory.projected))
    inputs = (upstream, before, attention, residuals)
    (d_states, d_energy, d_projected), results = scan(step, carry, inputs, reverse=True, unroll=unroll)
    d_inputs, d_raw_inputs, d_state_projections, d_joints, d_contexts = results
    if not normalized:
        d_raw_inputs, d_state_projections = d_inputs, d_joints[..., weights.energy.shape[0] :]
    d_weights = AttentionWeights(
        state_kernel=kernel_gradient(before[0] * scale, d_joints, weights.state_kernel),
        state_bias=ops.sum(d_state_projections, axis=(0, 1)),
        context_kernel=kernel_gradient(contexts, d_raw_inputs, weights.context_kernel),
        input_bias=ops.sum(d_inputs, axis=(0, 1)),
        energy=d_energy,
        state_gain=ops.sum(d_state_projections * residuals[3][0], axis=(0, 1)) if normalized else None,
        input_gain=ops.sum(d_inputs * residuals[2][0], axis=(0, 1)) if normalized else None,
    )
    d_memory = Memory(d_projected, values_gradient(attention, d_contexts), ops.zeros_like(memory.score_bias))
    return d_raw_inputs, ops.zeros_like(scale), *_flatten(d_weights, d_memory, d_states)


def _normalize(raw: Any, gain: Any) -> tuple[Any, Any]:
    """The normalised rows and what their backward pass needs; `raw` itself and nothing without a gain."""
    if gain is None:
        return raw, ()
    hat, factor = normalize(raw)
    return hat, (hat, factor)


def _scaled(hat: Any, gain: Any) -> Any:
    return hat if gain is None else hat * gain


def _flatten(weights: AttentionWeights, memory: Memory, states: States) -> tuple[Any, ...]:
    """One flat tuple of arrays, as `custom_gradient` wants it; absent gains are left out."""
    return (*(array for array in weights if array is not None), *memory, *states)


def _unflatten(flat: tuple[Any, ...], normalized: bool) -> tuple[AttentionWeights, Memory, States]:
    count = 7 if normalized else 5
    return AttentionWeights(*flat[:count]), Memory(*flat[count : count + 3]), tuple(flat[count + 3 :])
