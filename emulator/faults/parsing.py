"""
Faults of whoever reads the body: what is no JSON object and taken for one, and what is one and refused.
"""

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
    HTTP_RECOMMENDATIONS,
    HTTP_STRICTNESS,
    INVALID_FRAMING_REJECTED,
    INVALID_JSON_REJECTED,
    KEY_VERIFIED,
    MEDIA_TYPE_PARAMETERS,
    MEDIA_TYPE_REQUIRED,
    NON_OBJECT_REJECTED,
    OBJECT_ACCEPTED,
    REQUEST_FRAMING,
    STATUS,
)
from chainproof.json_text import JSON, InvalidJson, TooDeep, parse_json

from .fault import FaultRegistrar, FaultStage
from .hooks import DecideHook, FaultHook, RequestContext, error, with_field

_at = FaultRegistrar(stage=FaultStage.PARSING)

Mend = Callable[[bytes], bytes | None]
"""What a lenient parser makes of a body that is no JSON object; None for nothing."""


def _lenient(mend: Mend) -> DecideHook:
    """
    A parser that mends what is no JSON object.
    """

    def decide(context: RequestContext) -> Answer:
        if isinstance(context.value(), dict | TooDeep):
            return context.correct_answer()
        try:
            mended = mend(context.body)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            mended = None
        return context.serve_body(mended if mended and isinstance(parse_json(mended), dict) else None)

    return decide


def _outside(pattern: bytes, by: bytes) -> Mend:
    """
    A replacement everywhere but inside of strings.
    """
    either = re.compile(rb'"(?:[^"\\]|\\.)*"|(' + pattern + rb")", re.DOTALL)
    return lambda body: either.sub(lambda found: found.expand(by) if found[1] is not None else found[0], body)


def _inside(pattern: bytes, by: bytes) -> Mend:
    """
    A replacement inside of strings alone.
    """
    text, wrong = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL), re.compile(pattern)
    return lambda body: text.sub(lambda found: b'"' + wrong.sub(by, found[0][1:-1]) + b'"', body)


def _decoded(coding: str, errors: str = "strict") -> Mend:
    """
    A body read as another character coding.
    """
    return lambda body: body.decode(coding, errors).encode("utf-8", "replace")


def _first_value(body: bytes) -> bytes:
    """
    The first of several values.
    """
    text = body.decode()
    start = len(text) - len(text.lstrip())
    _, end = json.JSONDecoder().raw_decode(text, start)
    return text[:end].encode()


def _python(body: bytes) -> bytes:
    """
    A literal of Python's.
    """
    return json.dumps(ast.literal_eval(body.decode())).encode()


def _closed(body: bytes) -> bytes:
    """
    What was cut off, with its brackets closed.
    """
    opened = [b"}" if byte == 123 else b"]" for byte in re.sub(rb'"[^"]*"', b"", body) if byte in b"{["]
    closed = len(re.findall(rb"[}\]]", re.sub(rb'"[^"]*"', b"", body)))
    return body + b"".join(reversed(opened[: max(0, len(opened) - closed)]))


