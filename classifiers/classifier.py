"""Reading the labels of texts with a trained run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from classifiers.calibration import Calibration
from classifiers.classification_data import TEXT
from classifiers.config import Config
from classifiers.model import ClassifierModel
from classifiers.prediction import Prediction
from textseq.checkpoint import Checkpoint
from textseq.errors import CheckpointError
from textseq.identity import identity
from textseq.inference import TrainedRun, batched_indices, encode_cut, padded, text_lines
from textseq.preparation import load_tokenizer
from textseq.special_ids import special_ids_of
from textseq.tokenization import Tokenizer

if TYPE_CHECKING:
    from classifiers.explanation import Explanation

LONGEST_TEXT = 65_536
"""Tokens of one text, the final </s> counted; of a longer text the first are read, so that work is bounded."""
LONGEST_TEXT_BYTES = 2_097_152
"""Bytes of one text in UTF-8, 32 a token, which is twice what any language takes; of a larger one the first characters
are tokenized, so that memory is bounded."""
TOKENS_A_BATCH = 8_192
"""Tokens of one batch, padding counted; a longer text is a batch of its own."""


class EncodedTexts(NamedTuple):
    """Texts as the network reads them."""

    ids: list[list[int]]
    """Of each text, ending in eos; eos alone where there is nothing to read."""
    truncated: frozenset[int]
    """Indices of the texts that were cut at `LONGEST_TEXT` or `LONGEST_TEXT_BYTES`."""

    @property
    def empty(self) -> npt.NDArray[np.bool_]:
        """bool[texts]: which hold no token but eos."""
        return np.array([len(ids) == 1 for ids in self.ids], bool)

    def cut(self, longest: int) -> EncodedTexts:
        """The first tokens of each text, at most `longest`, eos counted."""
        longer = {index for index, ids in enumerate(self.ids) if len(ids) > longest}
        ids = [[*ids[: longest - 1], ids[-1]] if len(ids) > longest else ids for ids in self.ids]
        return EncodedTexts(ids, self.truncated | longer)


class Classifier:
    """A trained model with its tokenizer, its labels and its calibration.

    A text without any token, such as an empty one, gets the labels' shares in the training text for its probabilities.
    Of a text of more than `LONGEST_TEXT` tokens, or `LONGEST_TEXT_BYTES` bytes, the first are read, so that one text
    can take neither hours nor gigabytes. It is said in the log, and in `Prediction.truncated`; no ordinary document
    comes near.

    Args:
        model: the network.
        tokenizer: of the run.
        config: of the run.
        labels: in the order of the model's logits.
        prior: the share of the training texts that each label has.
        calibration: fitted on the validation text; neutral where it is left out.

    Example:
        >>> classifier = Classifier.load("runs/sst2")  # doctest: +SKIP
        >>> print(classifier.predict(["A gorgeous, witty, seductive movie."])[0])  # doctest: +SKIP
        positive
    """

    def __init__(
        self,
        model: ClassifierModel,
        tokenizer: Tokenizer,
        config: Config,
        *,
        labels: Sequence[str],
        prior: Sequence[float],
        calibration: Calibration | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.config = config
        self.labels = tuple(labels)
        self.prior = tuple(prior)
        self.calibration = calibration or Calibration(multi_label=config.corpus.multi_label)
        self.step: int | None = None
        """The training step of the weights, where they were loaded from a run."""
        self._compiled: Callable[..., Any] | None = None

    @classmethod
    def load(cls, run: str | os.PathLike[str]) -> Classifier:
        """Loads the best weights of a run.

        Args:
            run: the run directory.

        Raises:
            RunDirectoryError: there is no run, it has no weights yet, or its configuration or tokenizer was changed
                after the training.
            CheckpointError: the weights are truncated or altered, or belong to another configuration.
        """
        trained = TrainedRun.open(run, "classifiers", Config, "classifying")
        config = trained.config
        tokenizer = load_tokenizer(trained.directory, TEXT)
        beside = _read_beside(trained.best)
        trained.check(identity_of(config, tokenizer, beside["labels"]))
        classifier = cls(make_model(config, tokenizer, len(beside["labels"])), tokenizer, config, **beside)
        classifier.step = trained.assign(classifier.model)
        return classifier

    @property
    def multi_label(self) -> bool:
        """Whether a text can have several labels or none."""
        return self.calibration.multi_label

    def predict(self, texts: Sequence[str], abstain: bool = False, *, for_f1: bool = False) -> list[Prediction]:
        """Labels texts; each gives one prediction, in order, whatever it holds.

        Args:
            texts: any text. Lone surrogates are read as U+FFFD. Very long texts are cut, see the class.
            abstain: give no answer where the confidence is below `calibration.abstain_below`.
            for_f1: with two labels, say the second one from the threshold with the largest macro F1 on the validation
                text, rather than from one half.

        Raises:
            InputError: one text in place of a list, or something else than text.
        """
        lines = text_lines(texts)
        return self.predict_encoded(lines, self.encode(lines), abstain, for_f1=for_f1)

    def predict_encoded(
        self, lines: Sequence[str], encoded: EncodedTexts, abstain: bool = False, *, for_f1: bool = False
    ) -> list[Prediction]:
        """Labels texts that are cut into ids already.

        Args:
            lines: text without lone surrogates.
            encoded: their ids, from `encode`, or fewer of them.
            abstain: as for `predict`.
            for_f1: as for `predict`.
        """
        probabilities = self._probabilities(encoded)
        said = self.calibration.answers(probabilities, for_f1=for_f1)
        confidence = self.calibration.confidence(probabilities, said)
        most_probable = (probabilities if self.multi_label else said).argmax(axis=1)
        return [
            Prediction(
                text=line,
                label=self.labels[most_probable[row]],
                labels=tuple(label for label, yes in zip(self.labels, said[row], strict=True) if yes),
                probability=float(probabilities[row, most_probable[row]]),
                probabilities=dict(zip(self.labels, probabilities[row].tolist(), strict=True)),
                empty=len(encoded.ids[row]) == 1,
                truncated=row in encoded.truncated,
                abstained=abstain and bool(confidence[row] < self.calibration.abstain_below),
                multi_label=self.multi_label,
            )
            for row, line in enumerate(lines)
        ]

    def probabilities(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """Calibrated probabilities of the labels, float64[texts, classes], in the order of `labels`.

        Args:
            texts: as for `predict`; an empty one gets the prior.

        Raises:
            InputError: one text in place of a list, or something else than text.
        """
        return self._probabilities(self.encode(text_lines(texts)))

    def logits(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """What the network says before calibration, float32[texts, classes]; of an empty text, what it says of </s>.

        Args:
            texts: as for `predict`.

        Raises:
            InputError: one text in place of a list, or something else than text.
        """
        return self.logits_of(self.encode(text_lines(texts)).ids)

    def explain(self, texts: Sequence[str], method: str | None = None, label: str | None = None) -> list[Explanation]:
        """The weight of each word in each prediction; see `classifiers.explain.explain`.

        Args:
            texts: as for `predict`.
            method: "gradients" or, where the run has attention pooling, "attention"; None is "gradients".
            label: the label to explain, with gradients; None is the predicted one, of several the most probable.

        Raises:
            InputError: an unknown method or label, attention from a run without attention pooling, or one text in place
                of a list.
        """
        from classifiers.explain import explain

        return explain(self, texts, method=method, label=label)

    def encode(self, lines: Sequence[str]) -> EncodedTexts:
        """Cuts texts into the ids that the network reads.

        Args:
            lines: text without lone surrogates.
        """
        advice = "divide them into parts"
        ceiling = (LONGEST_TEXT, LONGEST_TEXT_BYTES)
        return EncodedTexts(*encode_cut(self.tokenizer, lines, *ceiling, noun="texts", advice=advice))

    def logits_of(self, ids: Sequence[Sequence[int]]) -> npt.NDArray[np.float32]:
        """float32[texts, classes] of the ids of `encode`, in batches of texts that are about as long."""
        logits = np.zeros((len(ids), len(self.labels)), np.float32)
        lengths = np.array([len(one) for one in ids], np.int64).reshape(-1, 1)
        for indices in batched_indices(lengths, TOKENS_A_BATCH):
            token_ids = padded([ids[index] for index in indices], self.tokenizer.pad_id)
            logits[indices] = self._network()(tf.constant(token_ids)).numpy()
        return logits

    def _probabilities(self, encoded: EncodedTexts) -> npt.NDArray[np.float64]:
        empty = encoded.empty
        probabilities = np.tile(np.array(self.prior, np.float64), (len(empty), 1))
        read = [ids for ids, nothing in zip(encoded.ids, empty, strict=True) if not nothing]
        probabilities[~empty] = self.calibration.probabilities(self.logits_of(read))
        return probabilities

    def _network(self) -> Callable[..., Any]:
        if self._compiled is None:

            def network(token_ids: tf.Tensor) -> tf.Tensor:
                return tf.cast(self.model(token_ids, training=False), tf.float32)

            signature = [tf.TensorSpec([None, None], tf.int32)]
            self._compiled = tf.function(network, input_signature=signature, autograph=False)
        return self._compiled

    def __getstate__(self) -> dict[str, Any]:
        """What joblib and pickle keep: arrays, bytes and text, no compiled function."""
        return {
            "config": self.config.model_dump(mode="json"),
            "tokenizer": self.tokenizer,
            "beside": {"labels": self.labels, "prior": self.prior, "calibration": self.calibration},
            "step": self.step,
            "weights": {variable.path: variable.numpy() for variable in self.model.trainable_variables},
        }

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        config, tokenizer, beside = Config.model_validate(state["config"]), state["tokenizer"], state["beside"]
        model = make_model(config, tokenizer, len(beside["labels"]))
        self.__init__(model, tokenizer, config, **beside)  # type: ignore[misc]
        self.step = state["step"]
        for variable in model.trainable_variables:
            variable.assign(state["weights"][variable.path])


def make_model(config: Config, tokenizer: Tokenizer, classes: int) -> ClassifierModel:
    """The network of a resolved configuration, with fresh weights."""
    return ClassifierModel(
        config.model,
        vocabulary_size=tokenizer.vocabulary_size,
        classes=classes,
        special_ids=special_ids_of(tokenizer),
        product_dtype=config.training.precision or "float32",
        unroll=bool(config.training.unroll),
        compiled=bool(config.training.compiled),
        seed=config.seed,
        name="classifier",
    )


def identity_of(config: Config, tokenizer: Tokenizer, labels: Sequence[str]) -> dict[str, Any]:
    """What the weights of a classifier belong to (see `textseq.identity`)."""
    return identity(config, {"text": tokenizer}, labels=list(labels))


def _read_beside(best: Checkpoint) -> dict[str, Any]:
    """Labels, prior and calibration from beside the weights, checked."""
    try:
        beside = best.state["beside"]
        labels, prior = tuple(beside["labels"]), tuple(float(share) for share in beside["prior"])
        calibration = Calibration.from_dict(beside["calibration"])
        named = all(isinstance(label, str) for label in labels) and len(set(labels)) == len(labels) >= 2
        shares = len(prior) == len(labels) and all(0.0 <= share <= 1.0 for share in prior)
        classes = len(labels)
        thresholds = len(calibration.thresholds) in (0, classes if calibration.multi_label else int(classes == 2))
        valid = named and shares and thresholds and calibration.multi_label is beside["multi_label"]
    except (KeyError, TypeError, ValueError):
        valid = False
    if not valid:
        raise CheckpointError(
            f"{best.path}: state.json does not hold the labels and the calibration of a classifier; expected them "
            "beside the weights, as `classifiers train` writes them; train in a new run"
        )
    return {"labels": labels, "prior": prior, "calibration": calibration}
