"""The configuration of a translator: every knob, once, with its default and its meaning."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import Field

from nmt.search.config import SearchConfig
from textseq.batching_config import BatchingConfig
from textseq.cleaning import CleaningConfig
from textseq.configuration import NOT_GIVEN, Configuration
from textseq.corpus_settings import CorpusSettings
from textseq.network_settings import (
    CellName,
    Dropout,
    EmbeddingDropout,
    EncoderLayers,
    EncoderUnits,
    LayerNorm,
    Layers,
    Residual,
    Seed,
    StateDropout,
    Units,
    chosen_sizes,
)
from textseq.tokenization import TokenizationConfig
from textseq.training.config import TrainingConfig


class CorpusConfig(CorpusSettings):
    """Where the text is."""

    source: str | None = Field(
        None,
        json_schema_extra=NOT_GIVEN,
        description="Training text, source side; or pairs, source<TAB>target, where there is no target.",
    )
    target: str | None = Field(
        None, json_schema_extra=NOT_GIVEN, description="Training text, target side, aligned by line."
    )
    valid_source: str | None = Field(
        None,
        json_schema_extra=NOT_GIVEN,
        description="Validation text, source side; where it is not given, a part of the training text is held out.",
    )
    valid_target: str | None = Field(None, json_schema_extra=NOT_GIVEN, description="Validation text, target side.")
    test_source: str | None = Field(
        None,
        json_schema_extra=NOT_GIVEN,
        description="Test text, source side; it is read only to keep its pairs out of the training text.",
    )
    test_target: str | None = Field(None, json_schema_extra=NOT_GIVEN, description="Test text, target side.")


class TranslationTokenizationConfig(TokenizationConfig):
    """How the text of both sides is cut into pieces."""

    joint: bool = Field(True, description="One vocabulary for source and target; false: one each.")


class Sizes(NamedTuple):
    """Sizes of a network."""

    embedding_units: int
    encoder_units: int
    decoder_units: int
    attention_units: int


class ModelConfig(Configuration):
    """The network, Bahdanau, Cho, Bengio 2015 (arXiv:1409.0473)."""

    cell: CellName = "gru"
    attention: Literal["additive", "none"] = Field(
        "additive",
        description="additive: at each step the decoder looks at every state of the encoder; none: it has the last "
        "states of the encoder, the same at every step (Cho et al. 2014, arXiv:1406.1078).",
    )
    embedding_units: Units = Field(None, description="Size of an embedded token, and of the readout.")
    encoder_units: EncoderUnits = None
    encoder_layers: EncoderLayers = 1
    decoder_units: Units = Field(None, description="State of the decoder.")
    decoder_layers: Layers = Field(1, description="The first reads the source, the others its output.")
    attention_units: Units = Field(None, description="Hidden layer of the additive attention.")
    attention_heads: int = Field(1, ge=1, description="Divides attention_units and 2 * encoder_units.")
    tied_embeddings: bool = Field(
        True, description="One matrix for source, target and output where the vocabulary is joint."
    )
    residual: Residual = False
    layer_norm: LayerNorm = False
    embedding_dropout: EmbeddingDropout = 0.3
    state_dropout: StateDropout = 0.2
    memory_dropout: Dropout = Field(0.3, description="On the encoder's states, and between its layers.")
    readout_dropout: Dropout = Field(0.3, description="Before the output layer.")
    word_dropout: Dropout = Field(0.0, description="Share of tokens replaced by unk, both sides.")

    @property
    def sizes(self) -> Sizes:
        """The sizes, all chosen.

        Raises:
            ConfigurationError: one is still open.
        """
        return chosen_sizes(self, Sizes)


class TranslationTrainingConfig(TrainingConfig):
    """How a translator is trained."""

    metric: Literal["bleu", "chrf", "loss"] = Field(
        "bleu", description="Validation score that chooses the best weights: bleu and chrf (higher), or loss (lower)."
    )
    validation_sentences: int = Field(
        1000, ge=1, description="Validation sentences that are translated for BLEU and chrF; the loss is over all."
    )


class Config(Configuration):
    """Everything that decides a run; with the same data, the same bits come out."""

    seed: Seed = 1
    corpus: CorpusConfig = CorpusConfig()
    cleaning: CleaningConfig = CleaningConfig()
    tokenization: TranslationTokenizationConfig = TranslationTokenizationConfig()
    batching: BatchingConfig = BatchingConfig()
    model: ModelConfig = ModelConfig()
    training: TranslationTrainingConfig = TranslationTrainingConfig()
    search: SearchConfig = SearchConfig()
