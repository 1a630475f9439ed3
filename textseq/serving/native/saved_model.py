"""A SavedModel that is loaded and run through TensorFlow's C API."""

from __future__ import annotations

import ctypes
import math
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .c_api import STRING_BYTES, Library, NativeError, Output, library
from .messages import DT_STRING, ConfigProto, MetaGraphDef, data_type_name
from .tensors import TensorError, array_type, bytes_of, data_type

INVALID_ARGUMENT = 3
RESOURCE_EXHAUSTED = 8
FAILED_PRECONDITION = 9

_TAG = b"serve"


@dataclass(frozen=True)
class TensorInfo:
    """An input or an output.

    Attributes:
        name: in the graph, "serving_default_text:0".
        dtype: kind of the values, `DT_STRING`, ...; see `textseq.serving.native.messages`.
        shape: a size that is None is free; None instead of the shape where nothing is known about it.
    """

    name: str
    dtype: int
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Signature:
    """What a model can be asked: inputs and outputs by their names."""

    inputs: Mapping[str, TensorInfo]
    outputs: Mapping[str, TensorInfo]


class _Input(NamedTuple):
    kind: int
    array: np.ndarray
    text: list[bytes] | None
    """The strings of the array, where it holds strings."""


class SavedModel:
    """A loaded model. Any number of threads may run it at once; it works on the CPU.

    Whether a folder from a stranger should be loaded at all is what `check_folder` and `refused_operations` answer.

    Attributes:
        signatures: by name, without those that TensorFlow keeps for itself.

    Example:
        >>> with SavedModel.open("serving/en-de/1") as model:  # doctest: +SKIP
        ...     model.run("serving_default", {"text": np.array([b"A dog."], object)})
        {'translation': array([b'Ein Hund.'], dtype=object), 'score': array([-0.2], dtype=float32)}
    """

    def __init__(self, api: Library, session: int, graph: int, meta_graph: Any) -> None:
        self._api, self._session, self._graph = api, session, graph
        self._idle = threading.Condition()
        self._running = 0
        self._open = True
        self.signatures: dict[str, Signature] = {
            name: Signature(_information(signature.inputs), _information(signature.outputs))
            for name, signature in sorted(meta_graph.signature_def.items())
            if not name.startswith("__")
        }
        self._places = {
            information.name: self._place(information.name)
            for signature in self.signatures.values()
            for information in [*signature.inputs.values(), *signature.outputs.values()]
        }

    @classmethod
    def open(cls, folder: str | os.PathLike[str], threads: int | None = None) -> SavedModel:
        """Loads a model and its weights.

        Args:
            folder: one version, with `saved_model.pb` in it.
            threads: for the products of one operation, and as many for operations side by side; all cores where None.

        Raises:
            NativeError: TensorFlow cannot load it.
        """
        api = library()
        config = ConfigProto(device_count={"GPU": 0})
        if threads is not None:
            config.intra_op_parallelism_threads = config.inter_op_parallelism_threads = threads
            config.use_per_session_threads = True
        graph = api.TF_NewGraph()
        try:
            session, meta_graph = _load(api, graph, os.fsencode(folder), config.SerializeToString())
        except BaseException:
            api.TF_DeleteGraph(graph)
            raise
        try:
            return cls(api, session, graph, MetaGraphDef.FromString(meta_graph))
        except BaseException:
            _delete(api, session, graph)
            raise

    def run(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Asks the model.

        Args:
            signature: its name.
            inputs: an array for each input, of its type; strings are objects (bytes, or str that is read as UTF-8).

        Returns:
            The outputs by name; bytes in objects for strings.

        Raises:
            NativeError: FAILED_PRECONDITION for a signature that is not there or a model that is closed,
                INVALID_ARGUMENT for inputs that do not fit it, and whatever TensorFlow fails with.
        """
        chosen = self.signatures.get(signature)
        if chosen is None:
            raise NativeError(FAILED_PRECONDITION, f'Serving signature key "{signature}" not found.')
        prepared = _prepared(chosen.inputs, inputs)
        with self._busy(), self._made(prepared) as tensors:
            results = self._run(chosen, tensors)
            try:
                arrays = [self._array(result) for result in results]
            finally:
                for result in results:
                    self._api.TF_DeleteTensor(result)
        return dict(zip(chosen.outputs, arrays, strict=True))

    def close(self) -> None:
        """Gives the model's memory back, once the runs that are under way have ended; further runs are refused."""
        with self._idle:
            was_open, self._open = self._open, False
            self._idle.wait_for(lambda: self._running == 0)
        if was_open:
            _delete(self._api, self._session, self._graph)

    def __enter__(self) -> SavedModel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _busy(self) -> Iterator[None]:
        with self._idle:
            if not self._open:
                raise NativeError(FAILED_PRECONDITION, "the model is closed")
            self._running += 1
        try:
            yield
        finally:
            with self._idle:
                self._running -= 1
                self._idle.notify_all()

    def _place(self, name: str) -> Output:
        """Finds a tensor, "name:index", in the graph."""
        operation_name, _, index = name.rpartition(":")
        operation = self._api.TF_GraphOperationByName(self._graph, operation_name.encode())
        if not operation or not index.isdecimal() or int(index) >= self._api.TF_OperationNumOutputs(operation):
            raise NativeError(FAILED_PRECONDITION, f"a signature names {name!r}, which is not in the graph")
        return Output(operation, int(index))

    def _run(self, signature: Signature, tensors: Sequence[int]) -> list[int]:
        inputs = [self._places[information.name] for information in signature.inputs.values()]
        outputs = [self._places[information.name] for information in signature.outputs.values()]
        results = (ctypes.c_void_p * len(outputs))()
        with self._api.status() as status:
            self._api.TF_SessionRun(
                self._session,
                None,
                (Output * len(inputs))(*inputs),
                (ctypes.c_void_p * len(inputs))(*tensors),
                len(inputs),
                (Output * len(outputs))(*outputs),
                results,
                len(outputs),
                None,
                0,
                None,
                status,
            )
        return [int(result or 0) for result in results]

    @contextmanager
    def _made(self, inputs: Sequence[_Input]) -> Iterator[list[int]]:
        """Yields a TF_Tensor for each input; takes them back after the block."""
        made: list[int] = []
        try:
            for kind, array, text in inputs:
                size = array.nbytes if text is None else STRING_BYTES * len(text)
                shape = (ctypes.c_int64 * array.ndim)(*array.shape)
                tensor = self._api.TF_AllocateTensor(kind, shape, array.ndim, size)
                if not tensor:
                    raise NativeError(RESOURCE_EXHAUSTED, f"no memory for an input of {size} bytes")
                made.append(tensor)
                place = self._api.TF_TensorData(tensor) or 0
                if text is None:
                    content = np.ascontiguousarray(array)
                    ctypes.memmove(place, content.ctypes.data, size)
                    continue
                ctypes.memset(place, 0, size)  # empty strings; whatever happens next, they can be given back
                for index, value in enumerate(text):
                    self._api.TF_StringCopy(place + index * STRING_BYTES, value, len(value))
            yield made
        finally:
            for tensor in made:
                self._api.TF_DeleteTensor(tensor)  # its strings go with it, unless a result shares them

    def _array(self, tensor: int) -> np.ndarray:
        api = self._api
        try:
            kind = array_type(api.TF_TensorType(tensor))
        except TensorError as error:
            raise NativeError(12, f"an output cannot be read: {error}") from None
        shape = [api.TF_Dim(tensor, index) for index in range(api.TF_NumDims(tensor))]
        place = api.TF_TensorData(tensor) or 0
        array = np.empty(shape, kind)
        if kind.kind != "O":
            ctypes.memmove(array.ctypes.data, place, api.TF_TensorByteSize(tensor))
            return array
        flat = array.reshape(-1)
        for index in range(math.prod(shape)):
            string = place + index * STRING_BYTES
            flat[index] = ctypes.string_at(api.TF_StringGetDataPointer(string), api.TF_StringGetSize(string))
        return array


def _load(api: Library, graph: int, folder: bytes, config: bytes) -> tuple[int, bytes]:
    """Returns the session and the MetaGraphDef as it is written."""
    options = api.TF_NewSessionOptions()
    meta_graph = api.TF_NewBuffer()
    try:
        with api.status() as status:
            api.TF_SetConfig(options, config, len(config), status)
        tags = (ctypes.c_char_p * 1)(_TAG)
        with api.status() as status:
            session = api.TF_LoadSessionFromSavedModel(options, None, folder, tags, 1, graph, meta_graph, status)
        return session, ctypes.string_at(meta_graph.contents.data, meta_graph.contents.length)
    finally:
        api.TF_DeleteBuffer(meta_graph)
        api.TF_DeleteSessionOptions(options)


def _delete(api: Library, session: int, graph: int) -> None:
    try:
        with api.status() as status:
            api.TF_CloseSession(session, status)
        with api.status() as status:
            api.TF_DeleteSession(session, status)
    finally:
        api.TF_DeleteGraph(graph)


def _information(tensors: Any) -> dict[str, TensorInfo]:
    found = {}
    for name, information in sorted(tensors.items()):
        shape = information.tensor_shape
        sizes = tuple(None if dimension.size < 0 else dimension.size for dimension in shape.dim)
        found[name] = TensorInfo(information.name, information.dtype, None if shape.unknown_rank else sizes)
    return found


def _prepared(expected: Mapping[str, TensorInfo], inputs: Mapping[str, np.ndarray]) -> list[_Input]:
    """Refuses what does not fit: TensorFlow would read an input of another type or shape as what it is not."""
    missing, extra = sorted(expected.keys() - inputs.keys()), sorted(inputs.keys() - expected.keys())
    if missing or extra:
        raise NativeError(
            INVALID_ARGUMENT,
            f"received the inputs {{{', '.join(sorted(inputs))}}}, expected {{{', '.join(expected)}}}: "
            f"missing {{{', '.join(missing)}}}, unknown {{{', '.join(extra)}}}",
        )
    try:
        return [_input(information, name, inputs[name]) for name, information in expected.items()]
    except TensorError as error:
        raise NativeError(INVALID_ARGUMENT, str(error)) from None


def _input(information: TensorInfo, name: str, array: np.ndarray) -> _Input:
    try:
        kind = data_type(array)
        text = [bytes_of(value) for value in array.ravel()] if kind == DT_STRING else None
    except TensorError as error:
        raise TensorError(f"{name}: {error}") from None
    if kind != information.dtype:
        raise TensorError(
            f"{name}: received {data_type_name(kind)}, expected {data_type_name(information.dtype)}",
        )
    if information.shape is not None and not _fits(array.shape, information.shape):
        raise TensorError(
            f"{name}: received the shape {list(array.shape)}, expected "
            f"[{', '.join('any' if size is None else str(size) for size in information.shape)}]",
        )
    return _Input(kind, array, text)


def _fits(shape: Sequence[int], expected: Sequence[int | None]) -> bool:
    return len(shape) == len(expected) and all(
        size is None or size == received for received, size in zip(shape, expected, strict=True)
    )
