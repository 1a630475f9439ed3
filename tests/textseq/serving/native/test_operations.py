"""What a server cannot run and what a stranger's graph may not do is found, wherever it stands."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from textseq.serving.native import operations
from textseq.serving.native.c_api import library
from textseq.serving.native.folder import read_model
from textseq.serving.native.messages import OpList
from textseq.serving.native.operations import (
    foreign_operations,
    has_cpu_kernel,
    is_harmless,
    refused_operations,
    used_operations,
)
from textseq.serving.native.saved_model import SavedModel

tf = pytest.importorskip("tensorflow")

TEXT = tf.TensorSpec([None], tf.string, name="text")

# Files, processes, networks, Python, devices, other sessions' memory.
HARMFUL = """
    ReadFile WriteFile MatchingFiles ImmutableConst RestoreV2 Restore RestoreSlice Save SaveSlices SaveV2
    ShardedFilename MergeV2Checkpoints PyFunc PyFuncStateless EagerPyFunc PrintV2 Print DebugIdentity
    DebugIdentityV2 DebugIdentityV3 DecodeProtoV2 EncodeProto InitializeTableFromTextFileV2 TextLineDataset
    TFRecordDataset FixedLengthRecordDatasetV2 WholeFileReaderV2 TextLineReaderV2 TFRecordReaderV2 ReaderReadV2
    DatasetToGraphV2 SaveDatasetV2 LoadDataset CreateSummaryFileWriter WriteSummary RemoteCall _Send _Recv
    _HostSend LoadAndRemapMatrix GenerateVocabRemapping FixedUnigramCandidateSampler AssignVariableOp Assign
    Variable VariableV2 Barrier FIFOQueueV2 StageV2 Stage MapStage MutableHashTableV2 TemporaryVariable
    RandomUniform InplaceUpdate InplaceAdd _EagerConst XlaLaunch _XlaRun SymbolicGradient DecodeWav DecodeJpeg
    FileSystemSetConfiguration ConfigureDistributedTPU IteratorV2 MapDefun Nothing
