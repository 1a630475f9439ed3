"""The configuration of a classifier: every knob, once, with its default and its meaning."""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import Field, field_validator

from textseq.batching_config import BatchingConfig
from textseq.configuration import NOT_GIVEN, Configuration
from textseq.corpus_settings import CorpusSettings
from textseq.network_settings import (
    CellName,
    Dropout,
    EmbeddingDropout,
    EmbeddingUnits,
    EncoderLayers,
    EncoderUnits,
    LayerNorm,
    Residual,
    Seed,
    StateDropout,
    WordDropout,
    chosen_sizes,
)
from textseq.tokenization import TokenizationConfig
from textseq.training.config import TrainingConfig


class CorpusConfig(CorpusSettings):
    """Where the labelled text is, and how it is written."""

    train: str | None = Field(
        None,
        json_schema_extra=NOT_GIVEN,
        description="Training text with labels: a file, plain, .gz or .xz, or a folder of folders, one for each label.",
    )
    valid: str | None = Field(
        None,
        json_schema_extra=NOT_GIVEN,
        description="Validation text with labels; where it is not given, a part of the training text is held out.",
    )
    test: str | None = Field(
        None,
        json_schema_extra=NOT_GIVEN,
        description="Test text with labels; it is read only to keep its texts out of the training text.",
    )
    format: Literal["auto", "tsv", "csv", "jsonl", "folder"] = Field(
        "auto",
        description="tsv (label<TAB>text, no header), csv (named columns), jsonl (named keys), folder (a folder of "
        "text files for each label), or auto, by the name: .csv, .jsonl, a folder, else tsv.",
    )
    text_column: str = Field("text", min_length=1, description="Column of a csv file, or key of JSON lines: the text.")
    label_column: str = Field(
        "label", min_length=1, description="Column of a csv file, or key of JSON lines: the label."
    )
    multi_label: bool = Field(False, description="A text can have several labels, or none.")
    label_separator: str = Field(
        ",", min_length=1, description="Between the labels of one text, with multi_label; JSON lines may hold a list."
    )


class CleaningConfig(Configuration):
    """What is removed from the training text."""

    max_characters: int = Field(1_000_000, ge=1, description="Remove texts of more characters than this.")
    drop_duplicates: bool = Field(True, description="Remove texts that repeat an earlier one with the same label.")
    drop_contradictions: bool = Field(
        True, description="Remove every copy of a text that stands there with different labels."
    )
    drop_held_out: bool = Field(
        True,
        description="Remove training texts that are also validation or test texts; those kept are counted as well.",
    )


class Sizes(NamedTuple):
    """Sizes of a network."""

    embedding_units: int
    encoder_units: int


class ModelConfig(Configuration):
    """The network: embedding, convolution where asked for, bidirectional recurrent layers, pooling, output layer.

    Beside it, where `ngrams` is not 0, stands a bag of n-grams; their logits are added.
    """

    cell: CellName = "lstm"
    embedding_units: EmbeddingUnits = None
    encoder_units: EncoderUnits = None
    encoder_layers: EncoderLayers = 1
    convolution_filters: int = Field(
        0, ge=0, description="Filters of a convolution over the embedded tokens before the recurrence; 0: none."
    )
    convolution_width: int = Field(3, ge=1, le=64, description="Tokens that one filter sees.")
    pooling: tuple[Literal["max", "mean", "last", "attention"], ...] = Field(
        ("max", "mean"),
        min_length=1,
        description="How the states of a text become one vector: max, mean, last (the final state of each direction), "
        "attention (additive); several are concatenated.",
    )
    attention_units: int = Field(64, ge=1, description="Hidden layer of the attention pooling.")
    ngrams: int = Field(
        2,
        ge=0,
        le=5,
        description="Beside the recurrent layers, a weight for every n-gram of up to so many tokens, as a linear "
        "classifier on a bag of n-grams has; 0: none.",
    )
    ngram_buckets: int = Field(
        2**17, ge=1, le=2**24, description="Weights that the n-grams of several tokens share by hash; a power of two."
    )
    residual: Residual = False
    layer_norm: LayerNorm = False
    embedding_dropout: EmbeddingDropout = 0.5
    state_dropout: StateDropout = 0.2
    layer_dropout: Dropout = Field(0.3, description="Between the layers.")
    pooled_dropout: Dropout = Field(0.5, description="Before the output layer.")
    word_dropout: WordDropout = 0.3
    ngram_dropout: Dropout = Field(0.3, description="Share of n-grams left out.")

    @field_validator("pooling")
    @classmethod
    def _check_pooling(cls, pooling: tuple[str, ...]) -> tuple[str, ...]:
        for kind in pooling:
            if pooling.count(kind) > 1:
                raise ValueError(f"{kind} is listed {pooling.count(kind)} times; list it once")
        return pooling

    @field_validator("ngram_buckets")
    @classmethod
    def _check_ngram_buckets(cls, buckets: int) -> int:
        if buckets & (buckets - 1):
            raise ValueError(f"received {buckets}, expected a power of two, such as {1 << buckets.bit_length() - 1}")
        return buckets

    @property
    def sizes(self) -> Sizes:
        """The sizes, all chosen.

        Raises:
            ConfigurationError: one is still open.
        """
        return chosen_sizes(self, Sizes)


class ClassifierTrainingConfig(TrainingConfig):
    """How a classifier is trained."""

    metric: Literal["macro_f1", "accuracy", "loss"] = Field(
        "macro_f1",
        description="Validation score that chooses the best weights: macro_f1 and accuracy (higher), or loss (lower).",
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none", description="balanced: a label counts in inverse proportion to its frequency."
    )
    focal_gamma: float = Field(
        0.0, ge=0, description="Focal loss: examples that are already right count less (Lin et al. 2017); 0: none."
    )
    l2: float = Field(0.0, ge=0, description="L2 penalty on the kernels, added to the loss.")
    compiled: bool | None = Field(
        None,
        description="Compile the recurrent loops with XLA, where they are not unrolled: a few seconds for each batch "
        "shape, then a third less processor time; for long trainings.",
    )
    adversarial: Literal["none", "adversarial", "virtual"] = Field(
        "none",
        description="Perturb the embeddings in the worst direction (Miyato et al. 2017): adversarial (by the label, "
        "2.5 times the time) or virtual (by the model's own answer, 3 times).",
    )
    adversarial_size: float = Field(
        5.0, gt=0, description="Norm of the perturbation of one text, in units of the embeddings' standard deviation."
    )
    adversarial_weight: float = Field(1.0, ge=0, description="Of the adversarial loss beside the ordinary one.")


class Config(Configuration):
    """Everything that decides a run; with the same data, the same bits come out."""

    seed: Seed = 1
    from_run: str | None = Field(
        None,
        json_schema_extra={"none": "start from zero"},
        description="A translator's run or a run of `classifiers pretrain` whose tokenizer, embeddings and encoder the "
        "training starts from.",
    )
    corpus: CorpusConfig = CorpusConfig()
    cleaning: CleaningConfig = CleaningConfig()
    tokenization: TokenizationConfig = TokenizationConfig(algorithm="unigram", sampling=0.3)
    batching: BatchingConfig = BatchingConfig(max_length=4096)
    model: ModelConfig = ModelConfig()
    training: ClassifierTrainingConfig = ClassifierTrainingConfig()
