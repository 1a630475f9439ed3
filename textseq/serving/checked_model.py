"""Loading a version of a model, a stranger's too."""

from __future__ import annotations

from pathlib import Path

from textseq.serving.batcher import Model
from textseq.serving.refusal import Code, Refusal


def open_checked(folder: Path, threads: int) -> Model:
    """Loads a version, of a stranger too, once it is checked.

    Raises:
        Refusal: see `check_model`.
        NativeError: TensorFlow cannot load it.
    """
    from textseq.serving.native.saved_model import SavedModel

    check_model(folder)
    return SavedModel.open(folder, threads=threads)


def check_model(folder: Path) -> None:
    """Looks at a version's files, and at what its graph would do; nothing is loaded.

    Raises:
        Refusal: FAILED_PRECONDITION, the folder holds what it should not, or operations that do more than compute.
        NativeError: TensorFlow is missing.
    """
    from textseq.serving.native.folder import FolderRefused, check_folder
    from textseq.serving.native.operations import refused_operations

    try:
        check_folder(folder)
        refused = refused_operations(folder)
    except FolderRefused as error:
        raise Refusal(Code.FAILED_PRECONDITION, str(error)) from error
    if refused:
        raise Refusal(
            Code.FAILED_PRECONDITION,
            f"the graph holds {', '.join(refused[:5])}{', ...' if refused[5:] else ''}, expected only operations that "
            f"compute",
        )
