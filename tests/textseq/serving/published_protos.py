"""The messages of TensorFlow Serving's configuration files that its Python package leaves out, as it publishes them.

The fields and numbers of `tensorflow_serving/servables/tensorflow/session_bundle_config.proto` (BatchingParameters) and
`tensorflow_serving/config/monitoring_config.proto`, in a pool of their own.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2

_WRAPPED = """
  field {{ name: "{0}" number: {1} label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".google.protobuf.{2}" }}
"""
_FILE = (
    'name: "published.proto" package: "published" syntax: "proto3" dependency: "google/protobuf/wrappers.proto"'
    'message_type { name: "BatchingParameters"'
    + "".join(
        _WRAPPED.format(*field)
        for field in (
            ("max_batch_size", 1, "Int64Value"),
            ("batch_timeout_micros", 2, "Int64Value"),
            ("max_enqueued_batches", 3, "Int64Value"),
            ("num_batch_threads", 4, "Int64Value"),
            ("thread_pool_name", 5, "StringValue"),
        )
    )
    + """
  field { name: "allowed_batch_sizes" number: 6 label: LABEL_REPEATED type: TYPE_INT64 }
  field { name: "pad_variable_length_inputs" number: 7 label: LABEL_OPTIONAL type: TYPE_BOOL }
}
message_type { name: "PrometheusConfig"
  field { name: "enable" number: 1 label: LABEL_OPTIONAL type: TYPE_BOOL }
  field { name: "path" number: 2 label: LABEL_OPTIONAL type: TYPE_STRING }
}
message_type { name: "MonitoringConfig"
  field { name: "prometheus_config" number: 1 label: LABEL_OPTIONAL type: TYPE_MESSAGE
          type_name: ".published.PrometheusConfig" }
}"""
)


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(text_format.Parse(_FILE, descriptor_pb2.FileDescriptorProto()).SerializeToString())
    return pool


_POOL = _pool()


def published(name: str) -> Any:
    """Returns a class of messages, such as "BatchingParameters"."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"published.{name}"))
