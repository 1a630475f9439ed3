"""Our descriptions of TensorFlow Serving's configuration are its own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.textseq.serving.published_protos import published
from textseq.serving.server_configuration import (
    BatchingParameters,
    ModelServerConfig,
    MonitoringConfig,
    parsed,
    written,
)


def fields(descriptor: Any) -> dict[str, Any]:
    """Every field under a message: number, repeated, kind, and those of its own message."""
    return {
        field.name: (
            field.number,
            field.is_repeated,
            field.type,
            fields(field.message_type) if field.message_type is not None else None,
        )
        for field in descriptor.fields
    }


def within(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    return all(
        name in theirs and one[:3] == theirs[name][:3] and (one[3] is None or within(one[3], theirs[name][3]))
        for name, one in ours.items()
    )


def test_the_models() -> None:
    package = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    assert within(fields(ModelServerConfig.DESCRIPTOR), fields(package.ModelServerConfig.DESCRIPTOR))
    assert ModelServerConfig.DESCRIPTOR.full_name == package.ModelServerConfig.DESCRIPTOR.full_name


@pytest.mark.parametrize("ours", [BatchingParameters, MonitoringConfig])
def test_batching_and_monitoring(ours: Any) -> None:
    own = fields(ours.DESCRIPTOR)
    own.pop("enable_large_batch_splitting", None)  # younger than what is published at hand
    assert within(own, fields(published(ours.DESCRIPTOR.name).DESCRIPTOR))


def test_what_is_written_is_read() -> None:
    message = BatchingParameters(allowed_batch_sizes=[1, 2])
    message.max_batch_size.value = 2
    assert parsed(f"# why\n\n{written(message)}\n", BatchingParameters) == message


def test_what_is_no_such_text() -> None:
    with pytest.raises(ValueError, match=r"^1:\d+ : "):
        parsed("max_batch_size {", BatchingParameters)
