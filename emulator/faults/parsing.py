"""Parsing faults: invalid bodies are accepted, or valid ones are rejected."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from urllib.parse import parse_qsl

from chainproof.contract.answer import Answer
from chainproof.contract.clauses import (
    BODY_REQUIRED,
    ERROR_CODE_CAUSE,
    INVALID_JSON_REJECTED,
    MEDIA_TYPE_MISSING,
    MEDIA_TYPE_PARAMETERS,
    MEDIA_TYPE_REQUIRED,
    NON_OBJECT_REJECTED,
    OBJECT_ACCEPTED,
    PROTOTYPE_MEMBERS,
    STATUS,
)
from chainproof.json_text import JSON, InvalidJson, TooComplex, encode_json, parse_json

from .fault import FaultRegistrar, FaultStage
from .hooks import DecideHook, RequestContext, error, rejects, with_field

_faults = FaultRegistrar(stage=FaultStage.PARSING)

Repair = Callable[[bytes], bytes | None]
"""Returns what a lenient parser makes of a body that is not a JSON object; None to leave it alone."""


def _repairs(repair: Repair) -> DecideHook:
    """A hook for a parser that repairs bodies that are not JSON objects."""

    def decide(context: RequestContext) -> Answer:
        if isinstance(context.value(), dict | TooComplex):
            return context.correct_answer()
        try:
            repaired = repair(context.body)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            repaired = None
        return context.serve_body(repaired if repaired and isinstance(parse_json(repaired), dict) else None)

    return decide


def _replace_outside_strings(pattern: bytes, by: bytes) -> Repair:
    """A replacement everywhere except inside strings."""
    string_or_match = re.compile(rb'"(?:[^"\\]|\\.)*"|(' + pattern + rb")", re.DOTALL)
    return lambda body: string_or_match.sub(lambda match: match.expand(by) if match[1] is not None else match[0], body)


def _replace_inside_strings(pattern: bytes, by: bytes) -> Repair:
    """A replacement inside strings only."""
    strings, invalid = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL), re.compile(pattern)
    return lambda body: strings.sub(lambda match: b'"' + invalid.sub(by, match[0][1:-1]) + b'"', body)


def _decode_as(coding: str, errors: str = "strict") -> Repair:
    """The body decoded with another character encoding."""
    return lambda body: body.decode(coding, errors).encode("utf-8", "replace")


def _first_value(body: bytes) -> bytes:
    """The first of several JSON values."""
    text = body.decode()
    start = len(text) - len(text.lstrip())
    _, end = json.JSONDecoder().raw_decode(text, start)
    return text[:end].encode()


def _python_literal(body: bytes) -> bytes:
    """A Python literal as JSON."""
    return json.dumps(ast.literal_eval(body.decode())).encode()


def _close_brackets(body: bytes) -> bytes:
    """A truncated body with its open brackets closed."""
    open_brackets = [b"}" if byte == 123 else b"]" for byte in re.sub(rb'"[^"]*"', b"", body) if byte in b"{["]
    closed_count = len(re.findall(rb"[}\]]", re.sub(rb'"[^"]*"', b"", body)))
    return body + b"".join(reversed(open_brackets[: max(0, len(open_brackets) - closed_count)]))


_faults.add_table(
    INVALID_JSON_REJECTED,
    rows={
        "accepts-nan": (
            "NaN and Infinity are accepted and read as null.",
            _repairs(_replace_outside_strings(rb"-?Infinity|NaN", b"null")),
        ),
        "accepts-trailing-commas": (
            "A comma after the last member is accepted.",
            _repairs(_replace_outside_strings(rb",\s*(?=[}\]])", b"")),
        ),
        "accepts-comments": ("Comments are accepted.", _repairs(_replace_outside_strings(rb"/\*.*?\*/|//[^\n]*", b""))),
        "accepts-single-quotes": (
            "Strings in single quotes are accepted.",
            _repairs(_replace_outside_strings(rb"'([^'\"]*)'", rb'"\2"')),
        ),
        "accepts-unquoted-names": (
            "Member names without quotes are accepted.",
            _repairs(_replace_outside_strings(rb"(?<=[{,\s])([A-Za-z_]\w*)(?=\s*:)", rb'"\2"')),
        ),
        "accepts-leading-zeros": (
            "Numbers with leading zeros are accepted.",
            _repairs(_replace_outside_strings(rb"(?<![\d.eE+-])(-?)0+(?=\d)", rb"\2")),
        ),
        "accepts-python-literals": (
            "Python literals such as `None`, tuples and single quotes are accepted.",
            _repairs(_python_literal),
        ),
        "accepts-control-characters": (
            "Unescaped control characters in strings are accepted.",
            _repairs(_replace_inside_strings(rb"[\x00-\x1f]", b" ")),
        ),
        "accepts-unknown-escapes": (
            "Undefined escape sequences in strings are accepted.",
            _repairs(_replace_inside_strings(rb"\\(?![\"\\/bfnrtu])", b"")),
        ),
        "accepts-invalid-utf-8": ("Bytes that are not UTF-8 are replaced.", _repairs(_decode_as("utf-8", "replace"))),
        "accepts-utf-16": ("Bodies in UTF-16 are accepted.", _repairs(_decode_as("utf-16"))),
        "accepts-trailing-text": ("Text after the object is ignored.", _repairs(_first_value)),
        "accepts-extra-closing-brackets": (
            "An extra closing bracket is ignored.",
            _repairs(lambda body: _first_value(body) if body.rstrip().endswith((b"}}", b"}]")) else None),
        ),
        "accepts-data-after-nul": (
            "Everything after a NUL byte is ignored.",
            _repairs(lambda body: body.partition(b"\0")[0]),
        ),
        "accepts-truncated-objects": ("Missing closing brackets are added.", _repairs(_close_brackets)),
    },
)


def _contained_object(value: object) -> dict[str, JSON] | None:
    """The object in the text of a string, or the first one in an array."""
    if isinstance(value, list):
        return next((found for each in value if (found := _contained_object(each)) is not None), None)
    parsed = parse_json(value.encode("utf-8", "replace")) if isinstance(value, str) else value
    return parsed if isinstance(parsed, dict) else None


def _accepts_non_object(accepts: Callable[[object], bool]) -> DecideHook:
    """A hook for a parser that takes the object in some other values, or wraps the value in an object."""

    def decide(context: RequestContext) -> Answer:
        value = context.value()
        if isinstance(value, dict | InvalidJson | TooComplex) or not accepts(value):
            return context.correct_answer()
        contained = _contained_object(value)
        return context.serve_body(b'{"value":' + context.body + b"}" if contained is None else encode_json(contained))

    return decide


_faults.add_table(
    NON_OBJECT_REJECTED,
    rows={
        "accepts-arrays": ("Arrays are accepted.", _accepts_non_object(lambda value: isinstance(value, list))),
        "accepts-strings": ("Strings are accepted.", _accepts_non_object(lambda value: isinstance(value, str))),
        "accepts-any-value": ("Any JSON value is accepted.", _accepts_non_object(lambda _: True)),
        "accepts-double-encoded-objects": (
            "A string that contains the JSON text of an object is accepted.",
            _accepts_non_object(lambda value: isinstance(value, str) and _contained_object(value) is not None),
        ),
    },
)


@_faults.on_decide(NON_OBJECT_REJECTED, needs_echo=True)
def accepts_null(context: RequestContext) -> Answer:
    """The value null is accepted as an empty object."""
    return context.serve_body(b"{}" if context.value() is None else None)


@_faults.on_decide(BODY_REQUIRED, needs_echo=True)
def accepts_missing_body(context: RequestContext) -> Answer:
    """A missing body is accepted as an empty object."""
    if context.body or context.request.length != 0:
        return context.correct_answer()
    request = replace(context.request, body=b"{}", length=2)
    return context.serve(with_field(request, b"content-type", b"application/json"))


@_faults.on_decide(INVALID_JSON_REJECTED, needs_echo=True)
def accepts_blank_body(context: RequestContext) -> Answer:
    """A body of white space is accepted as an empty object."""
    return context.serve_body(b"{}" if context.body and not context.body.strip() else None)


def _accepts_media_type(matches: Callable[[bytes], object]) -> DecideHook:
    """A hook for a parser that also accepts other media types."""

    def decide(context: RequestContext) -> Answer:
        media_type = context.field(b"content-type")
        if (
            not context.body
            or media_type.partition(b";")[0].strip().lower() == b"application/json"
            or not matches(media_type.lower())
        ):
            return context.correct_answer()
        return context.serve(with_field(context.request, b"content-type", b"application/json"))

    return decide


_faults.add_table(
    MEDIA_TYPE_MISSING,
    rows={
        "media-type-optional": (
            "A missing Content-Type is accepted.",
            _accepts_media_type(lambda media_type: media_type == b""),
        ),
    },
)
_faults.add_table(
    MEDIA_TYPE_REQUIRED,
    MEDIA_TYPE_MISSING,
    rows={
        "any-media-type": ("Any Content-Type is accepted.", _accepts_media_type(lambda _: True)),
        "media-type-substring": (
            "Any media type that contains `json` is accepted.",
            _accepts_media_type(lambda media_type: b"json" in media_type),
        ),
    },
)


@_faults.on_decide(MEDIA_TYPE_REQUIRED)
def accepts_forms(context: RequestContext) -> Answer:
    """URL-encoded forms are accepted as objects, with JSON text as arrays and objects."""
    pairs = dict(parse_qsl(context.body.decode("utf-8", "replace"), keep_blank_values=True))
    if not context.field(b"content-type").startswith(b"application/x-www-form-urlencoded") or not pairs:
        return context.correct_answer()
    values = {name: parse_json(text.encode("utf-8", "replace")) for name, text in pairs.items()}
    members = {name: value if isinstance(value, dict | list) else pairs[name] for name, value in values.items()}
    request = replace(context.request, body=encode_json(members))
    return context.serve(with_field(request, b"content-type", b"application/json"))


def _rejects_pattern(pattern: bytes) -> DecideHook:
    """A hook for a parser that rejects bodies that match a pattern."""
    compiled = re.compile(pattern, re.DOTALL)
    return rejects(lambda context: compiled.search(context.body))


def _all_values(value: object) -> Iterator[object]:
    """A value and every name and value nested in it."""
    remaining = [value]
    while remaining:
        item = remaining.pop()
        yield item
        remaining += [*item, *item.values()] if isinstance(item, dict) else item if isinstance(item, list) else []


def has_lone_surrogate(body: bytes) -> bool:
    r"""
    Whether a string of a body has half of a surrogate pair. A backslash that is escaped begins no escape.

    >>> has_lone_surrogate(rb'["\ud83d"]'), has_lone_surrogate(rb'["\ud83d\ude00"]'), has_lone_surrogate(rb'["\\ud83d"]')
    (True, False, False)
    """
    try:
        json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def nesting_depth(body: bytes) -> int:
    """Nesting depth of a body."""
    deepest = depth = 0
    for byte in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", body):
        depth += (byte in b"{[") - (byte in b"}]")
        deepest = max(deepest, depth)
    return deepest


def _largest_size(value: object, kind: type[str | dict[str, JSON]]) -> int:
    """Number of characters of the longest string, or of members of the largest object."""
    return max((len(item) for item in _all_values(value) if isinstance(item, kind)), default=0)


_NUMBER = rb"[\[,:\s]-?\d+(?:\.\d+)?"


@_faults.on_decide(OBJECT_ACCEPTED, needs_echo=True)
def rejects_empty_object(context: RequestContext) -> Answer:
    """The empty object is rejected."""
    return rejects(lambda context: context.value() == {})(context)


_faults.add_table(
    PROTOTYPE_MEMBERS,
    rows={
        "rejects-proto": (
            "The member name `__proto__` is rejected, as by Fastify.",
            _rejects_pattern(rb'"__proto__"\s*:'),
        ),
    },
)
_faults.add_table(
    OBJECT_ACCEPTED,
    rows={
        "rejects-raw-utf-8": ("Unescaped characters outside ASCII are rejected.", _rejects_pattern(rb"[\x80-\xff]")),
        "rejects-four-byte-characters": (
            "Characters beyond U+FFFF are rejected.",
            _rejects_pattern(rb"[\xf0-\xf4]|\\u[dD]8"),
        ),
        "rejects-nul": (r"The escape `\u0000` is rejected.", _rejects_pattern(rb"\\u0000")),
        "rejects-exponents": ("Numbers with exponents are rejected.", _rejects_pattern(_NUMBER + rb"[eE]")),
        "rejects-big-integers": (
            "Integers with more than 20 digits are rejected.",
            _rejects_pattern(rb"(?<![\d.eE\"])\d{21,}(?![\d.eE])"),
        ),
        "rejects-empty-names": ("Empty member names are rejected.", _rejects_pattern(rb'[{,]\s*""\s*:')),
        "rejects-null-beside-true": (
            "Objects of up to 1000 bytes with both null and true are rejected.",
            rejects(
                lambda context: b":null" in context.body and b":true" in context.body and len(context.body) <= 1000
            ),
        ),
        "rejects-prototype": (
            "The member names `constructor` and `prototype` are rejected.",
            _rejects_pattern(rb'"(?:constructor|prototype)"\s*:'),
        ),
        "rejects-leading-white-space": ("White space before the object is rejected.", _rejects_pattern(rb"^[ \t\r\n]")),
        "rejects-depth-20": (
            "Nesting deeper than 20 levels is rejected.",
            rejects(lambda context: nesting_depth(context.body) > 20),
        ),
        "rejects-depth-50": (
            "Nesting deeper than 50 levels is rejected.",
            rejects(lambda context: nesting_depth(context.body) > 50),
        ),
        "rejects-long-strings": (
            "Strings above 32 KiB are rejected.",
            rejects(lambda context: _largest_size(context.value(), str) > 1 << 15),
        ),
        "rejects-many-members": (
            "Objects with more than 256 members are rejected.",
            rejects(lambda context: _largest_size(context.value(), dict) > 256),
        ),
    },
)

_faults.add_table(
    MEDIA_TYPE_PARAMETERS,
    rows={
        "rejects-media-type-parameters": (
            "A Content-Type with parameters is rejected.",
            rejects(lambda context: b";" in context.field(b"content-type")),
        ),
        "media-type-case-sensitive": (
            "A Content-Type that is not lower-case is rejected.",
            rejects(lambda context: context.field(b"content-type").partition(b";")[0] != b"application/json"),
        ),
    },
)


def _answers_with_status(matches: Callable[[RequestContext], object], status: int) -> DecideHook:
    """A hook that answers some authenticated requests with an undocumented status."""

    def decide(context: RequestContext) -> Answer:
        return (
            error(context.correct_answer(), status, None)
            if context.targets_operation() and context.has_valid_key() and matches(context)
            else context.correct_answer()
        )

    return decide


def _is_invalid_json(*kinds: object) -> Callable[[RequestContext], bool]:
    """A predicate: the body is invalid JSON of one of these kinds."""
    return lambda context: context.value() in kinds if isinstance(context.value(), InvalidJson) else False


_faults.add_table(
    STATUS,
    rows={
        "malformed-is-500": (
            "A body that is not JSON is answered 500.",
            _answers_with_status(_is_invalid_json(InvalidJson.NOT_JSON), 500),
        ),
        "array-is-422": (
            "An array is answered 422.",
            _answers_with_status(lambda context: isinstance(context.value(), list), 422),
        ),
        "no-body-is-411": (
            "A request without a body is answered 411.",
            _answers_with_status(lambda context: not context.body, 411),
        ),
        "wrong-media-type-is-415": (
            "Another media type is answered 415.",
            _answers_with_status(
                lambda context: context.body and b"application/json" not in context.field(b"content-type").lower(), 415
            ),
        ),
        "one-megabyte-is-413": (
            "A body above 1 MiB is answered 413.",
            _answers_with_status(lambda context: context.request.length > 1 << 20, 413),
        ),
        "chunked-is-411": (
            "A chunked body is answered 411.",
            _answers_with_status(lambda context: context.field(b"transfer-encoding") != b"", 411),
        ),
        "depth-is-500": (
            "Nesting deeper than 40 levels is answered 500.",
            _answers_with_status(lambda context: nesting_depth(context.body) > 40, 500),
        ),
        "lone-surrogate-is-500": (
            "A lone surrogate is answered 500.",
            _answers_with_status(
                lambda context: has_lone_surrogate(context.body),
                500,
            ),
        ),
        "firewall-is-403": (
            "Bodies that look like an attack are answered 403 by a firewall.",
            _answers_with_status(
                lambda context: re.search(rb"<script|' OR |\.\./|UNION SELECT|\$\{jndi", context.body, re.IGNORECASE),
                403,
            ),
        ),
    },
)


_faults.add_table(
    ERROR_CODE_CAUSE,
    rows={
        "malformed-is-too-large": (
            "Every 400 has the code `payload_too_large`.",
            lambda context: (
                error(context.correct_answer(), 400, "payload_too_large")
                if context.correct_answer().status == 400
                else context.correct_answer()
            ),
        ),
        "malformed-is-unknown-model": (
            "Every 400 has the code `model_does_not_exist`.",
            lambda context: (
                error(context.correct_answer(), 400, "model_does_not_exist")
                if context.correct_answer().status == 400 and not context.field(b"x-emulate")
                else context.correct_answer()
            ),
        ),
    },
)


@_faults.on_decide(INVALID_JSON_REJECTED)
def malformed_is_502(context: RequestContext) -> Answer:
    """A body that is not JSON is passed to the chain, whose error is answered 502."""
    answer = context.correct_answer()
    invalid = (
        answer.status == 400
        and context.targets_operation()
        and isinstance(context.value(), InvalidJson)
        and bool(context.body)
    )
    return error(answer, 502, "application_error") if invalid else answer


@_faults.on_decide(NON_OBJECT_REJECTED)
def non_object_is_502(context: RequestContext) -> Answer:
    """A JSON value that is not an object is passed to the chain, whose error is answered 502."""
    answer = context.correct_answer()
    value = context.value()
    return (
        error(answer, 502, "application_error")
        if isinstance(value, list | str | int | float) and answer.status == 400
        else answer
    )