_at.add_table(
    INVALID_JSON_REJECTED,
    rows={
        "accepts-nan": (
            "NaN and Infinity are taken, and read as null.",
            _lenient(_outside(rb"-?Infinity|NaN", b"null")),
        ),
        "accepts-trailing-commas": (
            "A comma may stand behind the last member.",
            _lenient(_outside(rb",\s*(?=[}\]])", b"")),
        ),
        "accepts-comments": (
            "Comments are passed over.",
            _lenient(_outside(rb"/\*.*?\*/|//[^\n]*", b"")),
        ),
        "accepts-single-quotes": ("Single quotes count.", _lenient(_outside(rb"'([^'\"]*)'", rb'"\2"'))),
        "accepts-unquoted-names": (
            "Names may stand without quotes.",
            _lenient(_outside(rb"(?<=[{,\s])([A-Za-z_]\w*)(?=\s*:)", rb'"\2"')),
        ),
        "accepts-leading-zeros": (
            "Numbers may begin with zeros.",
            _lenient(_outside(rb"(?<![\d.eE+-])(-?)0+(?=\d)", rb"\2")),
        ),
        "accepts-python-literals": (
            "Literals of Python's are taken: `None`, tuples, single quotes.",
            _lenient(_python),
        ),
        "accepts-control-characters": (
            "Line breaks and tabs may stand in strings as they are.",
            _lenient(_inside(rb"[\x00-\x1f]", b" ")),
        ),
        "accepts-unknown-escapes": (
            r"Escapes that JSON does not have are taken for what stands behind the backslash.",
            _lenient(_inside(rb"\\(?![\"\\/bfnrtu])", b"")),
        ),
        "accepts-invalid-utf-8": (
            "Bytes that are no UTF-8 are replaced.",
            _lenient(_decoded("utf-8", "replace")),
        ),
        "accepts-utf-16": ("UTF-16 is read.", _lenient(_decoded("utf-16"))),
        "accepts-trailing-text": ("Whatever stands behind the object is passed over.", _lenient(_first_value)),
        "accepts-extra-closing-brackets": (
            "A closing bracket too many is passed over.",
            _lenient(lambda body: _first_value(body) if body.rstrip().endswith((b"}}", b"}]")) else None),
        ),
        "accepts-data-after-nul": (
            "What stands behind a zero byte is not read.",
            _lenient(lambda body: body.partition(b"\0")[0]),
        ),
        "accepts-truncated-objects": ("Brackets that are missing at the end are added.", _lenient(_closed)),
    },
)


def _wrapped(body: bytes) -> bytes:
    """
    A value as the member of an object.
    """
    return b'{"value":' + body + b"}"


def _non_object(taken: Callable[[object], bool]) -> DecideHook:
    """
    A parser that takes values of another kind for objects.
    """

    def decide(context: RequestContext) -> Answer:
        value = context.value()
        other = not isinstance(value, dict | InvalidJson | TooDeep) and taken(value)
        return context.serve_body(_wrapped(context.body) if other else None)

    return decide


def _holds_object(value: object) -> bool:
    """
    Whether a string is the JSON text of an object.
    """
    return isinstance(value, str) and isinstance(parse_json(value.encode("utf-8", "replace")), dict)


_at.add_table(
    NON_OBJECT_REJECTED,
    rows={
        "accepts-arrays": ("Arrays are taken.", _non_object(lambda value: isinstance(value, list))),
        "accepts-null": ("null is taken for no members.", _non_object(lambda value: value is None)),
        "accepts-strings": ("Strings are taken.", _non_object(lambda value: isinstance(value, str))),
        "accepts-any-value": ("Any JSON value is taken.", _non_object(lambda _: True)),
        "accepts-double-encoded-objects": (
            "A string that holds the text of an object is taken.",
            _non_object(_holds_object),
        ),
    },
)

_at.add_table(
    BODY_REQUIRED,
    rows={
        "accepts-missing-body": (
            "No body is taken for no members.",
            lambda context: (
                context.serve(
                    with_field(replace(context.request, body=b"{}", length=2), b"content-type", b"application/json")
                )
                if not context.body and context.request.length == 0
                else context.correct_answer()
            ),
        ),
    },
)

_at.add_table(
    INVALID_JSON_REJECTED,
    rows={
        "accepts-blank-body": (
            "A body of white space is taken for no members.",
            _lenient(lambda body: b"{}" if body and not body.strip() else None),
        ),
    },
)


def _reads_type(matches: Callable[[bytes], object]) -> DecideHook:
    """
    A parser that reads JSON under other media types too.
    """

    def decide(context: RequestContext) -> Answer:
        given = context.field(b"content-type")
        if (
            not context.body
            or given.partition(b";")[0].strip().lower() == b"application/json"
            or not matches(given.lower())
        ):
            return context.correct_answer()
        return context.serve(with_field(context.request, b"content-type", b"application/json"))

    return decide


_at.add_table(
    MEDIA_TYPE_REQUIRED,
    rows={
        "any-media-type": ("The body is read whatever Content-Type says.", _reads_type(lambda _: True)),
        "media-type-optional": ("The body is read without a Content-Type.", _reads_type(lambda given: given == b"")),
        "media-type-substring": (
            "Whatever has `json` in its media type is read.",
            _reads_type(lambda given: b"json" in given),
        ),
    },
)


