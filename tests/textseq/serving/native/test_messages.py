"""Messages that are made here are those of TensorFlow and TensorFlow Serving, byte for byte."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor

from textseq.serving.native import messages
from textseq.serving.native.messages import DT_STRING, POOL, PredictRequest, SavedModel, data_type_name


def described() -> list[Descriptor]:
    """Every message that is described here, nested ones as well."""
    found: list[Descriptor] = []
    for package in messages._PACKAGES:
        waiting = list(POOL.FindFileByName(f"{package}.proto").message_types_by_name.values())
        while waiting:
            found.append(waiting.pop())
            waiting += found[-1].nested_types
    return found


@pytest.fixture(scope="module")
def oracle() -> Any:
    """The pool that TensorFlow and TensorFlow Serving fill themselves."""
    pytest.importorskip("tensorflow")
    apis = pytest.importorskip("tensorflow_serving.apis")
    from google.protobuf import descriptor_pool
    from tensorflow.core.framework import kernel_def_pb2  # noqa: F401
    from tensorflow.core.protobuf import config_pb2, saved_model_pb2  # noqa: F401
    from tensorflow_serving.apis import (  # noqa: F401
        get_model_metadata_pb2,
        get_model_status_pb2,
        predict_pb2,
        prediction_log_pb2,
    )

    assert apis
    return descriptor_pool.Default()


def form(field: Any) -> tuple[Any, ...]:
    message = field.message_type.full_name if field.message_type else None
    # A status' code is kept as the number that it is on the wire.
    enum = field.enum_type.full_name if field.enum_type and field.enum_type.full_name != "tensorflow.error.Code" else ""
    kind = field.type if enum or not field.enum_type else field.TYPE_INT32
    group = field.containing_oneof.name if field.containing_oneof else None
    packed = field.is_packed and field.is_repeated
    return field.name, field.number, kind, field.is_repeated, packed, message, enum, group


@pytest.mark.parametrize("name", [each.full_name for each in described()])
def test_fields_are_the_true_ones(oracle: Any, name: str) -> None:
    if name.startswith("grpc."):
        pytest.importorskip("grpc_health", reason="grpcio-health-checking describes the health service")
        from grpc_health.v1 import health_pb2  # noqa: F401
    ours, true = POOL.FindMessageTypeByName(name), oracle.FindMessageTypeByName(name)
    for field in ours.fields:
        assert form(field) == form(true.fields_by_name[field.name])
    assert ours.GetOptions().map_entry == true.GetOptions().map_entry
    for enum in ours.enum_types:
        assert enum.values_by_name.keys() == true.enum_types_by_name[enum.name].values_by_name.keys()


def test_kinds_of_values_are_the_true_ones(oracle: Any) -> None:
    true = oracle.FindEnumTypeByName("tensorflow.DataType")
    for value in POOL.FindEnumTypeByName("tensorflow.DataType").values:
        assert true.values_by_name[value.name].number == value.number
    for name in ("DT_FLOAT", "DT_DOUBLE", "DT_INT32", "DT_STRING", "DT_INT64", "DT_BOOL"):
        assert getattr(messages, name) == true.values_by_name[name].number
    assert data_type_name(DT_STRING) == "DT_STRING"
    assert data_type_name(99) == "DT_99"


def test_a_request_of_serving_reads_as_ours(oracle: Any) -> None:
    tf = pytest.importorskip("tensorflow")
    from tensorflow_serving.apis import predict_pb2

    theirs = predict_pb2.PredictRequest(output_filter=["translation"], client_id=b"unknown here")
    theirs.model_spec.name = "en-de"
    theirs.model_spec.version.value = 3
    theirs.inputs["text"].CopyFrom(tf.make_tensor_proto([b"a\xff", b""]))
    theirs.inputs["n"].CopyFrom(tf.make_tensor_proto([1, 2]))
    ours = PredictRequest.FromString(theirs.SerializeToString())
    assert ours.model_spec.version.value == 3
    assert ours.model_spec.WhichOneof("version_choice") == "version"
    assert list(ours.inputs["text"].string_val) == [b"a\xff", b""]
    # What has no field here survives.
    assert predict_pb2.PredictRequest.FromString(ours.SerializeToString()) == theirs


def test_metadata_is_packed_under_its_true_name(oracle: Any) -> None:
    from tensorflow_serving.apis import get_model_metadata_pb2

    ours = messages.GetModelMetadataResponse()
    signatures = messages.SignatureDefMap()
    signatures.signature_def["serving_default"].inputs["text"].name = "text:0"
    ours.metadata["signature_def"].Pack(signatures)
    theirs = get_model_metadata_pb2.GetModelMetadataResponse.FromString(ours.SerializeToString())
    unpacked = get_model_metadata_pb2.SignatureDefMap()
    assert theirs.metadata["signature_def"].Unpack(unpacked)
    assert unpacked.signature_def["serving_default"].inputs["text"].name == "text:0"


def test_a_saved_model_survives(oracle: Any, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    from tensorflow.core.protobuf import saved_model_pb2

    module = tf.Module()
    module.weight = tf.Variable([1.0, 2.0])
    function = tf.function(lambda: {"y": module.weight * 2.0}, input_signature=[], autograph=False)
    tf.saved_model.save(module, str(tmp_path), signatures=function.get_concrete_function())
    content = (tmp_path / "saved_model.pb").read_bytes()
    ours = SavedModel.FromString(content)
    assert saved_model_pb2.SavedModel.FromString(ours.SerializeToString()) == saved_model_pb2.SavedModel.FromString(
        content
    )
    (meta_graph,) = ours.meta_graphs
    assert list(meta_graph.meta_info_def.tags) == ["serve"]
    assert meta_graph.saver_def.restore_op_name
    assert {node.op for function in meta_graph.graph_def.library.function for node in function.node_def} >= {
        "ReadVariableOp"
    }


def test_tensorflow_stays_out() -> None:
    code = (
        "import sys, textseq.serving.native.tensors; print(sorted({'tensorflow', 'keras', 'nmt'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_a_field_that_cannot_be_read() -> None:
    with pytest.raises(ValueError, match=r"Broken: received 'text', expected a field as in a .proto file"):
        messages._file("tensorflow", {"Broken": ["text"]})
