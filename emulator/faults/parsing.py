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
    HTTP_ADVICE,
    HTTP_STRICTNESS,
    KEY_VERIFIED,
    MALFORMED_REFUSED,
    MEDIA_TYPE_PARAMETERS,
    MEDIA_TYPE_REQUIRED,
    NON_OBJECT_REFUSED,
    OBJECT_ACCEPTED,
    REQUEST_FRAMING,
    REQUEST_MALFORMED,
    STATUS,
)
from chainproof.json_text import JSON, Malformed, TooDeep, parse_json

from .fault import Entry, Stage
from .hooks import Asked, Bend, Decide, error, with_field

_at = Entry(stage=Stage.PARSING)

Mend = Callable[[bytes], bytes | None]
"""What a lenient parser makes of a body that is no JSON object; None for nothing."""


def _lenient(mend: Mend) -> Decide:
    """
    A parser that mends what is no JSON object.
    """

    def decide(asked: Asked) -> Answer:
        if isinstance(asked.value(), dict | TooDeep):
            return asked.honest()
        try:
            mended = mend(asked.body)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            mended = None
        return asked.reading(mended if mended and isinstance(parse_json(mended), dict) else None)

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


_at.table(
    MALFORMED_REFUSED,
    rows={
        "takes-nan": (
            "NaN and Infinity are taken, and read as null.",
            _lenient(_outside(rb"-?Infinity|NaN", b"null")),
        ),
        "takes-trailing-commas": (
            "A comma may stand behind the last member.",
            _lenient(_outside(rb",\s*(?=[}\]])", b"")),
        ),
        "takes-comments": (
            "Comments are passed over.",
            _lenient(_outside(rb"/\*.*?\*/|//[^\n]*", b"")),
        ),
        "takes-single-quotes": ("Single quotes count.", _lenient(_outside(rb"'([^'\"]*)'", rb'"\2"'))),
        "takes-bare-names": (
            "Names may stand without quotes.",
            _lenient(_outside(rb"(?<=[{,\s])([A-Za-z_]\w*)(?=\s*:)", rb'"\2"')),
        ),
        "takes-leading-zeros": (
            "Numbers may begin with zeros.",
            _lenient(_outside(rb"(?<![\d.eE+-])(-?)0+(?=\d)", rb"\2")),
        ),
        "takes-python": ("Literals of Python's are taken: `None`, tuples, single quotes.", _lenient(_python)),
        "takes-control-characters": (
            "Line breaks and tabs may stand in strings as they are.",
            _lenient(_inside(rb"[\x00-\x1f]", b" ")),
        ),
        "takes-unknown-escapes": (
            r"Escapes that JSON does not have are taken for what stands behind the backslash.",
            _lenient(_inside(rb"\\(?![\"\\/bfnrtu])", b"")),
        ),
        "takes-bad-utf8": (
            "Bytes that are no UTF-8 are replaced.",
            _lenient(_decoded("utf-8", "replace")),
        ),
        "takes-utf-16": ("UTF-16 is read.", _lenient(_decoded("utf-16"))),
        "takes-trailing-text": ("Whatever stands behind the object is passed over.", _lenient(_first_value)),
        "takes-closing-brackets": (
            "A closing bracket too many is passed over.",
            _lenient(lambda body: _first_value(body) if body.rstrip().endswith((b"}}", b"}]")) else None),
        ),
        "takes-nul-at-end": (
            "What stands behind a zero byte is not read.",
            _lenient(lambda body: body.partition(b"\0")[0]),
        ),
        "takes-cut-objects": ("Brackets that are missing at the end are added.", _lenient(_closed)),
    },
)


def _wrapped(body: bytes) -> bytes:
    """
    A value as the member of an object.
    """
    return b'{"value":' + body + b"}"


def _non_object(taken: Callable[[object], bool]) -> Decide:
    """
    A parser that takes values of another kind for objects.
    """

    def decide(asked: Asked) -> Answer:
        value = asked.value()
        other = not isinstance(value, dict | Malformed | TooDeep) and taken(value)
        return asked.reading(_wrapped(asked.body) if other else None)

    return decide


def _holds_object(value: object) -> bool:
    """
    Whether a string is the JSON text of an object.
    """
    return isinstance(value, str) and isinstance(parse_json(value.encode("utf-8", "replace")), dict)