@_at.on_decide(MEDIA_TYPE_REQUIRED)
def accepts_forms(context: RequestContext) -> Answer:
    """A form is taken for an object."""
    pairs = dict(parse_qsl(context.body.decode("latin-1"), keep_blank_values=True))
    if not context.field(b"content-type").startswith(b"application/x-www-form-urlencoded") or not pairs:
        return context.correct_answer()
    request = replace(context.request, body=json.dumps(pairs).encode())
    return context.serve(with_field(request, b"content-type", b"application/json"))


def _refuses(matches: Callable[[RequestContext], object]) -> DecideHook:
    """
    A parser that refuses what it has to take.
    """

    def decide(context: RequestContext) -> Answer:
        correct_answer = context.correct_answer()
        return (
            error(correct_answer, 400, "client_error")
            if correct_answer.status == 200 and matches(context)
            else correct_answer
        )

    return decide


def _has(pattern: bytes) -> DecideHook:
    """
    A parser that refuses bodies with this in them.
    """
    found = re.compile(pattern, re.DOTALL)
    return _refuses(lambda context: found.search(context.body))


def _every(value: object) -> Iterator[object]:
    """
    A value and all that is in it.
    """
    left = [value]
    while left:
        one = left.pop()
        yield one
        left += [*one, *one.values()] if isinstance(one, dict) else one if isinstance(one, list) else []


def _any(wanted: Callable[[object], bool]) -> DecideHook:
    """
    A parser that refuses objects with such a value or name in them.
    """
    return _refuses(lambda context: any(wanted(one) for one in _every(context.value())))


def _depth(body: bytes) -> int:
    """
    How deep a body is nested.
    """
    deepest = depth = 0
    for byte in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", body):
        depth += (byte in b"{[") - (byte in b"}]")
        deepest = max(deepest, depth)
    return deepest


def _longest(value: object) -> int:
    """
    Of the longest string, the characters.
    """
    return max((len(one) for one in _every(value) if isinstance(one, str)), default=0)


def _most(value: object, kind: type[dict[str, JSON] | list[JSON]]) -> int:
    """
    Of the largest object or array, the members.
    """
    return max((len(one) for one in _every(value) if isinstance(one, kind)), default=0)


_NUMBER = rb"[\[,:\s]-?\d+(?:\.\d+)?"

_at.add_table(
    OBJECT_ACCEPTED,
    rows={
        "rejects-raw-utf-8": ("Characters beyond ASCII are refused where they are not escaped.", _has(rb"[\x80-\xff]")),
        "rejects-four-byte-characters": (
            "Characters beyond the basic plane are refused.",
            _has(rb"[\xf0-\xf4]|\\u[dD]8"),
        ),
        "rejects-nul": (r"`\u0000` is refused.", _has(rb"\\u0000")),
        "rejects-exponents": ("Exponents are refused.", _has(_NUMBER + rb"[eE]")),
        "rejects-big-integers": (
            "Integers of more than 20 digits are refused.",
            _has(rb"(?<![\d.eE\"])\d{21,}(?![\d.eE])"),
        ),
        "rejects-empty-object": (
            "The object without members is refused.",
            _refuses(lambda context: context.value() == {}),
        ),
        "rejects-empty-names": ("The empty name is refused.", _has(rb'[{,]\s*""\s*:')),
        "rejects-proto": ("The name `__proto__` is refused.", _has(rb'"(?:__proto__|constructor|prototype)"\s*:')),
        "rejects-leading-white-space": ("White space before the object is refused.", _has(rb"^[ \t\r\n]")),
        "rejects-depth-20": ("More than 20 levels are refused.", _refuses(lambda context: _depth(context.body) > 20)),
        "rejects-depth-50": ("More than 50 levels are refused.", _refuses(lambda context: _depth(context.body) > 50)),
        "rejects-long-strings": (
            "Strings beyond 32 KiB are refused.",
            _refuses(lambda context: _longest(context.value()) > 1 << 15),
        ),
        "rejects-many-members": (
            "Objects of more than 256 members are refused.",
            _refuses(lambda context: _most(context.value(), dict) > 256),
        ),
    },
)

_at.add_table(
    MEDIA_TYPE_PARAMETERS,
    rows={
        "rejects-media-type-parameters": (
            "Content-Type with a parameter is refused.",
            _refuses(lambda context: b";" in context.field(b"content-type")),
        ),
        "media-type-case-sensitive": (
            "Content-Type counts in lower case alone.",
            _refuses(lambda context: context.field(b"content-type").partition(b";")[0] != b"application/json"),
        ),
    },
)


