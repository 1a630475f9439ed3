"""The classifier as a scikit-learn estimator."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from classifiers.config import Config, CorpusConfig
from classifiers.estimator_input import EstimatorInputError, Target, read_target, read_texts
from textseq.errors import CheckpointError, CorpusError, RunDirectoryError
from textseq.run_directory import write_atomically

if TYPE_CHECKING:
    from classifiers.classifier import Classifier
    from classifiers.explanation import Explanation
    from textseq.training.report import TrainingReport


class SentimentClassifier(ClassifierMixin, BaseEstimator):
    """A recurrent classifier of text that follows scikit-learn's conventions.

    It takes texts where other estimators take rows of numbers, and works inside `Pipeline`, `cross_val_score` and
    `GridSearchCV`. Fitting is `classifiers train`: texts that are empty, repeated or contradictory are left out, a part
    is held out for validation, and what is not given is chosen from the amount of text. The result is a function of
    the texts and the parameters: fitted again, it is the same.

    Args:
        epochs: passes over the training text, at most; None chooses.
        cell: "lstm", "gru" or "simple_rnn".
        learning_rate: the highest one; None is the configuration's.
        from_run: a translator's run, or one of `classifiers pretrain`, to start from.
        valid: validation data, a pair (texts, labels); None holds out a part of what is fitted.
        settings: any further settings, as `--set` takes them: ("model.encoder_units=64", "training.patience=3").
        run: directory in which to keep the run, for `load` and the command line; None keeps the model in memory only.
            One directory holds one training: leave it None within a cross-validation.
        random_state: seed, or a NumPy RandomState that draws one; None draws one from NumPy's global state.
        verbose: 1 shows how training goes, on standard error.

    Attributes:
        classes_: the labels, sorted, in the dtype of `y`: the order of the columns of `predict_proba`. Where `y` was an
            indicator matrix, the numbers of its columns.
        classifier_: the trained `classifiers.Classifier`.
        report_: the `TrainingReport`; not there after `load`.

    Example:
        >>> estimator = SentimentClassifier(epochs=5)
        >>> estimator.fit(["a fine film", "a dull film", ...], ["good", "bad", ...])  # doctest: +SKIP
        >>> estimator.predict(["fine!"])  # doctest: +SKIP
        array(['good'], dtype='<U4')
    """

    classes_: npt.NDArray[Any]
    classifier_: Classifier
    report_: TrainingReport

    def __init__(
        self,
        *,
        epochs: int | None = None,
        cell: str = "lstm",
        learning_rate: float | None = None,
        from_run: str | os.PathLike[str] | None = None,
        valid: tuple[Any, Any] | None = None,
        settings: Sequence[str] = (),
        run: str | os.PathLike[str] | None = None,
        random_state: Any = 1,
        verbose: int = 0,
    ) -> None:
        self.epochs = epochs
        self.cell = cell
        self.learning_rate = learning_rate
        self.from_run = from_run
        self.valid = valid
        self.settings = settings
        self.run = run
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def load(cls, run: str | os.PathLike[str]) -> SentimentClassifier:
        """An estimator with the best weights of a run, fitted; its labels are text, its parameters the defaults.

        Args:
            run: a run directory of `classifiers train`, or of `fit` with `run`.

        Raises:
            RunDirectoryError: there is no run, or it has no weights yet.
            CheckpointError: the weights are truncated or altered.

        Example:
            >>> SentimentClassifier.load("runs/sst2").predict(["A gorgeous movie."])  # doctest: +SKIP
            array(['1'], dtype='<U1')
        """
        from classifiers.classifier import Classifier

        classifier = Classifier.load(run)
        labels = list(classifier.labels)
        kind: Literal["sets", "labels"] = "sets" if classifier.multi_label else "labels"
        estimator = cls()
        estimator._take(classifier, Target(kind, np.unique(labels), tuple(sorted(labels)), (), np.array(labels).dtype))
        return estimator

    def fit(self, X: Any, y: Any) -> SentimentClassifier:  # noqa: N803
        """Trains on labelled texts, anew each time.

        Args:
            X: texts: a list, a one-dimensional array, or a column of a data frame.
            y: as many labels: text, whole numbers or booleans. Where a text can have several, or none: a list of sets,
                lists or tuples of labels, or an indicator matrix, int[texts, classes] of 0 and 1.

        Raises:
            EstimatorInputError: something else than texts or labels, another number of them, one class only, or too
                little is left once the texts are cleaned; it is a ValueError as well.
            ConfigurationError: a parameter out of range.
            RunDirectoryError: `run` holds something else, or a training of other texts.
        """
        texts = read_texts(X)
        target = read_target(y, len(texts))
        if len(target.classes) < 2:
            raise EstimatorInputError(
                f"y: received the class {target.names[0]!r} only; expected two classes at least"
                if target.names
                else "y: received no class at all; expected two classes at least"
            )
        from classifiers.classifier import Classifier
        from classifiers.train import train
        from textseq.progress import TrainingProgress

        with tempfile.TemporaryDirectory(prefix="dragoman-") as folder, contextlib.ExitStack() as stack:
            config = self._config(Path(folder), texts, target)
            run = Path(folder) / "run" if self.run is None else Path(self.run)
            update = stack.enter_context(TrainingProgress()).update if self.verbose else None
            with _named_as_given(folder):
                report = train(config, run, progress=update)
            classifier = Classifier.load(run)
        self._take(classifier, target)
        self.report_ = report
        return self

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """The labels of texts.

        Args:
            X: texts, of whatever they hold; an empty one gets the most frequent label.

        Returns:
            The most probable label of each, in the dtype of `y`. Where a text can have several: an indicator matrix if
            `y` was one, else an array of tuples.

        Raises:
            NotFittedError: `fit` was not called.
            EstimatorInputError: something else than texts.
        """
        probabilities = self.predict_proba(X)
        if self._target.kind == "labels":
            return np.asarray(self.classes_[probabilities.argmax(axis=1)])
        said = self._said(probabilities)
        if self._target.kind == "indicator":
            return said.astype(self._target.dtype)
        found = np.empty(len(said), object)
        found[:] = [tuple(self.classes_[row].tolist()) for row in said]
        return found

    def predict_proba(self, X: Any) -> npt.NDArray[np.float64]:  # noqa: N803
        """The calibrated probabilities of the labels, float64[texts, classes], in the order of `classes_`.

        Rows sum to 1, unless a text can have several labels; a label that no text of `fit` has is then 0.

        Args:
            X: texts, as for `predict`.

        Raises:
            NotFittedError: `fit` was not called.
            EstimatorInputError: something else than texts.
        """
        check_is_fitted(self)
        found = self.classifier_.probabilities(read_texts(X))
        probabilities = np.zeros((len(found), len(self.classes_)))
        probabilities[:, self._columns] = found
        return probabilities

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:  # noqa: N803
        """The share of texts whose label, or whose set of labels, is right, from 0 to 1.

        Args:
            X: texts.
            y: their labels, in any form that `fit` takes.
            sample_weight: float[texts], how much each counts.

        Raises:
            NotFittedError: `fit` was not called.
            EstimatorInputError: something else than texts or labels, or another number of them.
        """
        predicted = self.predict(X)
        target = read_target(y, len(predicted))
        if (target.kind == "labels") != (self._target.kind == "labels"):
            raise EstimatorInputError("y: received labels of another form than those of fit; give the same form")
        if target.kind == "labels":
            from sklearn.metrics import accuracy_score

            true = target.classes[[row[0] for row in target.rows]]
            return float(accuracy_score(true, predicted, sample_weight=sample_weight))
        answers = [np.flatnonzero(row) for row in predicted] if self._target.kind == "indicator" else predicted
        right = [
            {str(label) for label in answer} == {target.names[place] for place in row}
            for answer, row in zip(answers, target.rows, strict=True)
        ]
        return float(np.average(right, weights=sample_weight))

    def explain(self, X: Any, method: str | None = None) -> list[Explanation]:  # noqa: N803
        """The weight of each word in each prediction; see `classifiers.Classifier.explain`.

        Args:
            X: texts.
            method: "gradients" or, with attention pooling, "attention"; None is "gradients".

        Raises:
            NotFittedError: `fit` was not called.
            EstimatorInputError: something else than texts.
        """
        check_is_fitted(self)
        return self.classifier_.explain(read_texts(X), method=method)

    def _config(self, folder: Path, texts: list[str], target: Target) -> Config:
        if isinstance(self.settings, str):
            raise EstimatorInputError(f"settings: received one text, expected a list; write [{self.settings!r}]")
        for setting in self.settings:
            if str(setting).strip().startswith("corpus."):
                raise EstimatorInputError(
                    f"settings: received {setting!r}; the corpus is what fit is given, leave it out"
                )
        files = {"train": _written(folder / "train.jsonl", texts, target)}
        if self.valid is not None:
            files["valid"] = self._validation(folder / "valid.jsonl", target)
        corpus = CorpusConfig(format="jsonl", multi_label=target.multi_label, **files)
        from_run = None if self.from_run is None else os.fspath(self.from_run)
        given = {"model.cell": self.cell, "training.epochs": self.epochs, "training.learning_rate": self.learning_rate}
        overrides = [f"{key}={value}" for key, value in given.items() if value is not None]
        if self.run is None:
            overrides.append("training.tensorboard=false")  # nobody could look at it
        return Config(seed=self._seed(), from_run=from_run, corpus=corpus).with_overrides([*overrides, *self.settings])

    def _validation(self, path: Path, target: Target) -> str:
        if not isinstance(self.valid, tuple | list) or len(self.valid) != 2:
            raise EstimatorInputError(f"valid: received {type(self.valid).__name__}, expected a pair (texts, labels)")
        texts = read_texts(self.valid[0], "valid[0]")
        labels = read_target(self.valid[1], len(texts), "valid[1]")
        unknown = sorted(set(labels.names) - set(target.names))
        if unknown:
            raise EstimatorInputError(f"valid: received the class {unknown[0]!r}, which y does not have; take it out")
        return _written(path, texts, labels)

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _said(self, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        """bool[texts, classes] in the order of `classes_`, where a text can have several labels."""
        said = np.zeros(probabilities.shape, bool)
        said[:, self._columns] = self.classifier_.calibration.answers(probabilities[:, self._columns])
        return said

    def _take(self, classifier: Classifier, target: Target) -> None:
        place = {name: number for number, name in enumerate(target.names)}
        self.classifier_ = classifier
        self.classes_ = target.classes
        self._target = target.without_rows()
        self._columns = [place[label] for label in classifier.labels]
        self.__dict__.pop("report_", None)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "classifier_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.target_tags.one_d_labels = True
        tags.target_tags.two_d_labels = True
        tags.classifier_tags.multi_label = True
        return tags


@contextlib.contextmanager
def _named_as_given(folder: str) -> Iterator[None]:
    """Names the texts in messages as the caller gave them, rather than by a file that is gone when they are read."""

    def named(error: Exception) -> str:
        train, valid = (os.path.join(folder, name) for name in ("train.jsonl", "valid.jsonl"))
        return str(error).replace(train, "the texts given to fit").replace(valid, "the texts given as valid")

    try:
        yield
    except CorpusError as error:
        raise EstimatorInputError(named(error)) from None
    except CheckpointError:
        raise
    except RunDirectoryError as error:
        raise RunDirectoryError(named(error)) from None


def _written(path: Path, texts: Sequence[str], target: Target) -> str:
    """Writes texts and labels as JSON lines; gives the path back."""
    lines = []
    for text, row in zip(texts, target.rows, strict=True):
        names = [target.names[place] for place in row]
        lines.append(json.dumps({"text": text, "label": names if target.multi_label else names[0]}) + "\n")
    write_atomically(path, "".join(lines))
    return os.fspath(path)
