"""TOML as text: read with its line numbers, written value by value."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

from textseq.errors import ConfigurationError

Key = tuple[str, ...]


def read_toml_text(path: str | os.PathLike[str]) -> str:
    """Reads the text of a TOML file, without a byte order mark.

    Raises:
        ConfigurationError: there is no such file, it is a folder, it is not UTF-8.
    """
    place = os.fspath(path)
    try:
        return Path(path).read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise ConfigurationError(f"{place}: no such file; expected a configuration in TOML") from None
    except IsADirectoryError:
        raise ConfigurationError(f"{place}: is a folder; expected a configuration file in TOML") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigurationError(f"{place}:{line}: not valid UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise ConfigurationError(f"{place}: cannot be read: {error.strerror}") from None


def parse_toml(text: str, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Parses TOML.

    Args:
        text: what `read_toml_text` returned.
        path: the file to name in an error.

    Raises:
        ConfigurationError: the text is not TOML; the message names file and line.
    """
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        found = re.search(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$", message)
        line = int(found[1]) if found and found[1] else text.count("\n") + 1
        column = f" at column {found[2]}" if found and found[2] else ""
        reason = message[: found.start()] if found else message
        raise ConfigurationError(f"{os.fspath(path)}:{line}: not valid TOML{column}: {reason}") from None


def line_of_key(text: str, key: Key) -> int | None:
    """Finds the line that sets a key, or else the nearest section above it; counted from 1."""
    key = tuple(part.split("[")[0] for part in key)
    table: Key = ()
    best: tuple[int, int] | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        header = re.match(r"\s*\[\[?([^\]]+)\]", line)
        assignment = re.match(r"\s*([^=#\[]+?)\s*=", line)
        if header:
            table = found = _split_key(header[1])
        elif assignment:
            found = table + _split_key(assignment[1])
        else:
            continue
        if found and key[: len(found)] == found and (best is None or len(found) > best[0]):
            best = (len(found), number)
    return None if best is None else best[1]


def _split_key(name: str) -> Key:
    return tuple(part.strip().strip("\"'") for part in name.split("."))


def toml_value(value: Any) -> str:
    """Writes one number, text, list or dict as TOML; None becomes the text "none"."""
    import tomlkit

    if value is None:
        return '"none"'
    if isinstance(value, dict):
        table = tomlkit.inline_table()
        table.update(value)
        return table.as_string()
    return tomlkit.item(value).as_string()
