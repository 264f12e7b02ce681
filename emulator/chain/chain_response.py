"""
Responses of a chain's server, in Baseten's wording, independent of the user's class, threads and contracts.

Texts and header fields are those of basetenlabs/truss, recorded on loopback without a gateway.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from traceback import FrameSummary
from typing import cast

import orjson

from chainproof.chain_schema.error_text import format_path
from chainproof.clock import Seconds
from chainproof.json_text import JSON

from .msgpack_body import MsgpackError

InputErrors = tuple[tuple[tuple[str | int, ...], str], ...]
"""Errors of an input: paths and messages."""


class ChainResponseKind(Enum):
    """The result of a request that reached the chain."""

    OUTPUT = auto()
    """run_remote returned a value."""
    BAD_INPUT = auto()
    """The body is not a valid input of this chain."""
    EXCEPTION = auto()
    """run_remote raised, or returned a value of another type."""
    SERVER_ERROR = auto()
    """The server's own code raised: the output cannot be serialized."""
    CONNECTION_LOST = auto()
    """The chain's server closed the connection without a response."""
    TIMED_OUT = auto()
    """The chain did not respond within the time limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainResponse:
    """A response of the chain's server, before the gateway maps it."""

    kind: ChainResponseKind
    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    media_type: str = "application/json"
    streaming: bool = False
    """Whether the body follows in chunks."""
    public_message: str = ""
    """A description of the error without internals of the chain."""


_OCTET_STREAM = "application/octet-stream"
_SERVER_ERROR_CODE, _CHAIN_ERROR_CODE, _INPUT_ERROR_CODE = "500", "600", "700"
"""Values of `X-BASETEN-ERROR-CODE`: error of the server, of the chain, of the caller."""


def output(body: bytes) -> ChainResponse:
    """The response with an output."""
    return ChainResponse(kind=ChainResponseKind.OUTPUT, status=200, body=body)


def binary_output(body: bytes) -> ChainResponse:
    """The response with an output in msgpack."""
    return ChainResponse(kind=ChainResponseKind.OUTPUT, status=200, body=body, media_type=_OCTET_STREAM)


STREAM_STARTED = ChainResponse(
    kind=ChainResponseKind.OUTPUT, status=200, body=b"", media_type=_OCTET_STREAM, streaming=True
)
"""The response of a stream: sent before its first chunk, so that no later exception can change the status."""


def input_error(errors: InputErrors) -> ChainResponse:
    """The response to an invalid input: every error with its path."""
    title = "Input Parsing Error:" if len(errors) == 1 else "Input Parsing Errors:"
    public_message = "\n".join([title, *(f"  `{format_path(place)}`: {text}." for place, text in errors)])
    return _error_response(ChainResponseKind.BAD_INPUT, 400, public_message, _INPUT_ERROR_CODE, public_message)


def server_error(exception: Exception) -> ChainResponse:
    """The response to an error of the server itself: an input nested too deeply, or an output that cannot be serialized."""
    too_deep = isinstance(exception, RecursionError)
    public_message = "The body is nested too deeply." if too_deep else "The output of run_remote cannot be written."
    text = f"Unhandled exception: {type(exception).__name__}: {exception}"
    return _error_response(
        ChainResponseKind.BAD_INPUT if too_deep else ChainResponseKind.SERVER_ERROR,
        500,
        text,
        _SERVER_ERROR_CODE,
        public_message,
    )


def exception_error(exception: Exception, stack: Iterable[FrameSummary]) -> ChainResponse:
    """
    The response to an exception in run_remote: class, message and stack; the status is that of an HTTPException, else
    500. The chain's server cannot send statuses outside 200 to 599: it closes the connection.
    """
    status = _exception_status(exception)
    if not 200 <= status < 600:
        return connection_lost_error()
    error = {
        "exception_cls_name": type(exception).__name__,
        "exception_module_name": getattr(exception, "__module__", None),
        "exception_message": _exception_message(exception),
        "user_stack_trace": [
            {"filename": frame.filename, "lineno": frame.lineno, "name": frame.name, "line": frame.line}
            for frame in stack
        ],
    }
    return _error_response(
        ChainResponseKind.EXCEPTION,
        status,
        error,
        _CHAIN_ERROR_CODE,
        "run_remote raised an exception.",
    )


