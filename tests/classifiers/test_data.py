from __future__ import annotations

import gzip
import io
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from classifiers.classification_data import ClassificationData
from classifiers.config import Config
from classifiers.data import choose_token_budget, prepare_data
from textseq.corpus import read_lines, sentence_key
from textseq.errors import ConfigurationError, CorpusError, RunDirectoryError
from textseq.run_directory import RunDirectory
from textseq.token_store import TokenStore
from textseq.tokenization import Tokenizer

ROOT = Path(__file__).resolve().parents[2]
Rows = list[tuple[str, str]]


def write_rows(path: Path, rows: Rows) -> str:
    path.write_text("".join(f"{label}\t{text}\n" for label, text in rows), encoding="utf-8")
    return str(path)


def silent(message: str) -> None:
    """Takes a notice."""


def settings(*overrides: str, **files: str | Path | None) -> Config:
    named = [f"corpus.{role}={path}" for role, path in files.items() if path is not None]
    usual = ("tokenization.vocabulary_size=320", "tokenization.sampling=0", "batching.token_budget=600")
    return Config().with_overrides([*named, *usual, *overrides])


@pytest.fixture
def rows(tiny_texts: Rows) -> Rows:
    return tiny_texts[:330]


@pytest.fixture
def files(tmp_path: Path, rows: Rows) -> dict[str, str]:
    """A tiny corpus with a validation file."""
    return {
        "train": write_rows(tmp_path / "train.tsv", rows[:300]),
        "valid": write_rows(tmp_path / "valid.tsv", rows[300:]),
    }


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[[], RunDirectory]:
    numbers = iter(range(100))
    return lambda: RunDirectory.create(tmp_path / f"run{next(numbers)}", "classifiers")


def content(run: RunDirectory) -> dict[str, bytes]:
    folders = (run.data_path, run.tokenizer_path)
    return {f"{folder.name}/{path.name}": path.read_bytes() for folder in folders for path in folder.iterdir()}


def part(run: RunDirectory, name: str) -> list[tuple[tuple[str, ...], str]]:
    """A part of the prepared data as labels and text, from its files."""
    labels = json.loads((run.data_path / "labels.json").read_text(encoding="utf-8"))["labels"]
    numbers = TokenStore.open(run.data_path / f"{name}.labels")
    texts = read_lines(run.data_path / f"{name}.text.txt")
    return [(tuple(labels[number] for number in row), text) for row, text in zip(numbers, texts, strict=True)]


def decoded(data: ClassificationData, epoch: int = 0) -> list[tuple[tuple[str, ...], str]]:
    """Checks every batch of an epoch against the definition, and returns labels and text of all real rows."""
    pad, eos = data.special_ids.pad_id, data.special_ids.eos_id
    labels = data.labels.labels
    found: dict[int, tuple[tuple[str, ...], str]] = {}
    for batch in data.batches(epoch):
        arrays = data.arrays(batch, epoch)
        size, length = batch.shape
        assert batch.shape in data.plan.shapes
        assert all(array.dtype == np.int32 for array in arrays)
        assert arrays.token_ids.shape == (size, length)
        assert arrays.targets.shape == (size, len(labels))
        assert arrays.present.tolist() == [1] * len(batch.indices) + [0] * (size - len(batch.indices))
        for row in range(size):
            ids = [int(piece) for piece in arrays.token_ids[row] if piece != pad]
            assert arrays.token_ids[row, : len(ids)].tolist() == ids  # all padding stands on the right
            assert ids[-1] == eos
            assert eos not in ids[:-1]
            if row < len(batch.indices):
                chosen = tuple(labels[number] for number in np.flatnonzero(arrays.targets[row]))
                found[int(batch.indices[row])] = (chosen, data.tokenizer.decode(ids))
            else:
                assert ids == [eos]
                assert not arrays.targets[row].any()
    assert sorted(found) == list(range(data.training_texts))
    return [found[index] for index in sorted(found)]


def as_sets(rows: Rows) -> list[tuple[tuple[str, ...], str]]:
    return [((label,), text) for label, text in rows]


