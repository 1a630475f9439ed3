"""Decoding speed at the sizes by which the peers are measured (peer_model.py), forced to 16 target tokens, float32.

Usage: python benchmarks/decoding_speed.py [--rounds N]
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import tensorflow as tf
from keras import ops
from peer_model import LENGTH, SENTENCES, SETTINGS, SPECIAL_IDS, VOCABULARY, make_peer_model, random_ids

from nmt.config import Config
from nmt.search import beam_search


def without_end(log_probabilities: Any, time: Any, live_ids: Any, rows: Any) -> Any:
    """A constraint that keeps every hypothesis alive up to the maximum length."""
    ends = ops.arange(VOCABULARY) == SPECIAL_IDS.eos_id
    return ops.where(ends, float("-inf"), log_probabilities)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    config = Config().with_overrides(
        [*SETTINGS, "search.maximum_length_factor=0", f"search.maximum_length_extra={LENGTH}"]
    )
    model = make_peer_model(config, "float32", unroll=False)
    source_ids = tf.constant(random_ids(0))
    for beam in (1, 5):
        search = config.with_overrides([f"search.beam={beam}"]).search
        run = tf.function(
            lambda ids, search=search: beam_search(model, ids, search, SPECIAL_IDS, constraint=without_end)
        )
        run(source_ids)
        rates = []
        for _ in range(arguments.rounds):
            started = time.perf_counter()
            run(source_ids).ids.numpy()
            rates.append(SENTENCES / (time.perf_counter() - started))
        print(f"decode beam {beam}: median {statistics.median(rates):.0f}, best {max(rates):.0f} sentences/s")


if __name__ == "__main__":
    main()
