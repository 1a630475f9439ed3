"""Warm-up requests: what a server runs through a version before it serves it, so that no user pays for the first time.

TensorFlow Serving reads `assets.extra/tf_serving_warmup_requests`, a TFRecord file of PredictionLog messages, 1,000 at
most, and sends each of them through the loaded version. One that fails keeps the version from being served: so the
requests are made from golden inputs, which the version has just answered, in the types of its own signatures, and in
batches that the server beside it takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from textseq.errors import ExportMismatch
from textseq.serving.exported_signatures import ExportedSignatures
from textseq.serving.tf_record import read_tf_records, tf_record

WARMUP_FILE = "tf_serving_warmup_requests"
"""In `assets.extra` of a version."""

MOST_RECORDS = 1000
"""Records that TensorFlow Serving accepts in one file."""

BATCH_BYTES = 1 << 13
"""Most bytes of text in a request of several rows, each text counted as long as the longest.

What is made ready depends on the number of rows, not on their lengths, and a version waits for all its requests: so the
larger batches get the shorter texts.
"""

# The golden inputs hold a few that are there to be long.
_USUAL_SHARE = 0.9


class Examples(Protocol):
    """Inputs of one signature, such as `textseq.export.Golden`."""

    @property
    def inputs(self) -> Mapping[str, Sequence[Any]]:
        """By name, one value a row: bytes for a string."""

    @property
    def outputs(self) -> Mapping[str, Sequence[Any]]:
        """By name, one value a row: bytes for a string, else a number or a list."""


def usual_rows(examples: Examples) -> list[int]:
    """Returns the rows of a signature's golden inputs from the shortest to the longest, the longest tenth left out.

    Args:
        examples: of one signature.
    """
    lengths = row_bytes(examples)
    ordered = sorted(range(len(lengths)), key=lambda row: (lengths[row], row))
    return ordered[: max(1, int(len(ordered) * _USUAL_SHARE))]


def row_bytes(examples: Examples) -> list[int]:
    """Returns how many bytes of text each row of a signature's golden inputs holds."""
    texts = [values for values in examples.inputs.values() if values and isinstance(values[0], bytes)]
    return [sum(map(len, row)) for row in zip(*texts, strict=True)] if texts else [0] * _rows(examples)


def warmup_requests(name: str, version: Path, golden: Mapping[str, Examples], sizes: Sequence[int]) -> bytes:
    """Makes the warm-up requests of a version: for every signature a batch of every size.

    The texts of a batch are spread evenly over the golden inputs' usual lengths, as far as `BATCH_BYTES` lets them.

    Args:
        name: the model's, as servers know it.
        version: the folder of the version, with its `saved_model.pb`; it may stand aside still.
        golden: by the name of the signature; inputs by their names.
        sizes: texts of a batch, as `batching_parameters.txt` allows them; see `textseq.serving.batch_sizes`.

    Returns:
        The content of `WARMUP_FILE`.

    Raises:
        ExportMismatch: the golden inputs are not those of the version's signatures, or the requests are too many.
        OutputError: the version holds no SavedModel.
    """
    from textseq.serving.native import messages

    signatures = ExportedSignatures.read(version).signatures
    if sorted(signatures) != sorted(golden):
        raise ExportMismatch(
            f"{version}: the export has the signatures {', '.join(signatures)}, "
            f"expected those with golden inputs: {', '.join(sorted(golden))}; nothing was published"
        )
    if len(signatures) * len(sizes) > MOST_RECORDS:
        raise ExportMismatch(
            f"{version}: {len(signatures)} signatures in {len(sizes)} batch sizes each make more than {MOST_RECORDS} "
            f"warm-up requests, the most that TensorFlow Serving reads; allow fewer batch sizes"
        )
    content = b""
    for signature, takes in signatures.items():
        usual, lengths = usual_rows(golden[signature]), row_bytes(golden[signature])
        for size in sizes:
            rows = [row for row in usual if lengths[row] * size <= BATCH_BYTES] or usual[:1]
            chosen = [rows[(2 * place + 1) * len(rows) // (2 * size)] for place in range(size)]
            request = messages.PredictRequest(model_spec={"name": name, "signature_name": signature})
            for key, tensor in _inputs(version, signature, takes, golden[signature], chosen).items():
                request.inputs[key].CopyFrom(tensor)
            log = messages.PredictionLog(predict_log={"request": request})
            content += tf_record(log.SerializeToString(deterministic=True))
    _check(version, content, signatures, sizes)
    return content


def read_warmup_requests(content: bytes) -> list[Any]:
    """Returns the requests of a warm-up file, tensorflow.serving.PredictRequest, its checksums checked.

    Args:
        content: of the file.

    Raises:
        ValueError: a record is altered, or holds no such request.
    """
    from google.protobuf.message import DecodeError

    from textseq.serving.native import messages

    requests = []
    for number, record in enumerate(read_tf_records(content), start=1):
        try:
            log = messages.PredictionLog.FromString(record)
        except DecodeError as error:
            raise ValueError(f"record {number} holds no PredictionLog") from error
        if log.WhichOneof("log_type") != "predict_log":
            raise ValueError(f"record {number} holds no request to predict")
        requests.append(log.predict_log.request)
    return requests


def _check(version: Path, content: bytes, signatures: Mapping[str, Any], sizes: Sequence[int]) -> None:
    """Reads the requests back as a server does, which refuses a version with a request that its signature refuses."""
    from textseq.serving.native.tensors import to_array

    expected = [
        (name, {key: (tensor.dtype, (size,)) for key, tensor in takes.inputs.items()})
        for name, takes in signatures.items()
        for size in sizes
    ]
    received = [
        (
            request.model_spec.signature_name,
            {key: (tensor.dtype, to_array(tensor).shape) for key, tensor in request.inputs.items()},
        )
        for request in read_warmup_requests(content)
    ]
    for number, (one, other) in enumerate(zip(received, expected, strict=True), start=1):
        if one != other:
            raise ExportMismatch(
                f"{version}: warm-up request {number} asks {one[0]} with {one[1]}, expected {other[0]} with {other[1]} "
                f"(type, shape); nothing was published"
            )


def _rows(examples: Examples) -> int:
    return len(next(iter(examples.inputs.values())))


def _inputs(version: Path, signature: str, takes: Any, examples: Examples, rows: list[int]) -> dict[str, Any]:
    """Returns the tensors of one request by the name of the input, in the signature's own types."""
    import numpy as np

    from textseq.serving.native.tensors import array_type, to_message

    if sorted(takes.inputs) != sorted(examples.inputs):
        raise ExportMismatch(
            f"{version}: the signature {signature} takes {', '.join(sorted(takes.inputs))}, "
            f"expected the golden inputs {', '.join(sorted(examples.inputs))}; nothing was published"
        )
    return {
        key: to_message(np.array([examples.inputs[key][row] for row in rows], array_type(takes.inputs[key].dtype)))
        for key in sorted(takes.inputs)
    }
