"""Batch sizes fit the texts, are legal for TensorFlow Serving, and stay what a running server knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.textseq.serving.export_stand_in import GOLDEN, Examples
from textseq.errors import OutputError
from textseq.serving.batch_sizes import (
    BATCH_BYTES,
    SIZES,
    fitting_batch_sizes,
    longest_usual_bytes,
    read_parameters,
    served_batch_sizes,
)


def golden(length: int) -> dict[str, Examples]:
    return {"serving_default": Examples({"text": [b"x" * length] * 10}, {})}


def test_short_texts_go_together_in_great_numbers() -> None:
    assert fitting_batch_sizes(GOLDEN) == SIZES
    assert longest_usual_bytes(GOLDEN["serving_default"]) == 21


def test_the_signature_with_the_longest_texts_decides() -> None:
    both = {**golden(10), "score": Examples({"text": [b"x" * 3000], "translation": [b"x" * 3000]}, {})}
    assert fitting_batch_sizes(both)[-1] == 16 == max(size for size in SIZES if size * 6000 <= BATCH_BYTES)


@given(st.integers(0, 200_000))
def test_the_fullest_batch_stays_within_its_bytes(length: int) -> None:
    sizes = fitting_batch_sizes(golden(length))
    assert list(sizes) == sorted(set(sizes)) == list(SIZES[: len(sizes)])
    assert sizes[-1] * length <= BATCH_BYTES or sizes[-1] == 8
    larger = SIZES[len(sizes) : len(sizes) + 1]
    assert all(size * length > BATCH_BYTES for size in larger)


def test_a_third_at_most_is_filled_up() -> None:
    for rows in range(1, SIZES[-1] + 1):
        size = min(each for each in SIZES if each >= rows)
        assert (size - rows) / size <= 1 / 3


def test_sizes_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "batching_parameters.txt"
    assert read_parameters(path) is None
    for text, sizes in (
        (
            "# ours\nmax_batch_size { value: 20 }\nallowed_batch_sizes: [5, 20]\nthread_pool_name { value: 'a' }",
            (5, 20),
        ),
        ("max_batch_size { value: 9 }", (1, 2, 3, 4, 6, 8)),
        ("", SIZES),
    ):
        path.write_text(text)
        assert served_batch_sizes(read_parameters(path)) == sizes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max_batch_size { value: 4 } allowed_batch_sizes: [1, 2]", "are 1, 2 and max_batch_size is 4;"),
        ("max_batch_size { value: 4 } allowed_batch_sizes: [2, 1, 4]", "are 2, 1, 4 and max_batch_size is 4;"),
        ("max_batch_size { value: 4 } allowed_batch_sizes: [0, 4]", "are 0, 4 and max_batch_size is 4;"),
        ("allowed_batch_sizes: [1, 2]", "are 1, 2 and max_batch_size is 1000;"),
        ("max_batch_size { value: 0 }", "are none and max_batch_size is 0;"),
    ],
)
def test_sizes_that_no_server_starts_with(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "batching_parameters.txt"
    path.write_text(text)
    with pytest.raises(OutputError) as caught:
        read_parameters(path)
    assert str(caught.value) == (
        f"{path}: allowed_batch_sizes {said} expected sizes that rise from 1 or more and end with max_batch_size, or "
        f"TensorFlow Serving does not start; mend it, or delete it to have it written anew"
    )


@pytest.mark.parametrize("content", [b"max_batch_size {", b"max_batch_size: 4", b"\xff"])
def test_a_file_that_is_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "batching_parameters.txt"
    path.write_bytes(content)
    with pytest.raises(OutputError) as caught:
        read_parameters(path)
    assert str(caught.value).startswith(f"{path}: cannot be read as TensorFlow Serving's BatchingParameters: ")
    assert str(caught.value).endswith("; mend it, or delete it to have it written anew")
    assert "\n" not in str(caught.value)
