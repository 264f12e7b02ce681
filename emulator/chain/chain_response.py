"""
What the server of a chain says to a body, in Baseten's words: knows nothing of the user's class, threads and contracts.

Texts and header fields are those of basetenlabs/truss, as measured on loopback without a gateway in front.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from traceback import FrameSummary
from typing import cast

import orjson

from chainproof.clock import Seconds
from chainproof.contract.chain_schema import format_path
from chainproof.json_text import JSON

InputErrors = tuple[tuple[tuple[str | int, ...], str], ...]
"""What is wrong with an input: places and words."""


class ChainResponseKind(Enum):
    """
    What became of a request that reached the chain.
    """

    OUTPUT = auto()
    """run_remote returned, and this is what."""
    BAD_INPUT = auto()
    """The body is no input of this chain."""
    EXCEPTION = auto()
    """run_remote raised, or returned what its type does not say."""
    SERVER_ERROR = auto()
    """The server's own code raised: the output cannot be written."""
    PROCESS_EXITED = auto()
    """The process that ran it ended."""
    TIMED_OUT = auto()
    """It has not answered in the time allowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainResponse:
    """
    What the chain's server says, before the gateway passes it on.
    """

    kind: ChainResponseKind
    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    public_message: str = ""
    """What may be told of a failure without the chain's internals."""


_UNEXPECTED, _DOWNSTREAM, _CALLER = "500", "600", "700"
"""`X-BASETEN-ERROR-CODE`: the server's own surprise, the chain's failure, the caller's mistake."""


def output(body: bytes) -> ChainResponse:
    """
    To a request whose run_remote returned.
    """
    return ChainResponse(kind=ChainResponseKind.OUTPUT, status=200, body=body)


def input_error(errors: InputErrors) -> ChainResponse:
    """
    To a body that is no input: every mistake with its place.
    """
    title = "Input Parsing Error:" if len(errors) == 1 else "Input Parsing Errors:"
    public_message = "\n".join([title, *(f"  `{format_path(place)}`: {text}." for place, text in errors)])
    return _failed(ChainResponseKind.BAD_INPUT, 400, public_message, _CALLER, public_message)


def server_error(wrong: Exception) -> ChainResponse:
    """
    To a request over which the server itself stumbles: an input nested too deeply, or an output that cannot be written.
    """
    deep = isinstance(wrong, RecursionError)
    public_message = "The body is nested too deeply." if deep else "The output of run_remote cannot be written."
    text = f"Unhandled exception: {type(wrong).__name__}: {wrong}"
    return _failed(
        ChainResponseKind.BAD_INPUT if deep else ChainResponseKind.SERVER_ERROR, 500, text, _UNEXPECTED, public_message
    )


def exception_error(wrong: Exception, stack: Iterable[FrameSummary]) -> ChainResponse:
    """
    To a request whose run_remote raised: all there is to know of the exception, with the status of an HTTPException.
    """
    error = {
        "exception_cls_name": type(wrong).__name__,
        "exception_module_name": getattr(wrong, "__module__", None),
        "exception_message": _message(wrong),
        "user_stack_trace": [
            {"filename": frame.filename, "lineno": frame.lineno, "name": frame.name, "line": frame.line}
            for frame in stack
        ],
    }
    return _failed(ChainResponseKind.EXCEPTION, _status(wrong), error, _DOWNSTREAM, "run_remote raised an exception.")


def return_type_error() -> ChainResponse:
    """
    To a request whose run_remote returned what its return type does not say.
    """
    public_message = "run_remote returned what its return type does not say."
    return _failed(
        ChainResponseKind.EXCEPTION, 500, "Internal Server Error (in model/chainlet).", _DOWNSTREAM, public_message
    )


def process_exit_error() -> ChainResponse:
    """
    To a request that took its server with it. The gateway says so: there is no server any more.
    """
    return ChainResponse(
        kind=ChainResponseKind.PROCESS_EXITED,
        status=502,
        body=_error("Error making prediction"),
        public_message="run_remote ended its process.",
    )


def timeout_error(allowed: Seconds) -> ChainResponse:
    """
    To a request that the chain has not answered in time. The gateway says so.
    """
    public_message = f"run_remote did not return within {allowed:g} s."
    return ChainResponse(
        kind=ChainResponseKind.TIMED_OUT, status=504, body=_error(public_message), public_message=public_message
    )


def json_error(wrong: PythonJsonError) -> ChainResponse:
    """
    To a body that is not even JSON.
    """
    return input_error(((("__root__",), str(wrong)),))


def _failed(kind: ChainResponseKind, status: int, error: object, code: str, public_message: str) -> ChainResponse:
    """
    An error that the chain's server answers itself.
    """
    headers = (("X-BASETEN-ERROR-SOURCE", "04"), ("X-BASETEN-ERROR-CODE", code))
    return ChainResponse(kind=kind, status=status, body=_error(error), headers=headers, public_message=public_message)


def _error(error: object) -> bytes:
    """
    The body of an error.
    """
    try:
        return orjson.dumps({"error": error})
    except TypeError:  # half a surrogate pair in an exception's message
        return json.dumps({"error": error}, separators=(",", ":")).encode()


def _message(wrong: Exception) -> str:
    """
    What an exception says of itself, unless even that raises.
    """
    try:
        return str(wrong)
    except Exception as worse:  # noqa: BLE001  # blamed: the user's exception
        return f"its __str__ raised {type(worse).__name__}"


def _status(wrong: Exception) -> int:
    """
    The status of an exception: its own if it is an HTTPException, as FastAPI has them, else 500.
    """
    status = getattr(wrong, "status_code", None)
    kin = any(kind.__name__ == "HTTPException" for kind in type(wrong).__mro__)
    return status if kin and isinstance(status, int) and 400 <= status < 600 else 500


# ------------------------------------------------------------------ what the server reads


class PythonJsonError(ValueError):
    """
    A body that Python's JSON parser refuses; the message is the parser's.
    """


def parse_python_json(body: bytes) -> JSON:
    """
    The value of a body as Python has it, which takes `NaN` and `Infinity` beside JSON. Raises Unreadable, and
    RecursionError for a body nested too deeply.
    """
    try:
        return cast(JSON, json.loads(body.decode("utf-8")))
    except ValueError as wrong:
        raise PythonJsonError(str(wrong)) from None
