"""A task's model on a server: the connection, and refusing the answers of another kind of model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textseq.serving.client import Client, connect
from textseq.serving.client_errors import InvalidAnswer

if TYPE_CHECKING:
    from typing_extensions import Self


class RemoteModel:
    """What the tasks' models on a server share. Close it, or use it in a `with` block.

    Args:
        client: of an exported model.
    """

    MODEL_NAMES: ClassVar[Sequence[str]]
    """What is asked where nobody names the model; a task says it."""

    def __init__(self, client: Client) -> None:
        self.client = client

    @classmethod
    def connect(cls, url: str, model: str | None = None, **options: Any) -> Self:
        """A model by the address of its server.

        Args:
            url: `http://HOST:PORT` for REST, `grpc://HOST:PORT` for gRPC.
            model: its name on the server; the first of `MODEL_NAMES` that is there if None.
            options: see `textseq.serving.client.Client`.

        Raises:
            InputError: no such address, or no such model.
            ServingError: the server did not answer.
        """
        return cls(connect(url, cls.MODEL_NAMES if model is None else model, **options))

    def _has_signature(self, name: str) -> bool:
        """Whether the exported model has a signature of this name.

        Raises:
            ServingError: the server did not answer.
        """
        return name in self.client.metadata().signatures

    def _ask(
        self, inputs: Mapping[str, Sequence[Any]], signature: str, expected: Sequence[str], kind: str
    ) -> dict[str, list[Any]]:
        """Asks a signature whose answer must hold what a model of this kind gives.

        Args:
            inputs: by name, one value a row.
            signature: its name.
            expected: the outputs that are needed; there may be more.
            kind: of model, such as "a translator".

        Returns:
            The outputs by name, one value a row.

        Raises:
            InputError: one text in place of a list, or the server refuses the request.
            InvalidAnswer: an output that is needed is missing.
            ServingError: the server did not answer as it should.
        """
        answer = self.client.predict(inputs, signature)
        if not answer.keys() >= set(expected):
            needed = " and ".join(part for part in (", ".join(expected[:-1]), expected[-1]) if part)
            raise InvalidAnswer(
                f"{self.client.address}: model {self.client.model} gives {', '.join(sorted(answer))}, expected "
                f"{needed}; is it {kind}?"
            )
        return answer

    def close(self) -> None:
        """Closes the connections."""
        self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
