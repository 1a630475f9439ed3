"""The configuration of pretraining on unlabelled text: every knob, once, with its default and its meaning."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from classifiers.config import CleaningConfig, Sizes
from textseq.batching_config import BatchingConfig
from textseq.configuration import NOT_GIVEN, Configuration
from textseq.corpus_settings import CorpusSettings
from textseq.network_settings import (
    CellName,
    Dropout,
    EmbeddingDropout,
    EmbeddingUnits,
    LayerNorm,
    Seed,
    StateDropout,
    Units,
    WordDropout,
    chosen_sizes,
)
from textseq.tokenization import TokenizationConfig
from textseq.training.config import TrainingConfig


class PretrainingCorpusConfig(CorpusSettings):
    """Where the unlabelled text is."""

    text: str | None = Field(
        None,
        json_schema_extra=NOT_GIVEN,
        description="Text to pretrain on: a file, one text a line, plain, .gz or .xz, or a folder of text files.",
    )
    valid_text: str | None = Field(
        None,
        json_schema_extra=NOT_GIVEN,
        description="Validation text, written alike; where it is not given, a part of the text is held out.",
    )


class WindowBatchingConfig(BatchingConfig):
    """How texts become batches of windows."""

    max_length: int = Field(
        128,
        ge=2,
        description="Tokens of one window. A longer text is read in several, each from a state of zeros; neighbours "
        "share one token, so that every token is predicted once in each direction.",
    )


class LanguageModelConfig(Configuration):
    """The network: embedding, a recurrent layer in each direction, output by the embedding (Dai and Le 2015)."""

    cell: CellName = "lstm"
    embedding_units: EmbeddingUnits = None
    encoder_units: Units = Field(None, description="State of each direction.")
    layer_norm: LayerNorm = False
    embedding_dropout: EmbeddingDropout = 0.2
    state_dropout: StateDropout = 0.1
    output_dropout: Dropout = Field(0.2, description="On the states before the output layer.")
    word_dropout: WordDropout = 0.0

    @property
    def sizes(self) -> Sizes:
        """The sizes, both chosen.

        Raises:
            ConfigurationError: one is still open.
        """
        return chosen_sizes(self, Sizes)


class PretrainingTrainingConfig(TrainingConfig):
    """How the language model is trained."""

    metric: Literal["loss"] = Field(
        "loss", description="Validation score that chooses the best weights: loss, which is lower where it is better."
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Share of the label's mass that all tokens get.")


class PretrainingConfig(Configuration):
    """Everything that decides a pretraining run; with the same data, the same bits come out."""

    seed: Seed = 1
    corpus: PretrainingCorpusConfig = PretrainingCorpusConfig()
    cleaning: CleaningConfig = CleaningConfig()
    tokenization: TokenizationConfig = TokenizationConfig(algorithm="unigram", sampling=0.1)
    batching: WindowBatchingConfig = WindowBatchingConfig()
    model: LanguageModelConfig = LanguageModelConfig()
    training: PretrainingTrainingConfig = PretrainingTrainingConfig()
