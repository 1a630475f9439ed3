"""Each signature of an export gives what the run gives, for any row in any batch."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
pytest.importorskip("tensorflow_text")

from nmt.ceilings import LONGEST_SOURCE, LONGEST_SOURCE_BYTES, LONGEST_TARGET, LONGEST_TARGET_BYTES  # noqa: E402
from nmt.golden_examples import golden_examples  # noqa: E402
from nmt.serving_functions import ServingFunctions  # noqa: E402
from nmt.translator import Translator  # noqa: E402
from textseq.export_texts import golden_texts, text_beyond  # noqa: E402

Call = Callable[..., dict[str, Any]]
LOWEST = np.finfo(np.float32).min
DTYPES = {"text": tf.string, "translation": tf.string, "n": tf.int32}
WORDLESS = ["", " ", "\t \n", "\u3000", "\u200b", "\ufeff", "\x00", "\x1f", "\u2028 \u00ad"]
NO_UTF8 = [b"A man \xff sleeps.", b"\xe2\x82", b"\xed\xa0\x80 the \xc0\x80 dog", b"a\x00b\r\nc", b"\xf0\x9f\x98"]
EVERY = ["serving_default", "n_best", "align", "score"]


def caller(translator: Translator) -> Call:
    """Calls a signature by its name, with lists, in the graph that the export holds."""
    functions = ServingFunctions(translator).signatures()

    def call(name: str, **inputs: list[Any]) -> dict[str, Any]:
        tensors = {key: tf.constant(values, DTYPES[key], shape=[len(values)]) for key, values in inputs.items()}
        return {key: value.numpy() for key, value in functions[name](**tensors).items()}

    call.functions = functions  # type: ignore[attr-defined]
    return call


@pytest.fixture(scope="module")
def translator(tiny_run: Path) -> Translator:
    return Translator.load(tiny_run)


@pytest.fixture(scope="module")
def call(translator: Translator) -> Call:
    return caller(translator)


@pytest.fixture(scope="module")
def lines(tiny_corpus: Path) -> list[str]:
    return (tiny_corpus / "test.en").read_text(encoding="utf-8").splitlines()


def inputs_for(name: str, texts: list[Any], n: int = 3, translation: str = "ein Hund") -> dict[str, list[Any]]:
    """Inputs of any signature, from texts alone."""
    more: dict[str, dict[str, list[Any]]] = {
        "n_best": {"n": [n] * len(texts)},
        "score": {"translation": [translation] * len(texts)},
    }
    return {"text": texts, **more.get(name, {})}


def assert_row(received: Any, expected: Any) -> None:
    """Compares one row up to its own extent; behind it there must be padding alone."""
    if isinstance(expected, list):
        for one, other in zip(received, expected, strict=False):
            assert_row(one, other)
        assert len(received) >= len(expected)
        for rest in np.ravel(received[len(expected) :]):
            assert rest in (b"", 0, LOWEST)
    elif isinstance(expected, float):
        assert received == pytest.approx(expected, rel=1e-6, abs=1e-4)
    else:
        assert received == expected


@pytest.mark.parametrize("name", EVERY)
def test_every_row_is_as_the_run_has_it(name: str, call: Call, translator: Translator, lines: list[str]) -> None:
    golden = golden_examples(translator, golden_texts(lines[:9]))[name]
    count = len(golden.inputs["text"])
    assert count >= 10
    shuffled = random.Random(1).sample(range(count), count)
    for batch in [
        *([row] for row in range(count)),
        list(range(count)),
        *(shuffled[start : start + 4] for start in range(0, count, 4)),
    ]:
        received = call(name, **{key: [values[row] for row in batch] for key, values in golden.inputs.items()})
        assert received.keys() == golden.outputs.keys()
        for key, rows in golden.outputs.items():
            assert len(received[key]) == len(batch)
            for one, row in zip(received[key], batch, strict=True):
                assert_row(one, rows[row])


def test_what_each_signature_takes_and_gives(call: Call) -> None:
    found = {}
    for name, function in call.functions.items():  # type: ignore[attr-defined]
        inputs = {spec.name: spec for spec in function.structured_input_signature[0]}
        sides = (inputs, function.structured_outputs)
        found[name] = tuple({key: (spec.dtype.name, spec.shape.rank) for key, spec in side.items()} for side in sides)
        assert all(spec.shape[0] is None for side in sides for spec in side.values())
    text = {"text": ("string", 1)}
    best = {"translation": ("string", 1), "score": ("float32", 1), "truncated": ("bool", 1)}
    assert found == {
        "serving_default": (text, best),
        "n_best": (
            {**text, "n": ("int32", 1)},
            {
                "translations": ("string", 2),
                "scores": ("float32", 2),
                "count": ("int32", 1),
                "truncated": ("bool", 1),
            },
        ),
        "align": (
            text,
            {
                **best,
                "source_tokens": ("string", 2),
                "target_tokens": ("string", 2),
                "attention": ("float32", 3),
                "source_length": ("int32", 1),
                "target_length": ("int32", 1),
            },
        ),
        "score": (
            {**text, "translation": ("string", 1)},
            {"log_probability": ("float32", 1), "truncated": ("bool", 1)},
        ),
    }


@pytest.mark.parametrize("name", EVERY)
def test_a_batch_without_texts(name: str, call: Call) -> None:
    for value in call(name, **inputs_for(name, [])).values():
        assert len(value) == 0


@pytest.mark.parametrize("name", EVERY)
def test_bytes_that_are_no_text_are_read_as_python_reads_them(name: str, call: Call) -> None:
    as_bytes = call(name, **inputs_for(name, [*NO_UTF8]))
    as_text = call(name, **inputs_for(name, [text.decode("utf-8", "replace") for text in NO_UTF8]))
    for key, value in as_bytes.items():
        assert value.tolist() == as_text[key].tolist()


@pytest.mark.parametrize("text", WORDLESS)
def test_texts_without_words(text: str, call: Call, translator: Translator, lines: list[str]) -> None:
    (expected,) = translator.translate([text])
    found = call("serving_default", text=[text, lines[0]])
    assert found["translation"][0].decode() == expected.text
    assert found["score"][0] == pytest.approx(expected.score, abs=1e-4)
    several = call("n_best", text=[lines[0], text], n=[1, 3])
    aligned = call("align", text=[text, lines[0]])
    assert aligned["source_tokens"][0][aligned["source_length"][0] - 1] == b"</s>"
    assert np.isfinite(call("score", text=[text, lines[0]], translation=["", text])["log_probability"]).all()
    if not text.strip():
        assert several["translations"].tolist()[1] == [b""] * 3
        assert several["count"].tolist() == [1, 3]
        assert (aligned["translation"][0], aligned["source_length"][0]) == (b"", 1)


def test_a_row_has_as_many_translations_as_it_asks_for(call: Call, lines: list[str]) -> None:
    asked = [-(2**31), -1, 0, 1, 2, 5, 6, 2**31 - 1]
    found = call("n_best", text=lines[: len(asked)], n=asked)
    assert found["count"].tolist() == [1, 1, 1, 1, 2, 5, 5, 5]
    assert found["translations"].shape == found["scores"].shape == (len(asked), 5)
    best = call("serving_default", text=lines[: len(asked)])
    assert found["translations"][:, 0].tolist() == best["translation"].tolist()
    np.testing.assert_allclose(found["scores"][:, 0], best["score"], atol=1e-4)
    for count, texts, scores in zip(found["count"], found["translations"], found["scores"], strict=True):
        assert np.all(np.diff(scores[:count]) <= 0) and np.all(scores[count:] == LOWEST)
        assert all(texts[:count]) and not any(texts[count:])
    assert call("n_best", text=lines[:3], n=[2, 0, 1])["translations"].shape == (3, 2)


def test_greedy_search_has_one_translation(tiny_run: Path, lines: list[str]) -> None:
    translator = Translator.load(tiny_run)
    translator.config = translator.config.with_overrides(["search.beam=1"])
    found = caller(translator)("n_best", text=lines[:3], n=[1, 4, 2])
    expected = translator.translate(lines[:3], beam=1)
    assert found["count"].tolist() == [1, 1, 1]
    assert found["translations"].tolist() == [[one.text.encode()] for one in expected]


def test_attention_belongs_to_tokens_alone(call: Call, lines: list[str]) -> None:
    found = call("align", text=[lines[0], "", lines[1] + " " + lines[2]])
    assert found["source_tokens"].shape[1] == found["source_length"].max()
    assert found["target_tokens"].shape[1] == found["target_length"].max()
    for row, (source, target) in enumerate(zip(found["source_length"], found["target_length"], strict=True)):
        attention = found["attention"][row]
        assert attention.shape == (found["target_length"].max(), found["source_length"].max())
        np.testing.assert_allclose(attention[:target].sum(axis=1), 1.0, atol=1e-5)
        assert not attention[target:].any() and not attention[:, source:].any()
        assert all(found["source_tokens"][row][:source]) and not any(found["source_tokens"][row][source:])
        assert all(found["target_tokens"][row][:target]) and not any(found["target_tokens"][row][target:])


def test_a_likelier_translation_has_the_higher_log_probability(call: Call, lines: list[str]) -> None:
    (best,) = call("serving_default", text=lines[:1])["translation"]
    found = call("score", text=lines[:1] * 2, translation=[best, best + b" " + best])["log_probability"]
    assert found[1] < found[0] < 0


@pytest.mark.parametrize("name", EVERY)
def test_the_ceiling_of_texts_is_said(name: str, call: Call, translator: Translator) -> None:
    fits = "é" * 255  # in two bytes, two tokens each, besides one for the start of a word
    assert len(translator.source_tokenizer.encode([fits])[0]) == LONGEST_SOURCE - 1
    blanks = fits + " " * (LONGEST_SOURCE_BYTES - 1 - 2 * 255)  # the ceiling of bytes cuts what follows
    found = call(name, **inputs_for(name, ["a", fits, fits + "é", fits + "é" * 99_000, blanks + "é"]))
    assert found.pop("truncated").tolist() == [False, False, True, True, True]
    for value in found.values():
        # What is beyond the ceiling is not read.
        if value.dtype.kind == "f":
            np.testing.assert_allclose(value[2:], value[[1, 1, 1]], rtol=1e-5, atol=1e-4)
        else:
            assert value[2:].tolist() == value[[1, 1, 1]].tolist()


def test_the_ceiling_of_scored_translations_is_said(
    call: Call, translator: Translator, caplog: pytest.LogCaptureFixture
) -> None:
    fits = "é" * (LONGEST_TARGET // 2 - 1)
    assert len(translator.target_tokenizer.encode([fits])[0]) == LONGEST_TARGET - 1
    targets = [fits, fits + "é", fits + "é" * 99_000, "ein Hund"]
    found = call("score", text=["a dog"] * 4, translation=targets)
    assert found["truncated"].tolist() == [False, True, True, False]
    whole, cut, longer, short = found["log_probability"].tolist()
    assert cut == pytest.approx(longer, rel=1e-6)
    scores, cuts = translator.score_and_cuts(["a dog"] * 4, targets)
    assert cuts == {1, 2}
    np.testing.assert_allclose(found["log_probability"], scores, rtol=1e-5)
    # The end is not counted where there is more to come: it would not be there.
    end = translator.score(["a dog"], [fits])[0] - cut
    assert end < 0 and short > whole
    assert "2 of 4 translations have more than 2047 tokens" in caplog.text


def test_the_ceilings_of_bytes_are_those_of_the_run(call: Call, translator: Translator) -> None:
    cut = text_beyond(b"a dog", LONGEST_SOURCE_BYTES).decode()
    whole = cut.split("語")[0] + "a"
    lines = [cut, whole, "a dog"]
    found = call("serving_default", text=lines)
    here = translator.translate(lines)
    assert found["truncated"].tolist() == [each.truncated for each in here] == [True, False, False]
    assert [text.decode() for text in found["translation"]] == [each.text for each in here]
    assert found["translation"][0] == found["translation"][2]
    targets = [text_beyond(b"ein Hund", LONGEST_TARGET_BYTES).decode(), "ein Hund"]
    found = call("score", text=["a dog"] * 2, translation=targets)
    scores, cuts = translator.score_and_cuts(["a dog"] * 2, targets)
    assert found["truncated"].tolist() == [True, False] and cuts == {0}
    np.testing.assert_allclose(found["log_probability"], scores, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "inputs"),
    [
        ("n_best", {"text": ["a", "b"], "n": [1]}),
        ("n_best", {"text": ["a"], "n": [1, 2]}),
        ("n_best", {"text": [], "n": [1]}),
        ("score", {"text": ["a", "b"], "translation": ["a"]}),
        ("score", {"text": ["a"], "translation": ["a", "b"]}),
        ("score", {"text": ["a"], "translation": []}),
    ],
)
def test_inputs_of_different_lengths_are_refused(name: str, inputs: dict[str, list[Any]], call: Call) -> None:
    texts, others = (len(values) for values in inputs.values())
    words = rf"received\] \[{others}\] \[values for\] \[{texts}\] \[texts; expected one for each text"
    with pytest.raises(tf.errors.InvalidArgumentError, match=words):
        call(name, **inputs)


def test_two_vocabularies(tmp_path: Path, translator: Translator, lines: list[str]) -> None:
    """Each side's pieces come from its own tokenizer."""
    from nmt.translator import make_model
    from textseq.tokenization import TokenizationConfig
    from textseq.tokenizer_training import train_tokenizer

    upper = [line.upper() for line in lines]
    target = train_tokenizer(upper, TokenizationConfig(), vocabulary_size=330, seed=1)
    config = translator.config.with_overrides(["tokenization.joint=false", "model.tied_embeddings=false"])
    source = translator.source_tokenizer
    other = Translator(make_model(config, source, target), source, target, config)
    found = caller(other)("align", text=lines[:2])
    for row, expected in enumerate(other.translate(lines[:2], attention=True)):
        assert found["source_tokens"][row][: found["source_length"][row]].tolist() == [
            piece.encode() for piece in expected.source_pieces
        ]
        assert found["target_tokens"][row][: found["target_length"][row]].tolist() == [
            piece.encode() for piece in expected.target_pieces
        ]
