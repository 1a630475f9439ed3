from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nmt.config import Config, CorpusConfig, TranslationTokenizationConfig
from nmt.data import TranslationData, choose_token_budget, prepare_data
from nmt.translation_data import PreparationReport
from textseq import token_sampling
from textseq.batching_config import BatchingConfig
from textseq.cleaning import CleaningConfig
from textseq.corpus import read_lines, sentence_key
from textseq.errors import ConfigurationError, CorpusError, RunDirectoryError
from textseq.run_directory import RunDirectory

ROOT = Path(__file__).resolve().parents[2]
NOUNS = ("dog", "cat", "man", "woman", "child", "bird", "horse", "teacher", "farmer", "doctor")
VERBS = ("sleeps", "runs", "eats", "sings", "works", "waits", "swims", "reads")
PLACES = ("in the garden", "at home", "under a tree", "by the river")
SOURCES = [f"The {noun} {verb} {place}." for noun in NOUNS for verb in VERBS for place in PLACES]
TARGETS = [f"{place} {verb} {noun}, ja ja" for noun in NOUNS for verb in VERBS for place in PLACES]


def write_lines(path: Path, lines: list[str]) -> str:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(path)


def silent(message: str) -> None:
    """Takes a notice."""


def settings(
    *,
    source: str | None = None,
    target: str | None = None,
    valid_source: str | None = None,
    valid_target: str | None = None,
    seed: int = 1,
    cleaning: dict[str, Any] | None = None,
    tokenization: dict[str, Any] | None = None,
    batching: dict[str, Any] | None = None,
) -> Config:
    return Config(
        seed=seed,
        corpus=CorpusConfig(source=source, target=target, valid_source=valid_source, valid_target=valid_target),
        cleaning=CleaningConfig(**(cleaning or {})),
        tokenization=TranslationTokenizationConfig(**{"vocabulary_size": 320, **(tokenization or {})}),
        batching=BatchingConfig(**{"token_budget": 600, **(batching or {})}),
    )


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """A tiny corpus with validation files."""
    return {
        "source": write_lines(tmp_path / "train.en", SOURCES[:300]),
        "target": write_lines(tmp_path / "train.de", TARGETS[:300]),
        "valid_source": write_lines(tmp_path / "valid.en", SOURCES[300:]),
        "valid_target": write_lines(tmp_path / "valid.de", TARGETS[300:]),
    }


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[[], RunDirectory]:
    numbers = iter(range(100))
    return lambda: RunDirectory.create(tmp_path / f"run{next(numbers)}", "nmt")


def content(run: RunDirectory) -> dict[str, bytes]:
    folders = (run.data_path, run.tokenizer_path)
    return {f"{folder.name}/{path.name}": path.read_bytes() for folder in folders for path in folder.iterdir()}


def texts(run: RunDirectory, part: str) -> list[tuple[str, str]]:
    sides = [read_lines(run.data_path / f"{part}.{side}.txt") for side in ("source", "target")]
    return list(zip(*sides, strict=True))


