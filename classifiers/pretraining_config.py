"""The configuration of pretraining on unlabelled text: every knob, once, with its default and its meaning."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from classifiers.config import CleaningConfig, Sizes
from textseq.batching import BatchingConfig
from textseq.configuration import Configuration
from textseq.errors import ConfigurationError
from textseq.tokenization import TokenizationConfig
from textseq.training.config import TrainingConfig

_NOT_GIVEN: dict[str, Any] = {"none": "not given"}


class PretrainingCorpusConfig(Configuration):
    """Where the unlabelled text is."""

    text: str | None = Field(
        None,
        json_schema_extra=_NOT_GIVEN,
        description="Text to pretrain on: a file, one text a line, plain, .gz or .xz, or a folder of text files.",
    )
    valid_text: str | None = Field(
        None,
        json_schema_extra=_NOT_GIVEN,
        description="Validation text, written alike; where it is not given, a part of the text is held out.",
    )

    @property
    def files(self) -> dict[str, str]:
        """The files and folders that are named, by their key here."""
        named = {"text": self.text, "valid_text": self.valid_text}
        return {key: path for key, path in named.items() if path is not None}


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

    cell: Literal["lstm", "gru", "simple_rnn"] = Field("lstm", description="Recurrent cell: lstm, gru or simple_rnn.")
    embedding_units: int | None = Field(None, ge=1, description="Size of an embedded token.")
    encoder_units: int | None = Field(None, ge=1, description="State of each direction.")
    layer_norm: bool = Field(False, description="Layer normalisation inside the recurrent cells.")
    embedding_dropout: float = Field(0.2, ge=0, lt=1, description="On embedded tokens.")
    state_dropout: float = Field(
        0.1, ge=0, lt=1, description="Variational, on the recurrent state, one mask for all steps."
    )
    output_dropout: float = Field(0.2, ge=0, lt=1, description="On the states before the output layer.")
    word_dropout: float = Field(0.0, ge=0, lt=1, description="Share of tokens that are read as unk.")

    @property
    def sizes(self) -> Sizes:
        """The sizes, both chosen.

        Raises:
            ConfigurationError: one is still open.
        """
        if self.embedding_units is None or self.encoder_units is None:
            name = "embedding_units" if self.embedding_units is None else "encoder_units"
            raise ConfigurationError(f"model.{name} is unset, expected a number of units; set it")
        return Sizes(self.embedding_units, self.encoder_units)


class PretrainingTrainingConfig(TrainingConfig):
    """How the language model is trained."""

    metric: Literal["loss"] = Field(
        "loss", description="Validation score that chooses the best weights: loss, which is lower where it is better."
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Share of the label's mass that all tokens get.")


class PretrainingConfig(Configuration):
    """Everything that decides a pretraining run; with the same data, the same bits come out."""

    seed: int = Field(1, ge=0, description="Of initial weights, data order, dropout and subword sampling.")
    corpus: PretrainingCorpusConfig = PretrainingCorpusConfig()
    cleaning: CleaningConfig = CleaningConfig()
    tokenization: TokenizationConfig = TokenizationConfig(algorithm="unigram", sampling=0.1)
    batching: WindowBatchingConfig = WindowBatchingConfig()
    model: LanguageModelConfig = LanguageModelConfig()
    training: PretrainingTrainingConfig = PretrainingTrainingConfig()
