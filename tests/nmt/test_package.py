"""The public names of `nmt`; how they are loaded is tested with textseq.lazy_package."""

from __future__ import annotations

import pytest

import nmt
import textseq


def test_public_names_are_listed() -> None:
    functions = {"train", "evaluate", "score", "export", "combined_export", "quickstart"}
    classes = {"Translator", "RemoteTranslator", "Translation", "Config"}
    assert functions | classes | {"__version__"} == set(nmt.__all__)
    assert set(nmt.__all__) <= set(dir(nmt))
    assert nmt.__version__ == textseq.__version__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'nmt' has no attribute 'tarin'$"):
        nmt.tarin  # noqa: B018