def sentences(data: TranslationData, epoch: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Checks every batch of an epoch against the definition, and returns the ids of all real rows by sentence."""
    pad, _, bos, eos = data.special_ids
    found: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {}
    for batch in data.batches(epoch):
        arrays = data.arrays(batch, epoch)
        size, source_length, target_length = batch.shape
        assert batch.shape in data.plan.shapes
        assert all(array.dtype == np.int32 for array in arrays)
        assert arrays.source_ids.shape == (size, source_length)
        assert arrays.target_input_ids.shape == arrays.target_label_ids.shape == (size, target_length)
        for row in range(size):
            source = [int(piece) for piece in arrays.source_ids[row] if piece != pad]
            inputs = [int(piece) for piece in arrays.target_input_ids[row] if piece != pad]
            labels = [int(piece) for piece in arrays.target_label_ids[row] if piece != pad]
            for array, ids in zip(arrays, (source, inputs, labels), strict=True):
                assert array[row, : len(ids)].tolist() == ids  # all padding stands on the right
            assert source[-1] == eos
            assert inputs[0] == bos
            if row < len(batch.indices):
                assert labels[-1] == eos
                assert inputs[1:] == labels[:-1]
                assert eos not in source[:-1]
                found[int(batch.indices[row])] = (tuple(source[:-1]), tuple(labels[:-1]))
            else:
                assert (source, inputs, labels) == ([eos], [bos], [])
    assert sorted(found) == list(range(data.training_pairs))
    return [found[index] for index in sorted(found)]


def decoded(data: TranslationData, epoch: int = 0) -> list[tuple[str, str]]:
    return [
        (data.source_tokenizer.decode(source), data.target_tokenizer.decode(target))
        for source, target in sentences(data, epoch)
    ]


@pytest.mark.parametrize("joint", [True, False])
def test_batches_hold_the_cleaned_text(joint: bool, files: dict[str, str], new_run: Callable[[], RunDirectory]) -> None:
    run = new_run()
    data = prepare_data(settings(**files, tokenization={"joint": joint}), run, silent)
    pairs = list(zip(SOURCES[:300], TARGETS[:300], strict=True))
    assert texts(run, "train") == pairs
    assert decoded(data) == pairs
    assert data.training_pairs == data.report.kept == data.report.read == 300
    assert data.joint is joint
    assert (data.source_tokenizer is data.target_tokenizer) is joint
    models = ["joint.model"] if joint else ["source.model", "target.model"]
    assert sorted(path.name for path in run.tokenizer_path.iterdir()) == models
    assert data.special_ids == (0, 1, 2, 3)
    assert data.choices == {}
    record = json.loads((run.data_path / "cleaning.json").read_text(encoding="utf-8"))
    assert (record["training_pairs"], record["validation_pairs"], record["validation_from"]) == (300, 20, "files")


def test_validation_batches_hold_every_pair_in_few_shapes(
    files: dict[str, str], new_run: Callable[[], RunDirectory]
) -> None:
    data = prepare_data(settings(**files), new_run(), silent)
    assert data.validation_texts() == (SOURCES[300:], TARGETS[300:])
    batches = data.validation_batches()
    assert len({batch.source_ids.shape for batch in batches}) <= 3
    lengths = [batch.source_ids.shape[1] for batch in batches]
    assert lengths == sorted(lengths, reverse=True)
    pad, _, _, eos = data.special_ids
    found = [
        (data.source_tokenizer.decode(source), data.target_tokenizer.decode(labels))
        for batch in batches
        for source, labels in zip(batch.source_ids, batch.target_label_ids, strict=True)
        if (labels != pad).any()
    ]
    assert sorted(found) == sorted(zip(SOURCES[300:], TARGETS[300:], strict=True))
    assert all((batch.target_label_ids == eos).any(axis=1).sum() <= len(SOURCES[300:]) for batch in batches)


def test_validation_files_are_copied_uncleaned_and_cut_only_in_the_ids(
    tmp_path: Path, files: dict[str, str], new_run: Callable[[], RunDirectory]
) -> None:
    sources = ["", "  two  spaces ", "a\x0bb\u2028c", "long " * 40]
    targets = ["leer", "", "x", "lang " * 40]
    files["valid_source"] = write_lines(tmp_path / "odd.en", sources)
    files["valid_target"] = write_lines(tmp_path / "odd.de", targets)
    said: list[str] = []
    data = prepare_data(settings(**files, batching={"max_length": 60}), new_run(), said.append)
    assert data.validation_texts() == (sources, targets)
    assert [line for line in said if "cut" in line] == [
        "cut to 60 tokens for the validation loss: 2 sides of validation pairs"
    ]
    longest = data.validation_batches()[0]
    assert longest.source_ids.shape[1] == 60
    assert longest.source_ids[0, -1] == longest.target_label_ids[0, -1] == data.special_ids.eos_id


def test_split_keeps_sources_apart(tmp_path: Path, new_run: Callable[[], RunDirectory]) -> None:
    sources = [*SOURCES, *(source.upper() for source in SOURCES)]  # each twice, by its key
    targets = [*TARGETS, *(f"{target}!" for target in TARGETS)]
    files = {"source": write_lines(tmp_path / "a", sources), "target": write_lines(tmp_path / "b", targets)}
    run = new_run()
    data = prepare_data(settings(**files), run, silent)
    training, validation = texts(run, "train"), texts(run, "valid")
    assert sorted(training + validation) == sorted(zip(sources, targets, strict=True))
    assert len(validation) == 32
    assert {sentence_key(pair[0]) for pair in training}.isdisjoint(sentence_key(pair[0]) for pair in validation)
    assert (data.report.kept, data.training_pairs) == (640, 608)
    assert decoded(data) == training
    assert sorted(path.name for path in run.data_path.iterdir()) == [
        "cleaning.json", "prepared.json", "train.source.ids", "train.source.txt", "train.target.ids",
        "train.target.txt", "valid.source.ids", "valid.source.txt", "valid.target.ids", "valid.target.txt",
    ]  # fmt: skip


def test_split_obeys_the_rule_about_held_out_lines(tmp_path: Path, new_run: Callable[[], RunDirectory]) -> None:
    targets = [TARGETS[index // 2] for index in range(len(SOURCES))]  # each on two sources
    sources, targets = ["", *SOURCES], ["removed before", *targets]
    files = {"source": write_lines(tmp_path / "a", sources), "target": write_lines(tmp_path / "b", targets)}
    run = new_run()
    data = prepare_data(settings(**files, cleaning={"drop_held_out": "line"}), run, silent)
    held_out = {target for _, target in texts(run, "valid")}
    assert not held_out & {target for _, target in texts(run, "train")}
    removed = data.report.removed["held_out_target"]
    assert removed > 0
    assert data.report.read == data.report.kept + removed + 1 == len(sources)
    assert data.training_pairs == data.report.kept - len(texts(run, "valid"))
    line = data.report.first_lines["held_out_target"][0]
    assert targets[line - 1] in held_out
    kept = prepare_data(settings(**files), new_run(), silent)
    assert kept.report.kept_overlaps["held_out_target"] == removed


def test_every_removed_pair_is_counted(tmp_path: Path, new_run: Callable[[], RunDirectory]) -> None:
    sources, targets = SOURCES[:100], TARGETS[:100]
    sources[2] = ""
    sources[10] = "word " * 60
    targets[20] = "wort " * 60
    sources[30] = "nul \0"
    files = {
        "source": write_lines(tmp_path / "a", sources),
        "target": write_lines(tmp_path / "b", targets),
        "valid_source": write_lines(tmp_path / "c", [SOURCES[40]]),
        "valid_target": write_lines(tmp_path / "d", [TARGETS[40]]),
    }
    said: list[str] = []
    run = new_run()
    config = settings(**files, cleaning={"max_length_ratio": 1e9}, batching={"max_length": 60})
    data = prepare_data(config, run, said.append)
    removed = {reason: count for reason, count in data.report.removed.items() if count}
    assert removed == {"empty_side": 1, "control_characters": 1, "held_out_pair": 1, "too_many_tokens": 2}
    assert data.report.first_lines["too_many_tokens"] == [11, 21]
    assert (data.report.read, data.report.kept, data.training_pairs) == (100, 95, 95)
    gone = {2, 10, 20, 30, 40}
    expected = [pair for index, pair in enumerate(zip(sources, targets, strict=True)) if index not in gone]
    assert texts(run, "train") == expected
    assert decoded(data) == expected
    rows = data.report.rows()
    assert rows[-2:] == [("removed: too many tokens", 2, "lines 11, 21"), ("kept", 95, "")]
    assert "left out for more than 60 tokens a side: 2 training pairs" in said
    assert prepare_data(config, run, silent).report == data.report


def test_report_has_the_reason_from_the_start() -> None:
    report = PreparationReport()
    assert ("removed: too many tokens", 0, "") in report.rows()
    assert PreparationReport.from_dict(report.to_dict()) == report


def test_choices_are_made_and_reported(files: dict[str, str], new_run: Callable[[], RunDirectory]) -> None:
    config = settings(**files, tokenization={"vocabulary_size": None}, batching={"token_budget": None})
    said: list[str] = []
    run = new_run()
    data = prepare_data(config, run, said.append)
    assert data.choices == {"tokenization.vocabulary_size": 400, "batching.token_budget": 512}
    assert "chosen from the corpus: tokenization.vocabulary_size = 400" in said
    # What was chosen may be written out when training goes on, something else may not.
    prepared = settings(**files, tokenization={"vocabulary_size": 400}, batching={"token_budget": 512})
    assert prepare_data(prepared, run, silent).choices == data.choices
    other = settings(**files, tokenization={"vocabulary_size": 401}, batching={"token_budget": None})
    with pytest.raises(RunDirectoryError, match=r"\(tokenization.vocabulary_size: 400 -> 401\); give the same"):
        prepare_data(other, run, silent)


@pytest.mark.parametrize(("pairs", "budget"), [(0, 512), (3_000, 1024), (30_000, 2304), (1_000_000, 6144)])
def test_token_budget_grows_with_the_corpus(pairs: int, budget: int) -> None:
    assert choose_token_budget(pairs) == budget


def test_token_budget_has_room_for_the_longest_row() -> None:
    assert choose_token_budget(10, longest=2000) == 2048
    budgets = [choose_token_budget(pairs) for pairs in range(0, 2_000_000, 9973)]
    assert budgets == sorted(budgets)


def test_pairs_come_from_standard_input(
    tmp_path: Path, new_run: Callable[[], RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{source}\t{target}" for source, target in zip(SOURCES, TARGETS, strict=True)]
    table = write_lines(tmp_path / "pairs.tsv", lines)
    from_file, piped = new_run(), new_run()
    prepare_data(settings(source=table), from_file, silent)
    stream = io.TextIOWrapper(io.BytesIO(Path(table).read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)
    prepare_data(settings(source="-"), piped, silent)
    first, second = content(from_file), content(piped)
    del first["data/prepared.json"], second["data/prepared.json"]  # it names the file
    assert first == second
    assert stream.buffer.read() == b""
    assert prepare_data(settings(source="-"), piped, silent).training_pairs == len(SOURCES) - 16


def test_validation_pairs_come_from_one_file(tmp_path: Path, new_run: Callable[[], RunDirectory]) -> None:
    table = write_lines(tmp_path / "pairs.tsv", [f"{SOURCES[300]}\t{TARGETS[300]}"])
    training = [f"{source}\t{target}" for source, target in zip(SOURCES[:300], TARGETS[:300], strict=True)]
    config = settings(source=write_lines(tmp_path / "train.tsv", training), valid_source=table)
    assert prepare_data(config, new_run(), silent).validation_texts() == ([SOURCES[300]], [TARGETS[300]])


def test_sides_of_unequal_length_leave_the_run_as_it_was(
    tmp_path: Path, files: dict[str, str], new_run: Callable[[], RunDirectory]
) -> None:
    run = new_run()
    with pytest.raises(CorpusError, match=r"has 300 lines, but .*short.de has 299"):
        files_cut = {**files, "target": write_lines(tmp_path / "short.de", TARGETS[:299])}
        prepare_data(settings(**files_cut), run, silent)
    assert content(run) == {}


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"source": None}, ConfigurationError, "corpus.source is not set; expected a text file, or - for pairs on"),
        ({"source": "nowhere.en"}, CorpusError, "nowhere.en: no such file"),
        ({"valid_target": "nowhere.de"}, CorpusError, "nowhere.de: no such file"),
        ({"valid_source": None}, ConfigurationError, "corpus.valid_source is not set; set both or neither"),
        (
            {"valid_target": None},
            ConfigurationError,
            "valid.en, but corpus.valid_target is not set; expected a file for each side, as for the training text; "
            "give --valid-target F",
        ),
        (
            {"source": "-", "valid_source": "-"},
            ConfigurationError,
            "corpus.source and corpus.valid_source are both standard input, which can be read once",
        ),
    ],
)
def test_files_are_checked_before_any_work(
    changes: dict[str, str | None],
    error: type[Exception],
    words: str,
    files: dict[str, str],
    new_run: Callable[[], RunDirectory],
) -> None:
    run = new_run()
    said: list[str] = []
    with pytest.raises(error, match=words):
        prepare_data(settings(**{**files, **changes}), run, said.append)
    assert (said, content(run)) == ([], {})


def test_too_long_for_all_is_said(files: dict[str, str], new_run: Callable[[], RunDirectory]) -> None:
    with pytest.raises(CorpusError, match=r"none of 300 pairs has at most 3 tokens a side; raise batching.max_length"):
        prepare_data(settings(**files, batching={"max_length": 3}), new_run(), silent)


def test_nothing_but_validation_is_said(tmp_path: Path, new_run: Callable[[], RunDirectory]) -> None:
    targets = ["immer gleich"] * len(SOURCES)
    files = {"source": write_lines(tmp_path / "a", SOURCES), "target": write_lines(tmp_path / "b", targets)}
    with pytest.raises(CorpusError, match="nothing is left to train on after the validation pairs are taken out"):
        prepare_data(settings(**files, cleaning={"drop_held_out": "line"}), new_run(), silent)


@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
def test_subwords_are_drawn_anew_each_epoch(
    algorithm: str, files: dict[str, str], new_run: Callable[[], RunDirectory]
) -> None:
    run = new_run()
    config = settings(**files, tokenization={"algorithm": algorithm, "sampling": 0.3})
    data = prepare_data(config, run, silent)
    epochs = [sentences(data, epoch) for epoch in range(3)]
    for side in (0, 1):
        assert len({tuple(pair[side] for pair in epoch) for epoch in epochs}) == 3
    pairs = list(zip(SOURCES[:300], TARGETS[:300], strict=True))
    assert decoded(data, 1) == pairs
    assert sorted(path.name for path in run.data_path.glob("sampled-*")) == [
        "sampled-1.source.ids",
        "sampled-1.target.ids",
    ]


def test_sides_are_drawn_apart(tmp_path: Path, new_run: Callable[[], RunDirectory]) -> None:
    path = write_lines(tmp_path / "same", SOURCES)
    data = prepare_data(settings(source=path, target=path, tokenization={"sampling": 0.3}), new_run(), silent)
    assert any(source != target for source, target in sentences(data, 0))


def test_draws_that_become_too_long_fall_back(files: dict[str, str], new_run: Callable[[], RunDirectory]) -> None:
    plain = prepare_data(settings(**files), new_run(), silent)
    unsampled = sentences(plain, 0)
    limit = 1 + max(len(side) for pair in unsampled for side in pair)
    config = settings(**files, tokenization={"sampling": 0.5}, batching={"max_length": limit})
    data = prepare_data(config, new_run(), silent)
    assert data.training_pairs == 300
    for epoch in range(3):
        drawn = sentences(data, epoch)
        assert any(one[0] == other[0] for one, other in zip(drawn, unsampled, strict=True))
        assert any(one[0] != other[0] for one, other in zip(drawn, unsampled, strict=True))


def test_shapes_hold_the_unsampled_ids_too(
    files: dict[str, str], new_run: Callable[[], RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = new_run()
    with monkeypatch.context() as patch:
        patch.setattr(token_sampling, "sampled_ids", lambda *_, **__: [[3]] * 300)  # shorter than all that follow
        data = prepare_data(settings(**files, tokenization={"sampling": 0.3}), run, silent)
    prepared = json.loads((run.data_path / "prepared.json").read_text(encoding="utf-8"))
    assert [list(shape) for shape in data.plan.shapes] == prepared["shapes"]  # no spare shape had to be added
    assert decoded(data) == list(zip(SOURCES[:300], TARGETS[:300], strict=True))


def test_chunks_do_not_move_lines(
    files: dict[str, str], new_run: Callable[[], RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_sampling, "_LINES_AT_ONCE", 7)
    config = settings(**files, tokenization={"sampling": 0.3}, batching={"max_length": 50})
    assert decoded(prepare_data(config, new_run(), silent)) == list(zip(SOURCES[:300], TARGETS[:300], strict=True))


def test_multi30k(corpora: Path, new_run: Callable[[], RunDirectory]) -> None:
    folder = corpora / "multi30k"
    files = {
        "source": str(folder / "train.en"),
        "target": str(folder / "train.de"),
        "valid_source": str(folder / "val.en"),
        "valid_target": str(folder / "val.de"),
    }
    config = settings(**files, tokenization={"vocabulary_size": None}, batching={"token_budget": None})
    data = prepare_data(config, new_run(), silent)
    assert data.report.read == 29_000
    assert data.training_pairs == data.report.kept > 28_900
    assert data.choices["batching.token_budget"] == 2304
    assert 5_000 <= data.choices["tokenization.vocabulary_size"] <= 8_000
    assert data.plan.padding_waste() < 0.10
    assert len(data.plan.shapes) <= 16
    assert len(data.validation_texts()[0]) == 1014
    assert len(sentences(data, 0)) == data.training_pairs
    assert len({batch.source_ids.shape for batch in data.validation_batches()}) <= 8
