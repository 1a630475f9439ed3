"""Input lines, padded batches, and the best weights of a run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textseq.errors import CheckpointError, InputError, RunDirectoryError
from textseq.inference import (
    assign_weights,
    batched_indices,
    encode_cut,
    load_best,
    padded,
    text_lines,
    without_warnings,
)
from textseq.run_directory import RunDirectory
from textseq.tokenization import TokenizationConfig
from textseq.tokenizer_training import train_tokenizer


def test_lines_are_text_that_an_encoding_can_hold() -> None:
    assert text_lines(["a", "", "日 \ud800"]) == ["a", "", "日 \ufffd"]
    assert text_lines(()) == []
    assert text_lines(line for line in ("a", "b")) == ["a", "b"]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("one text", r"received one text, expected a list of lines; write \['one text'\]"),
        (7, "received 7, expected a list of lines"),
        (["a", None], "line 1 of the list: received NoneType None, expected text"),
        ([b"a"], "line 0 of the list: received bytes b'a', expected text"),
    ],
)
def test_what_is_no_list_of_lines(lines: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        text_lines(lines)


def test_long_lines_are_cut_and_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = train_tokenizer(["a b c"], TokenizationConfig(), vocabulary_size=300, seed=1)
    plain = tokenizer.encode(["a", "a b c a b c"])
    longest = len(plain[1])
    ids, cut = encode_cut(tokenizer, ["a", "a b c a b c"], longest, 99, noun="texts", advice="divide them")
    assert ids == [[*plain[0], tokenizer.eos_id], [*plain[1][:-1], tokenizer.eos_id]]
    assert cut == {1}
    assert f"1 of 2 texts have more than {longest - 1} tokens, the longest {longest}; only so many" in caplog.text
    assert "divide them" in caplog.text
    assert encode_cut(tokenizer, ["a b c a b c"], longest + 1, 99, noun="texts", advice="")[1] == frozenset()


def test_lines_of_too_many_bytes_are_cut_before_they_are_tokenized(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = train_tokenizer(["a b c"], TokenizationConfig(), vocabulary_size=300, seed=1)
    lines = ["a b c", "a b" + " " * 90 + "語 c", "a b ö", "a b c a b c a b c"]
    ids, cut = encode_cut(tokenizer, lines, 9, 6, noun="texts", advice="divide them")
    plain = tokenizer.encode(["a b c", "a b", "a b ö", "a b c "])
    assert ids == [[*one[:8], tokenizer.eos_id] for one in plain]
    assert cut == {1, 3}
    assert caplog.messages == [
        "2 of 4 texts have more than 6 bytes; only so many, and of these 8 tokens, are read of each: divide them"
    ]


def test_warnings_of_texts_that_are_ours_are_not_said(caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = train_tokenizer(["a b c"], TokenizationConfig(), vocabulary_size=300, seed=1)
    with without_warnings():
        assert encode_cut(tokenizer, ["a b c"], 9, 2, noun="texts", advice="")[1] == {0}
    assert caplog.messages == []
    encode_cut(tokenizer, ["a b c"], 9, 2, noun="texts", advice="")
    assert len(caplog.messages) == 1


@given(st.integers(1, 2), st.lists(st.integers(1, 40), max_size=30), st.integers(1, 100))
def test_every_index_comes_once_and_batches_keep_to_the_budget(sides: int, lengths: list[int], budget: int) -> None:
    table = np.array([[length] * sides for length in lengths]).reshape(-1, sides)
    batches = list(batched_indices(table, budget))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[index] for index in batch)
        assert sides * longest * len(batch) <= max(budget, sides * max(lengths))


@given(st.lists(st.lists(st.integers(1, 9), max_size=5), min_size=1, max_size=5))
def test_padding_stands_on_the_right(rows: list[list[int]]) -> None:
    array = padded(rows, 0)
    assert array.dtype == np.int32
    assert array.shape == (len(rows), max(map(len, rows)))
    for row, ids in zip(array.tolist(), rows, strict=True):
        assert row == ids + [0] * (array.shape[1] - len(ids))


def test_no_weights_yet(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", "toy")
    with pytest.raises(RunDirectoryError) as caught:
        load_best(run)
    assert str(caught.value) == (
        f"{run.path}: no trained weights yet; expected {run.best_path}; go on with `toy train --run {run.path}`"
    )
    with pytest.raises(RunDirectoryError, match="go on with `toy pretrain --run "):
        load_best(run, "toy pretrain")


class Variable:
    """A weight of a model, as far as it is needed here."""

    def __init__(self, path: str, *shape: int) -> None:
        self.path, self.shape = path, shape
        self.value = np.zeros(shape)

    def assign(self, value: Any) -> None:
        self.value = value


def test_weights_are_assigned_by_name(tmp_path: Path) -> None:
    run = RunDirectory.create(tmp_path / "run", "toy")
    weights = {"b": np.arange(3.0), "a": np.ones((2, 2)), "other": np.ones(1)}
    run.write_best(7, {"weights": weights}, {"step": 7})
    best = load_best(run)
    assert best.step == 7
    model = SimpleNamespace(trainable_variables=[Variable("a", 2, 2), Variable("b", 3)])
    assign_weights(model, best)
    for variable in model.trainable_variables:
        np.testing.assert_array_equal(variable.value, weights[variable.path])


@pytest.mark.parametrize(
    ("wanted", "words"),
    [(Variable("b", 4), r"b is \(3,\), expected \(4,\)"), (Variable("c", 4), r"c is nothing, expected \(4,\)")],
)
def test_weights_of_another_configuration(tmp_path: Path, wanted: Variable, words: str) -> None:
    run = RunDirectory.create(tmp_path / "run", "toy")
    run.write_best(7, {"weights": {"a": np.ones(2), "b": np.ones(3)}}, {})
    model = SimpleNamespace(trainable_variables=[Variable("a", 2), wanted])
    with pytest.raises(CheckpointError, match=rf"best: the weights are not of this configuration: {words}; restore "):
        assign_weights(model, load_best(run))
    assert not model.trainable_variables[0].value.any()
