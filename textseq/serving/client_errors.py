"""What a client of a model server raises.

ServingError(DragomanError)             the server did not do its work                            exit code 1
├── ServerUnavailable                   no connection, or too busy, after every attempt
├── ServerTooSlow                       no answer in time
├── InvalidAnswer                       it answered what no TF Serving answers
└── RequestRefused(InputError)          the request is wrong; sending it again would not help     exit code 2
    ├── ModelNotFound                   no model, or no version of it, under this name
    └── SignatureNotFound               the model has no signature of this name
"""

from __future__ import annotations

from textseq.errors import DragomanError, InputError

HTTP_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""gRPC's names of what TF Serving says by an HTTP status."""

WRONG_REQUEST = frozenset(
    {
        "INVALID_ARGUMENT",
        "NOT_FOUND",
        "FAILED_PRECONDITION",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "PERMISSION_DENIED",
        "UNAUTHENTICATED",
        "ALREADY_EXISTS",
    }
)
"""Codes that say that the request itself is at fault."""

WORTH_ANOTHER_TRY = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED"})
"""Codes after which the same request may succeed. A prediction changes nothing, so it may be sent twice; but one for
which the server's time did not suffice would only cost that time again."""


class ServingError(DragomanError):
    """A model server did not do its work.

    Args:
        message: one line.
        code: gRPC's name of what happened, such as "UNAVAILABLE", from whichever protocol.
    """

    def __init__(self, message: str, code: str = "UNKNOWN") -> None:
        self.code = code
        super().__init__(message)


class ServerUnavailable(ServingError):
    """No server answers at the address, or it had no place for the request, after every attempt."""

    def __init__(self, message: str, code: str = "UNAVAILABLE") -> None:
        super().__init__(message, code)


class ServerTooSlow(ServingError):
    """The server did not answer in time."""

    def __init__(self, message: str, code: str = "DEADLINE_EXCEEDED") -> None:
        super().__init__(message, code)


class InvalidAnswer(ServingError):
    """The server answered something that TF Serving's protocol does not know."""


class RequestRefused(ServingError, InputError):
    """The server refused the request, and would refuse it again."""

    def __init__(self, message: str, code: str = "INVALID_ARGUMENT") -> None:
        super().__init__(message, code)


class ModelNotFound(RequestRefused):
    """The server has no model of this name, or not the version asked for."""

    def __init__(self, message: str, code: str = "NOT_FOUND") -> None:
        super().__init__(message, code)


class SignatureNotFound(RequestRefused):
    """The model has no signature of this name."""