def _crashes(matches: Callable[[RequestContext], object], status: int) -> DecideHook:
    """
    A parser, or whoever stands before it, that answers with a status that the document does not have.
    """

    def decide(context: RequestContext) -> Answer:
        return (
            error(context.correct_answer(), status, None)
            if context.targets_operation() and context.has_valid_key() and matches(context)
            else context.correct_answer()
        )

    return decide


def _is(*kinds: object) -> Callable[[RequestContext], bool]:
    """
    Whether a body is one of these kinds of malformed, or of these types.
    """
    return lambda context: context.value() in kinds if isinstance(context.value(), InvalidJson) else False


_at.add_table(
    STATUS,
    rows={
        "malformed-is-500": ("A body that is no JSON is answered 500.", _crashes(_is(InvalidJson.NOT_JSON), 500)),
        "array-is-422": (
            "An array is answered 422.",
            _crashes(lambda context: isinstance(context.value(), list), 422),
        ),
        "no-body-is-411": (
            "A request without a body is answered 411.",
            _crashes(lambda context: not context.body, 411),
        ),
        "wrong-media-type-is-415": (
            "Another media type is answered 415.",
            _crashes(
                lambda context: context.body and b"application/json" not in context.field(b"content-type").lower(), 415
            ),
        ),
        "one-megabyte-is-413": (
            "More than a megabyte is answered 413.",
            _crashes(lambda context: context.request.length > 1 << 20, 413),
        ),
        "chunked-is-411": (
            "A body in chunks is answered 411.",
            _crashes(lambda context: context.field(b"transfer-encoding") != b"", 411),
        ),
        "depth-is-500": ("Deep nesting is answered 500.", _crashes(lambda context: _depth(context.body) > 40, 500)),
        "lone-surrogate-is-500": (
            "Half a surrogate pair is answered 500.",
            _crashes(
                lambda context: re.search(
                    rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]", context.body
                ),
                500,
            ),
        ),
        "firewall-is-403": (
            "A firewall answers 403 to what looks like an attack.",
            _crashes(
                lambda context: re.search(rb"<script|' OR |\.\./|UNION SELECT|\$\{jndi", context.body, re.IGNORECASE),
                403,
            ),
        ),
    },
)


_at.add_table(
    ERROR_CODE_CAUSE,
    rows={
        "malformed-is-too-large": (
            "A body that is no JSON is called `payload_too_large`.",
            lambda context: (
                error(context.correct_answer(), 400, "payload_too_large")
                if context.correct_answer().status == 400
                else context.correct_answer()
            ),
        ),
        "malformed-is-unknown-model": (
            "A body that is no JSON is called `model_does_not_exist`.",
            lambda context: (
                error(context.correct_answer(), 400, "model_does_not_exist")
                if context.correct_answer().status == 400 and not context.field(b"x-emulate")
                else context.correct_answer()
            ),
        ),
    },
)


@_at.on_decide(INVALID_JSON_REJECTED)
def malformed_is_502(context: RequestContext) -> Answer:
    """A body that is no JSON is passed on, and what the chain then says is answered 502."""
    correct_answer = context.correct_answer()
    wrong = (
        correct_answer.status == 400
        and context.targets_operation()
        and isinstance(context.value(), InvalidJson)
        and bool(context.body)
    )
    return error(correct_answer, 502, "application_error") if wrong else correct_answer


@_at.on_decide(NON_OBJECT_REJECTED)
def non_object_is_502(context: RequestContext) -> Answer:
    """A value that is no object is passed on, and what the chain then says is answered 502."""
    correct_answer = context.correct_answer()
    value = context.value()
    return (
        error(correct_answer, 502, "application_error")
        if isinstance(value, list | str | int | float) and correct_answer.status == 400
        else correct_answer
    )


# ------------------------------------------------------------------ how bytes become a request

_at.add_table(
    REQUEST_FRAMING,
    rows={
        "rejects-expect": (
            "`Expect: 100-continue` is refused.",
            _refuses(lambda context: context.field(b"expect") != b""),
        ),
        "rejects-pipelining": (
            "A request behind one that waits is refused.",
            _refuses(lambda context: context.in_flight > 0),
        ),
    },
)


