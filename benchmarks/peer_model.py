"""The translator by which the peers' speed is measured, with random weights.

A bidirectional GRU encoder of 512 a side, embeddings of 256, a GRU decoder of 512 with Bahdanau attention of 512, a
readout before an output of 8,000 that is tied to nothing; 64 sentences of 16 source and 16 target tokens.
"""

from __future__ import annotations

import numpy as np

from nmt.config import Config
from nmt.model import TranslationModel
from textseq.special_ids import SpecialIds

SENTENCES, LENGTH, VOCABULARY = 64, 16, 8000
SPECIAL_IDS = SpecialIds(0, 1, 2, 3)
SETTINGS = (
    "model.embedding_units=256",
    "model.encoder_units=512",
    "model.decoder_units=512",
    "model.attention_units=512",
    "model.tied_embeddings=false",
    "model.embedding_dropout=0",
    "model.state_dropout=0",
    "model.memory_dropout=0",
    "model.readout_dropout=0",
    "training.average_decay=0",
)


def make_peer_model(config: Config, precision: str, unroll: bool) -> TranslationModel:
    """The network of `SETTINGS`."""
    return TranslationModel(
        config.model,
        source_vocabulary_size=VOCABULARY,
        target_vocabulary_size=VOCABULARY,
        special_ids=SPECIAL_IDS,
        joint_vocabulary=False,
        product_dtype=precision,
        unroll=unroll,
    )


def random_ids(seed: int) -> np.ndarray:
    """int32[64, 16] of ordinary tokens."""
    generator = np.random.default_rng(seed)
    return generator.integers(4, VOCABULARY, (SENTENCES, LENGTH)).astype(np.int32)
