"""TensorFlow's C API by ctypes, from the libraries of the installed wheels; no Python of theirs is imported."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import os
import sys
from collections.abc import Iterator
from ctypes import POINTER, c_char_p, c_int, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import Any

from .standard_error import standard_error_held_back

CODES = {
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    11: "OUT_OF_RANGE",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
    16: "UNAUTHENTICATED",
}
"""TensorFlow's status codes, which are gRPC's."""

STRING_BYTES = 24
"""Size of a TF_TString, which holds the string or points to it."""


class NativeError(Exception):
    """TensorFlow refused or failed.

    Attributes:
        code: TensorFlow's status code, 3 for INVALID_ARGUMENT, ...; see `CODES`.
        message: what TensorFlow says.
    """

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{CODES.get(code, code)}: {message}")


class Buffer(ctypes.Structure):
    """TF_Buffer: bytes that the library owns."""

    _fields_ = [("data", c_void_p), ("length", c_size_t), ("data_deallocator", c_void_p)]


class Output(ctypes.Structure):
    """TF_Output: one result of one operation of a graph."""

    _fields_ = [("operation", c_void_p), ("index", c_int)]


# What takes long lets other threads of Python run; what is short keeps them waiting, which costs less than to change.
_LONG = {
    "TF_LoadLibrary": (c_void_p, [c_char_p, c_void_p]),
    "TF_LoadSessionFromSavedModel": (
        c_void_p,
        [c_void_p, c_void_p, c_char_p, POINTER(c_char_p), c_int, c_void_p, c_void_p, c_void_p],
    ),
    "TF_SessionRun": (
        None,
        [
            *(c_void_p, c_void_p),  # session, options of the run
            *(POINTER(Output), POINTER(c_void_p), c_int),  # inputs
            *(POINTER(Output), POINTER(c_void_p), c_int),  # outputs
            *(c_void_p, c_int),  # operations that are run besides
            *(c_void_p, c_void_p),  # metadata, status
        ],
    ),
    "TF_CloseSession": (None, [c_void_p, c_void_p]),
    "TF_DeleteSession": (None, [c_void_p, c_void_p]),
    "TF_DeleteGraph": (None, [c_void_p]),
    "TF_GetAllOpList": (POINTER(Buffer), []),
}
_SHORT = {
    "TF_Version": (c_char_p, []),
    "TF_NewStatus": (c_void_p, []),
    "TF_DeleteStatus": (None, [c_void_p]),
    "TF_GetCode": (c_int, [c_void_p]),
    "TF_Message": (c_char_p, [c_void_p]),
    "TF_NewBuffer": (POINTER(Buffer), []),
    "TF_DeleteBuffer": (None, [POINTER(Buffer)]),
    "TF_NewGraph": (c_void_p, []),
    "TF_GraphOperationByName": (c_void_p, [c_void_p, c_char_p]),
    "TF_OperationNumOutputs": (c_int, [c_void_p]),
    "TF_NewSessionOptions": (c_void_p, []),
    "TF_SetConfig": (None, [c_void_p, c_char_p, c_size_t, c_void_p]),
    "TF_DeleteSessionOptions": (None, [c_void_p]),
    "TF_GetRegisteredKernelsForOp": (POINTER(Buffer), [c_char_p, c_void_p]),
    "TF_AllocateTensor": (c_void_p, [c_int, POINTER(c_int64), c_int, c_size_t]),
    "TF_DeleteTensor": (None, [c_void_p]),
    "TF_TensorType": (c_int, [c_void_p]),
    "TF_NumDims": (c_int, [c_void_p]),
    "TF_Dim": (c_int64, [c_void_p, c_int]),
    "TF_TensorByteSize": (c_size_t, [c_void_p]),
    "TF_TensorData": (c_void_p, [c_void_p]),
    "TF_StringCopy": (None, [c_void_p, c_char_p, c_size_t]),
    "TF_StringGetDataPointer": (c_void_p, [c_void_p]),
    "TF_StringGetSize": (c_size_t, [c_void_p]),
}


class Library:
    """The functions of TensorFlow's C API, by their names, and the operations of tensorflow-text.

    Use `library()`: it is loaded once in a process.

    Raises:
        NativeError: a wheel is missing, or its library cannot be loaded.
    """

    def __init__(self) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reads it once
        path = _found("tensorflow", "libtensorflow_cc.2.dylib" if sys.platform == "darwin" else "libtensorflow_cc.so.2")
        try:
            with standard_error_held_back():  # TensorFlow greets before it has read how quiet to be
                long = ctypes.CDLL(str(path))
        except OSError as error:
            raise NativeError(14, f"{path}: cannot be loaded: {error}") from error
        short = ctypes.PyDLL(str(path), handle=long._handle)
        for source, functions in ((long, _LONG), (short, _SHORT)):
            for name, (result, arguments) in functions.items():
                function = getattr(source, name)
                function.restype, function.argtypes = result, arguments
                setattr(self, name, function)
        self._load_operations()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"{name} is not among the declared functions of TensorFlow's C API")

    def _load_operations(self) -> None:
        """Loads the tokenizer's operations and kernels, as TensorFlow Serving has them linked in."""
        path = _found("tensorflow_text", "python/ops/_sentencepiece_tokenizer.so")
        with self.status() as status:
            self.TF_LoadLibrary(os.fsencode(path), status)  # its handle stays: operations cannot be taken back

    @contextlib.contextmanager
    def status(self) -> Iterator[int]:
        """Yields a TF_Status for one call.

        Raises:
            NativeError: the call has failed, and these are its code and message.
        """
        status = self.TF_NewStatus()
        try:
            yield status
            if code := self.TF_GetCode(status):
                raise NativeError(code, self.TF_Message(status).decode("utf-8", "replace"))
        finally:
            self.TF_DeleteStatus(status)

    def taken(self, buffer: Any) -> bytes:
        """Returns the bytes of a TF_Buffer and gives it back."""
        try:
            return ctypes.string_at(buffer.contents.data, buffer.contents.length) if buffer.contents.length else b""
        finally:
            self.TF_DeleteBuffer(buffer)


@functools.cache
def library() -> Library:
    """Returns the C API; the first call loads it, which takes a second or two.

    Raises:
        NativeError: a wheel is missing, or its library cannot be loaded.
    """
    return Library()


def version() -> str:
    """Returns TensorFlow's version."""
    return str(library().TF_Version().decode())


def _found(package: str, name: str) -> Path:
    # Finding the specification of a package does not run it.
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or []) if spec is not None else []:
        if (path := Path(place, name)).is_file():
            return path
    raise NativeError(5, f"{name} of {package.replace('_', '-')} is missing; install {package.replace('_', '-')}")
