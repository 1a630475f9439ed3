"""Packages that are installed on request only, and what to say where one is missing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from textseq.errors import InputError


@contextlib.contextmanager
def needing(extra: str, purpose: str) -> Iterator[None]:
    """Says what to install where an import in the block does not find its package.

    Args:
        extra: of the distribution, such as "serve".
        purpose: what the packages are for, such as "a server".

    Raises:
        InputError: a package is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        name = error.name or ""
        if name.partition(".")[0] in ("", "textseq", "nmt", "classifiers"):
            raise
        raise InputError(
            f"{purpose} needs the package {name}, which is not installed; run `pip install 'dragoman[{extra}]'`"
        ) from error
