"""Readers of labelled text: four formats, round trips, and what is wrong with a file, by line."""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from classifiers.config import CorpusConfig
from classifiers.corpus import LabelledText, format_of, numbers_of, read_labelled, require_corpora
from classifiers.labels import LabelInventory
from textseq.errors import ConfigurationError, CorpusError

# A busy machine is no reason to fail.
unhurried = hypothesis.settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

PACKERS: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
LABELS = st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters=","), min_size=1, max_size=8)
ROWS = st.lists(st.tuples(LABELS, TEXTS), min_size=1, max_size=8)
MULTI_ROWS = st.lists(st.tuples(st.lists(LABELS, unique=True, max_size=3), TEXTS), min_size=1, max_size=8)


def one_line(text: str) -> str:
    return re.sub("\r\n|\r|\n", " ", text)


def write(folder: Path, name: str, data: str | bytes) -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))
    return str(path)


def read(path: str, **settings: Any) -> list[tuple[tuple[str, ...], str, int]]:
    texts = list(read_labelled(path, CorpusConfig(**settings)))
    assert {text.path for text in texts} == {path}
    return [(text.labels, text.text, text.line) for text in texts]


def csv_text(rows: Sequence[tuple[str, ...]]) -> str:
    stream = io.StringIO(newline="")
    csv.writer(stream).writerows(rows)
    return stream.getvalue()


@unhurried
@given(st.lists(st.tuples(LABELS, TEXTS.map(one_line)), min_size=1, max_size=8))
def test_tsv_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]) -> None:
    path = write(tmp_path_factory.mktemp("tsv"), "x.tsv", "".join(f"{label}\t{text}\n" for label, text in rows))
    assert read(path) == [((label,), text, line) for line, (label, text) in enumerate(rows, start=1)]


@unhurried
@given(ROWS, st.booleans())
def test_csv_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], label_first: bool
) -> None:
    columns = (
        [("label", "text"), *rows] if label_first else [("text", "label"), *((text, label) for label, text in rows)]
    )
    path = write(tmp_path_factory.mktemp("csv"), "x.csv", csv_text(columns))
    # Of a line end in a quoted field, too, a carriage return before it goes first.
    expected = [((label,), one_line(text.replace("\r\n", "\n"))) for label, text in rows]
    assert [row[:2] for row in read(path)] == expected


@unhurried
@given(ROWS, st.booleans())
def test_json_lines_come_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], ascii_only: bool
) -> None:
    lines = [json.dumps({"text": text, "label": label}, ensure_ascii=ascii_only) for label, text in rows]
    path = write(tmp_path_factory.mktemp("jsonl"), "x.jsonl", "\n".join(lines) + "\n")
    assert read(path) == [((label,), one_line(text), line) for line, (label, text) in enumerate(rows, start=1)]


@unhurried
@given(MULTI_ROWS)
def test_sets_of_labels_come_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[list[str], str]]) -> None:
    folder = tmp_path_factory.mktemp("multi")
    rows = [(labels, one_line(text)) for labels, text in rows]
    expected = [(tuple(labels), text) for labels, text in rows]
    tables = {
        "x.tsv": "".join(f"{' ,'.join(labels)}\t{text}\n" for labels, text in rows),
        "x.csv": csv_text([("text", "label"), *((text, ",".join(labels)) for labels, text in rows)]),
        "x.jsonl": "".join(json.dumps({"text": text, "label": labels}) + "\n" for labels, text in rows),
    }
    for name, content in tables.items():
        assert [row[:2] for row in read(write(folder, name, content), multi_label=True)] == expected


@unhurried
@given(st.dictionaries(st.sampled_from(["pos", "neg", "3 stars", "ñandú"]), st.lists(TEXTS, min_size=1, max_size=4)))
def test_folders_come_back(tmp_path_factory: pytest.TempPathFactory, texts: dict[str, list[str]]) -> None:
    folder = tmp_path_factory.mktemp("folder")
    for label, some in texts.items():
        for number, text in enumerate(some):
            write(folder, f"{label}/{number}.txt", text)
    if not texts:
        with pytest.raises(CorpusError, match="holds no folder; expected a folder of text files for each label"):
            list(read_labelled(folder, CorpusConfig()))
        return
    found = [(text.labels[0], text.text) for text in read_labelled(folder, CorpusConfig())]
    # A byte order mark and the last line end of a file are no part of its text.
    clean = {
        label: [one_line(re.sub("\r?\n\\Z|\r\\Z", "", text.removeprefix("\ufeff"))) for text in some]
        for label, some in texts.items()
    }
    assert found == [(label, text) for label in sorted(clean) for text in clean[label]]