def test_batches_hold_the_cleaned_text(files: dict[str, str], rows: Rows, new_run: Callable[[], RunDirectory]) -> None:
    run = new_run()
    data = prepare_data(settings(**files), run, silent)
    assert part(run, "train") == decoded(data) == as_sets(rows[:300])
    assert part(run, "valid") == as_sets(rows[300:])
    assert data.training_texts == data.report.kept == data.report.read == 300
    assert data.labels.labels == ("negative", "neutral", "positive")
    assert data.labels.counts == (100, 100, 100)
    assert data.special_ids == (0, 1, 2, 3)
    assert data.choices == {}
    record = json.loads((run.data_path / "cleaning.json").read_text(encoding="utf-8"))
    assert (record["training_texts"], record["validation_texts"], record["validation_from"]) == (300, 30, "file")
    assert sorted(content(run)) == [
        "data/cleaning.json", "data/labels.json", "data/prepared.json", "data/train.labels.ids", "data/train.text.ids",
        "data/train.text.txt", "data/valid.labels.ids", "data/valid.text.ids", "data/valid.text.txt",
        "tokenizer/text.model",
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["csv", "jsonl", "folder", "tsv.gz"])
def test_every_format_gives_the_same_data(
    form: str, tmp_path: Path, files: dict[str, str], rows: Rows, new_run: Callable[[], RunDirectory]
) -> None:
    expected, run = new_run(), new_run()
    if form == "folder":  # there, the order is that of the names
        rows = sorted(rows[:300], key=lambda row: row[0])
        files["train"] = write_rows(tmp_path / "sorted.tsv", rows)
    prepare_data(settings(**files), expected, silent)
    path = tmp_path / f"other.{form}"
    if form == "csv":
        quoted = ('"{}",{}\n'.format(text.replace('"', '""'), label) for label, text in rows[:300])
        path.write_text("text,label\n" + "".join(quoted), encoding="utf-8")
    elif form == "jsonl":
        lines = (json.dumps({"label": label, "text": text}) + "\n" for label, text in rows[:300])
        path.write_text("".join(lines), encoding="utf-8")
    elif form == "folder":
        for number, (label, text) in enumerate(rows):
            (path / label).mkdir(parents=True, exist_ok=True)
            (path / label / f"{number:05}.txt").write_text(text, encoding="utf-8")
    else:
        path.write_bytes(gzip.compress(Path(files["train"]).read_bytes()))
    prepare_data(settings(train=path, valid=files["valid"]), run, silent)
    one, other = content(expected), content(run)
    for files_of in (one, other):
        del files_of["data/prepared.json"], files_of["data/cleaning.json"]
    assert one == other


def test_validation_batches_hold_every_text_in_few_shapes(
    files: dict[str, str], rows: Rows, new_run: Callable[[], RunDirectory]
) -> None:
    data = prepare_data(settings(**files), new_run(), silent)
    texts, targets = data.validation_texts()
    assert texts == [text for _, text in rows[300:]]
    assert [data.labels.labels[number] for number in targets.argmax(axis=1)] == [label for label, _ in rows[300:]]
    assert targets.dtype == np.int32
    assert targets.sum() == 30
    batches = data.validation_batches()
    assert len({batch.token_ids.shape for batch in batches}) <= 3
    lengths = [batch.token_ids.shape[1] for batch in batches]
    assert lengths == sorted(lengths, reverse=True)
    found = [
        (data.labels.labels[int(target.argmax())], data.tokenizer.decode(ids.tolist()))
        for batch in batches
        for ids, target, present in zip(batch.token_ids, batch.targets, batch.present, strict=True)
        if present
    ]
    assert sorted(found) == sorted(rows[300:])


