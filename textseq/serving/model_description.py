"""What a server says about a model: its versions, and the signatures of the one it serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DTYPES = {
    "DT_FLOAT": "float32",
    "DT_DOUBLE": "float64",
    "DT_INT32": "int32",
    "DT_INT64": "int64",
    "DT_BOOL": "bool",
    "DT_STRING": "string",
}
"""NumPy's names of TensorFlow's types; what is not here keeps TensorFlow's."""

INTERNAL = "__"
"""Begins the names of signatures that TensorFlow keeps for itself; they are left out."""


@dataclass(frozen=True)
class TensorDescription:
    """An input or an output of a signature.

    Attributes:
        dtype: "string" or NumPy's name, such as "float32".
        shape: its dimensions, None where any number goes; None in place of all where even their number is open.
    """

    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class SignatureDescription:
    """What a signature takes and gives.

    Attributes:
        inputs: by name.
        outputs: by name.
    """

    inputs: Mapping[str, TensorDescription]
    outputs: Mapping[str, TensorDescription]


@dataclass(frozen=True)
class ModelMetadata:
    """A model as a server describes it.

    Attributes:
        name: of the model.
        version: the one that is described.
        signatures: by name.
    """

    name: str
    version: int
    signatures: Mapping[str, SignatureDescription]


@dataclass(frozen=True)
class VersionStatus:
    """How one version of a model does.

    Attributes:
        version: its number.
        state: "START", "LOADING", "AVAILABLE", "UNLOADING" or "END".
        error: why it is not served; empty where nothing went wrong.
    """

    version: int
    state: str
    error: str = ""

    def __str__(self) -> str:
        """For a message, such as `2 AVAILABLE`."""
        return f"{self.version} {self.state}" + (f" ({self.error})" if self.error else "")
