"""The configuration of a translator: every knob, once, with its default and its meaning."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import Field

from nmt.search.config import SearchConfig
from textseq.batching import BatchingConfig
from textseq.cleaning import CleaningConfig
from textseq.configuration import Configuration
from textseq.errors import ConfigurationError
from textseq.tokenization import TokenizationConfig
from textseq.training.config import TrainingConfig


class CorpusConfig(Configuration):
    """Where the text is."""

    source: str | None = Field(None, description="training text, source side; or pairs, source<TAB>target")
    target: str | None = Field(None, description="training text, target side, aligned by line")
    valid_source: str | None = Field(
        None, description="validation text, source side; split off the training text if absent"
    )
    valid_target: str | None = Field(None, description="validation text, target side")


class Sizes(NamedTuple):
    """Sizes of a network."""

    embedding_units: int
    encoder_units: int
    decoder_units: int
    attention_units: int


class ModelConfig(Configuration):
    """The network, Bahdanau, Cho, Bengio 2015 (arXiv:1409.0473)."""

    cell: Literal["gru", "lstm", "simple_rnn"] = Field("gru", description="recurrent cell: gru, lstm or simple_rnn")
    embedding_units: int | None = Field(None, ge=1, description="size of an embedded token, and of the readout")
    encoder_units: int | None = Field(None, ge=1, description="state of each direction of the encoder")
    encoder_layers: int = Field(1, ge=1, le=16, description="stacked bidirectional layers")
    decoder_units: int | None = Field(None, ge=1, description="state of the decoder")
    decoder_layers: int = Field(1, ge=1, le=16, description="the first attends, the others read its output")
    attention_units: int | None = Field(None, ge=1, description="hidden layer of the additive attention")
    attention_heads: int = Field(1, ge=1, description="divides attention_units and 2 * encoder_units")
    tied_embeddings: bool = Field(
        True, description="one matrix for source, target and output where the vocabulary is joint"
    )
    residual: bool = Field(False, description="add a layer's input to its output where the sizes are equal")
    layer_norm: bool = Field(False, description="layer normalisation inside the recurrent cells")
    embedding_dropout: float = Field(0.3, ge=0, lt=1, description="on embedded tokens")
    state_dropout: float = Field(
        0.2, ge=0, lt=1, description="variational, on the recurrent state, one mask for all steps"
    )
    memory_dropout: float = Field(0.3, ge=0, lt=1, description="on the encoder's states, and between its layers")
    readout_dropout: float = Field(0.3, ge=0, lt=1, description="before the output layer")
    word_dropout: float = Field(0.0, ge=0, lt=1, description="share of tokens replaced by unk, both sides")

    @property
    def sizes(self) -> Sizes:
        """The sizes, all chosen.

        Raises:
            ConfigurationError: one is still open.
        """
        values = {name: getattr(self, name) for name in Sizes._fields}
        for name, value in values.items():
            if value is None:
                raise ConfigurationError(f"model.{name} is unset, expected a number of units; set it")
        return Sizes(**values)


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

    seed: int = Field(1, ge=0, description="Of initial weights, data order, dropout and subword sampling.")
    corpus: CorpusConfig = CorpusConfig()
    cleaning: CleaningConfig = CleaningConfig()
    tokenization: TokenizationConfig = TokenizationConfig()
    batching: BatchingConfig = BatchingConfig()
    model: ModelConfig = ModelConfig()
    training: TranslationTrainingConfig = TranslationTrainingConfig()
    search: SearchConfig = SearchConfig()
