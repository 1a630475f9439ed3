"""TensorFlow's and TensorFlow Serving's messages, without the packages that carry them.

The classes are made here from descriptions that hold the true names and numbers of the fields, and no more fields than
are used; what a message holds beside them stays in it unread and is written out again. They live in a descriptor pool
of their own, so a process may import TensorFlow as well.

Example:
    >>> request = PredictRequest(model_spec={"name": "en-de", "signature_name": "serving_default"})
    >>> request.inputs["text"].CopyFrom(TensorProto(dtype=DT_STRING, string_val=[b"A dog."]))
    >>> PredictRequest.FromString(request.SerializeToString()) == request
    True
"""

from __future__ import annotations

import re
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_Field = descriptor_pb2.FieldDescriptorProto

# A file of descriptions by its package; a message by its name, a nested one after a point. A field is written as in a
# .proto file, with the oneof that it belongs to behind it. An enumeration is a mapping.
_PACKAGES: dict[str, dict[str, Any]] = {
    "tensorflow": {
        "DataType": {
            "DT_INVALID": 0,
            "DT_FLOAT": 1,
            "DT_DOUBLE": 2,
            "DT_INT32": 3,
            "DT_STRING": 7,
            "DT_INT64": 9,
            "DT_BOOL": 10,
            "DT_RESOURCE": 20,
            "DT_VARIANT": 21,
        },
        "TensorShapeProto": ["repeated TensorShapeProto.Dim dim = 2", "bool unknown_rank = 3"],
        "TensorShapeProto.Dim": ["int64 size = 1", "string name = 2"],
        "TensorProto": [
            "DataType dtype = 1",
            "TensorShapeProto tensor_shape = 2",
            "bytes tensor_content = 4",
            "repeated float float_val = 5",
            "repeated double double_val = 6",
            "repeated int32 int_val = 7",
            "repeated bytes string_val = 8",
            "repeated int64 int64_val = 10",
            "repeated bool bool_val = 11",
        ],
        "AttrValue": [
            "AttrValue.ListValue list = 1 of value",
            "bytes s = 2 of value",
            "int64 i = 3 of value",
            "float f = 4 of value",
            "bool b = 5 of value",
            "DataType type = 6 of value",
            "TensorShapeProto shape = 7 of value",
            "TensorProto tensor = 8 of value",
            "string placeholder = 9 of value",
            "NameAttrList func = 10 of value",
        ],
        "AttrValue.ListValue": [
            "repeated bytes s = 2",
            "repeated int64 i = 3",
            "repeated DataType type = 6",
            "repeated TensorShapeProto shape = 7",
            "repeated TensorProto tensor = 8",
            "repeated NameAttrList func = 9",
        ],
        "NameAttrList": ["string name = 1", "map<string, AttrValue> attr = 2"],
        "NodeDef": [
            "string name = 1",
            "string op = 2",
            "repeated string input = 3",
            "string device = 4",
            "map<string, AttrValue> attr = 5",
        ],
        "OpDef": [
            "string name = 1",
            "repeated OpDef.ArgDef input_arg = 2",
            "repeated OpDef.ArgDef output_arg = 3",
            "repeated OpDef.AttrDef attr = 4",
            "bool is_stateful = 17",
        ],
        "OpDef.ArgDef": ["string name = 1", "DataType type = 3", "bool is_ref = 16"],
        "OpDef.AttrDef": ["string name = 1", "string type = 2", "AttrValue allowed_values = 7"],
        "OpList": ["repeated OpDef op = 1"],
        "FunctionDef": ["OpDef signature = 1", "repeated NodeDef node_def = 3", "map<string, AttrValue> attr = 5"],
        "FunctionDefLibrary": ["repeated FunctionDef function = 1"],
        "GraphDef": ["repeated NodeDef node = 1", "FunctionDefLibrary library = 2"],
        "TensorInfo": ["string name = 1 of encoding", "DataType dtype = 2", "TensorShapeProto tensor_shape = 3"],
        "SignatureDef": [
            "map<string, TensorInfo> inputs = 1",
            "map<string, TensorInfo> outputs = 2",
            "string method_name = 3",
        ],
        "AssetFileDef": ["TensorInfo tensor_info = 1", "string filename = 2"],
        "SaverDef": ["string filename_tensor_name = 1", "string save_tensor_name = 2", "string restore_op_name = 3"],
        "MetaGraphDef": [
            "MetaGraphDef.MetaInfoDef meta_info_def = 1",
            "GraphDef graph_def = 2",
            "SaverDef saver_def = 3",
            "map<string, CollectionDef> collection_def = 4",
            "map<string, SignatureDef> signature_def = 5",
            "repeated AssetFileDef asset_file_def = 6",
        ],
        "MetaGraphDef.MetaInfoDef": ["repeated string tags = 4", "string tensorflow_version = 5"],
        "CollectionDef": ["CollectionDef.NodeList node_list = 1 of kind"],
        "CollectionDef.NodeList": ["repeated string value = 1"],
        "SavedModel": ["int64 saved_model_schema_version = 1", "repeated MetaGraphDef meta_graphs = 2"],
        "ConfigProto": [
            "map<string, int32> device_count = 1",
            "int32 intra_op_parallelism_threads = 2",
            "int32 inter_op_parallelism_threads = 5",
            "bool use_per_session_threads = 9",
        ],
        "KernelDef": ["string op = 1", "string device_type = 2"],
        "KernelList": ["repeated KernelDef kernel = 1"],
    },
    "tensorflow.serving": {
        "ModelSpec": [
            "string name = 1",
            "google.protobuf.Int64Value version = 2 of version_choice",
            "string signature_name = 3",
            "string version_label = 4 of version_choice",
        ],
        "PredictRequest": [
            "ModelSpec model_spec = 1",
            "map<string, tensorflow.TensorProto> inputs = 2",
            "repeated string output_filter = 3",
        ],
        "PredictResponse": ["map<string, tensorflow.TensorProto> outputs = 1", "ModelSpec model_spec = 2"],
        "StatusProto": ["int32 error_code = 1", "string error_message = 2"],
        "GetModelStatusRequest": ["ModelSpec model_spec = 1"],
        "ModelVersionStatus": [
            "int64 version = 1",
            "ModelVersionStatus.State state = 2",
            "StatusProto status = 3",
        ],
        "ModelVersionStatus.State": {
            "UNKNOWN": 0,
            "START": 10,
            "LOADING": 20,
            "AVAILABLE": 30,
            "UNLOADING": 40,
            "END": 50,
        },
        "GetModelStatusResponse": ["repeated ModelVersionStatus model_version_status = 1"],
        "SignatureDefMap": ["map<string, tensorflow.SignatureDef> signature_def = 1"],
        "GetModelMetadataRequest": ["ModelSpec model_spec = 1", "repeated string metadata_field = 2"],
        "GetModelMetadataResponse": ["ModelSpec model_spec = 1", "map<string, google.protobuf.Any> metadata = 2"],
        "PredictLog": ["PredictRequest request = 1", "PredictResponse response = 2"],
        "LogMetadata": ["ModelSpec model_spec = 1", "repeated string saved_model_tags = 3"],
        "PredictionLog": ["LogMetadata log_metadata = 1", "PredictLog predict_log = 6 of log_type"],
    },
    "grpc.health.v1": {
        "HealthCheckRequest": ["string service = 1"],
        "HealthCheckResponse": ["HealthCheckResponse.ServingStatus status = 1"],
        "HealthCheckResponse.ServingStatus": {"UNKNOWN": 0, "SERVING": 1, "NOT_SERVING": 2, "SERVICE_UNKNOWN": 3},
    },
}

