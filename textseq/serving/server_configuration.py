"""The messages that TensorFlow Serving's configuration files are the text form of, without the package that has them.

As in `textseq.serving.native.messages`: true names and numbers, in a pool of their own, and only the fields that are
used here. A file that is written from a message is right in its form by construction.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2

_Field = descriptor_pb2.FieldDescriptorProto
_INT64 = "google.protobuf.Int64Value"
_BOOL = "google.protobuf.BoolValue"

# By message: (field, number, kind); a kind in brackets is repeated, one with a point or a capital is a message.
_MESSAGES: dict[str, list[tuple[str, int, str]]] = {
    "FileSystemStoragePathSourceConfig.ServableVersionPolicy.Latest": [("num_versions", 1, "uint32")],
    "FileSystemStoragePathSourceConfig.ServableVersionPolicy.Specific": [("versions", 1, "[int64]")],
    "FileSystemStoragePathSourceConfig.ServableVersionPolicy": [
        ("latest", 100, "FileSystemStoragePathSourceConfig.ServableVersionPolicy.Latest"),
        ("specific", 102, "FileSystemStoragePathSourceConfig.ServableVersionPolicy.Specific"),
    ],
    "FileSystemStoragePathSourceConfig": [],
    "ModelConfig": [
        ("name", 1, "string"),
        ("base_path", 2, "string"),
        ("model_platform", 4, "string"),
        ("model_version_policy", 7, "FileSystemStoragePathSourceConfig.ServableVersionPolicy"),
    ],
    "ModelConfigList": [("config", 1, "[ModelConfig]")],
    "ModelServerConfig": [("model_config_list", 1, "ModelConfigList")],
    "BatchingParameters": [
        ("max_batch_size", 1, _INT64),
        ("batch_timeout_micros", 2, _INT64),
        ("max_enqueued_batches", 3, _INT64),
        ("num_batch_threads", 4, _INT64),
        ("allowed_batch_sizes", 6, "[int64]"),
        ("pad_variable_length_inputs", 7, "bool"),
        ("enable_large_batch_splitting", 8, _BOOL),
    ],
    "PrometheusConfig": [("enable", 1, "bool"), ("path", 2, "string")],
    "MonitoringConfig": [("prometheus_config", 1, "PrometheusConfig")],
}


def _pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(
        name="configuration.proto",
        package="tensorflow.serving",
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    made: dict[str, Any] = {"": file}
    for name in sorted(_MESSAGES):  # what holds others before what it holds
        parent, _, own = name.rpartition(".")
        made[name] = made[parent].nested_type.add(name=own) if parent else file.message_type.add(name=own)
        for field, number, kind in _MESSAGES[name]:
            label = _Field.LABEL_REPEATED if kind.startswith("[") else _Field.LABEL_OPTIONAL
            kind = kind.strip("[]")
            added = made[name].field.add(name=field, number=number, label=label)
            if kind.islower() and "." not in kind:
                added.type = _Field.Type.Value(f"TYPE_{kind.upper()}")
            else:
                added.type = _Field.TYPE_MESSAGE
                added.type_name = f".{kind}" if kind.startswith("google.") else f".tensorflow.serving.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _pool()


def _made(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"tensorflow.serving.{name}"))


ModelServerConfig = _made("ModelServerConfig")
BatchingParameters = _made("BatchingParameters")
MonitoringConfig = _made("MonitoringConfig")


def written(message: Any) -> str:
    """Returns a message as the text of a file, without the last line's end.

    Args:
        message: of a class of this module.
    """
    return text_format.MessageToString(message, as_utf8=True).rstrip("\n")


def parsed(text: str, kind: Any) -> Any:
    """Returns the message that a text says; fields that are not known here are passed over.

    Args:
        text: of a file.
        kind: a class of this module.

    Raises:
        ValueError: it is no text of such a message.
    """
    try:
        return text_format.Parse(text, kind(), allow_unknown_field=True)
    except text_format.ParseError as error:
        raise ValueError(str(error).splitlines()[0]) from error