_at.table(
    NON_OBJECT_REFUSED,
    rows={
        "takes-arrays": ("Arrays are taken.", _non_object(lambda value: isinstance(value, list))),
        "takes-null": ("null is taken for no members.", _non_object(lambda value: value is None)),
        "takes-strings": ("Strings are taken.", _non_object(lambda value: isinstance(value, str))),
        "takes-anything": ("Any JSON value is taken.", _non_object(lambda _: True)),
        "takes-coded-objects": (
            "A string that holds the text of an object is taken.",
            _non_object(_holds_object),
        ),
    },
)

_at.table(
    BODY_REQUIRED,
    rows={
        "takes-no-body": (
            "No body is taken for no members.",
            lambda asked: (
                asked.serve(
                    with_field(replace(asked.request, body=b"{}", length=2), b"content-type", b"application/json")
                )
                if not asked.body and asked.request.length == 0
                else asked.honest()
            ),
        ),
    },
)

_at.table(
    MALFORMED_REFUSED,
    rows={
        "takes-blank-body": (
            "A body of white space is taken for no members.",
            _lenient(lambda body: b"{}" if body and not body.strip() else None),
        ),
    },
)


def _reads_type(matches: Callable[[bytes], object]) -> Decide:
    """
    A parser that reads JSON under other media types too.
    """

    def decide(asked: Asked) -> Answer:
        given = asked.field(b"content-type")
        if (
            not asked.body
            or given.partition(b";")[0].strip().lower() == b"application/json"
            or not matches(given.lower())
        ):
            return asked.honest()
        return asked.serve(with_field(asked.request, b"content-type", b"application/json"))

    return decide


_at.table(
    MEDIA_TYPE_REQUIRED,
    rows={
        "any-media-type": ("The body is read whatever Content-Type says.", _reads_type(lambda _: True)),
        "no-media-type": ("The body is read without a Content-Type.", _reads_type(lambda given: given == b"")),
        "media-type-within": (
            "Whatever has `json` in its media type is read.",
            _reads_type(lambda given: b"json" in given),
        ),
    },
)


@_at.decides(MEDIA_TYPE_REQUIRED)
def takes_forms(asked: Asked) -> Answer:
    """A form is taken for an object."""
    pairs = dict(parse_qsl(asked.body.decode("latin-1"), keep_blank_values=True))
    if not asked.field(b"content-type").startswith(b"application/x-www-form-urlencoded") or not pairs:
        return asked.honest()
    request = replace(asked.request, body=json.dumps(pairs).encode())
    return asked.serve(with_field(request, b"content-type", b"application/json"))


def _refuses(matches: Callable[[Asked], object]) -> Decide:
    """
    A parser that refuses what it has to take.
    """

    def decide(asked: Asked) -> Answer:
        honest = asked.honest()
        return error(honest, 400, "client_error") if honest.status == 200 and matches(asked) else honest

    return decide


def _has(pattern: bytes) -> Decide:
    """
    A parser that refuses bodies with this in them.
    """
    found = re.compile(pattern, re.DOTALL)
    return _refuses(lambda asked: found.search(asked.body))


def _every(value: object) -> Iterator[object]:
    """
    A value and all that is in it.
    """
    left = [value]
    while left:
        one = left.pop()
        yield one
        left += [*one, *one.values()] if isinstance(one, dict) else one if isinstance(one, list) else []


def _any(wanted: Callable[[object], bool]) -> Decide:
    """
    A parser that refuses objects with such a value or name in them.
    """
    return _refuses(lambda asked: any(wanted(one) for one in _every(asked.value())))


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

