"""What the graph of a model is made of: what a server can run, and what a stranger's graph may do.

A graph is a program, and TensorFlow's operations can read and write files, open connections and call Python. Two
questions are asked about every operation of every function, used or not:

1. Does an unmodified TensorFlow Serving run it? It has the kernels of TensorFlow for CPUs and those of tensorflow-text.
2. Is it harmless? It is if it only computes: see `is_harmless`. Reading the weights is the one exception, and only in
   the place where TensorFlow 2 puts it.

This keeps a model from running code and from reading and writing files. It does not bound the time and the memory that
a graph can take, nor does it vouch for TensorFlow's kernels, which are not written for hostile input.
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from .c_api import library
from .folder import read_model
from .messages import KernelList, OpList

_STRING, _RESOURCE, _VARIANT = 7, 20, 21

_CALLS = "PartitionedCall StatefulPartitionedCall If StatelessIf Case StatelessCase While StatelessWhile"
_TEXT = """
    AsString ReduceJoin RegexFullMatch RegexReplace StaticRegexFullMatch StaticRegexReplace StringFormat StringJoin
    StringLength StringLower StringNGrams StringSplit StringSplitV2 StringStrip StringToHashBucketFast StringToNumber
    StringUpper Substr UnicodeDecode UnicodeDecodeWithOffsets UnicodeEncode UnicodeTranscode UnsortedSegmentJoin
    SentencepieceOp SentencepieceTokenizeOp SentencepieceTokenizeWithOffsetsOp SentencepieceDetokenizeOp
    SentencepieceIdToStringOp SentencepieceStringToIdOp SentencepieceVocabSizeOp
"""
# Strings among their attributes choose a way to compute, or they hold tensors in lists, weights and tables.
_COMPUTING = """
    Assert Einsum EmptyTensorList RaggedTensorFromVariant RaggedTensorToTensor RaggedTensorToVariant
    TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate GatherNd ScatterNd
    DisableCopyOnRead ReadVariableOp ResourceGather ResourceGatherNd VarHandleOp VarIsInitializedOp VariableShape
    HashTableV2 LookupTableFindV2 LookupTableImportV2 LookupTableSizeV2