"""


def saved(folder: Path, function: Any, module: Any = None) -> Path:
    module = tf.Module() if module is None else module
    module.weight = tf.Variable(1.0)
    tf.saved_model.save(module, str(folder), signatures=function)
    return folder


@contextmanager
def changed(folder: Path) -> Iterator[Any]:
    """Yields the graph to change, and writes it back."""
    model = read_model(folder)
    yield model.meta_graphs[0]
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())


@pytest.fixture
def version(small_model: Path, tmp_path: Path) -> Path:
    """A model to spoil."""
    return shutil.copytree(small_model, tmp_path / "1")


def test_what_is_used(small_model: Path) -> None:
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString((small_model / "saved_model.pb").read_bytes())
    (graph,) = model.meta_graphs
    nodes = [*graph.graph_def.node, *(node for one in graph.graph_def.library.function for node in one.node_def)]
    assert used_operations(small_model) == sorted({node.op for node in nodes})
    assert {"StringUpper", "RestoreV2", "SaveV2"} <= set(used_operations(small_model))
    assert foreign_operations(small_model) == refused_operations(small_model) == []


def test_kernels_are_those_of_tensorflow() -> None:
    from tensorflow.python.framework import kernels

    for name in [*HARMFUL.split(), "MatMul", "StringJoin", "CudnnRNN", "TPUExecute", "NcclReduce", "While"]:
        if not name.startswith(("PyFunc", "EagerPyFunc")):  # TensorFlow's Python registers their kernels
            devices = {kernel.device_type for kernel in kernels.get_registered_kernels_for_op(name).kernel}
            assert has_cpu_kernel(name) is not devices.isdisjoint({"CPU", "DEFAULT"})
    assert not has_cpu_kernel("CudnnRNN")


@pytest.mark.parametrize("name", HARMFUL.split())
def test_harmful_operations(name: str) -> None:
    assert not is_harmless(name)


def test_what_is_harmless_computes() -> None:
    api = library()
    known = {each.name: each for each in OpList.FromString(api.taken(api.TF_GetAllOpList())).op}
    harmless = [each for name, each in known.items() if is_harmless(name)]
    assert len(harmless) > 500
    # Everything that is listed exists, and states and strings are taken where they are listed.
    assert {name for name in operations._NAMED if not name.startswith("Sentencepiece")} <= set(known)
    for each in harmless:
        if each.name not in operations._NAMED and not each.name.startswith("TensorList"):
            assert not each.is_stateful
            assert not any(argument.type == 7 or argument.is_ref for argument in each.input_arg)
        assert not any(
            word in each.name.lower()
            for word in ("file", "checkpoint", "pyfunc", "rpc", "summarywriter", "save", "dataset")
        ), each.name


def test_what_xla_compiles(tmp_path: Path) -> None:
    @tf.function(input_signature=[tf.TensorSpec([None], name="x")], autograph=False)
    def serve(x: Any) -> dict[str, Any]:
        return {"y": tf.function(lambda value: value * 2.0, jit_compile=True, autograph=False)(x)}

    found = foreign_operations(saved(tmp_path / "1", serve))
    assert any("(compiled by XLA)" in each for each in found)


def rename_an_operation(graph: Any) -> None:
    for function in graph.graph_def.library.function:
        for node in function.node_def:
            if node.op == "StringUpper":
                node.op = "OurOwnUpper"


def move_to_a_gpu(graph: Any) -> None:
    for function in graph.graph_def.library.function:
        for node in function.node_def:
            if node.op == "StringUpper":
                node.device = "/device:GPU:0"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (rename_an_operation, r"^OurOwnUpper in __inference_shout_\d+$"),
        (move_to_a_gpu, r"^StringUpper in __inference_shout_\d+ \(on /device:GPU:0\)$"),
    ],
)
def test_what_a_server_cannot_run(version: Path, change: Callable[[Any], None], found: str) -> None:
    import re

    with changed(version) as graph:
        change(graph)
    (only,) = foreign_operations(version)
    assert re.match(found, only)
    assert refused_operations(version) == [only]


def reads_a_file(text: Any) -> Any:
    return tf.io.read_file(text[0])


def writes_a_file(text: Any) -> Any:
    with tf.control_dependencies([tf.io.write_file(text[0], text[1])]):
        return tf.identity(text)


def lists_files(text: Any) -> Any:
    return tf.io.matching_files(text[0])


def calls_python(text: Any) -> Any:
    return tf.numpy_function(lambda value: value, [text], tf.string)


def prints(text: Any) -> Any:
    with tf.control_dependencies([tf.print(text, output_stream="file:///tmp/printed")]):
        return tf.identity(text)


def restores(text: Any) -> Any:
    return tf.raw_ops.RestoreV2(prefix=text[0], tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])[0]


def restores_a_constant_place(text: Any) -> Any:
    return tf.raw_ops.RestoreV2(prefix="/etc/secret", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32])[0]


def reads_in_a_loop(text: Any) -> Any:
    step = lambda number, read: (number + 1, tf.io.read_file(read))  # noqa: E731
    return tf.while_loop(lambda number, _: number < 2, step, (tf.constant(0), text[0]))[1]


def maps_memory(text: Any) -> Any:
    return tf.raw_ops.ImmutableConst(dtype=tf.float32, shape=[1], memory_region_name="/etc/passwd")


def reads_a_table(text: Any) -> Any:
    keys = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
    with tf.control_dependencies(
        [tf.raw_ops.InitializeTableFromTextFileV2(table_handle=keys, filename=text[0], key_index=-2, value_index=-1)]
    ):
        return tf.identity(text)


@pytest.mark.parametrize(
    ("harm", "operation"),
    [
        (reads_a_file, "ReadFile"),
        (writes_a_file, "WriteFile"),
        (lists_files, "MatchingFiles"),
        (calls_python, "PyFunc"),
        (prints, "PrintV2"),
        (restores, "RestoreV2"),
        (restores_a_constant_place, "RestoreV2"),
        (reads_in_a_loop, "ReadFile"),
        (maps_memory, "ImmutableConst"),
        (reads_a_table, "InitializeTableFromTextFileV2"),
    ],
)
def test_what_may_not_be(tmp_path: Path, harm: Callable[[Any], Any], operation: str) -> None:
    serve = tf.function(lambda text: {"y": harm(text)}, input_signature=[TEXT], autograph=False)
    version = saved(tmp_path / "1", serve.get_concrete_function())
    found = refused_operations(version)
    assert any(each.startswith(f"{operation} in __inference_") or f"{operation} in while" in each for each in found)
    assert operation not in {each.split()[0] for each in refused_operations(version, allowed=[operation])}


def test_it_would_have_written(tmp_path: Path) -> None:
    """The attack is a real one: without the look at its operations the model writes where it is told to."""
    serve = tf.function(lambda text: {"y": writes_a_file(text)}, input_signature=[TEXT], autograph=False)
    version = saved(tmp_path / "1", serve.get_concrete_function())
    place = tmp_path / "written"
    with SavedModel.open(version) as model:
        model.run("serving_default", {"text": np.array([str(place), "harm"])})
    assert place.read_text() == "harm"
    assert refused_operations(version)


def saver_function(graph: Any, operation: str) -> Any:
    (found,) = (
        function
        for function in graph.graph_def.library.function
        if any(node.op == operation for node in function.node_def)
    )
    return found


def the_prefix_is_a_constant(graph: Any) -> None:
    function = saver_function(graph, "RestoreV2")
    function.node_def.add(name="elsewhere", op="Const").attr["value"].tensor.string_val.append(b"/etc/secret")
    for node in function.node_def:
        if node.op == "RestoreV2":
            node.input[0] = "elsewhere:output:0"


def the_prefix_is_another_argument(graph: Any) -> None:
    (call,) = (node for node in graph.graph_def.node if node.name == graph.saver_def.restore_op_name)
    (place,) = (index for index, name in enumerate(call.input) if name.startswith("saver_filename"))
    call.input[place] = "elsewhere"
    graph.graph_def.node.add(name="elsewhere", op="Const")


def the_place_is_no_placeholder(graph: Any) -> None:
    for node in graph.graph_def.node:
        if node.name == "saver_filename":
            node.op = "Const"


def a_signature_takes_the_place(graph: Any) -> None:
    graph.signature_def["serving_default"].inputs["place"].name = "saver_filename:0"


def a_signature_saves(graph: Any) -> None:
    graph.signature_def["serving_default"].outputs["saved"].name = graph.saver_def.save_tensor_name


def the_start_restores(graph: Any) -> None:
    graph.signature_def["__saved_model_init_op"].outputs["x"].name = graph.saver_def.restore_op_name


def the_start_of_tensorflow_1_saves(graph: Any) -> None:
    graph.collection_def["legacy_init_op"].node_list.value.append(graph.saver_def.save_tensor_name.partition(":")[0])


def an_asset_is_the_place(graph: Any) -> None:
    graph.asset_file_def.add(filename="a").tensor_info.name = "saver_filename:0"


def an_output_waits_for_saving(graph: Any) -> None:
    for node in graph.graph_def.node:
        if node.name == "StatefulPartitionedCall":
            node.input.append("^" + graph.saver_def.save_tensor_name.partition(":")[0])


def a_second_call(graph: Any) -> None:
    name = saver_function(graph, "SaveV2").signature.name
    graph.graph_def.node.add(name="again", op="StatefulPartitionedCall").attr["f"].func.name = name


def a_call_by_name(graph: Any) -> None:
    graph.graph_def.node.add(name="again", op=saver_function(graph, "SaveV2").signature.name)


def a_call_that_is_hidden(graph: Any) -> None:
    function = saver_function(graph, "RestoreV2").signature.name
    node = graph.graph_def.library.function[0].node_def.add(name="again", op="Case")
    node.attr["branches"].list.func.add(name="f").attr["g"].func.name = function


def two_nodes_of_one_name(graph: Any) -> None:
    graph.graph_def.node.add(name=graph.saver_def.restore_op_name, op="NoOp")


def two_functions_of_one_name(graph: Any) -> None:
    graph.graph_def.library.function.add().CopyFrom(saver_function(graph, "RestoreV2"))


def no_saver(graph: Any) -> None:
    graph.ClearField("saver_def")


@pytest.mark.parametrize(
    "change",
    [
        the_prefix_is_a_constant,
        the_prefix_is_another_argument,
        the_place_is_no_placeholder,
        a_signature_takes_the_place,
        a_signature_saves,
        the_start_restores,
        the_start_of_tensorflow_1_saves,
        an_asset_is_the_place,
        an_output_waits_for_saving,
        a_second_call,
        a_call_by_name,
        a_call_that_is_hidden,
        two_nodes_of_one_name,
        two_functions_of_one_name,
        no_saver,
    ],
)
def test_the_saver_is_the_loader_s_alone(version: Path, change: Callable[[Any], None]) -> None:
    with changed(version) as graph:
        change(graph)
    found = {each.split()[0] for each in refused_operations(version)}
    assert found & {"RestoreV2", "SaveV2", "MergeV2Checkpoints"}


def test_a_function_under_the_name_of_an_operation(version: Path) -> None:
    with changed(version) as graph:
        graph.graph_def.library.function.add(signature={"name": "ReadFile"})
        graph.graph_def.node.add(name="read", op="ReadFile")
    assert refused_operations(version) == ["ReadFile (a function under the name of an operation)"]


def test_a_constant_that_is_a_handle(version: Path) -> None:
    with changed(version) as graph:
        graph.graph_def.node.add(name="handle", op="Const").attr["dtype"].type = 20
    assert refused_operations(version) == ["Const that is no tensor in the graph"]
