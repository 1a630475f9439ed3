"""A time series in a text file."""

from __future__ import annotations

import math
import os

import numpy as np
import numpy.typing as npt

from textseq.corpus import read_lines
from textseq.errors import CorpusError


def read_series(path: str | os.PathLike[str], *, most: int | None = None) -> npt.NDArray[np.float64]:
    """Reads a file with one number a line, in the order of time, at equal distances.

    Of a line with commas, such as `2024-01-01 00:00,17.5`, the last field counts. A first line that is no number is
    taken for a heading; empty lines are passed over.

    Args:
        path: the file, plain or compressed, see `textseq.corpus.read_lines`.
        most: values that are read at most; the last ones are kept.

    Returns:
        float64[length].

    Raises:
        CorpusError: the file cannot be read, holds no number, or a line is no finite number.
    """
    values = []
    for number, line in enumerate(read_lines(path), start=1):
        field = line.rsplit(",", 1)[-1].strip()
        if not field:
            continue
        try:
            value = float(field)
        except ValueError:
            value = math.nan
        if math.isfinite(value):
            values.append(value)
        elif number > 1:
            raise CorpusError(f"received {field!r}; expected one finite number a line", path, number)
    if not values:
        raise CorpusError("received no number; expected one a line", path)
    return np.array(values[-most:] if most else values)
