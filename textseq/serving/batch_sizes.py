"""How many texts a server puts into one batch.

TensorFlow Serving merges the requests that wait into one batch, whatever the lengths of their texts: a text is one
string, so every request fits every other. Inside the model a batch is padded to its longest text. So what a batch costs
in time and memory is its rows times the longest, and the most rows are those with which texts of the usual greatest
length fill `BATCH_BYTES`, as a bucket of long sentences has fewer rows than one of short ones in training.

A batch is filled up to the next allowed size with a row that repeats. The sizes are close, so that a third at most is
wasted, and few, so that TensorFlow's matrix kernels, which are made and kept by the number of rows, are all made during
the warm-up.

**The sizes of a folder never change by themselves.** A server reads `batching_parameters.txt` when it starts, and
refuses warm-up requests of more rows, with them the whole version. So the file is written with the first export to a
folder, and later ones read the sizes from it; a user who changes it is heeded as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from textseq.errors import OutputError
from textseq.serving import server_configuration
from textseq.serving.server_configuration import BatchingParameters
from textseq.serving.warmup import Examples, row_bytes, usual_rows

BATCH_BYTES = 1 << 17
"""Bytes of text of the fullest batch, each text counted as long as the longest."""

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Rows of a batch, of which the first ones up to the most rows are allowed."""

SERVERS_OWN_MOST = 1000
"""The rows of a batch that TensorFlow Serving takes where no file says how many."""

_FEWEST = 8  # with less, batches gain too little to be waited for


def fitting_batch_sizes(golden: Mapping[str, Examples]) -> tuple[int, ...]:
    """Returns the sizes that fit the lengths of golden inputs.

    Args:
        golden: by the name of the signature.

    Example:
        >>> from types import SimpleNamespace
        >>> fitting_batch_sizes({"serving_default": SimpleNamespace(inputs={"text": [b"x" * 4000]}, outputs={})})
        (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
    """
    most = min(BATCH_BYTES // max(1, longest_usual_bytes(examples)) for examples in golden.values())
    return tuple(size for size in SIZES if size <= max(_FEWEST, most))


def longest_usual_bytes(examples: Examples) -> int:
    """Returns the bytes of text of the longest of a signature's golden inputs, the longest tenth left out."""
    return row_bytes(examples)[usual_rows(examples)[-1]]


def served_batch_sizes(parameters: Any) -> tuple[int, ...]:
    """Returns the sizes that a server uses.

    Args:
        parameters: `BatchingParameters`, as read by `read_parameters`.
    """
    most = parameters.max_batch_size.value if parameters.HasField("max_batch_size") else SERVERS_OWN_MOST
    return tuple(parameters.allowed_batch_sizes) or tuple(size for size in SIZES if size <= most)


def read_parameters(path: Path) -> Any:
    """Reads how a server merges requests.

    Args:
        path: a `batching_parameters.txt`.

    Returns:
        `textseq.serving.server_configuration.BatchingParameters`, or None where there is no file.

    Raises:
        OutputError: it is no such file, or one that TensorFlow Serving does not start with.
    """
    try:
        message = server_configuration.parsed(path.read_text(encoding="utf-8"), BatchingParameters)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{path}: cannot be read as TensorFlow Serving's BatchingParameters: {error}; "
            f"mend it, or delete it to have it written anew"
        ) from error
    most = message.max_batch_size.value if message.HasField("max_batch_size") else SERVERS_OWN_MOST
    allowed = list(message.allowed_batch_sizes)
    if most < 1 or allowed != sorted(set(allowed)) or (allowed and (allowed[0] < 1 or allowed[-1] != most)):
        raise OutputError(
            f"{path}: allowed_batch_sizes are {', '.join(map(str, allowed)) or 'none'} and max_batch_size is {most}; "
            f"expected sizes that rise from 1 or more and end with max_batch_size, or TensorFlow Serving does not "
            f"start; mend it, or delete it to have it written anew"
        )
    return message