def test_validation_files_are_copied_uncleaned(
    tmp_path: Path, files: dict[str, str], new_run: Callable[[], RunDirectory]
) -> None:
    odd = [
        ("negative", ""),
        ("negative", "fine"),
        ("neutral", "  two  spaces "),
        ("positive", "a\x0bb\u2028c\td"),
        ("positive", " ".join(map(str, range(40)))),
    ]
    valid = write_rows(tmp_path / "odd.tsv", odd)
    said: list[str] = []
    config = settings("batching.max_length=60", train=files["train"], valid=valid)
    data = prepare_data(config, new_run(), said.append)
    assert data.validation_texts()[0] == [text for _, text in odd]
    assert "cut after 60 tokens: 1 of 5 validation texts; batching.max_length is the limit" in said
    assert (data.report.noted["validation_cut"], data.report.noted["validation_empty"]) == (1, 1)
    batches = data.validation_batches()
    assert batches[0].token_ids.shape[1] == 60
    assert batches[0].token_ids[0, -1] == data.special_ids.eos_id
    shortest = batches[-1]
    assert shortest.token_ids[shortest.present > 0][-1].tolist()[:2] == [
        data.special_ids.eos_id,
        data.special_ids.pad_id,
    ]


def test_lone_surrogates_of_json_become_replacement_characters(
    tmp_path: Path, files: dict[str, str], new_run: Callable[[], RunDirectory]
) -> None:
    valid = tmp_path / "v.jsonl"
    labels = ("negative", "neutral", "positive")
    valid.write_text("".join(json.dumps({"text": "x \ud800", "label": label}) + "\n" for label in labels), "utf-8")
    data = prepare_data(settings(train=files["train"], valid=valid), new_run(), silent)
    assert data.validation_texts()[0] == ["x \ufffd"] * 3


def test_split_is_stratified_and_keeps_copies_together(
    tmp_path: Path, new_run: Callable[[], RunDirectory], rows: Rows
) -> None:
    rare = [row for row in rows if row[0] == "neutral"][:10]
    corpus = [row for row in rows if row[0] != "neutral"] + rare
    corpus += [(label, text.upper()) for label, text in corpus]  # each twice, by its key
    train = write_rows(tmp_path / "a.tsv", corpus)
    run = new_run()
    data = prepare_data(settings("cleaning.drop_duplicates=false", train=train), run, silent)
    training, validation = part(run, "train"), part(run, "valid")
    assert sorted(training + validation) == sorted(as_sets(corpus))
    assert {sentence_key(text) for _, text in training}.isdisjoint(sentence_key(text) for _, text in validation)
    assert Counter(labels[0] for labels, _ in validation) == {"negative": 22, "neutral": 2, "positive": 22}
    assert data.labels.counts == (198, 18, 198)
    assert data.labels.texts == data.training_texts == len(training)
    assert decoded(data) == training
    assert data.report.kept_overlaps["duplicate"] == 230


def test_every_removed_text_is_counted(tmp_path: Path, rows: Rows, new_run: Callable[[], RunDirectory]) -> None:
    corpus = list(rows[:100])
    corpus[2] = ("negative", "")
    corpus[30] = ("neutral", "nul \0")
    corpus[50] = corpus[10]  # a duplicate of line 11
    corpus[60] = (
        "negative" if corpus[20][0] != "negative" else "positive",
        corpus[20][1].upper(),
    )  # contradicts line 21
    corpus[70] = (corpus[70][0], "word " * 300)
    valid = [corpus[40], *rows[300:330]]
    test = [corpus[80], corpus[40], valid[5]]
    named = {
        name: write_rows(tmp_path / f"{name}.tsv", some)
        for name, some in (("train", corpus), ("valid", valid), ("test", test))
    }
    said: list[str] = []
    run = new_run()
    config = settings("batching.max_length=100", **named)
    data = prepare_data(config, run, said.append)
    assert {reason: count for reason, count in data.report.removed.items() if count} == {
        "empty": 1, "control_characters": 1, "held_out_validation": 1, "held_out_test": 1, "contradicting": 2,
        "duplicate": 1,
    }  # fmt: skip
    assert data.report.first_lines["contradicting"] == [21, 61]
    assert data.report.first_lines["duplicate"] == [51]
    assert {key: count for key, count in data.report.noted.items() if count} == {"cut": 1, "validation_in_test": 2}
    gone = {2, 10 + 40, 20, 30, 40, 60, 80}
    kept = [(label, text.strip()) for index, (label, text) in enumerate(corpus) if index not in gone]
    assert part(run, "train") == as_sets(kept)
    assert (data.report.read, data.report.kept, data.training_texts) == (100, 93, 93)
    assert "cleaning: removed: stands there with different labels: 2 (lines 21, 61)" in said
    assert "cleaning: validation texts that are also test texts: 2" in said
    assert "cut after 100 tokens: 1 of 93 training texts; batching.max_length is the limit" in said
    assert prepare_data(config, run, silent).report == data.report
    loose = ["cleaning.drop_contradictions=false", "cleaning.drop_duplicates=false", "cleaning.drop_held_out=false"]
    data = prepare_data(settings(*loose, **named), new_run(), silent)
    assert (data.report.kept, data.report.kept_overlaps) == (
        98,
        {"held_out_validation": 1, "held_out_test": 1, "contradicting": 2, "duplicate": 1},
    )


