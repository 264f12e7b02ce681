"""
Which bodies the chain takes: JSON objects, under that media type, unencoded, up to a size.
"""

from __future__ import annotations

import re

from chainproof.contract.deviations import ANY_MEDIA_TYPE, LARGE_BODY
from chainproof.contract.errors import ErrorCode
from chainproof.contract.levels import Contract
from chainproof.json_text import InvalidJson, TooDeep, parse_json

from .errors import ErrorReply, bad_request
from .request import ReceivedRequest


def content_header_error(request: ReceivedRequest, contract: Contract) -> ErrorReply | None:
    """
    Why the body's media type or coding is refused, if it is.
    """
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
    """
    Why the body's size is refused, if it is.
    """
    if request.length <= limit:
        return None
    return ErrorReply(
        status=413 if LARGE_BODY.applies_to(contract) else 400,
        code=ErrorCode.PAYLOAD_TOO_LARGE,
        detail=f"Expected a body of at most {limit} bytes.",
    )


def json_object_error(request: ReceivedRequest) -> ErrorReply | None:
    """
    Why the body is not a JSON object, if it is none.
    """
    value = parse_json(request.body)
    if isinstance(value, dict) or (isinstance(value, TooDeep) and is_deep_object(request.body)):
        return None
    if value is InvalidJson.EMPTY:
        return bad_request("Expected a JSON object as the body; this request has no body.")
    if isinstance(value, InvalidJson | TooDeep):
        why = value.value if isinstance(value, InvalidJson) else InvalidJson.NOT_JSON.value
        return bad_request(f"Expected a JSON object as the body; the body is {why}.")
    return bad_request("Expected a JSON object as the body; the body is another JSON value.")


_TOKEN = re.compile(
    r'[ \t\n\r]*(?:(?P<punctuation>[{}\[\],:])|(?P<string>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")'
    r"|(?P<scalar>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null))"
)


_CLOSES = {"{": "}", "[": "]"}


def is_deep_object(body: bytes) -> bool:
    """
    Whether a body in UTF-8 is one JSON object, judged token by token: nesting costs an item of a list, not a call.

    Only for bodies that are too deep for parsers that recurse.
    """
    text = body.decode("utf-8")
    opened: list[str] = []
    expected = _START
    position = 0
    while expected is not _END:
        found = _TOKEN.match(text, position)
        if found is None:
            return False
        token = found["punctuation"] or ("text" if found["string"] else "scalar")
        if token not in expected:
            return False
        position = found.end()
        expected = _after(token, opened, named=expected in (_NAME, _NAME_OR_END))
    return not text[position:].strip(" \t\n\r")


_START = frozenset("{")
_VALUE = frozenset(("{", "[", "text", "scalar"))
_VALUE_OR_END = _VALUE | {"]"}
_NAME = frozenset(("text",))
_NAME_OR_END = _NAME | {"}"}
_COLON = frozenset(":")
_END: frozenset[str] = frozenset()


def _after(token: str, opened: list[str], *, named: bool) -> frozenset[str]:
    """
    What may stand behind a token. Keeps the brackets that are open; *named*: a text here names a member.
    """
    if token in ("{", "["):
        opened.append(token)
        return _NAME_OR_END if token == "{" else _VALUE_OR_END
    if token == ":":
        return _VALUE
    if token == ",":
        return _NAME if opened[-1] == "{" else _VALUE
    if token == "text" and named:
        return _COLON
    if token in ("}", "]"):
        opened.pop()
    return frozenset((",", _CLOSES[opened[-1]])) if opened else _END
