"""What search asks of a model, of a tokenizer and of a constraint."""

from __future__ import annotations

from typing import Any, Protocol

Tensor = Any  # a tensor of whichever backend runs


class SpecialIds(Protocol):
    """The ids with a meaning of their own; a Tokenizer has them."""

    @property
    def pad_id(self) -> int:
        """Fills rows up to a common length."""

    @property
    def bos_id(self) -> int:
        """Stands before the first token of a target."""

    @property
    def eos_id(self) -> int:
        """Ends a sentence."""


class StepModel(Protocol):
    """A translation model, as search sees it: one encoding, then one step a target token.

    Nothing of the encoding is repeated for the beam: every tensor of it has one row a sentence.
    """

    def encode(self, source_ids: Tensor) -> Any:
        """Encodes int32[batch, source_length] into a NamedTuple of tensors [batch, ...]."""

    def start(self, encoded: Any, beam: int) -> Any:
        """Returns the state before the first token: a nested tuple of tensors [batch, beam, ...]."""

    def step(self, previous_ids: Tensor, state: Any, encoded: Any) -> tuple[Tensor, Any, Tensor | None]:
        """Reads one token a hypothesis.

        Args:
            previous_ids: int32[batch, beam].
            state: nested tuple of tensors [batch, beam, ...].
            encoded: what `encode` returned, or some rows of it.

        Returns:
            log_probabilities float[batch, beam, vocabulary], state, attention float[batch, beam, source_length] or,
            of a model without, None.
        """


class Constraint(Protocol):
    """Changes the log-probabilities of the next token before search looks at them.

    It may forbid (-inf) and lower. It must raise none above 0: that a log-probability only falls as a hypothesis
    grows is what tells search that it may stop.
    """

    def __call__(self, log_probabilities: Tensor, time: Tensor, live_ids: Tensor, rows: Tensor) -> Tensor:
        """Returns log_probabilities, changed.

        Args:
            log_probabilities: float32[rows, beam, vocabulary].
            time: int32 scalar, the number of tokens written so far.
            live_ids: int32[rows, beam, length], the tokens written so far; pad from `time` on.
            rows: int32[rows], which sentence of the call each row is. Sentences that are done leave, so what a
                constraint knows about each sentence must be gathered by it.
        """
