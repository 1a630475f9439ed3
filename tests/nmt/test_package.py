"""The public names of `nmt`; how they are loaded is tested with textseq.lazy_package."""

from __future__ import annotations

import pytest

import nmt
import textseq


def test_public_names_are_listed() -> None:
    public = {"train", "evaluate", "score", "export", "quickstart", "Translator", "Translation", "Config"}
    assert public | {"__version__"} == set(nmt.__all__)
    assert set(nmt.__all__) <= set(dir(nmt))
    assert nmt.__version__ == textseq.__version__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match=r"^module 'nmt' has no attribute 'tarin'$"):
        nmt.tarin  # noqa: B018
