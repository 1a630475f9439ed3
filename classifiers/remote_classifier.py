"""Classifying with a model that a server runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from classifiers.prediction import Prediction
from textseq.serving.client import Client
from textseq.serving.exported_signatures import DEFAULT_SIGNATURE
from textseq.serving.remote_model import RemoteModel


class RemoteClassifier(RemoteModel):
    """A classifier on a server: TF Serving, or `classifiers serve`. It needs neither TensorFlow nor Keras.

    Args:
        client: of an exported classifier.

    Attributes:
        separator: what the export puts between several labels, once an answer has shown it.

    Example:
        >>> with RemoteClassifier.connect("http://localhost:8501") as classifier:  # doctest: +SKIP
        ...     print(classifier.predict(["A gorgeous, witty, seductive movie."])[0])
        positive
    """

    MODEL_NAMES = ("classifiers", "combined")
    """A classifier, else what translates and classifies."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.separator = ", "

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Classifies texts; nothing abstains.

        Args:
            texts: whatever they hold.

        Raises:
            InputError: one text in place of a list, or the server refuses the request.
            ServingError: the server did not answer as it should.
        """
        expected = ("label", "probability", "labels", "probabilities", "truncated")
        answer = self._ask({"text": texts}, self._signature, expected, "a classifier")
        return [self._prediction(text, answer, row) for row, text in enumerate(texts)]

    @cached_property
    def _signature(self) -> str:
        """`classify` where the model translates as well."""
        return "classify" if self._has_signature("classify") else DEFAULT_SIGNATURE

    def _prediction(self, text: str, answer: dict[str, list[Any]], row: int) -> Prediction:
        probabilities = dict(zip(answer["labels"][row], answer["probabilities"][row], strict=True))
        label, multi_label = answer["label"][row], "given" in answer
        labels = (label,)
        if multi_label:
            labels = tuple(each for each, given in zip(probabilities, answer["given"][row], strict=True) if given)
            self._see_separator(label, labels)
            label = max(probabilities, key=probabilities.__getitem__)
        return Prediction(
            text=text,
            label=label,
            labels=labels,
            probability=answer["probability"][row],
            probabilities=probabilities,
            empty=not text.strip(),
            truncated=bool(answer["truncated"][row]),
            multi_label=multi_label,
        )

    def _see_separator(self, joined: str, labels: tuple[str, ...]) -> None:
        if len(labels) > 1:
            length = (len(joined) - sum(map(len, labels))) // (len(labels) - 1)
            self.separator = joined[len(labels[0]) :][:length]
