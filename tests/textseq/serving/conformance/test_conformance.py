"""Both clients against every server there is: the same questions, the same answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from textseq.errors import InputError
from textseq.serving.client import Client, connect
from textseq.serving.client_errors import ModelNotFound, RequestRefused, SignatureNotFound

TEXTS = ["A man is sleeping.", "", "Two dogs", "größer ሰው 犬", "a man sleeps and two dogs run in the park", "x"]
HOSTILE: list[str | bytes] = [
    "",
    " \t ",
    "nul \0 nul",
    b"\xff\xfe latin \xe4",
    b"surrogate \xed\xa0\x80",
    "line\u2028separator\x85 and \n lines \r\n",
    '{"b64": "AAAA"}',
    "\\u0000 \"quoted\" 'text' </script>",
    "😀" * 50,
    "\ufeffmark \u202e reversed",
    "w" * 300,
]


@pytest.fixture(params=["rest", "grpc"])
def client_of(served: Any, request: pytest.FixtureRequest) -> Iterator[Callable[..., Client]]:
    clients: list[Client] = []

    def made(model: str | None = None, **options: Any) -> Client:
        clients.append(connect(getattr(served, request.param), model or served.model, timeout=60.0, **options))
        return clients[-1]

    yield made
    for each in clients:
        each.close()


@pytest.fixture
def client(client_of: Callable[..., Client]) -> Client:
    return client_of()


def same(one: Any, other: Any) -> bool:
    """Whether two answers are equal, strings exactly and scores to 1e-4."""
    if isinstance(one, dict):
        return set(one) == set(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == pytest.approx(other, abs=1e-4)) if isinstance(one, float) else bool(one == other)


def rows_for(client: Client, signature: str, texts: list[Any]) -> dict[str, list[Any]]:
    """Something for each input of a signature: the texts, and two wherever a number goes."""
    inputs = client.metadata().signatures[signature].inputs
    return {name: texts if tensor.dtype == "string" else [2] * len(texts) for name, tensor in inputs.items()}


def signatures(client: Client) -> list[str]:
    return list(client.metadata().signatures)


def test_the_model_is_ready(client: Client) -> None:
    client.wait_until_ready(30)
    assert "AVAILABLE" in [each.state for each in client.status()]


def test_every_signature_leads_with_the_batch(client: Client) -> None:
    metadata = client.metadata()
    assert metadata.version >= 1
    assert metadata.signatures["serving_default"].inputs["text"].dtype == "string"
    for name in signatures(client):
        described = metadata.signatures[name]
        for tensor in (*described.inputs.values(), *described.outputs.values()):
            assert tensor.shape is not None and tensor.shape[0] is None, name


def test_every_signature_answers_each_row(client: Client) -> None:
    for name in signatures(client):
        answer = client.predict(rows_for(client, name, TEXTS), name)
        assert set(answer) == set(client.metadata().signatures[name].outputs)
        assert {len(values) for values in answer.values()} == {len(TEXTS)}


def test_rest_and_grpc_say_the_same(served: Any) -> None:
    with connect(served.rest, served.model, timeout=60.0) as rest, connect(served.grpc, served.model) as grpc:
        for name in signatures(rest):
            inputs = rows_for(rest, name, [*TEXTS, *HOSTILE])
            assert same(rest.predict(inputs, name), grpc.predict(inputs, name)), name
        assert rest.metadata() == grpc.metadata()
        assert rest.status() == grpc.status()


def test_a_row_is_answered_alike_in_every_batch(client_of: Callable[..., Client]) -> None:
    whole = client_of().predict({"text": TEXTS})
    assert same(client_of(largest_batch=1).predict({"text": TEXTS}), whole)
    assert same(client_of(largest_batch=4).predict({"text": TEXTS}), whole)
    backwards = client_of().predict({"text": TEXTS[::-1]})
    assert same({name: values[::-1] for name, values in backwards.items()}, whole)


def test_more_rows_than_a_request_holds(client: Client) -> None:
    texts = TEXTS * 30
    answer = client.predict({"text": texts})
    assert same(answer, {name: values * 30 for name, values in client.predict({"text": TEXTS}).items()})


def test_no_rows(client: Client) -> None:
    outputs = client.metadata().signatures["serving_default"].outputs
    assert client.predict({"text": []}) == {name: [] for name in outputs}


def test_whatever_a_text_holds_it_is_answered(client: Client) -> None:
    for text in HOSTILE:
        assert {len(values) for values in client.predict({"text": [text]}).values()} == {1}
    assert {len(values) for values in client.predict({"text": HOSTILE}).values()} == {len(HOSTILE)}


def test_a_text_that_is_too_long_is_answered_and_said_to_be(client: Client) -> None:
    answer = client.predict({"text": ["word " * 20_000, "word"]})
    if "truncated" in answer:
        assert answer["truncated"] == [True, False]


def test_several_translations(client: Client) -> None:
    if "n_best" not in signatures(client):
        pytest.skip("the model has no signature n_best")
    answer = client.predict({"text": ["a dog", "a man", "a dog"], "n": [1, 3, 2]}, "n_best")
    assert all(1 <= count <= n for count, n in zip(answer["count"], [1, 3, 2], strict=True))
    for texts, scores, count in zip(answer["translations"], answer["scores"], answer["count"], strict=True):
        assert len(texts) == len(scores) == max(answer["count"])
        assert scores[:count] == sorted(scores[:count], reverse=True)
        assert texts[count:] == [""] * (len(texts) - count)


def test_a_pinned_version(client_of: Callable[..., Client]) -> None:
    served_version = client_of().metadata().version
    pinned = client_of(version=served_version)
    assert pinned.metadata().version == served_version
    assert same(pinned.predict({"text": TEXTS}), client_of().predict({"text": TEXTS}))
    with pytest.raises(ModelNotFound, match="987654321"):
        client_of(version=987654321).predict({"text": ["a"]})


def test_an_unknown_model(client_of: Callable[..., Client]) -> None:
    unknown = client_of("no-such-model")
    for ask in (unknown.status, unknown.metadata, lambda: unknown.predict({"text": ["a"]})):
        with pytest.raises(ModelNotFound, match="no-such-model"):
            ask()


def test_an_unknown_signature(client: Client) -> None:
    with pytest.raises(SignatureNotFound, match=r"no signature no_such; it has .*serving_default"):
        client.predict({"text": ["a"]}, "no_such")


def test_a_wrong_input(client: Client) -> None:
    with pytest.raises(RequestRefused, match=r"received texts; expected text$"):
        client.predict({"texts": ["a"]})
    with pytest.raises(InputError, match="string"):
        client.predict({"text": [1]})
    assert client.predict({"text": ["a"]})


def test_many_at_once(client: Client) -> None:
    expected = client.predict({"text": TEXTS})

    def ask(number: int) -> bool:
        row = number % len(TEXTS)
        answer = client.predict({"text": [TEXTS[row]]})
        return same(answer, {name: [values[row]] for name, values in expected.items()})

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(60)))
