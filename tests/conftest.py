"""Fixtures that every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

CORPORA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of real corpora beside the repository; tests that need it skip where it is missing."""
    if not CORPORA.is_dir():
        pytest.skip(f"the corpora folder {CORPORA} is missing")
    return CORPORA
