"""Classification of text: a bidirectional recurrent network, from labelled text to a model that serves.

Example:
    >>> import classifiers
    >>> classifier = classifiers.Classifier.load("runs/sst2")  # doctest: +SKIP
    >>> print(classifier.predict(["A gorgeous, witty, seductive movie."])[0])  # doctest: +SKIP
    positive

Public names are loaded on first use, so that importing the package, or asking the command line for help, does not
load TensorFlow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textseq import __version__
from textseq.lazy_package import make_lazy

if TYPE_CHECKING:
    from classifiers.classifier import Classifier
    from classifiers.config import Config
    from classifiers.evaluate import evaluate
    from classifiers.explain import explain
    from classifiers.explanation import Explanation
    from classifiers.export import export
    from classifiers.prediction import Prediction
    from classifiers.pretrain import pretrain
    from classifiers.pretraining_config import PretrainingConfig
    from classifiers.quickstart import quickstart
    from classifiers.remote_classifier import RemoteClassifier
    from classifiers.sentiment_classifier import SentimentClassifier
    from classifiers.train import train

__all__ = [
    "Classifier",
    "Config",
    "Explanation",
    "Prediction",
    "PretrainingConfig",
    "RemoteClassifier",
    "SentimentClassifier",
    "__version__",
    "evaluate",
    "explain",
    "export",
    "pretrain",
    "quickstart",
    "train",
]

make_lazy(
    __name__,
    {
        "Classifier": "classifiers.classifier",
        "Config": "classifiers.config",
        "Explanation": "classifiers.explanation",
        "Prediction": "classifiers.prediction",
        "PretrainingConfig": "classifiers.pretraining_config",
        "RemoteClassifier": "classifiers.remote_classifier",
        "SentimentClassifier": "classifiers.sentiment_classifier",
        "evaluate": "classifiers.evaluate",
        "explain": "classifiers.explain",
        "export": "classifiers.export",
        "pretrain": "classifiers.pretrain",
        "quickstart": "classifiers.quickstart",
        "train": "classifiers.train",
    },
)