def test_long_texts_are_cut_and_keep_eos(tmp_path: Path, rows: Rows, new_run: Callable[[], RunDirectory]) -> None:
    corpus = [*rows[:299], (rows[299][0], "bird " * 500)]
    config = settings(
        "batching.max_length=40", "tokenization.sampling=0.3", train=write_rows(tmp_path / "x.tsv", corpus),
        valid=write_rows(tmp_path / "v.tsv", rows[300:]),
    )  # fmt: skip
    data = prepare_data(config, new_run(), silent)
    batches = [(batch, data.arrays(batch, 1)) for batch in data.batches(1)]
    row = next(arrays.token_ids[list(batch.indices).index(299)] for batch, arrays in batches if 299 in batch.indices)
    assert len(row) == 40
    assert row[-1] == data.special_ids.eos_id
    assert data.report.noted["cut"] == 1


def test_several_labels(tmp_path: Path, rows: Rows, new_run: Callable[[], RunDirectory]) -> None:
    lines = [
        (f"{label}, film" if "film" in text else "" if label == "neutral" else label, text) for label, text in rows
    ]
    run = new_run()
    train = write_rows(tmp_path / "m.tsv", lines)
    data = prepare_data(settings("corpus.multi_label=true", train=train), run, silent)
    assert data.labels.labels == ("film", "negative", "neutral", "positive")
    assert data.labels.multi_label
    everything = part(run, "train") + part(run, "valid")
    expected = [(tuple(sorted(filter(None, label.split(", ")))), text) for label, text in lines]
    assert sorted(everything) == sorted(expected)
    assert decoded(data) == part(run, "train")
    assert any(labels == () for labels, _ in part(run, "valid"))
    positive = sum("positive" in labels for labels, _ in part(run, "train"))
    assert data.labels.prior[3] == positive / data.training_texts
    texts, targets = data.validation_texts()
    assert targets.shape == (len(texts), 4)
    assert targets.any(axis=0).all()
    assert prepare_data(settings(), run, silent).labels == data.labels  # where no file is named, nor is how it is read