_at.table(
    OBJECT_ACCEPTED,
    rows={
        "refuses-raw-utf8": ("Characters beyond ASCII are refused where they are not escaped.", _has(rb"[\x80-\xff]")),
        "refuses-four-bytes": ("Characters beyond the basic plane are refused.", _has(rb"[\xf0-\xf4]|\\u[dD]8")),
        "refuses-nul": (r"`\u0000` is refused.", _has(rb"\\u0000")),
        "refuses-exponents": ("Exponents are refused.", _has(_NUMBER + rb"[eE]")),
        "refuses-big-integers": (
            "Integers of more than 20 digits are refused.",
            _has(rb"(?<![\d.eE\"])\d{21,}(?![\d.eE])"),
        ),
        "refuses-empty-object": ("The object without members is refused.", _refuses(lambda asked: asked.value() == {})),
        "refuses-empty-names": ("The empty name is refused.", _has(rb'[{,]\s*""\s*:')),
        "refuses-proto": ("The name `__proto__` is refused.", _has(rb'"(?:__proto__|constructor|prototype)"\s*:')),
        "refuses-white-space": ("White space before the object is refused.", _has(rb"^[ \t\r\n]")),
        "refuses-depth-20": ("More than 20 levels are refused.", _refuses(lambda asked: _depth(asked.body) > 20)),
        "refuses-depth-60": ("More than 50 levels are refused.", _refuses(lambda asked: _depth(asked.body) > 50)),
        "refuses-long-strings": (
            "Strings beyond 32 KiB are refused.",
            _refuses(lambda asked: _longest(asked.value()) > 1 << 15),
        ),
        "refuses-many-members": (
            "Objects of more than 256 members are refused.",
            _refuses(lambda asked: _most(asked.value(), dict) > 256),
        ),
    },
)

_at.table(
    MEDIA_TYPE_PARAMETERS,
    rows={
        "refuses-parameters": (
            "Content-Type with a parameter is refused.",
            _refuses(lambda asked: b";" in asked.field(b"content-type")),
        ),
        "refuses-type-letter-case": (
            "Content-Type counts in lower case alone.",
            _refuses(lambda asked: asked.field(b"content-type").partition(b";")[0] != b"application/json"),
        ),
    },
)


def _crashes(matches: Callable[[Asked], object], status: int) -> Decide:
    """
    A parser, or whoever stands before it, that answers with a status that the document does not have.
    """

    def decide(asked: Asked) -> Answer:
        return (
            error(asked.honest(), status, None) if asked.ours() and asked.right() and matches(asked) else asked.honest()
        )

    return decide


def _is(*kinds: object) -> Callable[[Asked], bool]:
    """
    Whether a body is one of these kinds of malformed, or of these types.
    """
    return lambda asked: asked.value() in kinds if isinstance(asked.value(), Malformed) else False


_at.table(
    STATUS,
    rows={
        "malformed-is-500": ("A body that is no JSON is answered 500.", _crashes(_is(Malformed.NOT_JSON), 500)),
        "array-is-422": (
            "An array is answered 422.",
            _crashes(lambda asked: isinstance(asked.value(), list), 422),
        ),
        "no-body-is-411": ("A request without a body is answered 411.", _crashes(lambda asked: not asked.body, 411)),
        "wrong-type-is-415": (
            "Another media type is answered 415.",
            _crashes(lambda asked: asked.body and b"application/json" not in asked.field(b"content-type").lower(), 415),
        ),
        "one-megabyte-is-413": (
            "More than a megabyte is answered 413.",
            _crashes(lambda asked: asked.request.length > 1 << 20, 413),
        ),
        "chunked-is-411": (
            "A body in chunks is answered 411.",
            _crashes(lambda asked: asked.field(b"transfer-encoding") != b"", 411),
        ),
        "depth-is-500": ("Deep nesting is answered 500.", _crashes(lambda asked: _depth(asked.body) > 40, 500)),
        "lone-surrogate-is-500": (
            "Half a surrogate pair is answered 500.",
            _crashes(
                lambda asked: re.search(
                    rb"\\u[dD][89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]", asked.body
                ),
                500,
            ),
        ),
        "wall-is-403": (
            "A firewall answers 403 to what looks like an attack.",
            _crashes(
                lambda asked: re.search(rb"<script|' OR |\.\./|UNION SELECT|\$\{jndi", asked.body, re.IGNORECASE), 403
            ),
        ),
    },
)


_at.table(
    ERROR_CODE_CAUSE,
    rows={
        "malformed-is-too-large": (
            "A body that is no JSON is called `payload_too_large`.",
            lambda asked: (
                error(asked.honest(), 400, "payload_too_large") if asked.honest().status == 400 else asked.honest()
            ),
        ),
        "malformed-is-no-model": (
            "A body that is no JSON is called `model_does_not_exist`.",
            lambda asked: (
                error(asked.honest(), 400, "model_does_not_exist")
                if asked.honest().status == 400 and not asked.field(b"x-emulate")
                else asked.honest()
            ),
        ),
    },
)


