"""From unlabelled text to batches of windows: the same bytes again, every token once, and what is refused."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest

from classifiers.pretraining_config import PretrainingConfig
from classifiers.pretraining_data import PretrainingData, choose_token_budget, prepare_pretraining_data
from textseq.errors import ConfigurationError, CorpusError, RunDirectoryError
from textseq.run_directory import RunDirectory

SETTINGS = (
    *("tokenization.vocabulary_size=300", "tokenization.sampling=0"),
    *("batching.max_length=8", "batching.token_budget=64"),
)


@pytest.fixture(scope="module")
def lines(tiny_texts: list[tuple[str, str]]) -> list[str]:
    return [text for _, text in tiny_texts[:200]]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> PretrainingConfig:
    path = tmp_path_factory.mktemp("unlabelled") / "text.txt"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return PretrainingConfig().with_overrides([f"corpus.text={path}", *SETTINGS])


def prepared(config: PretrainingConfig, run: Path, told: list[str] | None = None) -> PretrainingData:
    notify = (told if told is not None else []).append
    return prepare_pretraining_data(config, RunDirectory.create(run, "pretraining"), notify)


def pairs(arrays: list[np.ndarray], pad_id: int) -> list[tuple[int, int]]:
    found = [(row[at], row[at + 1]) for array in arrays for row in array.tolist() for at in range(len(row) - 1)]
    return sorted(pair for pair in found if pair[1] != pad_id)


def neighbours(data: PretrainingData, texts: list[str]) -> list[tuple[int, int]]:
    special = data.special_ids
    whole = [[special.bos_id, *ids, special.eos_id] for ids in data.tokenizer.encode(texts)]
    return sorted(pair for ids in whole for pair in itertools.pairwise(ids))


def test_every_token_is_predicted_once_an_epoch(tmp_path: Path, config: PretrainingConfig) -> None:
    data = prepared(config, tmp_path / "run")
    train = (tmp_path / "run" / "data" / "train.text.txt").read_text().splitlines()
    expected = neighbours(data, train)
    for epoch in (0, 1):
        arrays = [data.arrays(batch, epoch) for batch in data.batches(epoch)]
        assert max(array.shape[1] for array in arrays) == 8
        assert all(array.size <= 64 for array in arrays)
        assert pairs(arrays, data.special_ids.pad_id) == expected
    valid = (tmp_path / "run" / "data" / "valid.text.txt").read_text().splitlines()
    assert pairs(data.validation_batches(), data.special_ids.pad_id) == neighbours(data, valid)
    assert data.training_tokens == len(expected)


def test_the_split_holds_out_whole_texts(tmp_path: Path, config: PretrainingConfig, lines: list[str]) -> None:
    data = prepared(config, tmp_path / "run")
    train, valid = ((tmp_path / f"run/data/{part}.text.txt").read_text().splitlines() for part in ("train", "valid"))
    assert sorted(train + valid) == sorted(lines)
    assert (len(train), len(valid)) == (data.training_texts, 10)
    other = prepared(config.with_overrides(["seed=2"]), tmp_path / "other")
    assert (tmp_path / "other/data/valid.text.txt").read_text().splitlines() != valid
    assert other.training_texts == len(train)


def test_sampled_subwords_are_drawn_anew_each_epoch(tmp_path: Path, config: PretrainingConfig) -> None:
    data = prepared(config.with_overrides(["tokenization.sampling=0.3"]), tmp_path / "run")
    epochs = [[data.arrays(batch, epoch) for batch in data.batches(epoch)] for epoch in (0, 1, 0)]
    found = [pairs(arrays, data.special_ids.pad_id) for arrays in epochs]
    assert found[0] == found[2] != found[1]
    for one, other in zip(epochs[0], epochs[2], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_given_validation_text_is_copied_and_kept_out(tmp_path: Path, config: PretrainingConfig) -> None:
    lines = Path(config.corpus.text or "").read_text().splitlines()
    (tmp_path / "valid.txt").write_text(f"{lines[3].upper()}\n\n", encoding="utf-8")
    run = tmp_path / "run"
    data = prepared(config.with_overrides([f"corpus.valid_text={tmp_path / 'valid.txt'}"]), run)
    assert (run / "data/valid.text.txt").read_text() == f"{lines[3].upper()}\n\n"
    assert data.report.removed["held_out_validation"] == 1
    assert lines[3] not in (run / "data/train.text.txt").read_text().splitlines()
    assert data.training_texts == len(lines) - 1


def test_a_folder_of_files_is_a_text_for_each(tmp_path: Path, config: PretrainingConfig, lines: list[str]) -> None:
    folder = tmp_path / "unsup"
    folder.mkdir()
    for number, line in enumerate(lines[:40]):
        (folder / f"{number}_0.txt").write_text(line.replace(" ", "\n", 1), encoding="utf-8")
    data = prepared(config.with_overrides([f"corpus.text={folder}"]), tmp_path / "run")
    assert data.report.kept == 40
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match=r"empty: is empty; expected a file, one text a line, or a folder with"):
        prepared(config.with_overrides([f"corpus.text={tmp_path / 'empty'}"]), tmp_path / "other")


def test_what_is_refused(tmp_path: Path, config: PretrainingConfig) -> None:
    def refused(*settings: str, run: str = "run") -> pytest.ExceptionInfo[Exception]:
        with pytest.raises((CorpusError, ConfigurationError, RunDirectoryError)) as caught:
            prepared(config.with_overrides(settings), tmp_path / run)
        return caught

    for name, content in (("empty", ""), ("blank", "\n \n"), ("one", "the same\nThe  same\n")):
        (tmp_path / name).write_text(content, encoding="utf-8")
    assert refused("corpus.text=none").match(r"corpus.text is not set; expected a file, one text a line, a folder")
    assert refused(f"corpus.text={tmp_path / 'missing'}").match("missing: no such file; expected a text file")
    assert refused(f"corpus.text={tmp_path / 'empty'}").match("empty: is empty; expected a file, one text a line")
    assert refused(f"corpus.valid_text={tmp_path / 'empty'}").match("empty: is empty; expected a file, one text a line")
    assert refused(f"corpus.text={tmp_path / 'blank'}").match(r"none of 2 texts is left after cleaning \(empty: 2")
    words = "1 text cannot be split into training and validation: too few different ones; add text, or give"
    assert refused(f"corpus.text={tmp_path / 'one'}").match(words)
    assert refused("batching.token_budget=4").match("batching.token_budget is 4, but one row of the longest shape")
    roomless = ("tokenization.sampling=0.1", "batching.max_length=100")
    assert refused(*roomless, run="roomless").match("set batching.token_budget to at least 100 or lower batching.max_")
    prepared(config, tmp_path / "begun")
    assert refused("seed=7", run="begun").match(r"begun: its data were prepared with another configuration \(seed: 1")
    moved = tmp_path / "moved.txt"
    shutil.copy(config.corpus.text or "", moved)
    assert prepared(config.with_overrides([f"corpus.text={moved}"]), tmp_path / "begun").training_texts == 190
    moved.write_text("another text\n", encoding="utf-8")
    assert refused(f"corpus.text={moved}", run="begun").match(r"moved.txt: has changed since the run .*begun began")


def test_the_budget_grows_with_the_text() -> None:
    budgets = [choose_token_budget(tokens, 300) for tokens in (0, 10**4, 10**5, 10**6, 10**7, 10**9)]
    assert budgets == sorted(budgets)
    assert (budgets[0], budgets[-1]) == (512, 4096)
    assert choose_token_budget(0, 300, longest=1000) == 1000
    assert [choose_token_budget(10**9, vocabulary) * vocabulary < 2**26 for vocabulary in (20_000, 32_000)] == [
        True
    ] * 2