def test_texts_come_from_standard_input(
    tmp_path: Path, rows: Rows, new_run: Callable[[], RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write_rows(tmp_path / "x.tsv", rows)
    from_file, piped = new_run(), new_run()
    prepare_data(settings(train=table), from_file, silent)
    stream = io.TextIOWrapper(io.BytesIO(Path(table).read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)
    prepare_data(settings(train="-"), piped, silent)
    first, second = content(from_file), content(piped)
    del first["data/prepared.json"], second["data/prepared.json"]  # it names the file
    assert first == second
    assert stream.buffer.read() == b""
    assert prepare_data(settings(train="-"), piped, silent).training_texts == 297


def test_choices_are_made_and_reported(files: dict[str, str], new_run: Callable[[], RunDirectory]) -> None:
    open_ = ("tokenization.vocabulary_size=none", "batching.token_budget=none")
    said: list[str] = []
    run = new_run()
    data = prepare_data(settings(*open_, **files), run, said.append)
    assert data.choices == {"tokenization.vocabulary_size": 500, "batching.token_budget": 256}
    assert "chosen from the corpus: tokenization.vocabulary_size = 500" in said
    # What was chosen may be written out when training goes on, something else may not.
    chosen = ("tokenization.vocabulary_size=500", "batching.token_budget=256")
    assert prepare_data(settings(*chosen, **files), run, silent).choices == data.choices
    with pytest.raises(RunDirectoryError, match=r"\(tokenization.vocabulary_size: 500 -> 401\); give the same"):
        prepare_data(settings("tokenization.vocabulary_size=401", open_[1], **files), run, silent)


def test_token_budget_grows_with_the_corpus_and_the_texts() -> None:
    assert choose_token_budget(0, 10.0, 20) == 256
    assert choose_token_budget(3_000, 32.0, 100) == 1024
    assert choose_token_budget(3_000, 32.0, 2000) == 2048
    budgets = [choose_token_budget(texts, 100.0, 500) for texts in range(0, 200_000, 997)]
    assert budgets == sorted(budgets)
    assert budgets[-1] == 6400


def test_a_changed_folder_is_refused(tmp_path: Path, rows: Rows, new_run: Callable[[], RunDirectory]) -> None:
    folder = tmp_path / "texts"
    for number, (label, text) in enumerate(rows[:60]):
        (folder / label).mkdir(parents=True, exist_ok=True)
        (folder / label / f"{number}.txt").write_text(text, encoding="utf-8")
    run = new_run()
    prepare_data(settings(train=folder), run, silent)
    (folder / ".DS_Store").write_bytes(b"\0")
    (folder / "neutral" / ".hidden").write_bytes(b"\0")
    assert prepare_data(settings(train=folder), run, silent).training_texts == 54
    # Moved so that all contents keep their order: the names count as well.
    last = max((folder / "negative").iterdir())
    moved = last.rename(folder / "neutral" / "0.txt")
    with pytest.raises(RunDirectoryError, match=r"texts: has changed since the run .* began \(.* another SHA-256\)"):
        prepare_data(settings(train=folder), run, silent)
    moved.rename(last)
    assert prepare_data(settings(train=folder), run, silent).training_texts == 54
    (folder / "neutral" / "1.txt").write_text("something else", encoding="utf-8")
    with pytest.raises(RunDirectoryError, match="texts: has changed since the run"):
        prepare_data(settings(train=folder), run, silent)


def test_changed_reading_is_refused_by_key(files: dict[str, str], new_run: Callable[[], RunDirectory]) -> None:
    run = new_run()
    prepare_data(settings(**files), run, silent)
    with pytest.raises(RunDirectoryError) as caught:
        prepare_data(settings("corpus.multi_label=true", **files), run, silent)
    assert str(caught.value) == (
        f"{run.path}: its data were prepared with another configuration (corpus.multi_label: false -> true); "
        "give the same one, or choose a new folder with --run"
    )
    with pytest.raises(RunDirectoryError, match=r"\(from_run: null -> \"elsewhere\""):
        prepare_data(settings("from_run=elsewhere", **files), run, silent)


GOOD = [("a", "one"), ("b", "two"), ("a", "three"), ("b", "four"), ("a", "five"), ("b", "six")]


@pytest.mark.parametrize(
    ("train", "valid", "test", "words"),
    [
        ([("a", "one"), ("a", "two")], None, None, "train.tsv: 2 texts with one label only: 'a'; expected two labels"),
        ([], None, None, 'train.tsv: is empty; expected "label TAB text" on each line'),
        (GOOD, [], None, "valid.tsv: is empty"),
        (GOOD, GOOD[:2], [], "test.tsv: is empty"),
        (GOOD, [("a", "x"), ("c", "y")], None, "valid.tsv:2: unknown label 'c'; the training text has 'a', 'b'"),
        (GOOD, None, [("a", "x"), ("b", "y"), ("A", "z")], "test.tsv:3: unknown label 'A'; the training text has"),
        (
            GOOD,
            [("a", "x")],
            None,
            "valid.tsv: has no text with 'b', which the training text has; expected every label",
        ),
        (
            GOOD,
            [("a", "x"), ("b", ""), ("b", " ")],
            None,
            "valid.tsv: has no text but empty ones with 'b', which the training text has; expected every label",
        ),
        (
            [*GOOD, ("label", "text")],
            None,
            None,
            "train.tsv:7: the label 'label' has one text only (copies count once); expected one to train on and one to",
        ),
        (
            [*GOOD, ("c", "")],
            None,
            None,
            "train.tsv:7: no text with the label 'c', which is first here, is left after cleaning (removed: empty: 1)",
        ),
        (
            [("a", ""), ("b", " ")],
            None,
            None,
            "train.tsv: none of 2 texts is left after cleaning (empty: 2 (lines 1, 2))",
        ),
        ([("a", "x"), ("b", "x")], None, None, "train.tsv: none of 2 texts is left after cleaning (stands there with"),
    ],
)
def test_labels_that_do_not_do(
    tmp_path: Path,
    train: Rows,
    valid: Rows | None,
    test: Rows | None,
    words: str,
    new_run: Callable[[], RunDirectory],
) -> None:
    named = {
        name: write_rows(tmp_path / f"{name}.tsv", some)
        for name, some in (("train", train), ("valid", valid), ("test", test))
        if some is not None
    }
    run = new_run()
    with pytest.raises(CorpusError) as caught:
        prepare_data(settings(**named), run, silent)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert content(run) == {}


def test_labels_that_do_not_do_where_a_text_has_several(tmp_path: Path, new_run: Callable[[], RunDirectory]) -> None:
    path = tmp_path / "x.tsv"
    for rows, words in (
        ([("a,b", "one"), ("b,a", "two")], "2 texts with the same labels: 'a', 'b'; expected two labels or more"),
        ([("", "one"), ("", "two")], "2 texts with no label; expected two labels or more"),
        (
            [("a", "one"), ("", "two"), ("", "three")],
            "3 texts with one label only: 'a'; expected two labels or more",
        ),
        (
            [("a", "one"), ("b", "two"), ("b", "three"), ("b", "four")],
            "the label 'a' ",
        ),
    ):
        with pytest.raises(CorpusError, match=words):
            prepare_data(settings("corpus.multi_label=true", train=write_rows(path, rows)), new_run(), silent)


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        (
            {"train": None},
            ConfigurationError,
            "corpus.train is not set; expected a file or folder of labelled text, or -",
        ),
        ({"train": "nowhere.tsv"}, CorpusError, "nowhere.tsv: no such file"),
        ({"valid": "nowhere.tsv"}, CorpusError, "nowhere.tsv: no such file"),
        (
            {"train": "-", "valid": "-"},
            ConfigurationError,
            "corpus.train and corpus.valid are both standard input, which can be read once",
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


def test_a_budget_without_room_for_the_longest_text_is_refused(
    files: dict[str, str], new_run: Callable[[], RunDirectory]
) -> None:
    with pytest.raises(ConfigurationError, match=r"batching.token_budget is 2, but one row of the longest shape takes"):
        prepare_data(settings("batching.token_budget=2", **files), new_run(), silent)


@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
def test_drawn_subwords_spell_the_text(
    algorithm: str, files: dict[str, str], rows: Rows, new_run: Callable[[], RunDirectory]
) -> None:
    run = new_run()
    config = settings(f"tokenization.algorithm={algorithm}", "tokenization.sampling=0.3", **files)
    data = prepare_data(config, run, silent)
    assert decoded(data, 1) == as_sets(rows[:300])
    assert [path.name for path in run.data_path.glob("sampled-*")] == ["sampled-1.text.ids"]


def test_long_documents_are_taken_fewer_at_once(
    files: dict[str, str], rows: Rows, new_run: Callable[[], RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    encode = Tokenizer.encode

    def counting(self: Tokenizer, texts: list[str], *, threads: int = -1) -> list[list[int]]:
        sizes.append(sum(map(len, texts)))
        return encode(self, texts, threads=threads)

    monkeypatch.setattr("textseq.token_sampling._CHARACTERS_AT_ONCE", 500)
    monkeypatch.setattr(Tokenizer, "encode", counting)
    data = prepare_data(settings("tokenization.sampling=0.3", **files), new_run(), silent)
    assert decoded(data, 1) == as_sets(rows[:300])
    assert len(sizes) > 10
    assert max(sizes) <= 500


def test_a_starting_point_brings_its_vocabulary(
    files: dict[str, str], new_run: Callable[[], RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    import classifiers.starting_point

    learnt = prepare_data(settings("tokenization.vocabulary_size=350", **files), new_run(), silent).tokenizer

    class Loaded:
        tokenizer = learnt

    monkeypatch.setattr(classifiers.starting_point.StartingPoint, "load", staticmethod(lambda run: Loaded()))
    said: list[str] = []
    run = new_run()
    data = prepare_data(settings("from_run=runs/en-de", **files), run, said.append)
    assert data.tokenizer == learnt
    assert "tokenization.vocabulary_size" not in data.choices
    assert f"vocabulary of runs/en-de: {learnt.vocabulary_size} pieces" in said
    # The settings of a vocabulary are then not the classifier's own: they may be filled in later.
    other = settings("from_run=runs/en-de", "tokenization.algorithm=bpe", **files)
    assert prepare_data(other, run, silent).tokenizer == learnt


@pytest.mark.parametrize(
    ("name", "valid", "texts", "removed", "vocabulary"),
    [
        ("sst2/train.tsv", "sst2/dev.tsv", 6920, 30, (6_000, 10_000)),
        ("afrisenti/hau/train.tsv", "afrisenti/hau/dev.tsv", 14172, 600, (7_000, 13_000)),
        ("umsab/german/train.tsv", None, 1839, 30, (2_000, 4_000)),
    ],
)
def test_real_corpora(
    corpora: Path,
    new_run: Callable[[], RunDirectory],
    name: str,
    valid: str | None,
    texts: int,
    removed: int,
    vocabulary: tuple[int, int],
) -> None:
    named = {"train": corpora / name, "valid": None if valid is None else corpora / valid}
    open_ = ("tokenization.vocabulary_size=none", "batching.token_budget=none", "tokenization.sampling=0.1")
    data = prepare_data(settings(*open_, **named), new_run(), silent)
    assert data.report.read == texts
    assert texts - removed <= data.report.kept <= texts
    assert data.training_texts == data.report.kept - (0 if valid else len(data.validation_texts()[0]))
    assert vocabulary[0] <= data.choices["tokenization.vocabulary_size"] <= vocabulary[1]
    assert data.report.noted["cut"] == 0
    assert data.plan.padding_waste() < 0.12
    assert len(data.plan.shapes) <= 16
    assert len(decoded(data, 0)) == data.training_texts


@pytest.mark.slow
def test_imdb(corpora: Path, new_run: Callable[[], RunDirectory]) -> None:
    open_ = ("tokenization.vocabulary_size=none", "batching.token_budget=none", "tokenization.sampling=0.1")
    data = prepare_data(settings(*open_, train=corpora / "imdb" / "train.tsv"), new_run(), silent)
    assert data.report.read == 25_000
    assert {reason: count for reason, count in data.report.removed.items() if count} == {
        "control_characters": 2,
        "duplicate": 96,
    }
    assert data.report.noted["c1_characters"] > 500
    texts, targets = data.validation_texts()
    assert len(texts) == 2000
    assert abs(int(targets[:, 0].sum()) - 1000) <= 5
    assert data.plan.padding_waste() < 0.12
    lengths = [int((arrays.token_ids != 0).sum(axis=1).max()) for arrays in data.validation_batches()]
    assert max(lengths) > 1000  # whole documents
