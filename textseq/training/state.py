"""Where a training stands, besides its arrays."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Window:
    """Sums over the steps since the last line of metrics."""

    steps: int = 0
    plain_sum: float = 0.0
    targets: float = 0.0
    gradient_norm: float = 0.0
    seconds: float = 0.0

    def add(self, plain_sum: float, targets: float, gradient_norm: float, seconds: float) -> None:
        """Adds one step."""
        self.steps += 1
        self.plain_sum += plain_sum
        self.targets += targets
        self.gradient_norm += gradient_norm
        self.seconds += seconds


@dataclass
class TrainingState:
    """What a checkpoint holds besides arrays, so that a resumed training ends with the very same bits.

    1. the position in the data: `epoch` (from 0) and `batch`, the next one's place in the epoch; with the seed they
       give the order of all data, since order is a pure function of seed and epoch
    2. `step`, on which the learning rate and the averaging depend
    3. the best score so far, its loss and its step, and for how many validations there was none better (patience,
       plateau)
    4. the reductions of the learning rate on plateaus
    5. skipped steps, in all and in a row
    6. the sums of the metrics window that is open
    7. time spent, so that reports stay true

    The arrays beside it are the weights, the random states of dropout, the optimizer's variables, the moving averages,
    and the weights of the last epochs where these are averaged at the end.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    best_score: float | None = None
    best_loss: float | None = None
    best_step: int = 0
    validations_without_gain: int = 0
    plateau_validations: int = 0
    learning_rate_factor: float = 1.0
    skipped_steps: int = 0
    skipped_in_a_row: int = 0
    window: Window = field(default_factory=Window)
    seconds: float = 0.0
    stopped_early: bool = False
    finished: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> TrainingState:
        """From what `to_dict` gave."""
        return cls(**{**data, "window": Window(**data["window"])})
