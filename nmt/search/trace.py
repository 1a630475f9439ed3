"""A search written down as it runs.

It is the search itself, with a listener in the place of a constraint: at each step the listener sees the hypotheses
that live and the log-probabilities of what could come next, and changes nothing. The tree is made of what it saw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from keras import ops

from nmt.search.beam import beam_search
from nmt.search.config import SearchConfig
from nmt.search.interface import Constraint, SpecialIds, StepModel, Tensor
from nmt.search.length import normalized
from nmt.search.result import SearchResult
from nmt.search.sampling import sample
from nmt.search_tree import Fate, Method, SearchNode, SearchTree
from textseq.backend import require_tensorflow
from textseq.errors import InputError

Prefix = tuple[int, ...]


def trace_beam_search(
    model: StepModel,
    source_ids: Tensor,
    config: SearchConfig,
    special_ids: SpecialIds,
    *,
    constraint: Constraint | None = None,
    pieces: Sequence[str] | None = None,
) -> SearchTree:
    """Runs `beam_search` on one sentence and returns it as a tree; with beam 1, greedy search.

    At each step the tree has the 2 * beam continuations that beam search looks at: those that it keeps alive, those
    that end, and those that it drops. Continuations that are impossible are left out.

    Args:
        model: encodes, starts and steps.
        source_ids: int32[1, source_length], one sentence.
        config: as for `beam_search`.
        special_ids: pad, bos and eos; a Tokenizer has them.
        constraint: as for `beam_search`.
        pieces: the vocabulary, to name the tokens; None names them by their ids.

    Raises:
        InputError: another number of sentences than one, or Keras runs on another backend than TensorFlow.
    """
    listener = _Listener(constraint)
    _require_one(source_ids)
    result = beam_search(model, source_ids, config, special_ids, constraint=listener)
    growing = _GrowingTree(config, special_ids, pieces)
    for step in listener.steps:
        _add_step(growing, step)
    method: Method = "greedy search" if config.beam == 1 else "beam search"
    return growing.tree(result, method, config.beam)


def trace_sampling(
    model: StepModel,
    source_ids: Tensor,
    config: SearchConfig,
    special_ids: SpecialIds,
    *,
    constraint: Constraint | None = None,
    numbers: Tensor | None = None,
    pieces: Sequence[str] | None = None,
) -> SearchTree:
    """Runs `sample` on one sentence and returns its `config.samples` draws as a tree: equal beginnings are one path.

    Args:
        model: encodes, starts and steps.
        source_ids: int32[1, source_length], one sentence.
        config: as for `sample`.
        special_ids: pad, bos and eos; a Tokenizer has them.
        constraint: as for `sample`.
        numbers: int32[1], as for `sample`.
        pieces: the vocabulary, to name the tokens; None names them by their ids.

    Raises:
        InputError: another number of sentences than one, or Keras runs on another backend than TensorFlow.
    """
    listener = _Listener(constraint)
    _require_one(source_ids)
    result = sample(model, source_ids, config, special_ids, constraint=listener, numbers=numbers)
    growing = _GrowingTree(config, special_ids, pieces)
    ids, lengths = (np.asarray(array)[0] for array in (result.ids, result.lengths))
    for time, step in enumerate(listener.steps):
        for place in np.flatnonzero(lengths > time).tolist():
            parent = growing.place[tuple(ids[place, :time].tolist())]
            token = int(ids[place, time])
            growing.add(parent, token, step.log_probabilities[place, token], draws=1)
    return growing.tree(result, "sampling", config.samples)


@dataclass(frozen=True)
class _SeenStep:
    """What search knew at one step."""

    log_probabilities: npt.NDArray[np.float32]  # [width, vocabulary], of the next token
    live_ids: npt.NDArray[np.int32]  # [width, time]


@dataclass
class _Listener:
    """A constraint that changes nothing of its own, and keeps what it is shown."""

    constraint: Constraint | None
    steps: list[_SeenStep] = field(default_factory=list)

    def __call__(self, log_probabilities: Tensor, time: Tensor, live_ids: Tensor, rows: Tensor) -> Tensor:
        """Returns what the constraint proper makes of the log-probabilities."""
        if self.constraint is not None:
            log_probabilities = self.constraint(log_probabilities, time, live_ids, rows)
        # Copies: TensorFlow may lend its memory to arrays.
        self.steps.append(
            _SeenStep(np.array(log_probabilities[0], np.float32), np.array(live_ids[0, :, : int(time)], np.int32))
        )
        return log_probabilities


class _GrowingTree:
    """Nodes, and where each prefix has its own."""

    def __init__(self, config: SearchConfig, special_ids: SpecialIds, pieces: Sequence[str] | None) -> None:
        self.config = config
        self.special_ids = special_ids
        self.name: Callable[[int], str] = str if pieces is None else pieces.__getitem__
        self.nodes = [SearchNode(-1, 0, special_ids.bos_id, "", 0.0, 0.0, 0.0, "start")]
        self.place: dict[Prefix, int] = {(): 0}
        self._prefixes: list[Prefix] = [()]

    def add(
        self, parent: int, token: int, token_log_probability: np.float32, fate: Fate | None = None, draws: int = 0
    ) -> None:
        """Adds a node, or counts one more draw of one that is there."""
        prefix = (*self._prefixes[parent], token)
        if prefix in self.place:
            index = self.place[prefix]
            self.nodes[index] = replace(self.nodes[index], draws=self.nodes[index].draws + draws)
            return
        step = self.nodes[parent].step + 1
        total = np.float32(self.nodes[parent].log_probability) + token_log_probability
        if fate is None:
            fate = "finished" if token == self.special_ids.eos_id else "live"
        self.place[prefix] = len(self.nodes)
        self._prefixes.append(prefix)
        self.nodes.append(
            SearchNode(
                parent, step, token, self.name(token), float(token_log_probability), float(total), 0.0, fate, draws
            )
        )

    def tree(self, result: SearchResult, method: Method, width: int) -> SearchTree:
        """The tree, with the places where the results of the search end."""
        ids, lengths = (np.asarray(array)[0] for array in (result.ids, result.lengths))
        ends = [
            self.place[tuple(row[:length].tolist())]
            for row, length in zip(ids, lengths.tolist(), strict=True)
            if length
        ]
        totals = ops.convert_to_tensor([node.log_probability for node in self.nodes], "float32")
        steps = ops.convert_to_tensor([max(1, node.step) for node in self.nodes], "int32")
        scores = np.asarray(normalized(totals, steps, self.config)).tolist()
        nodes = (replace(node, score=score) for node, score in zip(self.nodes, scores, strict=True))
        return SearchTree(tuple(nodes), tuple(ends), method, width)


def _add_step(growing: _GrowingTree, step: _SeenStep) -> None:
    """Adds what beam search looks at in one step, by its own rules, best first."""
    beam, special = growing.config.beam, growing.special_ids
    parents = _living(growing, step)
    gains = step.log_probabilities.copy()
    gains[:, [special.pad_id, special.bos_id]] = -np.inf
    before = np.full((len(gains), 1), -np.inf, np.float32)
    for row, parent in parents.items():
        before[row] = growing.nodes[parent].log_probability
    totals = (before + gains).ravel()
    # Stable, so that equal ones rank by their hypothesis, then by the lower id, as in beam search.
    best = np.argsort(-totals, kind="stable")[: 2 * beam]
    alive = 0
    for rank, candidate in enumerate(best[totals[best] > -np.inf].tolist()):
        row, token = divmod(candidate, gains.shape[1])
        fate: Fate = "dropped"
        if token == special.eos_id:
            fate = "finished" if rank < beam else "dropped"
        elif alive < beam:
            fate, alive = "live", alive + 1
        growing.add(parents[row], token, gains[row, token], fate)


def _living(growing: _GrowingTree, step: _SeenStep) -> dict[int, int]:
    """The node of each row of the beam. Rows without a hypothesis come last, with ids that mean nothing."""
    found: dict[int, int] = {}
    for row, prefix in enumerate(step.live_ids.tolist()):
        node = growing.place.get(tuple(prefix))
        if node is not None and growing.nodes[node].fate in ("start", "live") and node not in found.values():
            found[row] = node
    return found


def _require_one(source_ids: Tensor) -> None:
    require_tensorflow("writing a search down as a tree")
    shape = tuple(ops.shape(ops.convert_to_tensor(source_ids)))
    if len(shape) != 2 or shape[0] != 1:
        raise InputError(
            f"search tree: received source_ids of shape {shape}; expected one sentence, (1, source_length)"
        )
