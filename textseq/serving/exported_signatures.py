"""What the signatures of an exported version take and give, as its `saved_model.pb` says, without running it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textseq.errors import OutputError

DEFAULT_SIGNATURE = "serving_default"
"""What is asked where nobody names a signature."""

LABELS = Path("assets.extra", "labels.txt")
"""In a classifier's version: the labels, one a line, in the order of `probabilities`."""

_TAG = "serve"
# TensorFlow's own, which runs once when the model is loaded.
_INITIALIZER = "__saved_model_init_op"


@dataclass(frozen=True)
class ExportedSignatures:
    """The signatures of a version.

    Attributes:
        signatures: tensorflow.SignatureDef by name, in the names' order.
        tensorflow_version: of the TensorFlow that wrote the version, such as "2.21.0".
    """

    signatures: dict[str, Any]
    tensorflow_version: str

    @classmethod
    def read(cls, version: Path) -> ExportedSignatures:
        """Reads them.

        Args:
            version: the folder of the version.

        Raises:
            OutputError: it holds no SavedModel for servers.
        """
        from textseq.serving.native.folder import FolderRefused, read_model

        place = version / "saved_model.pb"
        try:
            model = read_model(version)
        except FolderRefused as error:
            reason = str(error.__cause__ or error) or "altered or cut off"
            raise OutputError(f"{place}: cannot be read as a SavedModel ({reason}); export the run anew") from error
        for graph in model.meta_graphs:
            if _TAG in graph.meta_info_def.tags:
                names = sorted(set(graph.signature_def) - {_INITIALIZER})
                return cls({name: graph.signature_def[name] for name in names}, graph.meta_info_def.tensorflow_version)
        raise OutputError(f"{place}: holds no model for servers, expected the tag {_TAG!r}; export the run anew")
