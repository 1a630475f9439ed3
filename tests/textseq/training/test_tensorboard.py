"""What TensorBoard finds."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from textseq.errors import OutputError
from textseq.training.tensorboard import TensorBoard


def _scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    found: dict[str, list[tuple[int, float]]] = {}
    for file in sorted(folder.glob("events.*")):
        for raw in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(raw)
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, float(tf.make_ndarray(value.tensor))))
    return found


def test_scalars_of_training_and_validation(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path / "board")
    board.write({"step": 2, "epoch": 0.5, "loss": 4.5, "skipped_steps": 1})
    board.write({"step": 4, "epoch": 1.0, "validation_bleu": 12.5, "best": True, "weights": "mean"})
    board.write({"step": 6, "epoch": 1.5, "loss": 4.0, "skipped_steps": 1})
    board.close()
    assert _scalars(tmp_path / "board") == {
        "training/loss": [(2, 4.5), (6, 4.0)],
        "training/skipped_steps": [(2, 1.0), (6, 1.0)],
        "validation/bleu": [(4, 12.5)],
    }


def test_every_record_is_on_the_disk_at_once(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path)
    board.write({"step": 1, "loss": 4.5})
    assert _scalars(tmp_path) == {"training/loss": [(1, 4.5)]}
    board.close()


def test_nothing_is_made_without_a_record(tmp_path: Path) -> None:
    TensorBoard(tmp_path / "board").close()
    assert not (tmp_path / "board").exists()


def test_none_writes_nothing(tmp_path: Path) -> None:
    board = TensorBoard(None)
    board.write({"step": 1, "loss": 4.5})
    board.close()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "board").write_text("a file")
    board = TensorBoard(tmp_path / "board")
    with pytest.raises(OutputError) as caught:
        board.write({"step": 1, "loss": 4.5})
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'board'}: cannot be written: ")
    assert message.endswith("; set training.tensorboard=false")
    assert "\n" not in message
