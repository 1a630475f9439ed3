"""Refusals as TensorFlow and TensorFlow Serving name them, and what HTTP makes of them."""

from __future__ import annotations

import enum


class Code(enum.IntEnum):
    """TensorFlow's status codes, which are gRPC's as well."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


HTTP_STATUS = {
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}
"""The status with which TensorFlow Serving's REST answers each code."""

_LONGEST_MESSAGE = 2000


class Refusal(Exception):
    """A request that is answered by a code and a message instead of outputs.

    Args:
        code: TensorFlow's.
        message: one for the person who asked, in TensorFlow Serving's words where it has some.
    """

    def __init__(self, code: Code, message: str) -> None:
        self.code = code
        self.message = message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]}..."
        super().__init__(f"{code.name}: {self.message}")


def refusal_of(error: BaseException) -> Refusal:
    """Returns the refusal that an error of a model amounts to.

    Args:
        error: a refusal already, an error with TensorFlow's status code as `code`, or any other.
    """
    if isinstance(error, Refusal):
        return error
    code = getattr(error, "code", None)
    if isinstance(code, int) and code in Code.__members__.values() and code != Code.OK:
        return Refusal(Code(code), str(getattr(error, "message", error)))
    return Refusal(Code.INTERNAL, f"{type(error).__name__}: {error}")


def invalid(message: str) -> Refusal:
    """Returns a refusal of what was sent."""
    return Refusal(Code.INVALID_ARGUMENT, message)
