"""Classifying with a model that a server runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from classifiers.prediction import Prediction
from textseq.serving.client import Client, connect
from textseq.serving.client_errors import InvalidAnswer
from textseq.serving.exported_signatures import DEFAULT_SIGNATURE

if TYPE_CHECKING:
    from typing_extensions import Self

MODEL_NAMES = ("classifiers", "combined")
"""What is asked where nobody names the model: a classifier, else what translates and classifies."""


class RemoteClassifier:
    """A classifier on a server: TF Serving, or `classifiers serve`. It needs neither TensorFlow nor Keras.

    Args:
        client: of an exported classifier.
        labels: in the order of the export's `labels.txt`, which no server sends; None where they are not known.

    Example:
        >>> with RemoteClassifier.connect("http://localhost:8501") as classifier:  # doctest: +SKIP
        ...     print(classifier.predict(["A gorgeous, witty, seductive movie."])[0])
        positive
    """

    def __init__(self, client: Client, labels: Sequence[str] | None = None) -> None:
        self.client = client
        self.labels = None if labels is None else tuple(labels)

    @classmethod
    def connect(
        cls, url: str, model: str | None = None, *, labels: Sequence[str] | None = None, **options: Any
    ) -> Self:
        """A classifier by the address of its server.

        Args:
            url: `http://HOST:PORT` for REST, `grpc://HOST:PORT` for gRPC.
            model: its name on the server; the first of `MODEL_NAMES` that is there if None.
            labels: in the order of the export's `labels.txt`, if they are known.
            options: see `textseq.serving.client.Client`.

        Raises:
            InputError: no such address, or no such model.
            ServingError: the server did not answer.
        """
        return cls(connect(url, MODEL_NAMES if model is None else model, **options), labels)

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Classifies texts; nothing abstains.

        The answer of a model that gives several labels stands in `Prediction.label`, joined as the export joins them.
        `Prediction.probabilities` names the labels, or their places ("0", "1", ...) where `labels` are not known.

        Args:
            texts: whatever they hold.

        Raises:
            InputError: one text in place of a list, or the server refuses the request.
            ServingError: the server did not answer as it should.
        """
        answer = self.client.predict({"text": texts}, self._signature)
        if not {"label", "probability", "probabilities"} <= set(answer):
            raise InvalidAnswer(
                f"{self.client.address}: model {self.client.model} gives {', '.join(sorted(answer))}, expected label, "
                f"probability and probabilities; is it a classifier?"
            )
        return [self._prediction(text, answer, row) for row, text in enumerate(texts)]

    def close(self) -> None:
        """Closes the connections."""
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @cached_property
    def _signature(self) -> str:
        """`classify` where the model translates as well."""
        return "classify" if "classify" in self.client.metadata().signatures else DEFAULT_SIGNATURE

    def _prediction(self, text: str, answer: dict[str, list[Any]], row: int) -> Prediction:
        label, probabilities = answer["label"][row], answer["probabilities"][row]
        names = self.labels or tuple(map(str, range(len(probabilities))))
        if len(names) != len(probabilities):
            raise InvalidAnswer(
                f"{self.client.address}: model {self.client.model} has {len(probabilities)} labels, and {len(names)} "
                f"were given; give those of its export, assets.extra/labels.txt"
            )
        return Prediction(
            text=text,
            label=label,
            labels=(label,) if label else (),
            probability=answer["probability"][row],
            probabilities=dict(zip(names, probabilities, strict=True)),
            empty=not text.strip(),
            # What was exported otherwise may not say what it cut.
            truncated=bool(answer["truncated"][row]) if "truncated" in answer else False,
            multi_label=not label,
        )