@pytest.mark.parametrize("pack", PACKERS)
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.tsv", "1\tgood\n0\tbad\n"),
        ("x.csv", "label,text\n1,good\n0,bad\n"),
        ("x.jsonl", '{"label": 1, "text": "good"}\n{"label": 0, "text": "bad"}\n'),
    ],
)
def test_files_may_be_packed(tmp_path: Path, name: str, content: str, pack: str) -> None:
    path = write(tmp_path, name + pack, PACKERS[pack](content.encode()))
    assert [row[:2] for row in read(path)] == [(("1",), "good"), (("0",), "bad")]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.tsv", "tsv"), ("a.txt", "tsv"), ("a.csv", "csv"), ("A.CSV.gz", "csv"), ("a.jsonl.xz", "jsonl"), ("-", "tsv")],
)
def test_format_goes_by_the_name(name: str, kind: str) -> None:
    assert format_of(name, CorpusConfig()) == kind
    assert format_of(name, CorpusConfig(format="jsonl")) == "jsonl"


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    for settings, content in (({}, b"a\tb\tc\n"), ({"format": "csv"}, b"text,label\nb\tc,a\n")):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
        texts = list(read_labelled("-", CorpusConfig(**settings)))
        assert [(text.labels, text.text, text.path) for text in texts] == [(("a",), "b\tc", "<stdin>")]


def test_further_tabs_belong_to_the_text_and_blanks_around_labels_do_not(tmp_path: Path) -> None:
    path = write(tmp_path, "x.tsv", " good \ta\tb \n,\t\n")
    assert read(path) == [(("good",), "a\tb ", 1), ((",",), "", 2)]
    assert read(path, multi_label=True)[1] == ((), "", 2)


def test_csv_columns_are_named(tmp_path: Path) -> None:
    content = 'id,Stars , Review\r\n1,5,"Fine, ""really""\r\nfine"\r\n\r\n2,1,Bad\r\n'
    path = write(tmp_path, "x.csv", content)
    rows = read(path, text_column="Review", label_column="Stars")
    assert rows == [(("5",), 'Fine, "really" fine', 2), (("1",), "Bad", 5)]


def test_csv_fields_may_be_long(tmp_path: Path) -> None:
    long = "word " * 100_000
    path = write(tmp_path, "x.csv", csv_text([("label", "text"), ("a", long)]))
    usual = csv.field_size_limit()
    assert read(path) == [(("a",), long, 2)]
    assert csv.field_size_limit() == usual


def test_json_labels_may_be_numbers_and_booleans(tmp_path: Path) -> None:
    values = ["x", 1, -2, 0.5, True, False]
    lines = [json.dumps({"stars": value, "review": "r", "more": {}}) for value in values]
    path = write(tmp_path, "x.jsonl", "\n\n".join(lines))
    rows = read(path, text_column="review", label_column="stars")
    assert [row[0] for row in rows] == [("x",), ("1",), ("-2",), ("0.5",), ("true",), ("false",)]
    assert [row[2] for row in rows] == [1, 3, 5, 7, 9, 11]
    path = write(tmp_path, "y.jsonl", '{"text": "t", "label": [2, "b,c", true, 2]}\n{"text": "t", "label": "b;a"}\n')
    assert [row[0] for row in read(path, multi_label=True, label_separator=";")] == [("2", "b,c", "true"), ("b", "a")]


def test_the_layout_of_imdb(tmp_path: Path) -> None:
    for name, text in (
        ("pos/0_9.txt", "Great.\n"),
        ("pos/1_10.txt", "Line one\nline two"),
        ("neg/0_2.txt", "Bad."),
        ("unsup/0_0.txt", "Whatever."),
        ("pos/.hidden", "x"),
        (".git/config", "x"),
        ("urls_pos.txt", "http"),
    ):
        write(tmp_path, f"train/{name}", text)
    folder = tmp_path / "train"
    said: list[str] = []
    texts = list(read_labelled(folder, CorpusConfig(), said.append))
    assert texts == [
        LabelledText("Bad.", ("neg",), 1, str(folder / "neg" / "0_2.txt")),
        LabelledText("Great.", ("pos",), 1, str(folder / "pos" / "0_9.txt")),
        LabelledText("Line one line two", ("pos",), 1, str(folder / "pos" / "1_10.txt")),
    ]
    assert said == [
        f"{folder}: files beside the folders are not read: 'urls_pos.txt'",
        f"{folder / 'unsup'}: left out, its texts have no label; `classifiers pretrain` can use them",
    ]
    with pytest.raises(CorpusError, match=r"train/neg: is a folder inside a label's folder; give the folder whose"):
        list(read_labelled(tmp_path, CorpusConfig()))
    (folder / "zzz").mkdir()
    with pytest.raises(CorpusError, match="zzz: is empty; expected a file for each text of this label"):
        list(read_labelled(folder, CorpusConfig()))


