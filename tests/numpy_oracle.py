"""The network in NumPy float64, for one sentence without padding, one token at a time, from the papers' equations.

Bahdanau, Cho, Bengio 2015 (arXiv:1409.0473), A.1.2 and A.2; Cho et al. 2014 (arXiv:1406.1078) with the reset gate
after the product; Hochreiter and Schmidhuber 1997 with a forget gate; Ba, Kiros, Hinton 2016 (arXiv:1607.06450).
Kim 2014 (arXiv:1408.5882), equation 2; Yang et al. 2016, equations 5 to 7.
Nothing here is shared with the library but the names and the column order of the weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Weights = Mapping[str, np.ndarray]
GATES = {"gru": 3, "lstm": 4, "simple_rnn": 1}
STATES = {"gru": 1, "lstm": 2, "simple_rnn": 1}


def weights_of(layer: Any) -> dict[str, np.ndarray]:
    """The trainable weights of one layer by their last name."""
    return {weight.path.split("/")[-1]: np.array(weight, "float64") for weight in layer.trainable_weights}


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-values))


def log_softmax(values: np.ndarray) -> np.ndarray:
    shifted = values - values.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def layer_norm(row: np.ndarray, gain: np.ndarray | None) -> np.ndarray:
    """Row of one vector; without a gain nothing is normalised."""
    if gain is None:
        return row
    return gain * (row - row.mean()) / np.sqrt(row.var() + 1e-5)


def cell(name: str, x: np.ndarray, h: np.ndarray, states: Sequence[np.ndarray]) -> list[np.ndarray]:
    """One step of a cell on two vectors of projections."""
    x_gates, h_gates = np.split(x, GATES[name]), np.split(h, GATES[name])
    if name == "gru":
        update = sigmoid(x_gates[0] + h_gates[0])
        reset = sigmoid(x_gates[1] + h_gates[1])
        candidate = np.tanh(x_gates[2] + reset * h_gates[2])
        return [update * states[0] + (1 - update) * candidate]
    if name == "lstm":
        in_, forget, candidate, out = (a + b for a, b in zip(x_gates, h_gates, strict=True))
        memory = sigmoid(forget) * states[1] + sigmoid(in_) * np.tanh(candidate)
        return [sigmoid(out) * np.tanh(memory), memory]
    return [np.tanh(x + h)]


def recurrent_step(name: str, weights: Weights, x: np.ndarray, states: Sequence[np.ndarray]) -> list[np.ndarray]:
    """One token through a recurrent layer."""
    x = layer_norm(x @ weights["input_kernel"], weights.get("input_gain")) + weights["input_bias"]
    h = layer_norm(states[0] @ weights["state_kernel"], weights.get("state_gain")) + weights["state_bias"]
    return cell(name, x, h, states)


def gates(name: str, weights: Weights, sequence: np.ndarray, reverse: bool = False) -> dict[str, np.ndarray]:
    """What a recurrent layer computes at each token of a sentence [length, columns]: [length, units] by name."""
    length, units = len(sequence), len(weights["state_kernel"])
    state, memory = np.zeros(units), np.zeros(units)
    found: list[dict[str, np.ndarray]] = [{}] * length
    for time in reversed(range(length)) if reverse else range(length):
        x = layer_norm(sequence[time] @ weights["input_kernel"], weights.get("input_gain")) + weights["input_bias"]
        h = layer_norm(state @ weights["state_kernel"], weights.get("state_gain")) + weights["state_bias"]
        x_gates, h_gates = np.split(x, GATES[name]), np.split(h, GATES[name])
        now = {}
        if name == "gru":
            now["update"], now["reset"] = sigmoid(x_gates[0] + h_gates[0]), sigmoid(x_gates[1] + h_gates[1])
            now["candidate"] = np.tanh(x_gates[2] + now["reset"] * h_gates[2])
            state = now["update"] * state + (1 - now["update"]) * now["candidate"]
        elif name == "lstm":
            for number, gate in enumerate(("input", "forget", "candidate", "output")):
                squash = np.tanh if gate == "candidate" else sigmoid
                now[gate] = squash(x_gates[number] + h_gates[number])
            memory = now["memory"] = now["forget"] * memory + now["input"] * now["candidate"]
            state = now["output"] * np.tanh(memory)
        else:
            state = np.tanh(x + h)
        found[time] = {**now, "state": state}
    return {name: np.stack([now[name] for now in found]) for name in found[0]}


def recurrent(
    name: str,
    weights: Weights,
    sequence: np.ndarray,
    states: Sequence[np.ndarray] | None = None,
    reverse: bool = False,
) -> tuple[np.ndarray, list[np.ndarray]]:
    """A whole sentence [length, columns] through a recurrent layer; outputs [length, units] and the last states."""
    units = len(weights["state_kernel"])
    now = list(states) if states is not None else [np.zeros(units)] * STATES[name]
    outputs = np.zeros((len(sequence), units))
    for time in reversed(range(len(sequence))) if reverse else range(len(sequence)):
        now = recurrent_step(name, weights, sequence[time], now)
        outputs[time] = now[0]
    return outputs, now


def encode(
    name: str, layers: Sequence[tuple[Weights, Weights]], sequence: np.ndarray, residual: bool = False
) -> np.ndarray:
    """A sentence [length, columns] through stacked bidirectional layers: [length, 2 * units]."""
    for forward, backward in layers:
        both = [recurrent(name, forward, sequence)[0], recurrent(name, backward, sequence, reverse=True)[0]]
        outputs = np.concatenate(both, axis=1)
        sequence = sequence + outputs if residual and sequence.shape == outputs.shape else outputs
    return sequence


def attend(
    query: np.ndarray, projected: np.ndarray, v: np.ndarray, memory: np.ndarray, heads: int
) -> tuple[np.ndarray, np.ndarray]:
    """One query (`W s`) over one sentence: the context [memory_units] and the weights [heads, source_length]."""
    attention_columns, memory_columns = len(v) // heads, memory.shape[1] // heads
    context, weights = np.zeros(memory.shape[1]), np.zeros((heads, len(memory)))
    for head in range(heads):
        part = slice(head * attention_columns, (head + 1) * attention_columns)
        energies = [v[part] @ np.tanh(query[part] + row[part]) for row in projected]
        weights[head] = np.exp(energies) / np.exp(energies).sum()
        part = slice(head * memory_columns, (head + 1) * memory_columns)
        context[part] = sum(weight * row[part] for weight, row in zip(weights[head], memory, strict=True))
    return context, weights


def decoder_step(
    name: str, weights: Weights, y: np.ndarray, memory: np.ndarray, states: Sequence[np.ndarray], heads: int = 1
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """One target token through the attending layer: the states, the context and the attention weights."""
    projected = memory @ weights["memory_kernel"] + weights["memory_bias"]
    context, attention = attend(states[0] @ weights["query_kernel"], projected, weights["energy"], memory, heads)
    x = layer_norm(y @ weights["input_kernel"] + context @ weights["context_kernel"], weights.get("input_gain"))
    h = layer_norm(states[0] @ weights["state_kernel"], weights.get("state_gain")) + weights["state_bias"]
    return cell(name, x + weights["input_bias"], h, states), context, attention


class TranslationOracle:
    """A `TranslationModel`'s mathematics for one sentence; the weights are read from the model."""

    def __init__(self, model: Any) -> None:
        config = self.config = model.config
        self.source = np.array(model.source_embedding.embeddings, "float64")
        self.target = np.array(model.target_embedding.embeddings, "float64")
        self.encoder = [(weights_of(forward), weights_of(backward)) for forward, backward in model.encoder.directions]
        self.decoder = weights_of(model.decoder)
        self.upper = [weights_of(layer) for layer in model.upper_layers]
        self.own = {
            name: np.array(getattr(model, name), "float64")
            for name in ("bridge_kernel", "bridge_bias", "readout_kernel", "readout_bias", "output_bias")
        }
        self.output = self.target.T if config.tied_embeddings else np.array(model.output_kernel, "float64")

    def encode(self, source_ids: Sequence[int]) -> np.ndarray:
        """The memory, [source_length, memory_units]."""
        return encode(self.config.cell, self.encoder, self.source[list(source_ids)], self.config.residual)

    def start(self, memory: np.ndarray) -> list[np.ndarray]:
        """The decoder's first states, `tanh(W mean(h) + b)`; without attention, of the last states."""
        summary = pool("last" if self.config.attention == "none" else "mean", memory)
        flat = np.tanh(summary @ self.own["bridge_kernel"] + self.own["bridge_bias"])
        return np.split(flat, self.config.decoder_layers * STATES[self.config.cell])

    def step(
        self, previous_id: int, states: list[np.ndarray], memory: np.ndarray
    ) -> tuple[np.ndarray, list[np.ndarray], np.ndarray | None]:
        """Logits [vocabulary], states, attention [heads, source_length] (None without it) of one step."""
        name, count = self.config.cell, STATES[self.config.cell]
        y = self.target[previous_id]
        attention = None
        if self.config.attention == "none":
            context = pool("last", memory)
            new = recurrent_step(name, self.decoder, np.concatenate([y, context]), states[:count])
        else:
            new, context, attention = decoder_step(
                name, self.decoder, y, memory, states[:count], self.config.attention_heads
            )
        top = new[0]
        for number, weights in enumerate(self.upper, 1):
            upper = recurrent_step(name, weights, top, states[number * count : (number + 1) * count])
            new = new + upper
            top = top + upper[0] if self.config.residual else upper[0]
        joined = np.concatenate([top, y, context])
        readout = np.tanh(joined @ self.own["readout_kernel"] + self.own["readout_bias"])
        return readout @ self.output + self.own["output_bias"], new, attention

    def logits(self, source_ids: Sequence[int], target_input_ids: Sequence[int]) -> np.ndarray:
        """Logits of a whole translation, [target_length, vocabulary]."""
        memory = self.encode(source_ids)
        states, rows = self.start(memory), []
        for previous_id in target_input_ids:
            logits, states, _ = self.step(previous_id, states, memory)
            rows.append(logits)
        return np.array(rows)