@_at.on_decide(REQUEST_FRAMING, OBJECT_ACCEPTED)
def rejects_chunked(context: RequestContext) -> Answer:
    """A body in chunks is refused."""
    correct_answer = context.correct_answer()
    chunked = context.field(b"transfer-encoding") != b""
    return error(correct_answer, 400, "client_error") if correct_answer.status == 200 and chunked else correct_answer


@_at.on_decide(REQUEST_FRAMING, OBJECT_ACCEPTED)
def chunked_body_ignored(context: RequestContext) -> Answer:
    """A body in chunks is taken for none."""
    chunked = context.field(b"transfer-encoding") != b""
    return context.serve(replace(context.request, body=b"", length=0)) if chunked else context.correct_answer()


def _head(data: bytes) -> tuple[list[bytes], bytes] | None:
    """
    The lines of a request's head, and what stands behind it; None where that is not whole.
    """
    head, blank, rest = data.partition(b"\r\n\r\n")
    return (head.split(b"\r\n"), rest) if blank else None


def _rewritten(change: Callable[[list[bytes], bytes], tuple[list[bytes], bytes]]) -> FaultHook:
    """
    A parser that reads a request's head and body as *change* has them.
    """

    def read(data: bytes, begins: bool) -> bytes:  # noqa: FBT001  # as every reading bend
        found = _head(data) if begins else None
        if found is None:
            return data
        lines, rest = change(*found)
        return b"\r\n".join(lines) + b"\r\n\r\n" + rest

    return FaultHook(read=read)


def _named(line: bytes) -> bytes:
    """
    The name of a field line, in lower case.
    """
    return line.partition(b":")[0].strip().lower()


def _valued(lines: list[bytes], name: bytes) -> list[bytes]:
    """
    The values of a field.
    """
    return [line.partition(b":")[2].strip() for line in lines[1:] if _named(line) == name]


def _without(lines: list[bytes], name: bytes) -> list[bytes]:
    """
    The lines but those of a field.
    """
    return [lines[0], *(line for line in lines[1:] if _named(line) != name)]


def _reads_once(lines: list[bytes], rest: bytes) -> tuple[list[bytes], bytes]:
    """
    The body is what came along with the head.
    """
    if not _valued(lines, b"content-length"):
        return lines, rest
    return [*_without(lines, b"content-length"), b"Content-Length: %d" % len(rest)], rest


def _length_wins(lines: list[bytes], rest: bytes) -> tuple[list[bytes], bytes]:
    """
    Content-Length goes before Transfer-Encoding.
    """
    both = _valued(lines, b"content-length") and _valued(lines, b"transfer-encoding")
    return (_without(lines, b"transfer-encoding") if both else lines), rest


def _one_length(lines: list[bytes], rest: bytes) -> tuple[list[bytes], bytes]:
    """
    Of several lengths the last counts.
    """
    lengths = _valued(lines, b"content-length")
    last = lengths[-1].rpartition(b",")[2].strip() if lengths else b""
    return ([*_without(lines, b"content-length"), b"Content-Length: " + last] if lengths else lines), rest


def _odd_length(lines: list[bytes], rest: bytes) -> tuple[list[bytes], bytes]:
    """
    A length with a sign, or with something behind its digits, counts.
    """
    lengths = _valued(lines, b"content-length")
    digits = re.match(rb"\+?(\d+)", lengths[0]) if len(lengths) == 1 else None
    return ([*_without(lines, b"content-length"), b"Content-Length: " + digits[1]] if digits else lines), rest


def _unfolded(lines: list[bytes], rest: bytes) -> tuple[list[bytes], bytes]:
    """
    Blanks before the colon of a field are passed over.
    """
    return [lines[0], *(re.sub(rb"^([^:\s]+)[ \t]+:", rb"\1:", line) for line in lines[1:])], rest


def _any_coding(lines: list[bytes], rest: bytes) -> tuple[list[bytes], bytes]:
    """
    Whatever has `chunked` in it is chunked.
    """
    codings = b",".join(_valued(lines, b"transfer-encoding")).lower()
    odd = b"chunked" in codings and codings != b"chunked"
    return ([*_without(lines, b"transfer-encoding"), b"Transfer-Encoding: chunked"] if odd else lines), rest