GOOD_CSV = "label,text\n1,a\n"


@pytest.mark.parametrize(
    ("name", "content", "settings", "words"),
    [
        ("x.tsv", "", {}, 'x.tsv: is empty; expected "label TAB text" on each line'),
        ("x.csv", "", {}, "x.csv: is empty; expected a header and a text with its label on each line"),
        ("x.csv", "label,text\n", {}, "x.csv: is empty; expected a header"),
        ("x.jsonl", "\n", {}, "x.jsonl: is empty; expected a JSON object with a text and its label on each line"),
        ("x.tsv", "a\tb\nno tab\n", {}, "x.tsv:2: has no TAB: 'no tab'; expected \"label TAB text\""),
        ("x.tsv", '{"a": 1}\n', {}, '; expected "label TAB text"; for JSON lines set corpus.format=jsonl'),
        ("x.tsv", "a\tb\n \tc\n", {}, "x.tsv:2: has no label; expected one before the text, or take the line out"),
        ("x.tsv", "a\x00\tb\n", {}, r"x.tsv:1: the label 'a\x00' holds a control character; expected a printable"),
        ("x.tsv", b"a\tb\na\t\xff\n", {}, "x.tsv:2: is not UTF-8: byte 3 of the line is 0xff"),
        ("x.csv", b"label,text\na,\xff\n", {}, "x.csv:2: is not UTF-8: byte 3 of the line is 0xff"),
        ("x.jsonl", b'{"text": "\xff"}\n', {}, "x.jsonl:1: is not UTF-8"),
        (
            "x.csv",
            GOOD_CSV,
            {"text_column": "review"},
            "x.csv:1: has no column 'review'; its columns are 'label', 'text'; name the right one with corpus.text_col",
        ),
        (
            "x.csv",
            "a;b\n",
            {},
            "x.csv:1: has no column 'text'; its columns are 'a;b'; name the right one with corpus.text_column",
        ),
        ("x.csv", "label,text,text\n1,a,b\n", {}, "x.csv:1: has 2 columns 'text'; its columns are"),
        (
            "x.csv",
            GOOD_CSV + "1,a,b\n",
            {},
            "x.csv:3: has 3 fields, but the header has 2; put a text that holds a comma",
        ),
        (
            "x.csv",
            GOOD_CSV + '1,"never closed\n2,b\n3,c\n',
            {},
            "x.csv:3: the record that begins here has unbalanced quotes or stray characters (unexpected end of data); "
            "close every double quote, and write one inside a quoted field twice",
        ),
        ("x.csv", GOOD_CSV + '1,"a\n2,"b"\n', {}, "x.csv:3: the record that begins here has unbalanced quotes"),
        ("x.csv", GOOD_CSV + "1,a\rb\n", {}, "x.csv:3: the record that begins here has unbalanced quotes or stray"),
        ("x.csv", GOOD_CSV, {"label_column": "text"}, "corpus.text_column and corpus.label_column are both 'text'"),
        ("x.jsonl", "{\n", {}, "x.jsonl:1: is not JSON (Expecting property name enclosed in double quotes"),
        ("x.jsonl", "NaN\n", {}, "x.jsonl:1: is not JSON (NaN is no JSON value); expected one JSON object a line"),
        ("x.jsonl", "[" * 100_000, {}, "x.jsonl:1: is not JSON (nested too deep); expected one JSON object a line"),
        ("x.jsonl", "[1]\n", {}, "x.jsonl:1: is a list; expected a JSON object with a text and its label"),
        (
            "x.jsonl",
            '{"text": "a", "stars": 1}\n',
            {},
            "x.jsonl:1: has no key 'label'; its keys are 'text', 'stars'; name the right one with corpus.label_column",
        ),
        ("x.jsonl", '{"text": null, "label": 1}\n', {}, "x.jsonl:1: 'text' is null; expected a string"),
        ("x.jsonl", '{"text": "", "label": null}\n', {}, "'label' is null; expected a string, a number, true or false"),
        (
            "x.jsonl",
            '{"text": "", "label": ["a"]}\n',
            {},
            "; for several labels of one text set corpus.multi_label=true",
        ),
        (
            "x.jsonl",
            '{"text": "", "label": [{}]}\n',
            {"multi_label": True},
            "'label' is an object; expected a string, a number, true or false, or a list of these",
        ),
        (
            "x.jsonl",
            '{"text": "", "label": [""]}\n',
            {"multi_label": True},
            "x.jsonl:1: has an empty label in its list",
        ),
        (
            "x.jsonl",
            '{"text": "", "label": ["b"]}\n{"text": "", "label": ["b;c"]}\n',
            {"multi_label": True, "label_separator": ";"},
            "x.jsonl:2: the label 'b;c' holds ';', which separates the labels of a text; set corpus.label_separator",
        ),
        ("x.jsonl", '{"text": "", "label": "a\\tb"}\n', {}, r"the label 'a\tb' holds a control character"),
        ("x.tsv.gz", b"plain", {}, "its name ends in .gz, but its content is not"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, name: str, content: str | bytes, settings: dict[str, Any], words: str
) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises((CorpusError, ConfigurationError), match=re.escape(words)) as caught:
        list(read_labelled(path, CorpusConfig(**settings)))
    assert "\n" not in str(caught.value)


def test_a_folder_whose_name_reads_as_several_labels_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "train/sad, angry/1.txt", "Oh.")
    write(tmp_path, "train/glad/1.txt", "Ah.")
    words = "train/sad, angry: the label 'sad, angry' holds ',', which separates the labels of a text; set corpus."
    with pytest.raises(CorpusError, match=re.escape(words)):
        list(read_labelled(tmp_path / "train", CorpusConfig(multi_label=True)))
    for settings in ({"multi_label": True, "label_separator": ";"}, {}):
        found = read_labelled(tmp_path / "train", CorpusConfig(**settings))
        assert [text.labels for text in found] == [("glad",), ("sad, angry",)]


def test_a_quote_that_is_never_closed_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifiers.corpus._LARGEST_FIELD", 1000)
    path = write(tmp_path, "x.csv", GOOD_CSV + '1,"' + "more\n" * 1000)
    with pytest.raises(CorpusError, match=r"x.csv:3: .* \(field larger than field limit \(1000\)\)"):
        list(read_labelled(path, CorpusConfig()))


def test_corpora_are_checked_before_any_work(tmp_path: Path) -> None:
    file = write(tmp_path, "x.tsv", "a\tb\n")
    require_corpora([file, str(tmp_path), "-"], CorpusConfig())
    for path, settings, words in (
        (str(tmp_path / "no.tsv"), {}, "no.tsv: no such file"),
        (str(tmp_path), {"format": "csv"}, "is a directory; expected a text file"),
        (
            file,
            {"format": "folder"},
            "x.tsv: is a file; expected a folder of text files for each label, as corpus.format",
        ),
        (str(tmp_path / "no"), {"format": "folder"}, "no: no such folder; expected a folder of text files"),
    ):
        with pytest.raises(CorpusError, match=words):
            require_corpora([path], CorpusConfig(**settings))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    (tmp_path / "pos").mkdir(mode=0)
    with pytest.raises(CorpusError, match="pos: cannot be read: Permission denied"):
        list(read_labelled(tmp_path, CorpusConfig()))


def test_labels_are_looked_up_with_their_place() -> None:
    inventory = LabelInventory(("0", "1"), (5, 5))
    assert numbers_of(LabelledText("x", ("1",), 7, "t.tsv"), inventory) == (1,)
    with pytest.raises(CorpusError, match=r"^t.tsv:7: unknown label '2'; the training text has '0', '1'$"):
        numbers_of(LabelledText("x", ("2",), 7, "t.tsv"), inventory)


def test_reading_loads_nothing_heavy() -> None:
    code = (
        "import sys; from classifiers.corpus import read_labelled; from classifiers.config import CorpusConfig\n"
        "print(sorted({'tensorflow', 'keras', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("name", "texts", "labels"),
    [
        ("sst2/train.tsv", 6920, {"0", "1"}),
        ("afrisenti/hau/train.tsv", 14172, {"negative", "neutral", "positive"}),
        ("umsab/german/train.tsv", 1839, {"0", "1", "2"}),
        ("imdb/train.tsv", 25000, {"0", "1"}),
    ],
)
def test_real_corpora(corpora: Path, name: str, texts: int, labels: set[str]) -> None:
    read_texts = list(read_labelled(corpora / name, CorpusConfig()))
    assert len(read_texts) == texts
    assert {label for text in read_texts for label in text.labels} == labels
