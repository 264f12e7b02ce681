"""Body checks: media type, content coding, size, and that the body is a JSON object."""

from __future__ import annotations

import re

from chainproof.contract.deviations import ANY_MEDIA_TYPE, LARGE_BODY
from chainproof.contract.errors import ErrorCode
from chainproof.contract.levels import Contract
from chainproof.json_text import InvalidJson, TooComplex, parse_json

from .errors import ErrorReply, bad_request
from .request import ReceivedRequest


def content_header_error(request: ReceivedRequest, contract: Contract) -> ErrorReply | None:
    """The error for a wrong Content-Type or Content-Encoding; None without one."""
    if ANY_MEDIA_TYPE.applies_to(contract):
        return None
    types = request.fields(b"content-type")
    if len(types) != 1 or types[0].partition(b";")[0].strip().lower() != b"application/json":
        return bad_request("Expected one header `Content-Type: application/json`.")
    codings = request.fields(b"content-encoding")
    if any(coding.lower() not in (b"", b"identity") for coding in codings):
        return bad_request("Expected a body without Content-Encoding; send the JSON text itself.")
    return None


def body_size_error(request: ReceivedRequest, limit: int, contract: Contract) -> ErrorReply | None:
    """The error for a body above the limit; None without one."""
    if request.length <= limit:
        return None
    return ErrorReply(
        status=413 if LARGE_BODY.applies_to(contract) else 400,
        code=ErrorCode.PAYLOAD_TOO_LARGE,
        detail=f"Expected a body of at most {limit} bytes.",
    )


def json_object_error(request: ReceivedRequest) -> ErrorReply | None:
    """The error for a body that is not a JSON object; None for an object."""
    value = parse_json(request.body)
    if isinstance(value, dict) or (isinstance(value, TooComplex) and is_deep_object(request.body)):
        return None
    if value is InvalidJson.EMPTY:
        return bad_request("Expected a JSON object as the body; this request has no body.")
    if isinstance(value, InvalidJson | TooComplex):
        reason = value.value if isinstance(value, InvalidJson) else InvalidJson.NOT_JSON.value
        return bad_request(f"Expected a JSON object as the body; the body is {reason}.")
    return bad_request("Expected a JSON object as the body; the body is another JSON value.")


_TOKEN = re.compile(
    r'[ \t\n\r]*(?:(?P<punctuation>[{}\[\],:])|(?P<string>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")'
    r"|(?P<scalar>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null))"
)


_CLOSING_BRACKETS = {"{": "}", "[": "]"}


def is_deep_object(body: bytes) -> bool:
    """
    Whether a body in UTF-8 is one JSON object.

    Reads token by token, without recursion. Only for bodies that are too deep for recursive parsers.
    """
    text = body.decode("utf-8")
    open_brackets: list[str] = []
    expected = _START
    position = 0
    while expected is not _END:
        match = _TOKEN.match(text, position)
        if match is None:
            return False
        token = match["punctuation"] or ("text" if match["string"] else "scalar")
        if token not in expected:
            return False
        position = match.end()
        expected = _next_tokens(token, open_brackets, is_name=expected in (_NAME, _NAME_OR_END))
    return not text[position:].strip(" \t\n\r")


_START = frozenset("{")
_VALUE = frozenset(("{", "[", "text", "scalar"))
_VALUE_OR_END = _VALUE | {"]"}
_NAME = frozenset(("text",))
_NAME_OR_END = _NAME | {"}"}
_COLON = frozenset(":")
_END: frozenset[str] = frozenset()


def _next_tokens(token: str, open_brackets: list[str], *, is_name: bool) -> frozenset[str]:
    """The tokens allowed after a token. Updates the stack of open brackets; *is_name*: the string is a member name."""
    if token in ("{", "["):
        open_brackets.append(token)
        return _NAME_OR_END if token == "{" else _VALUE_OR_END
    if token == ":":
        return _VALUE
    if token == ",":
        return _NAME if open_brackets[-1] == "{" else _VALUE
    if token == "text" and is_name:
        return _COLON
    if token in ("}", "]"):
        open_brackets.pop()
    return frozenset((",", _CLOSING_BRACKETS[open_brackets[-1]])) if open_brackets else _END