def return_type_error() -> ChainResponse:
    """The response to a result that does not match the return type."""
    public_message = "run_remote returned what its return type does not say."
    return _error_response(
        ChainResponseKind.EXCEPTION,
        500,
        "Internal Server Error (in model/chainlet).",
        _CHAIN_ERROR_CODE,
        public_message,
    )


def internal_error() -> ChainResponse:
    """The response to SystemExit, KeyboardInterrupt and CancelledError in run_remote. It comes from the server's framework."""
    return ChainResponse(
        kind=ChainResponseKind.SERVER_ERROR,
        status=500,
        body=b"Internal Server Error",
        media_type="text/plain; charset=utf-8",
        public_message="run_remote was interrupted.",
    )


def connection_lost_error() -> ChainResponse:
    """The response if the chain's server closes the connection. It comes from the gateway."""
    return ChainResponse(
        kind=ChainResponseKind.CONNECTION_LOST,
        status=502,
        body=_error_body("Error making prediction"),
        public_message="The chain's server closed the connection.",
    )


def timeout_error(time_limit: Seconds) -> ChainResponse:
    """The response after the time limit. It comes from the gateway."""
    public_message = f"run_remote did not return within {time_limit:g} s."
    return ChainResponse(
        kind=ChainResponseKind.TIMED_OUT, status=504, body=_error_body(public_message), public_message=public_message
    )


def json_error(exception: PythonJsonError) -> ChainResponse:
    """The response to a body that is not JSON."""
    return input_error(((("__root__",), str(exception)),))


def msgpack_error(exception: MsgpackError) -> ChainResponse:
    """The response to a body that is not msgpack: the message alone, without title and path."""
    text = str(exception)
    return _error_response(ChainResponseKind.BAD_INPUT, 400, text, _INPUT_ERROR_CODE, text)


def _error_response(
    kind: ChainResponseKind, status: int, error: object, code: str, public_message: str
) -> ChainResponse:
    """An error response of the chain's server."""
    headers = (("X-BASETEN-ERROR-SOURCE", "04"), ("X-BASETEN-ERROR-CODE", code))
    return ChainResponse(
        kind=kind, status=status, body=_error_body(error), headers=headers, public_message=public_message
    )


def _error_body(error: object) -> bytes:
    """The body of an error."""
    try:
        return orjson.dumps({"error": error})
    except TypeError:  # a lone surrogate in the message
        return json.dumps({"error": error}, separators=(",", ":")).encode()


def _exception_message(exception: Exception) -> str:
    """The message of an exception, even if its __str__ raises."""
    try:
        return str(exception)
    except Exception as error:  # noqa: BLE001  # responsible: the user's exception
        return f"its __str__ raised {type(error).__name__}"


def _exception_status(exception: Exception) -> int:
    """The status of an HTTPException as in FastAPI; 500 for other exceptions."""
    status = getattr(exception, "status_code", None)
    is_http_exception = any(kind.__name__ == "HTTPException" for kind in type(exception).__mro__)
    return status if is_http_exception and isinstance(status, int) else 500


# ------------------------------------------------------------------ input


class PythonJsonError(ValueError):
    """A body that Python's JSON parser rejects, with the message of the parser."""


def parse_python_json(body: bytes) -> JSON:
    """
    The value of a body as parsed by Python, which accepts `NaN` and `Infinity`. Raises PythonJsonError, and
    RecursionError for a body nested too deeply.
    """
    try:
        return cast(JSON, json.loads(body.decode("utf-8")))
    except ValueError as exception:
        raise PythonJsonError(str(exception)) from None
