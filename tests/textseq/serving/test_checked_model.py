"""What a folder must be before it is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from textseq.serving.checked_model import open_checked
from textseq.serving.refusal import Code, Refusal


@pytest.mark.parametrize("content", [None, b"no graph"])
def test_a_folder_that_is_no_model(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(Refusal, match=r"saved_model\.pb") as caught:
        open_checked(tmp_path, 1)
    assert caught.value.code == Code.FAILED_PRECONDITION


def test_a_graph_that_does_what_it_should_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = [f"Op{number} in f" for number in range(7)]
    monkeypatch.setattr("textseq.serving.native.folder.check_folder", lambda folder: None)
    monkeypatch.setattr("textseq.serving.native.operations.refused_operations", lambda folder: refused)
    with pytest.raises(Refusal) as caught:
        open_checked(tmp_path, 1)
    assert caught.value.code == Code.FAILED_PRECONDITION
    assert caught.value.message == (
        "the graph holds Op0 in f, Op1 in f, Op2 in f, Op3 in f, Op4 in f, ..., expected only operations that compute"
    )
