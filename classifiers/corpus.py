r"""Labelled text, in whichever of four ways it is written, as one stream.

tsv      label<TAB>text, no header; further TABs belong to the text
csv      a header that names the columns; fields with commas, quotes or line ends stand in double quotes
jsonl    one JSON object a line
folder   a folder for each label, in it a file for each text (as the original IMDB)

Files are plain, .gz or .xz, told by content. A line end inside a text becomes a space, so that a text is a line ever
after. Nothing here holds more than one text in memory.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from classifiers.labels import LabelInventory, listed
from textseq.corpus import STANDARD_INPUT, read_lines, require_files
from textseq.errors import ConfigurationError, CorpusError, InputError

if TYPE_CHECKING:
    from classifiers.config import CorpusConfig

UNLABELLED = "unsup"
"""The folder of texts without label in IMDB."""

_LINE_END = re.compile("\r\n|\r|\n")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# Beyond so many characters, a field of a csv file is taken for a quote that is never closed.
_LARGEST_FIELD = 10_000_000

Notify = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class LabelledText:
    """One text and its labels.

    Attributes:
        text: without line ends; otherwise as it is written.
        labels: one; with `CorpusConfig.multi_label` any number, each once, in the order in which they are written.
        line: the number of its first line in the file, counted from 1.
        path: the file, or "<stdin>"; in a folder, the text's own file.
    """

    text: str
    labels: tuple[str, ...]
    line: int
    path: str


def read_labelled(
    path: str | os.PathLike[str], config: CorpusConfig, notify: Notify = lambda message: None
) -> Iterator[LabelledText]:
    """Streams labelled texts.

    Args:
        path: a file, a folder of folders, or "-" for standard input.
        config: its format, columns and labels.
        notify: told in one line what of a folder is not read.

    Raises:
        CorpusError: while reading: a missing file, invalid UTF-8, damaged compressed data; no text at all; a line
            without TAB; a column or key that is not there; quotes that are not balanced; a label that cannot be one.
        ConfigurationError: the text and its label have the same column.

    Example:
        >>> from classifiers.config import CorpusConfig
        >>> list(read_labelled("reviews.tsv", CorpusConfig()))  # doctest: +SKIP
        [LabelledText(text='A warm , funny , engaging film .', labels=('1',), line=1, path='reviews.tsv')]
    """
    kind = format_of(path, config)
    if kind in ("csv", "jsonl") and config.text_column == config.label_column:
        raise ConfigurationError(
            f"corpus.text_column and corpus.label_column are both {config.text_column!r}; expected two different ones"
        )
    readers = {"tsv": _read_tsv, "csv": _read_csv, "jsonl": _read_json_lines}
    texts = _read_folder(Path(path), config, notify) if kind == "folder" else readers[kind](path, config)
    text = None
    for text in texts:
        yield text
    if text is None:
        raise CorpusError(f"is empty; expected {_EXPECTED[kind]}", shown(path))


_EXPECTED = {
    "tsv": '"label TAB text" on each line',
    "csv": "a header and a text with its label on each line",
    "jsonl": "a JSON object with a text and its label on each line",
    "folder": "a folder of text files for each label",
}


def format_of(path: str | os.PathLike[str], config: CorpusConfig) -> str:
    """How a file is written: `config.format`, or by its name where that is "auto"."""
    if config.format != "auto":
        return config.format
    if os.path.isdir(path):
        return "folder"
    name = os.fspath(path).lower().removesuffix(".gz").removesuffix(".xz")
    return next((kind for kind in ("csv", "jsonl") if name.endswith(f".{kind}")), "tsv")


def require_corpora(paths: Iterable[str], config: CorpusConfig) -> None:
    """Checks that files and folders can be read, before any work starts. Pipes and "-" pass.

    Raises:
        CorpusError: one is missing, may not be read, or is a folder where a file is expected or the reverse.
    """
    for path in paths:
        if format_of(path, config) != "folder":
            require_files(path)
        elif not os.path.isdir(path):
            was = "is a file" if os.path.exists(path) else "no such folder"
            raise CorpusError(f"{was}; expected {_EXPECTED['folder']}, as corpus.format says", path)


def numbers_of(text: LabelledText, inventory: LabelInventory) -> tuple[int, ...]:
    """The places of a text's labels in the inventory, ascending.

    Raises:
        CorpusError: a label is unknown.
    """
    try:
        return inventory.numbers(text.labels)
    except InputError as error:
        raise CorpusError(str(error), text.path, text.line) from None


def shown(path: str | os.PathLike[str]) -> str:
    """A path as messages name it."""
    return "<stdin>" if os.fspath(path) == STANDARD_INPUT else os.fspath(path)


def _read_tsv(path: str | os.PathLike[str], config: CorpusConfig) -> Iterator[LabelledText]:
    name = shown(path)
    for number, line in enumerate(read_lines(path), start=1):
        label, tab, text = line.partition("\t")
        if not tab:
            start = ascii(line if len(line) <= 40 else line[:40] + "...")
            hint = "; for JSON lines set corpus.format=jsonl" if line.startswith("{") else ""
            raise CorpusError(f'has no TAB: {start}; expected "label TAB text"{hint}', name, number)
        yield LabelledText(_one_line(text), _labels(label, config, name, number), number, name)


def _read_csv(path: str | os.PathLike[str], config: CorpusConfig) -> Iterator[LabelledText]:
    name = shown(path)
    records = _csv_records(path)
    header_line, header = next(records, (1, []))
    if not header:
        return
    columns = [column.strip() for column in header]
    text_place, label_place = (
        _column(columns, key, getattr(config, key), name, header_line) for key in ("text_column", "label_column")
    )
    for number, fields in records:
        if len(fields) != len(columns):
            message = (
                f"has {len(fields)} fields, but the header has {len(columns)}; put a text that holds a comma in "
                "double quotes"
            )
            raise CorpusError(message, name, number)
        labels = _labels(fields[label_place], config, name, number)
        yield LabelledText(_one_line(fields[text_place]), labels, number, name)


def _csv_records(path: str | os.PathLike[str]) -> Iterator[tuple[int, list[str]]]:
    """Yields each record with the number of its first line; lines of no character between records hold none."""
    reader = csv.reader((f"{line}\n" for line in read_lines(path)), strict=True)
    while True:
        number = reader.line_num + 1
        usual = csv.field_size_limit(_LARGEST_FIELD)
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            message = (
                f"the record that begins here has unbalanced quotes or stray characters ({error}); close every double "
                "quote, and write one inside a quoted field twice"
            )
            raise CorpusError(message, shown(path), number) from None
        finally:
            csv.field_size_limit(usual)  # of the whole process, so it is lent for one record at a time
        if fields:
            yield number, fields


def _column(columns: Sequence[str], key: str, column: str, name: str, line: int) -> int:
    found = columns.count(column)
    if found == 1:
        return columns.index(column)
    was = f"has no column {column!r}" if found == 0 else f"has {found} columns {column!r}"
    raise CorpusError(f"{was}; its columns are {listed(columns)}; name the right one with corpus.{key}", name, line)


def _read_json_lines(path: str | os.PathLike[str], config: CorpusConfig) -> Iterator[LabelledText]:
    name = shown(path)
    for number, line in enumerate(read_lines(path), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            reason = "nested too deep" if isinstance(error, RecursionError) else error
            raise CorpusError(f"is not JSON ({reason}); expected one JSON object a line", name, number) from None
        if not isinstance(record, dict):
            raise CorpusError(f"is {_kind(record)}; expected a JSON object with a text and its label", name, number)
        for key in ("text_column", "label_column"):
            if getattr(config, key) not in record:
                message = (
                    f"has no key {getattr(config, key)!r}; its keys are {listed(list(record))}; name the "
                    f"right one with corpus.{key}"
                )
                raise CorpusError(message, name, number)
        text = record[config.text_column]
        if not isinstance(text, str):
            raise CorpusError(f"{config.text_column!r} is {_kind(text)}; expected a string", name, number)
        labels = _json_labels(record[config.label_column], config, name, number)
        yield LabelledText(_one_line(text), labels, number, name)


def _json_labels(value: Any, config: CorpusConfig, name: str, line: int) -> tuple[str, ...]:
    if isinstance(value, list) and config.multi_label:
        for label in value:
            if isinstance(label, str) and not label.strip():
                raise CorpusError("has an empty label in its list; take it out", name, line)
        written = (_json_label(label, config, name, line) for label in value)
        return tuple(dict.fromkeys(_whole_label(label, config, name, line) for label in written))
    return _labels(_json_label(value, config, name, line), config, name, line)


def _whole_label(written: str, config: CorpusConfig, name: str, line: int | None) -> str:
    """A label that stands for itself, in a list or as the name of a folder."""
    label, separator = _one_label(written, name, line), config.label_separator
    if config.multi_label and separator in label:
        # Answers join labels with it, and could not be told apart.
        message = (
            f"the label {label!a} holds {separator!a}, which separates the labels of a text; set "
            "corpus.label_separator to something that no label holds"
        )
        raise CorpusError(message, name, line)
    return label


def _json_label(value: Any, config: CorpusConfig, name: str, line: int) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    mend = "; for several labels of one text set corpus.multi_label=true" if isinstance(value, list) else ""
    expected = "a string, a number, true or false" + (", or a list of these" if config.multi_label else "")
    raise CorpusError(f"{config.label_column!r} is {_kind(value)}; expected {expected}{mend}", name, line)


def _read_folder(folder: Path, config: CorpusConfig, notify: Notify) -> Iterator[LabelledText]:
    inside = _visible(folder)
    labels = [path for path in inside if path.is_dir()]
    if not labels:
        raise CorpusError(f"holds no folder; expected {_EXPECTED['folder']}", folder)
    beside = [path.name for path in inside if not path.is_dir()]
    if beside:
        notify(f"{folder}: files beside the folders are not read: {listed(beside)}")
    for label_folder in labels:
        if label_folder.name == UNLABELLED:
            notify(f"{label_folder}: left out, its texts have no label; `classifiers pretrain` can use them")
            continue
        labels_of_folder = (_whole_label(label_folder.name, config, os.fspath(label_folder), None),)
        files = _visible(label_folder)
        if not files:
            raise CorpusError("is empty; expected a file for each text of this label", label_folder)
        for path in files:
            if path.is_dir():
                message = "is a folder inside a label's folder; give the folder whose folders are the labels"
                raise CorpusError(message, path)
            text = " ".join(read_lines(path))
            yield LabelledText(_one_line(text), labels_of_folder, 1, os.fspath(path))


def _visible(folder: Path) -> list[Path]:
    """What is in a folder, by name, without hidden files."""
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise CorpusError(f"cannot be read: {error.strerror or error}", folder) from None


def _labels(written: str, config: CorpusConfig, name: str, line: int) -> tuple[str, ...]:
    if not config.multi_label:
        return (_one_label(written, name, line),)
    parts = written.split(config.label_separator)
    return tuple(dict.fromkeys(_one_label(part, name, line) for part in parts if part.strip()))


def _one_label(written: str, name: str, line: int | None) -> str:
    label = _one_line(written).strip()
    if not label:
        raise CorpusError("has no label; expected one before the text, or take the line out", name, line)
    if _CONTROL.search(label):
        message = f"the label {label!a} holds a control character; expected a printable name"
        raise CorpusError(message, name, line)
    return label


def _one_line(text: str) -> str:
    return _LINE_END.sub(" ", text) if "\n" in text or "\r" in text else text


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON value")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false"}
    return names.get(type(value), "a number")
