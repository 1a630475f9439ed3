"""Training speed at the sizes by which the peers are measured (peer_model.py): Adam, clipping by norm, no dropout.

Usage: python benchmarks/training_speed.py [--precision float32|bfloat16] [--loop] [--rounds N]
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import numpy as np
from keras import ops
from peer_model import LENGTH, SENTENCES, SETTINGS, make_peer_model, random_ids

from nmt.config import Config
from nmt.model import TranslationModel
from textseq.losses import smoothed_cross_entropy
from textseq.training.task import Loss
from textseq.training.tensorflow_step import TensorFlowStep

STEPS = 20


class SpeedTask:
    """Random sentences through the real training step."""

    unit, metric, higher_is_better, predicts_tokens = "target_tokens", "loss", False, True

    def __init__(self, model: TranslationModel) -> None:
        self.model = model

    @property
    def batches_per_epoch(self) -> int:
        return STEPS

    def batches(self, epoch: int) -> list[int]:
        return list(range(STEPS))

    def arrays(self, batch: int, epoch: int) -> tuple[np.ndarray, ...]:
        return tuple(random_ids(3 * batch + part) for part in range(3))

    def loss(self, arrays: tuple[Any, ...]) -> Loss:
        source_ids, target_input_ids, target_label_ids = arrays
        logits = self.model(source_ids, target_input_ids, training=True)
        total = ops.sum(smoothed_cross_entropy(logits, target_label_ids)[0])
        tokens = float(SENTENCES * LENGTH)
        return Loss(total / tokens, total, ops.convert_to_tensor(tokens))

    def validate(self) -> dict[str, float]:
        return {}

    def beside_weights(self) -> dict[str, Any]:
        return {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--loop", action="store_true", help="a loop over time in place of unrolled graphs")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    config = Config().with_overrides([*SETTINGS, f"training.unroll={str(not arguments.loop).lower()}"])
    task = SpeedTask(make_peer_model(config, arguments.precision, not arguments.loop))
    step = TensorFlowStep(task, config.training)
    batches = [task.arrays(number, 0) for number in range(STEPS)]
    started = time.perf_counter()
    step(batches[0], 1e-3, 0.0)
    built = time.perf_counter() - started
    rates = []
    for _ in range(arguments.rounds):
        started = time.perf_counter()
        for batch in batches:
            step(batch, 1e-3, 0.0)
        rates.append(STEPS * SENTENCES * LENGTH / (time.perf_counter() - started))
    kind = "loop" if arguments.loop else "unrolled"
    print(
        f"train {arguments.precision} {kind}: median {statistics.median(rates):.0f}, best {max(rates):.0f} "
        f"target tokens/s (graph built in {built:.1f} s)"
    )


if __name__ == "__main__":
    main()
