"""A trained run and an exported classifier as one SavedModel."""

from __future__ import annotations

import os
from pathlib import Path


def combined_export(
    run: str | os.PathLike[str], classifier: str | os.PathLike[str], out: str | os.PathLike[str]
) -> Path:
    """Writes a translator and a classifier as one SavedModel, which also classifies what it translates.

    The translator is exported to a hidden folder in `out` that does not stay, and proved there; then both exports are
    combined and proved again. See `textseq.serving.combination.combine` for the signatures, and to combine two exports
    that stand.

    Args:
        run: the run directory of the translator.
        classifier: an exported classifier, as `classifiers export` writes it, or one version of it.
        out: the folder that TF Serving watches; the export becomes its next version, 1, 2, ...

    Returns:
        The folder of the version.

    Raises:
        RunDirectoryError: there is no run, it has no weights yet, or its validation text is missing.
        OutputError: `classifier` is no exported classifier; `out` holds something else, or cannot be written.
        ExportMismatch: the export gives something else than the run; nothing is published.

    Example:
        >>> combined_export("runs/en-de", "serving/reviews", "serving/both")  # doctest: +SKIP
        PosixPath('serving/both/1')
    """
    from nmt.export import export
    from textseq.atomic_files import hidden_directory, remove_remainders
    from textseq.export import check_folder, made
    from textseq.serving.combination import TASK, check_classifier, combine

    check_folder(out, TASK)
    check_classifier(classifier)
    with made(Path(out)):
        remove_remainders(Path(out))
        with hidden_directory(Path(out)) as folder:
            return combine(export(run, folder / "translator"), classifier, out)
