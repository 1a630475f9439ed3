"""What the tasks' models on a server share, with a client that answers from a table."""

from __future__ import annotations

from typing import Any, cast

import pytest

from tests.textseq.serving.client_stand_in import ClientStandIn
from textseq.serving.client import Client
from textseq.serving.client_errors import InvalidAnswer
from textseq.serving.remote_model import RemoteModel

ANSWER: dict[str, list[Any]] = {"text": ["x"], "score": [0.5]}


class Model(RemoteModel):
    def speaks(self) -> bool:
        return self._has_signature("speak")

    def answer(self, *expected: str) -> dict[str, list[Any]]:
        return self._ask({"text": ["y"]}, "serving_default", expected, "a parrot")


def model_of(client: ClientStandIn) -> Model:
    return Model(cast(Client, client))


def test_the_answer_is_that_of_the_client() -> None:
    client = ClientStandIn("parrot", {"serving_default": ANSWER})
    assert model_of(client).answer("text") == ANSWER
    assert client.asked == [("serving_default", {"text": ["y"]})]


@pytest.mark.parametrize(
    ("expected", "named"),
    [
        (["word"], "word"),
        (["text", "word"], "text and word"),
        (["text", "score", "word"], "text, score and word"),
    ],
)
def test_the_answer_of_another_kind_of_model_is_refused(expected: list[str], named: str) -> None:
    with pytest.raises(InvalidAnswer) as caught:
        model_of(ClientStandIn("parrot", {"serving_default": ANSWER})).answer(*expected)
    assert str(caught.value) == (f"http://there: model parrot gives score, text, expected {named}; is it a parrot?")


def test_signatures_are_those_of_the_export() -> None:
    assert model_of(ClientStandIn("parrot", {"speak": {}})).speaks()
    assert not model_of(ClientStandIn("parrot", {"serving_default": {}})).speaks()


def test_the_client_is_closed_at_the_end_of_the_block() -> None:
    client = ClientStandIn("parrot", {})
    with model_of(client) as model:
        assert model.client is cast(Client, client) and not client.closed
    assert client.closed