"""
_NAMED = frozenset(f"{_CALLS} {_TEXT} {_COMPUTING}".split())
_REFUSED_PREFIXES = ("_", "Xla", "Inplace", "Debug")

# In the functions that TensorFlow 2 makes for its saver, and nowhere else.
_SAVING = frozenset({"SaveV2", "ShardedFilename", "MergeV2Checkpoints"})
_RESTORING = frozenset({"RestoreV2", "AssignVariableOp"})

_CPU = frozenset({"CPU", "DEFAULT"})


class _Node(NamedTuple):
    function: str  # "" for the graph itself
    node: Any


def used_operations(folder: str | os.PathLike[str]) -> list[str]:
    """Returns the operations of the graph and of all its functions, sorted; calls of functions are not among them.

    Raises:
        FolderRefused: there is no graph to read.
    """
    return sorted({each.node.op for graph in read_model(folder).meta_graphs for each in _operations(graph)})


def foreign_operations(folder: str | os.PathLike[str]) -> list[str]:
    """Returns what an unmodified TensorFlow Serving cannot run on a CPU, each with the function that it stands in.

    Raises:
        FolderRefused: there is no graph to read.
        NativeError: TensorFlow cannot be loaded.
    """
    found: dict[str, None] = {}
    for graph in read_model(folder).meta_graphs:
        for function in graph.graph_def.library.function:
            if function.attr["_XlaMustCompile"].b:
                found[f"{function.signature.name} (compiled by XLA)"] = None
        for each in _operations(graph):
            device = each.node.device.upper()
            if not has_cpu_kernel(each.node.op):
                found[f"{each.node.op} in {_place(each)}"] = None
            elif "GPU" in device or "TPU" in device:
                found[f"{each.node.op} in {_place(each)} (on {each.node.device})"] = None
            elif each.node.attr["_XlaMustCompile"].b:
                found[f"{each.node.op} in {_place(each)} (compiled by XLA)"] = None
    return list(found)


def refused_operations(folder: str | os.PathLike[str], allowed: Collection[str] = ()) -> list[str]:
    """Returns what a stranger's model may not hold, each with the function that it stands in; nothing is loaded.

    Args:
        folder: one version; see `check_folder` for its files.
        allowed: operations that are taken as harmless besides.

    Raises:
        FolderRefused: there is no graph to read.
        NativeError: TensorFlow cannot be loaded.
    """
    found = dict.fromkeys(foreign_operations(folder))
    for graph in read_model(folder).meta_graphs:
        for function in graph.graph_def.library.function:
            if has_cpu_kernel(function.signature.name):
                found[f"{function.signature.name} (a function under the name of an operation)"] = None
        saver = _saver_functions(graph)
        for each in _operations(graph):
            operation = each.node.op
            if operation in saver.get(each.function, ()) and _reads_the_weights(graph, each):
                continue
            if not is_harmless(operation) and operation not in allowed:
                found[f"{operation} in {_place(each)}"] = None
            elif operation == "Const" and each.node.attr["dtype"].type in (_RESOURCE, _VARIANT):
                found[f"{operation} that is no tensor in {_place(each)}"] = None
    return list(found)


@functools.cache
def has_cpu_kernel(operation: str) -> bool:
    """Returns whether TensorFlow or tensorflow-text run an operation on a CPU.

    Example:
        >>> has_cpu_kernel("MatMul"), has_cpu_kernel("CudnnRNN"), has_cpu_kernel("SentencepieceOp")
        (True, False, True)
    """
    api = library()
    with api.status() as status:
        buffer = api.TF_GetRegisteredKernelsForOp(operation.encode(), status)
    return any(kernel.device_type in _CPU for kernel in KernelList.FromString(api.taken(buffer)).kernel)


@functools.cache
def is_harmless(operation: str) -> bool:
    """Returns whether an operation only computes.

    It does if TensorFlow's registry says that it keeps no state, takes and gives neither strings nor handles, and has
    no free text among its attributes: so it has no name for a file, an address or a function. Other operations that
    compute are listed: calls of the graph's own functions, work on text, weights and tables in memory.

    Example:
        >>> is_harmless("MatMul"), is_harmless("StringJoin"), is_harmless("ReadFile")
        (True, True, False)
    """
    if operation.startswith(_REFUSED_PREFIXES):
        return False
    return operation in _NAMED or operation.startswith("TensorList") or operation in _numeric_operations()


@functools.cache
def _numeric_operations() -> frozenset[str]:
    api = library()
    return frozenset(each.name for each in OpList.FromString(api.taken(api.TF_GetAllOpList())).op if _is_numeric(each))


def _is_numeric(operation: Any) -> bool:
    tensors = [*operation.input_arg, *operation.output_arg]
    if operation.is_stateful or any(each.is_ref or each.type in (_STRING, _RESOURCE, _VARIANT) for each in tensors):
        return False
    texts = [each for each in operation.attr if each.type in ("string", "list(string)", "func", "list(func)")]
    return all(each.allowed_values.list.s for each in texts)


def _operations(graph: Any) -> Iterator[_Node]:
    """Yields every operation of a graph and its functions, but no calls of functions by their names."""
    functions = {function.signature.name for function in graph.graph_def.library.function}
    for each in _nodes(graph):
        if each.node.op not in functions:
            yield each


def _nodes(graph: Any) -> Iterator[_Node]:
    yield from (_Node("", node) for node in graph.graph_def.node)
    for function in graph.graph_def.library.function:
        yield from (_Node(function.signature.name, node) for node in function.node_def)


def _place(each: _Node) -> str:
    return each.function or "the graph"


def _saver_functions(graph: Any) -> dict[str, frozenset[str]]:
    """Finds the functions that read and write the weights, with the operations that are theirs.

    They must be called by the graph's saver alone, on the file name that the loader gives, and nothing else in the
    graph may depend on the calls, so that nobody who asks the model can start them or choose the file.
    """
    saver, nodes = graph.saver_def, {node.name: node for node in graph.graph_def.node}
    functions = {function.signature.name for function in graph.graph_def.library.function}
    if len(nodes) < len(graph.graph_def.node) or len(functions) < len(graph.graph_def.library.function):
        return {}  # which of two is meant, TensorFlow decides
    calls = {saver.save_tensor_name.partition(":")[0]: _SAVING, saver.restore_op_name: _RESTORING}
    given = saver.filename_tensor_name.partition(":")[0]
    if given not in nodes or nodes[given].op != "Placeholder" or len(calls) != 2:
        return {}
    apart = {given, *calls}
    tensors = [
        *(tensor for signature in graph.signature_def.values() for tensor in signature.inputs.values()),
        *(tensor for signature in graph.signature_def.values() for tensor in signature.outputs.values()),
        *(asset.tensor_info for asset in graph.asset_file_def),
    ]
    named = {_producer(tensor.name) for tensor in tensors}
    # What TensorFlow 1 ran when it loaded stands in collections.
    named |= {_producer(name) for each in graph.collection_def.values() for name in each.node_list.value}
    read = {_producer(name) for node in nodes.values() if node.name not in calls for name in node.input}
    if (named | read) & apart:
        return {}
    mentions = Counter(name for each in _nodes(graph) for name in [each.node.op, *_called(each.node.attr)])
    return {
        function: operations
        for call, operations in calls.items()
        if call in nodes and nodes[call].op in ("PartitionedCall", "StatefulPartitionedCall")
        for function in [nodes[call].attr["f"].func.name]
        if mentions[function] == 1
    }


def _reads_the_weights(graph: Any, each: _Node) -> bool:
    """Returns whether an operation of the saver's functions works on the weights' file: matters where it reads."""
    if each.node.op != "RestoreV2":
        return True
    (call,) = (node for node in graph.graph_def.node if node.name == graph.saver_def.restore_op_name)
    (function,) = (one for one in graph.graph_def.library.function if one.signature.name == each.function)
    given = graph.saver_def.filename_tensor_name.partition(":")[0]
    arguments = {
        argument.name
        for argument, name in zip(function.signature.input_arg, call.input, strict=False)
        if _producer(name) == given
    }
    return bool(each.node.input) and each.node.input[0] in arguments


def _producer(name: str) -> str:
    """The node of an input, which is written as "node", "node:1" or "^node"."""
    return name.removeprefix("^").partition(":")[0]


def _called(attributes: Any) -> Iterator[str]:
    """Yields the functions that a node's attributes name, however deep."""
    for value in attributes.values():
        for function in [value.func, *value.list.func]:
            if function.name:
                yield function.name
                yield from _called(function.attr)
