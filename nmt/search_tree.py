"""A search as a tree: every hypothesis that was looked at, what it came from, and what became of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from textseq.figures import Plot

Fate = Literal["start", "live", "finished", "dropped"]
Method = Literal["greedy search", "beam search", "sampling"]


@dataclass(frozen=True)
class SearchNode:
    """A hypothesis: its parent, and one token more.

    Attributes:
        parent: index of the hypothesis that it continues; -1 at the root, which has no token yet.
        step: number of its tokens, so the step of the search at which it was made.
        token_id: of its last token.
        piece: its last token in text; "" at the root.
        token_log_probability: of its last token given all before, in nats.
        log_probability: of all its tokens, in nats.
        score: the same divided as `length_normalization` says; by it finished hypotheses are ranked.
        fate: "live": kept, and continued unless the search stopped there; "finished": its last token ends the
            sentence; "dropped": looked at, and not among the best; "start": the root.
        draws: samples that went through here; 0 in beam search.
    """

    parent: int
    step: int
    token_id: int
    piece: str
    token_log_probability: float
    log_probability: float
    score: float
    fate: Fate
    draws: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return values if self.draws else {name: value for name, value in values.items() if name != "draws"}


@dataclass(frozen=True)
class SearchTree:
    """One sentence's search, step by step; a notebook shows it as a drawn tree, `print` as a list of steps.

    Attributes:
        nodes: the root first, then step by step; within a step the best first, samples in the order of the draws.
        ends: index of the node at which each result ends, best first; of samples, in the order of the draws. What was
            cut at the maximum length ends without the end of a sentence.
        method: how the tree was searched.
        width: the beam, or the number of samples; 1 for greedy search.
        source: the sentence that was translated, where it is known.
        texts: the text of each result, where it is known.

    Example:
        >>> tree = nmt.Translator.load("runs/en-de").search_tree("Good day.", beam=2)  # doctest: +SKIP
        >>> print(tree)  # doctest: +SKIP
        beam search, width 2: "Guten Tag." in 4 steps; looked at 13 hypotheses, dropped 6
          1: *▁Guten -0.12  ▁Tag -3.01  (▁Gut -3.40)  (▁Ein -4.12)
          ...
    """

    nodes: tuple[SearchNode, ...]
    ends: tuple[int, ...]
    method: Method
    width: int
    source: str = ""
    texts: tuple[str, ...] = ()

    @property
    def steps(self) -> int:
        """How many steps the search took."""
        return max(node.step for node in self.nodes)

    @property
    def winner(self) -> frozenset[int]:
        """Indices of the nodes of the best result; none in sampling, which chooses none."""
        return frozenset(self.path(self.ends[0]) if self.ends and self.method != "sampling" else ())

    def path(self, end: int) -> tuple[int, ...]:
        """Indices of the nodes from the root, which is left out, to a node.

        Args:
            end: index of the node.
        """
        found: list[int] = []
        while self.nodes[end].parent >= 0:
            found.append(end)
            end = self.nodes[end].parent
        return tuple(reversed(found))

    def at(self, step: int) -> tuple[int, ...]:
        """Indices of the nodes of one step, best first."""
        return tuple(index for index, node in enumerate(self.nodes) if node.step == step)

    def count(self, fate: Fate) -> int:
        """How many nodes had this fate."""
        return sum(node.fate == fate for node in self.nodes)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, ready for JSON."""
        return {
            "source": self.source,
            "method": self.method,
            "width": self.width,
            "texts": list(self.texts),
            "ends": list(self.ends),
            "nodes": [node.to_dict() for node in self.nodes],
        }

    def plot(self, path: str | os.PathLike[str] | None = None, *, dropped: bool = True) -> Plot:
        """Draws the tree, see `nmt.search_tree_plot.search_tree_plot`.

        Args:
            path: a file to write too, .png, .svg or .pdf.
            dropped: whether to draw what was dropped.

        Raises:
            InputError: an ending other than .png, .svg or .pdf.
            OutputError: the file cannot be written.
        """
        from nmt.search_tree_plot import search_tree_plot

        return search_tree_plot(self, path, dropped=dropped)

    def __str__(self) -> str:
        """The search as a list of steps: the winner with a star, what was dropped in brackets, ends with `score`."""
        found = f'"{self.texts[0]}" in ' if self.texts and self.method != "sampling" else ""
        looked_at, lost = f"{len(self.nodes) - 1:,} hypotheses", f", dropped {self.count('dropped'):,}"
        head = f"{self.method}, width {self.width}: {found}{self.steps} steps; looked at {looked_at}"
        winner = self.winner
        lines = [head + (lost if self.method != "sampling" else "")]
        for step in range(1, self.steps + 1):
            shown = (self._shown(index, index in winner) for index in self.at(step))
            lines.append(f"{step:3}: " + "  ".join(shown))
        return "\n".join(lines)

    def _shown(self, index: int, wins: bool) -> str:
        node = self.nodes[index]
        text = f"{'*' if wins else ''}{node.piece} {node.log_probability:.2f}"
        if node.fate == "finished":
            text += f" score {node.score:.2f}"
        if node.draws > 1:
            text += f" x{node.draws}"
        return f"({text})" if node.fate == "dropped" else text

    def _repr_png_(self) -> bytes:
        return self.plot()._repr_png_()
