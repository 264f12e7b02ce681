"""
Which bodies the chain takes: JSON objects, under that media type, unencoded, up to a size.
"""

from __future__ import annotations

import re

from chainproof.contract.errors import ErrorCode
from chainproof.contract.levels import Contract
from chainproof.jsontext import Malformed, TooDeep, parse_json

from .refusal import Refusal, bad_request
from .request import Request

TOO_LARGE: dict[Contract, int] = {
    Contract.STRICT: 400,
    Contract.DOCUMENTED: 413,  # inference/errors: a body above 100 MB is answered 413
    Contract.OBSERVED: 413,
}


def unreadable(request: Request) -> Refusal | None:
    """
    Why the body's media type or coding is refused, if it is.
    """
    types = request.fields(b"content-type")
    if len(types) != 1 or types[0].partition(b";")[0].strip().lower() != b"application/json":
        return bad_request("Expected one header `Content-Type: application/json`.")
    codings = request.fields(b"content-encoding")
    if any(coding.lower() not in (b"", b"identity") for coding in codings):
        return bad_request("Expected a body without Content-Encoding; send the JSON text itself.")
    return None


def too_large(request: Request, limit: int, contract: Contract) -> Refusal | None:
    """
    Why the body's size is refused, if it is.
    """
    if request.length <= limit:
        return None
    return Refusal(
        status=TOO_LARGE[contract],
        code=ErrorCode.PAYLOAD_TOO_LARGE,
        detail=f"Expected a body of at most {limit} bytes.",
    )


def no_object(request: Request) -> Refusal | None:
    """
    Why the body is not a JSON object, if it is none.
    """
    value = parse_json(request.body)
    if isinstance(value, dict) or (isinstance(value, TooDeep) and is_deep_object(request.body)):
        return None
    if value is Malformed.EMPTY:
        return bad_request("Expected a JSON object as the body; this request has no body.")
    if isinstance(value, Malformed | TooDeep):
        why = value.value if isinstance(value, Malformed) else Malformed.NOT_JSON.value
        return bad_request(f"Expected a JSON object as the body; the body is {why}.")
    return bad_request("Expected a JSON object as the body; the body is another JSON value.")


_TOKEN = re.compile(
    r'[ \t\n\r]*(?:(?P<punctuation>[{}\[\],:])|(?P<string>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")'
    r"|(?P<scalar>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null))"
)


def is_deep_object(body: bytes) -> bool:
    """
    Whether a body is one JSON object, judged token by token: nesting costs a list's item, not a call.

    Only for bodies that are too deep for parsers that recurse.
    """
    text = body.decode("utf-8")
    open_brackets: list[str] = []
    expected = "{"
    position = 0
    while expected != "end":
        token = _TOKEN.match(text, position)
        if token is None:
            return False
        position = token.end()
        after = _after(token.lastgroup or "", token[token.lastgroup or 0], expected, open_brackets)
        if after is None:
            return False
        expected = after
    return not text[position:].strip(" \t\n\r")


def _after(kind: str, token: str, expected: str, open_brackets: list[str]) -> str | None:
    """
    What is expected behind a token, or None when it is not what was expected before it. Keeps the open brackets.
    """
    if token in ("{", "[") and expected in ("value", "value or ]", "{") and expected != "{" * (token == "["):
        open_brackets.append(token)
        return "name or }" if token == "{" else "value or ]"
    if token in ("}", "]") and open_brackets and _may_close(token, expected, open_brackets[-1]):
        open_brackets.pop()
        return "more" if open_brackets else "end"
    if token == "," and expected == "more":
        return "name" if open_brackets[-1] == "{" else "value"
    if token == ":" and expected == "colon":
        return "value"
    if kind == "string" and expected.startswith("name"):
        return "colon"
    return "more" if kind in ("string", "scalar") and expected.startswith("value") else None


def _may_close(token: str, expected: str, opened: str) -> bool:
    """
    Whether a closing bracket fits the open one and the place.
    """
    return opened + token in ("{}", "[]") and (expected == "more" or expected.endswith(token))
