"""Which text a result was measured on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TextFile:
    """What was scored, so that others can score the same.

    Attributes:
        path: as it was given.
        lines: how many.
        sha256: of the lines, each with a line feed: what `sha256sum` gives for a plain file that ends in one.
    """

    path: str
    lines: int
    sha256: str

    @classmethod
    def of(cls, path: str | os.PathLike[str], lines: Sequence[str]) -> TextFile:
        """Describes a file whose lines were read."""
        digest = hashlib.sha256()
        for line in lines:
            digest.update(line.encode("utf-8") + b"\n")
        return cls(os.fspath(path), len(lines), digest.hexdigest())