@_at.decides(MALFORMED_REFUSED)
def malformed_is_502(asked: Asked) -> Answer:
    """A body that is no JSON is passed on, and what the chain then says is answered 502."""
    honest = asked.honest()
    wrong = honest.status == 400 and asked.ours() and isinstance(asked.value(), Malformed) and bool(asked.body)
    return error(honest, 502, "application_error") if wrong else honest


@_at.decides(NON_OBJECT_REFUSED)
def no_object_is_502(asked: Asked) -> Answer:
    """A value that is no object is passed on, and what the chain then says is answered 502."""
    honest = asked.honest()
    value = asked.value()
    return (
        error(honest, 502, "application_error")
        if isinstance(value, list | str | int | float) and honest.status == 400
        else honest
    )


# ------------------------------------------------------------------ how bytes become a request

_at.table(
    REQUEST_FRAMING,
    rows={
        "refuses-expect": (
            "`Expect: 100-continue` is refused.",
            _refuses(lambda asked: asked.field(b"expect") != b""),
        ),
        "refuses-pipelining": (
            "A request behind one that waits is refused.",
            _refuses(lambda asked: asked.waiting > 0),
        ),
    },
)


@_at.decides(REQUEST_FRAMING, OBJECT_ACCEPTED)
def refuses_chunks(asked: Asked) -> Answer:
    """A body in chunks is refused."""
    honest = asked.honest()
    chunked = asked.field(b"transfer-encoding") != b""
    return error(honest, 400, "client_error") if honest.status == 200 and chunked else honest


@_at.decides(REQUEST_FRAMING, OBJECT_ACCEPTED)
def chunks_not_read(asked: Asked) -> Answer:
    """A body in chunks is taken for none."""
    chunked = asked.field(b"transfer-encoding") != b""
    return asked.serve(replace(asked.request, body=b"", length=0)) if chunked else asked.honest()


def _head(data: bytes) -> tuple[list[bytes], bytes] | None:
    """
    The lines of a request's head, and what stands behind it; None where that is not whole.
    """
    head, blank, rest = data.partition(b"\r\n\r\n")
    return (head.split(b"\r\n"), rest) if blank else None


def _rewritten(change: Callable[[list[bytes], bytes], tuple[list[bytes], bytes]]) -> Bend:
    """
    A parser that reads a request's head and body as *change* has them.
    """

    def read(data: bytes, begins: bool) -> bytes:  # noqa: FBT001  # as every reading bend
        found = _head(data) if begins else None
        if found is None:
            return data
        lines, rest = change(*found)
        return b"\r\n".join(lines) + b"\r\n\r\n" + rest

    return Bend(read=read)


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
    ("reads-once", "The body is what came in one segment with the head.", _reads_once, REQUEST_FRAMING),
    ("field-names-cased", "Field names count in their usual letter case alone.", _cased, REQUEST_FRAMING),
    ("refuses-chunk-extensions", "A chunk with an extension is refused.", _no_extensions, HTTP_ADVICE),
    (
        "refuses-chunk-sizes",
        "Chunk sizes in capitals, or with zeros before, are refused.",
        _capital_sizes,
        REQUEST_FRAMING,
    ),
    ("refuses-trailers", "Trailer fields are refused.", _no_trailers, HTTP_ADVICE),
    ("length-before-chunks", "Content-Length goes before Transfer-Encoding.", _length_wins, REQUEST_MALFORMED),
    ("last-length-counts", "Of several lengths the last counts.", _one_length, HTTP_STRICTNESS),
    ("odd-length-counts", "A length with a sign or a text behind it counts.", _odd_length, REQUEST_MALFORMED),
    ("blank-before-colon", "Blanks before a field's colon are passed over.", _unfolded, HTTP_STRICTNESS),
    ("any-chunked", "Whatever has `chunked` in it is chunked.", _any_coding, HTTP_STRICTNESS),
    ("host-twice", "Of two Host headers the first counts.", _second_host, HTTP_STRICTNESS),
):
    _at.enter(_name, _words, _rewritten(_change), _clause)

_at.enter(
    "cut-body-counts",
    "A body that ends before its length is taken for what came of it.",
    Bend(takes_half=True),
    REQUEST_MALFORMED,
)