def convolution(weights: Weights, sequence: np.ndarray, width: int) -> np.ndarray:
    """A text [length, columns] through filters: [length, filters]; zeros stand outside of it."""
    taps = np.split(weights["kernel"], width)
    outputs = np.tile(weights["bias"], (len(sequence), 1))
    for time in range(len(sequence)):
        for number, tap in enumerate(taps):
            place = time + number - (width - 1) // 2
            if 0 <= place < len(sequence):
                outputs[time] += sequence[place] @ tap
    return np.maximum(outputs, 0)


def attention_pooling(weights: Weights, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """States [length, units] of one text: their weighted mean [units] and the weights [length]."""
    hidden = np.tanh(states @ weights["hidden_kernel"] + weights["hidden_bias"])
    energies = np.exp([weights["energy"] @ row for row in hidden])
    alpha = energies / energies.sum()
    return alpha @ states, alpha


def pool(kind: str, states: np.ndarray, weights: Weights | None = None) -> np.ndarray:
    """States [length, units] of one text as one vector [units]."""
    half = states.shape[1] // 2
    if kind == "attention":
        return attention_pooling(weights or {}, states)[0]
    if kind == "last":
        return np.concatenate([states[-1, :half], states[0, half:]])
    return states.max(0) if kind == "max" else states.mean(0)


class ClassifierOracle:
    """A `ClassifierModel`'s mathematics for one text; the weights are read from the model."""

    def __init__(self, model: Any) -> None:
        self.config = model.config
        self.embeddings = np.array(model.embedding.embeddings, "float64")
        self.convolution = None if model.convolution is None else weights_of(model.convolution)
        self.encoder = [(weights_of(forward), weights_of(backward)) for forward, backward in model.encoder.directions]
        self.pooling = weights_of(model.pooling)
        self.output = np.array(model.output_kernel, "float64"), np.array(model.output_bias, "float64")
        self.ngrams = None if model.ngrams is None else np.array(model.ngrams.table, "float64")
        self.eos_id = model.special_ids.eos_id

    def read(self, token_ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray | None]:
        """Logits [classes], and the weights of the attention [length] where there is one."""
        sequence = self.embeddings[list(token_ids)]
        if self.convolution is not None:
            sequence = convolution(self.convolution, sequence, self.config.convolution_width)
        states = encode(self.config.cell, self.encoder, sequence, self.config.residual)
        pooled = np.concatenate([pool(kind, states, self.pooling) for kind in self.config.pooling])
        attention = attention_pooling(self.pooling, states)[1] if "attention" in self.config.pooling else None
        logits = pooled @ self.output[0] + self.output[1]
        if self.ngrams is not None:
            words = [token for token in token_ids if token != self.eos_id]
            logits = logits + bag_of_ngrams(self.ngrams, words, self.config.ngrams, self.config.ngram_buckets)
        return logits, attention


def bag_of_ngrams(table: np.ndarray, words: Sequence[int], longest: int, buckets: int, scale: float = 20.0) -> Any:
    """What the n-grams of a text add to its logits, [classes]; rows of longer n-grams by FNV-1a."""
    rows = list(words)
    for length in range(2, longest + 1):
        for start in range(len(words) - length + 1):
            code = 2166136261
            for word in words[start : start + length]:
                code = (code ^ word) * 16777619 % 2**32
            rows.append(len(table) - buckets + (code ^ code >> 16) % buckets)
    return scale * table[rows].sum(0) / max(1, len(rows)) ** 0.5


def self_attention(weights: Weights, sequence: np.ndarray, heads: int, causal: bool) -> np.ndarray:
    """A text [length, columns] attending to itself: [length, units] (Vaswani et al. 2017, section 3.2)."""
    joined = []
    per_head = [np.split(sequence @ weights[f"{name}_kernel"], heads, axis=1) for name in ("query", "key", "value")]
    for query, key, value in zip(*per_head, strict=True):
        rows = []
        for time, one in enumerate(query):
            seen = time + 1 if causal else len(sequence)
            energies = np.exp(key[:seen] @ one / np.sqrt(len(one)))
            rows.append(energies / energies.sum() @ value[:seen])
        joined.append(np.array(rows))
    return np.concatenate(joined, axis=1) @ weights["output_kernel"] + weights["output_bias"]


def transformer_encoder(
    weights: Weights, sequence: np.ndarray, units: int, *, blocks: int, heads: int, causal: bool, pre_norm: bool,
    positions: bool,
) -> np.ndarray:  # fmt: skip
    """A text [length, columns] through a Transformer encoder (Vaswani et al. 2017, sections 3.1 to 3.5)."""

    def norm(name: str, rows: np.ndarray) -> np.ndarray:
        scaled = (rows - rows.mean(1, keepdims=True)) / np.sqrt(rows.var(1, keepdims=True) + 1e-6)
        return scaled * weights[f"{name}/gamma"] + weights[f"{name}/beta"]

    states = sequence @ weights["input_kernel"] if "input_kernel" in weights else sequence
    states = states * np.sqrt(units)
    if positions:
        angles = np.outer(np.arange(len(states)), [10_000 ** (-2 * (column // 2) / units) for column in range(units)])
        states = states + np.where(np.arange(units) % 2, np.cos(angles), np.sin(angles))
    for block in (f"block_{number}" for number in range(blocks)):

        def attend(rows: np.ndarray, block: str = block) -> np.ndarray:
            prefix = f"{block}/attention/"
            inner = {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}
            return self_attention(inner, rows, heads, causal)

        def feed_forward(rows: np.ndarray, block: str = block) -> np.ndarray:
            hidden = np.maximum(rows @ weights[f"{block}/hidden_kernel"] + weights[f"{block}/hidden_bias"], 0)
            return hidden @ weights[f"{block}/output_kernel"] + weights[f"{block}/output_bias"]

        for name, sublayer in (("attention_norm", attend), ("feed_forward_norm", feed_forward)):
            name = f"{block}/{name}"
            states = states + sublayer(norm(name, states)) if pre_norm else norm(name, states + sublayer(states))
    return norm("output_norm", states) if pre_norm else states