_FIELD = re.compile(r"(?:(repeated) )?(?:map<string, ([\w.]+)>|([\w.]+)) (\w+) = (\d+)(?: of (\w+))?")


def _file(package: str, content: dict[str, Any]) -> descriptor_pb2.FileDescriptorProto:
    """Writes the description of a package in protobuf's own terms."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    file.dependency.extend(["google/protobuf/any.proto", "google/protobuf/wrappers.proto"])
    if package != "tensorflow":
        file.dependency.append("tensorflow.proto")
    made: dict[str, Any] = {"": file}
    for name, members in content.items():
        parent, _, own = name.rpartition(".")
        if isinstance(members, dict):
            enums = made[parent].enum_type
            enums.add(name=own, value=[{"name": key, "number": number} for key, number in members.items()])
            continue
        made[name] = (made[parent].nested_type if parent else file.message_type).add(name=own)
        for member in members:
            _add_field(made[name], package, member)
    return file


def _add_field(message: descriptor_pb2.DescriptorProto, package: str, text: str) -> None:
    matched = _FIELD.fullmatch(text)
    if matched is None:
        raise ValueError(f"{message.name}: received {text!r}, expected a field as in a .proto file")
    repeated, values, kind, name, number, oneof = matched.groups()
    field = message.field.add(name=name, number=int(number), label=_Field.LABEL_OPTIONAL)
    if values:
        entry = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry", options={"map_entry": True})
        _set_type(entry.field.add(name="key", number=1, label=_Field.LABEL_OPTIONAL), package, "string")
        _set_type(entry.field.add(name="value", number=2, label=_Field.LABEL_OPTIONAL), package, values)
        field.type, field.type_name = _Field.TYPE_MESSAGE, entry.name
    else:
        _set_type(field, package, kind)
    if repeated or values:
        field.label = _Field.LABEL_REPEATED
    if oneof:
        if oneof not in [each.name for each in message.oneof_decl]:
            message.oneof_decl.add(name=oneof)
        field.oneof_index = [each.name for each in message.oneof_decl].index(oneof)


def _set_type(field: descriptor_pb2.FieldDescriptorProto, package: str, kind: str) -> None:
    if kind.islower() and "." not in kind:
        field.type = _Field.Type.Value(f"TYPE_{kind.upper()}")
        return
    known = _PACKAGES[package].get(kind)
    field.type = _Field.TYPE_ENUM if isinstance(known, dict) else _Field.TYPE_MESSAGE
    field.type_name = f".{package}.{kind}" if known is not None else f".{kind}"


def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for module in (any_pb2, wrappers_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    for package, content in _PACKAGES.items():
        pool.AddSerializedFile(_file(package, content).SerializeToString())
    return pool


POOL = _pool()
"""Every message below, by its full name."""


def _made(name: str) -> Any:
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(name))


TensorProto = _made("tensorflow.TensorProto")
TensorInfo = _made("tensorflow.TensorInfo")
MetaGraphDef = _made("tensorflow.MetaGraphDef")
SavedModel = _made("tensorflow.SavedModel")
ConfigProto = _made("tensorflow.ConfigProto")
KernelList = _made("tensorflow.KernelList")
OpList = _made("tensorflow.OpList")

ModelSpec = _made("tensorflow.serving.ModelSpec")
PredictRequest = _made("tensorflow.serving.PredictRequest")
PredictResponse = _made("tensorflow.serving.PredictResponse")
GetModelStatusRequest = _made("tensorflow.serving.GetModelStatusRequest")
ModelVersionStatus = _made("tensorflow.serving.ModelVersionStatus")
GetModelStatusResponse = _made("tensorflow.serving.GetModelStatusResponse")
SignatureDefMap = _made("tensorflow.serving.SignatureDefMap")
GetModelMetadataRequest = _made("tensorflow.serving.GetModelMetadataRequest")
GetModelMetadataResponse = _made("tensorflow.serving.GetModelMetadataResponse")
PredictionLog = _made("tensorflow.serving.PredictionLog")

HealthCheckRequest = _made("grpc.health.v1.HealthCheckRequest")
HealthCheckResponse = _made("grpc.health.v1.HealthCheckResponse")

DT_FLOAT, DT_DOUBLE, DT_INT32, DT_STRING, DT_INT64, DT_BOOL = 1, 2, 3, 7, 9, 10
"""Kinds of values, as `TensorProto.dtype` and `TensorInfo.dtype` have them."""


def data_type_name(kind: int) -> str:
    """Returns the name of a kind of values, such as "DT_STRING"; "DT_99" for one that is not known here.

    Example:
        >>> data_type_name(7)
        'DT_STRING'
    """
    value = POOL.FindEnumTypeByName("tensorflow.DataType").values_by_number.get(kind)
    return value.name if value is not None else f"DT_{kind}"
