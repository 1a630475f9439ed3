"""How a model is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from textseq.configuration import Configuration


class TrainingConfig(Configuration):
    """Optimizer, schedule, stopping, averaging and checkpoints."""

    epochs: int | None = Field(None, ge=1, description="Passes over the training text, at most.")
    optimizer: Literal["adam", "sgd", "rmsprop"] = Field(
        "adam", description="adam, sgd (Nesterov momentum) or rmsprop."
    )
    learning_rate: float = Field(0.001, gt=0, description="The highest learning rate.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Of sgd; the first beta of adam. rmsprop has none.")
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay a step, times the learning rate.")
    warmup_steps: int = Field(400, ge=0, description="Steps over which the learning rate rises linearly from zero.")
    schedule: Literal["constant", "linear", "cosine", "inverse_sqrt"] = Field(
        "linear", description="After the warm-up: constant, or a decay that is linear, cosine or inverse_sqrt."
    )
    decay_start: float = Field(
        0.5, ge=0, le=1, description="Share of all steps after which the linear or cosine decay to zero begins."
    )
    plateau_patience: int = Field(
        0, ge=0, description="Validations without a better score before the learning rate falls; 0: never."
    )
    plateau_factor: float = Field(0.5, gt=0, lt=1, description="What the learning rate is multiplied by on a plateau.")
    clip_norm: float = Field(1.0, ge=0, description="Largest norm of all gradients together; 0: no such clipping.")
    clip_value: float = Field(0.0, ge=0, description="Largest size of one gradient value; 0: no such clipping.")
    clip_adaptive: float = Field(
        0.0, ge=0, description="Largest ratio of a unit's gradient norm to its weight norm; 0: no such clipping."
    )
    average_decay: float = Field(
        0.998, ge=0, lt=1, description="Of the moving average of the weights, which is what is kept; 0: none."
    )
    average_checkpoints: int = Field(
        0, ge=0, le=64, description="At the end, also try the mean of the weights of this many last epochs; 0: no."
    )
    label_smoothing: float = Field(
        0.1, ge=0, lt=1, description="Share of the right answer's mass that all answers get alike."
    )
    patience: int = Field(
        10, ge=0, description="Validations without a better score before training stops; 0: train to the end."
    )
    validate_epochs: int = Field(1, ge=1, description="Epochs from one validation to the next.")
    checkpoint_minutes: float = Field(
        2.0, ge=0, description="Time from one checkpoint to the next, besides that after each epoch; 0: every step."
    )
    log_steps: int = Field(50, ge=1, description="Steps from one line of metrics to the next.")
    max_skipped_steps: int = Field(
        20, ge=1, description="Steps in a row with a loss or gradient that is not finite before training gives up."
    )
    precision: Literal["float32", "bfloat16"] | None = Field(
        None, description="Of matrix products while training; bfloat16 where the processor has it."
    )
    unroll: bool | None = Field(
        None,
        description="Lay time out step by step in the training graphs: a few seconds more for each batch shape, then a "
        "tenth faster; for long trainings.",
    )
    tensorboard: bool = Field(True, description="Write the metrics for TensorBoard as well.")