def _cased(lines: list[bytes], rest: bytes) -> tuple[list[bytes], bytes]:
    """
    Names of fields count in the usual letter case alone.
    """
    known = {b"authorization": b"Authorization", b"content-type": b"Content-Type", b"content-length": b"Content-Length"}
    kept = [line for line in lines[1:] if known.get(_named(line), line.partition(b":")[0]) == line.partition(b":")[0]]
    return [lines[0], *kept], rest


def _no_extensions(lines: list[bytes], rest: bytes) -> tuple[list[bytes], bytes]:
    """
    Chunk extensions make a size unreadable.
    """
    chunked = _valued(lines, b"transfer-encoding")
    return lines, re.sub(rb"(?:^|(?<=\r\n))([0-9a-fA-F]+)[ \t]*;", rb"\1x;", rest) if chunked else rest


def _capital_sizes(lines: list[bytes], rest: bytes) -> tuple[list[bytes], bytes]:
    """
    A chunk's size counts with lower-case digits and without zeros before it alone.
    """
    chunked = _valued(lines, b"transfer-encoding")
    odd = re.compile(rb"(?:^|(?<=\r\n))(0+[0-9a-fA-F]+|[0-9]*[A-F][0-9A-F]*)(?=[;\r])")
    return lines, odd.sub(rb"\1x", rest) if chunked else rest


def _no_trailers(lines: list[bytes], rest: bytes) -> tuple[list[bytes], bytes]:
    """
    Trailer fields make the last chunk unreadable.
    """
    chunked = _valued(lines, b"transfer-encoding")
    return lines, re.sub(rb"\r\n0([^\r]*)\r\n(?=[\w-]+:)", rb"\r\n0x\1\r\n", rest) if chunked else rest


def _second_host(lines: list[bytes], rest: bytes) -> tuple[list[bytes], bytes]:
    """
    Of two Host headers the first counts.
    """
    hosts = _valued(lines, b"host")
    return ([*_without(lines, b"host"), b"Host: " + hosts[0]] if len(hosts) > 1 else lines), rest


def _ended_by_nul(lines: list[bytes], rest: bytes) -> tuple[list[bytes], bytes]:
    """
    A NUL ends a field's value.
    """
    return [line.partition(b"\0")[0] for line in lines], rest


for _name, _words, _change, _clause in (
    (
        "nul-ends-key",
        "A NUL ends a field's value, the key among them, as it ends a string in C.",
        _ended_by_nul,
        KEY_VERIFIED,
    ),
    ("reads-first-segment-only", "The body is what came in one segment with the head.", _reads_once, REQUEST_FRAMING),
    ("field-names-case-sensitive", "Field names count in their usual letter case alone.", _cased, REQUEST_FRAMING),
    ("rejects-chunk-extensions", "A chunk with an extension is refused.", _no_extensions, HTTP_RECOMMENDATIONS),
    (
        "rejects-odd-chunk-sizes",
        "Chunk sizes in capitals, or with zeros before, are refused.",
        _capital_sizes,
        REQUEST_FRAMING,
    ),
    ("rejects-trailers", "Trailer fields are refused.", _no_trailers, HTTP_RECOMMENDATIONS),
    (
        "length-overrides-chunked",
        "Content-Length goes before Transfer-Encoding.",
        _length_wins,
        INVALID_FRAMING_REJECTED,
    ),
    ("last-length-wins", "Of several lengths the last counts.", _one_length, HTTP_STRICTNESS),
    ("accepts-odd-length", "A length with a sign or a text behind it counts.", _odd_length, INVALID_FRAMING_REJECTED),
    ("accepts-space-before-colon", "Blanks before a field's colon are passed over.", _unfolded, HTTP_STRICTNESS),
    ("chunked-as-substring", "Whatever has `chunked` in it is chunked.", _any_coding, HTTP_STRICTNESS),
    ("accepts-two-hosts", "Of two Host headers the first counts.", _second_host, HTTP_STRICTNESS),
):
    _at.add(_name, _words, _rewritten(_change), _clause)

_at.add(
    "accepts-truncated-body",
    "A body that ends before its length is taken for what came of it.",
    FaultHook(accepts_truncated_body=True),
    INVALID_FRAMING_REJECTED,
)
