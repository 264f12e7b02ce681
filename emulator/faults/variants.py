"""
Odd but legal: how correct endpoints differ from this one, each with the sentence that allows it.

No variant breaks a clause: whoever is accused of one is accused wrongly.
"""

from __future__ import annotations

import gzip
import json
import math
import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from email.utils import formatdate
from urllib.parse import unquote_to_bytes

from chainproof.contract.answer import REQUEST_ID_HEADER, Answer
from chainproof.json_text import TooDeep

from .hooks import (
    ConnectionEnd,
    DecideHook,
    FaultHook,
    OutgoingAnswer,
    RequestContext,
    Step,
    error,
    head_from_lines,
    with_body,
    with_header,
    with_members,
    without_lines,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """
    One habit that nothing forbids.
    """

    name: str
    description: str
    allowed_by: str
    """Who allows it."""
    hook: FaultHook


VARIANTS: dict[str, Variant] = {}
"""Every variant by name, in the order of this file."""


def _variant(name: str, description: str, allowed_by: str, hook: FaultHook) -> None:
    """
    Enter one.
    """
    VARIANTS[name] = Variant(name=name, description=description, allowed_by=allowed_by, hook=hook)


def _says(change: Callable[[RequestContext, Answer], Answer]) -> FaultHook:
    """
    Answers, changed.
    """
    return FaultHook(decide=lambda context: change(context, context.correct_answer()))


def _output(change: Callable[[object], str]) -> FaultHook:
    """
    Outputs, written in another way; what cannot be read again as it was is left alone.
    """

    def decide(context: RequestContext) -> Answer:
        correct_answer = context.correct_answer()
        if correct_answer.status != 200 or isinstance(context.value(), TooDeep):
            return correct_answer
        try:
            value = json.loads(correct_answer.body)
            return with_body(correct_answer, change(value).encode())
        except (ValueError, RecursionError):
            return correct_answer

    return FaultHook(decide=decide)


def _heads(change: Callable[[list[bytes]], list[bytes]]) -> FaultHook:
    """
    The lines of heads, changed.
    """

    def send(outgoing: OutgoingAnswer) -> Iterator[Step]:
        yield outgoing.wire if outgoing.answer is None else head_from_lines(change(outgoing.lines())) + outgoing.body

    return FaultHook(send=send)


def _errors(change: Callable[[Answer], Answer]) -> FaultHook:
    """
    Errors, changed.
    """
    return _says(lambda _, correct_answer: correct_answer if correct_answer.status == 200 else change(correct_answer))


# ------------------------------------------------------------------ how an answer is framed


def _until_close(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """
    An answer that ends with its connection.
    """
    if outgoing.answer is None:
        yield outgoing.wire
        return
    yield (
        head_from_lines([*without_lines(outgoing.lines(), b"content-length", b"connection"), b"Connection: close"])
        + outgoing.body
    )
    yield ConnectionEnd.CLOSE


def _old(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """
    An answer of HTTP/1.0.
    """
    if outgoing.answer is None:
        yield outgoing.wire
        return
    lines = without_lines(outgoing.lines(), b"connection")
    yield head_from_lines([b"HTTP/1.0" + lines[0][8:], *lines[1:]]) + outgoing.body
    yield ConnectionEnd.CLOSE


def _old_and_kept(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """
    An answer of HTTP/1.0 that keeps the connection.
    """
    if outgoing.answer is None or outgoing.close:
        yield from _old(outgoing)
        return
    lines = outgoing.lines()
    yield head_from_lines([b"HTTP/1.0" + lines[0][8:], *lines[1:], b"Connection: keep-alive"]) + outgoing.body


def _in_chunks(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """
    An answer in chunks with extensions and a trailer field, to whoever can read that.
    """
    if outgoing.answer is None or not outgoing.body or (outgoing.request is None) or outgoing.close:
        yield outgoing.wire
        return
    size = max(1, len(outgoing.body) // 3)
    yield head_from_lines(
        [*without_lines(outgoing.lines(), b"content-length"), b"Transfer-Encoding: chunked", b"Trailer: X-Sum"]
    )
    for at in range(0, len(outgoing.body), size):
        piece = outgoing.body[at : at + size]
        yield b"%X;name=value;more\r\n%s\r\n" % (len(piece), piece)
    yield b"000;last\r\nX-Sum: none\r\n\r\n"


def _in_pieces(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """
    An answer in segments of a few bytes.
    """
    wire = outgoing.wire
    for at in range(0, min(len(wire), 400), 40):
        yield wire[at : at + 40]
        yield 0.0005
    yield wire[400:]


def _hints(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """
    Early hints before an answer.
    """
    known = outgoing.answer is not None and outgoing.request is not None and not outgoing.close
    yield (b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n" if known else b"") + outgoing.wire


def _processing(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """
    An interim answer before an answer.
    """
    known = outgoing.answer is not None and outgoing.request is not None and not outgoing.close
    yield (b"HTTP/1.1 102 Processing\r\n\r\n" if known else b"") + outgoing.wire


def _closing(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """
    A connection for each answer, as announced.
    """
    if outgoing.answer is None:
        yield outgoing.wire
        return
    yield head_from_lines([*without_lines(outgoing.lines(), b"connection"), b"Connection: close"]) + outgoing.body
    yield ConnectionEnd.CLOSE


def _closing_errors(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """
    A connection ends behind an error, as announced.
    """
    if outgoing.status >= 400:
        yield from _closing(outgoing)
    else:
        yield outgoing.wire


def _every_tenth_closing(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """
    A connection ends behind its tenth answer, as announced.
    """
    if outgoing.answer is not None and outgoing.connection.every_nth(10, "answers"):
        yield from _closing(outgoing)
    else:
        yield outgoing.wire


for _name, _words, _legal, _send in (
    (
        "close-delimited",
        "An answer ends with its connection, and has no length.",
        "RFC 9112 §6.3, rule 8",
        _until_close,
    ),
    ("http-1-0", "Answers are HTTP/1.0, and end with their connection.", "RFC 9110 §2.5, RFC 9112 §9.3", _old),
    ("http-1-0-keep-alive", "Answers are HTTP/1.0 with Connection: keep-alive.", "RFC 9112 §9.3, C.2.2", _old_and_kept),
    ("chunked", "Answers come in chunks with extensions and a trailer field.", "RFC 9112 §7.1", _in_chunks),
    (
        "small-segments",
        "Answers come in many small segments.",
        "RFC 9112 §2.2: messages are sequences of octets",
        _in_pieces,
    ),
    ("early-hints", "103 Early Hints precedes answers.", "RFC 9110 §15.2, RFC 8297 §2", _hints),
    ("processing", "102 Processing precedes answers.", "RFC 9110 §15.2: any number of interim answers", _processing),
    ("close-always", "Connection: close is said with every answer, and done.", "RFC 9112 §9.6", _closing),
    ("close-after-errors", "Connection: close is said with every error, and done.", "RFC 9112 §9.6", _closing_errors),
    (
        "close-every-tenth",
        "A connection ends with its tenth answer, which says so.",
        "RFC 9112 §9.6",
        _every_tenth_closing,
    ),
):
    _variant(_name, _words, _legal, FaultHook(send=_send))

_variant(
    "lower-case-fields",
    "Field names are written in lower case, blanks and tabs around values.",
    "RFC 9110 §5.1, RFC 9112 §5.1: names have no case, blanks around values count for nothing",
    _heads(
        lambda lines: [
            lines[0],
            *(re.sub(rb"^([^:]+): ", lambda found: found[1].lower() + b":\t ", line) + b" " for line in lines[1:]),
        ]
    ),
)
_variant(
    "no-reason-phrase",
    "The status line has no reason phrase.",
    "RFC 9112 §4: the reason phrase is optional",
    _heads(lambda lines: [lines[0][:13], *lines[1:]]),
)
_variant(
    "odd-reason-phrase",
    "The reason phrase is another one, with letters beyond ASCII.",
    "RFC 9112 §4: a client SHOULD ignore it",
    _heads(lambda lines: [lines[0][:13] + "Très bien".encode("latin-1"), *lines[1:]]),
)
_variant(
    "no-date",
    "Answers have no Date.",
    "RFC 9110 §6.6.1: an origin server without a clock MUST NOT send one",
    _heads(lambda lines: without_lines(lines, b"date")),
)
_variant(
    "extra-fields",
    "Answers have many more fields, some of them repeated.",
    "RFC 9110 §5.1, §5.3: unknown fields are passed over, lists may stand in several lines",
    _heads(
        lambda lines: [
            *lines,
            b"Server: odd",
            b"Vary: Accept",
            b"Vary: Accept-Encoding",
            b"Set-Cookie: a=1",
            b"Set-Cookie: b=2",
            b"X-Empty:",
            b'Alt-Svc: h3=":443"; ma=86400',
            b"Strict-Transport-Security: max-age=1",
            b"Keep-Alive: timeout=60",
        ]
    ),
)
_variant(
    "connection-keep-alive",
    "Connection: keep-alive is said with every answer that keeps it.",
    "RFC 9112 §9.3: persistence is the default, and may be said",
    _heads(
        lambda lines: (
            lines
            if any(line.lower().startswith(b"connection:") for line in lines)
            else [*lines, b"Connection: keep-alive"]
        )
    ),
)

# ------------------------------------------------------------------ how output is written


def _like_javascript(value: object) -> str:
    """
    JSON as JavaScript writes it: no fraction where there is none, names that are numbers first.
    """
    return re.sub(
        r'("(?:[^"\\]|\\.)*")|(-?\d+)\.0(?![\d.eE])',
        lambda found: found[1] or ("0" if found[2] == "-0" else found[2]),
        json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False),
    )


def _finite(text: str) -> str:
    """
    A text without what JSON has no number for. Raises ValueError.
    """
    if re.search(r'"(?:[^"\\]|\\.)*"|(Infinity|NaN)', text) and re.sub(r'"(?:[^"\\]|\\.)*"', "", text).count("Inf"):
        raise ValueError(text[:20])
    return text


_variant(
    "pretty-printed",
    "Output is indented, and ends with a line break.",
    "RFC 8259 §2: white space counts for nothing",
    _output(lambda value: _finite(json.dumps(value, indent=2) + "\n")),
)
_variant(
    "sorted-members",
    "Members come back sorted by name.",
    "RFC 8259 §4: the order of members counts for nothing",
    _output(lambda value: _finite(json.dumps(value, sort_keys=True))),
)
_variant(
    "escaped-strings",
    "All that is not ASCII comes back escaped, and so do slashes.",
    "RFC 8259 §7: any character may be escaped",
    _output(lambda value: _finite(json.dumps(value).replace("/", "\\/"))),
)
_variant(
    "javascript-numbers",
    "Numbers come back as JavaScript spells them: 1 for 1.0.",
    "RFC 8259 §6: numbers have values; how they are spelled is nobody's promise",
    _output(lambda value: _finite(_like_javascript(value))),
)

# ------------------------------------------------------------------ what stands in a head


def _gzip(context: RequestContext, correct_answer: Answer) -> Answer:
    """
    An answer in gzip, where that was asked for.
    """
    wished = re.search(rb"gzip(?!\s*;\s*q=0(?:\.0*)?(?:\s|,|$))", context.field(b"accept-encoding"))
    if not wished or not correct_answer.body or context.request.method == b"HEAD":
        return correct_answer
    packed = with_header(
        with_body(correct_answer, gzip.compress(correct_answer.body, mtime=0)), "Content-Encoding", "gzip"
    )
    return with_header(packed, "Vary", "Accept-Encoding")


_variant("gzip", "Answers come in gzip, where that is asked for.", "RFC 9110 §12.5.3", _says(_gzip))
_variant(
    "charset",
    "The media type has `charset=UTF-8`.",
    "RFC 8259 §11: no such parameter is defined, and it has no effect; RFC 9110 §8.3.1",
    _says(lambda _, correct_answer: with_header(correct_answer, "Content-Type", "application/json; charset=UTF-8")),
)
_variant(
    "media-type-mixed-case",
    "The media type is written Application/JSON.",
    "RFC 9110 §8.3.1: type and subtype have no case",
    _says(lambda _, correct_answer: with_header(correct_answer, "Content-Type", "Application/JSON")),
)
_variant(
    "identity-coding",
    "Content-Encoding: identity is said.",
    "RFC 9110 §8.4.1: reserved, and of no effect; senders SHOULD NOT, which is no MUST",
    _says(lambda _, correct_answer: with_header(correct_answer, "Content-Encoding", "identity")),
)
_variant(
    "retry-after-date",
    "429 and 503 have a date in Retry-After.",
    "RFC 9110 §10.2.3: a date or a number of seconds",
    _says(
        lambda _, correct_answer: (
            with_header(correct_answer, "Retry-After", formatdate(usegmt=True))
            if correct_answer.status in (429, 503)
            else correct_answer
        )
    ),
)
_variant(
    "retry-after-zero",
    "429 and 503 say `Retry-After: 0`.",
    "RFC 9110 §10.2.3",
    _says(
        lambda _, correct_answer: (
            with_header(correct_answer, "Retry-After", "0") if correct_answer.status in (429, 503) else correct_answer
        )
    ),
)
_variant(
    "no-id-on-errors",
    "A 200 alone has a request id.",
    "the document declares the header for 200 alone",
    _errors(lambda correct_answer: with_header(correct_answer, REQUEST_ID_HEADER)),
)
_variant(
    "short-ids",
    "Request ids are short, and count up.",
    "the document asks for a string that is unique, not for one of any length",
    FaultHook(decide=lambda context: with_header(context.correct_answer(), REQUEST_ID_HEADER, f"r{_counted(context)}")),
)


def _counted(context: RequestContext) -> int:
    """
    The number of a request.
    """
    context.memory.count["requests"] += 1
    return context.memory.count["requests"]


# ------------------------------------------------------------------ how errors are worded

_variant(
    "errors-empty-object",
    "Errors are `{}`, unless a code was asked for.",
    "the document requires no member of an error",
    FaultHook(
        decide=lambda context: (
            context.correct_answer()
            if context.correct_answer().status == 200 or context.field(b"x-emulate")
            else with_body(context.correct_answer(), b"{}")
        )
    ),
)
_variant(
    "errors-with-extra-members",
    "Errors have more members, of other types.",
    "the document's schema leaves further members open",
    _errors(
        lambda correct_answer: with_members(
            correct_answer, status=correct_answer.status, errors=[{"at": None}], trace_id="a", retryable=False
        )
    ),
)
_variant(
    "errors-message-only",
    'Errors are `{"error": …}`, unless a code was asked for.',
    "the document requires no member of an error",
    FaultHook(
        decide=lambda context: (
            context.correct_answer()
            if context.correct_answer().status == 200 or context.field(b"x-emulate")
            else error(context.correct_answer(), context.correct_answer().status, None)
        )
    ),
)
_variant(
    "www-authenticate",
    "A 401 has WWW-Authenticate.",
    "RFC 9110 §15.5.2: a server that generates a 401 MUST send one",
    _says(
        lambda _, correct_answer: (
            with_header(correct_answer, "WWW-Authenticate", 'Api-Key realm="chain"')
            if correct_answer.status == 401
            else correct_answer
        )
    ),
)

# ------------------------------------------------------------------ what is left open


def _refuses(matches: Callable[[RequestContext], object]) -> FaultHook:
    """
    Some objects are refused.
    """
    return _says(
        lambda context, correct_answer: (
            error(correct_answer, 400, "client_error")
            if correct_answer.status == 200 and matches(context)
            else correct_answer
        )
    )


def _has_duplicates(context: RequestContext) -> bool:
    """
    Whether an object names a member twice.
    """

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise KeyError
        return dict(pairs)

    try:
        json.loads(context.body, object_pairs_hook=once)
    except KeyError:
        return True
    except (ValueError, RecursionError):
        return False
    return False


def _depth(body: bytes) -> int:
    """
    How deep a body is nested.
    """
    deepest = depth = 0
    for byte in re.sub(rb'"(?:[^"\\]|\\.)*"', b"", body):
        depth += (byte in b"{[") - (byte in b"}]")
        deepest = max(deepest, depth)
    return deepest


_LONE = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]")

_variant(
    "rejects-duplicate-members",
    "An object that names a member twice is refused.",
    "RFC 8259 §4: what software does with such an object is unpredictable",
    _refuses(_has_duplicates),
)
_variant(
    "rejects-lone-surrogates",
    "Half a surrogate pair is refused.",
    "RFC 8259 §8.2: what software does with such a string is unpredictable",
    _refuses(lambda context: _LONE.search(context.body)),
)
_variant(
    "rejects-depth-128",
    "More than 128 levels are refused.",
    "RFC 8259 §9: an implementation may set limits on the depth of nesting",
    _refuses(lambda context: _depth(context.body) > 128),
)


def _has_infinite(context: RequestContext) -> bool:
    """
    Whether an object has a number beyond a double.
    """
    found: list[str] = []

    def read(text: str) -> float:
        found.extend([text] if math.isinf(float(text)) else [])
        return 0.0

    try:
        json.loads(context.body, parse_float=read, parse_int=read)
    except (ValueError, RecursionError):
        return False
    return bool(found)


_variant(
    "rejects-infinite-numbers",
    "Numbers beyond a double are refused.",
    "RFC 8259 §6, §9: an implementation may set limits on the range of numbers",
    _refuses(_has_infinite),
)
_variant(
    "accepts-bom",
    "A byte order mark before an object is passed over.",
    "RFC 8259 §8.1: parsers MAY ignore it",
    FaultHook(
        decide=lambda context: context.serve_body(
            context.body[3:] if context.body.startswith(b"\xef\xbb\xbf{") else None
        )
    ),
)


def _lower_scheme(context: RequestContext) -> Answer:
    """
    The scheme in any letter case, and any number of blanks behind it.
    """
    scheme, _, token = context.authorization().partition(b" ")
    return context.serve_authenticated(scheme.lower() == b"api-key" and token.strip(b" ") == context.key)


_variant(
    "scheme-case-insensitive",
    "`api-key` counts for `Api-Key`.",
    "RFC 9110 §11.1: schemes have no case",
    FaultHook(decide=_lower_scheme),
)


def _instead(of: int, by: int) -> DecideHook:
    """
    Another status of refusal for other methods and paths.
    """
    return lambda context: (
        replace(context.correct_answer(), status=by)
        if context.correct_answer().status == of
        else context.correct_answer()
    )


_variant(
    "methods-404",
    "Other methods are answered 404.",
    "RFC 9110 §15.5.5; the document knows the path for POST alone",
    FaultHook(decide=lambda context: with_header(_instead(405, 404)(context), "Allow")),
)
_variant(
    "methods-501",
    "Other methods are answered 501.",
    "RFC 9110 §15.6.2",
    FaultHook(decide=lambda context: with_header(_instead(405, 501)(context), "Allow")),
)
_variant("paths-400", "Other paths are answered 400.", "RFC 9110 §15.5.1", FaultHook(decide=_instead(404, 400)))
_variant(
    "paths-redirected",
    "A slash too many is redirected to the path without.",
    "RFC 9110 §15.4.9: nothing is run",
    _says(
        lambda context, correct_answer: (
            with_header(replace(correct_answer, status=308), "Location", "/production/run_remote")
            if correct_answer.status == 404 and context.request.path.endswith(b"/run_remote/")
            else correct_answer
        )
    ),
)
_variant(
    "paths-401",
    "Other paths are refused for want of a key first.",
    "RFC 9110 §15.5.2",
    FaultHook(
        decide=lambda context: (
            error(context.correct_answer(), 401, "unauthorized")
            if not context.has_valid_key() and context.correct_answer().status in (404, 405)
            else context.correct_answer()
        )
    ),
)


def _normalized(target: bytes) -> bytes:
    """
    A path decoded, its slashes merged and its dots resolved.
    """
    path, mark, query = target.partition(b"?")
    plain = unquote_to_bytes(path)
    if not target.startswith(b"/") or any(byte in b"?#%" or byte < 33 for byte in plain):
        return target
    plain = posixpath.normpath(re.sub(rb"/+", b"/", plain))
    return plain + (b"/" if path.endswith(b"/") else b"") + mark + query


_variant(
    "paths-normalized",
    "Paths are decoded, doubled slashes merged, dots resolved, before anything is looked up.",
    "RFC 3986 §6.2: equivalence is the server's to say, beyond what is spelled alike",
    FaultHook(
        decide=lambda context: context.serve(replace(context.request, target=_normalized(context.request.target)))
    ),
)
_variant(
    "options-204",
    "OPTIONS is answered 204 with Allow, as to a preflight.",
    "RFC 9110 §9.3.7",
    _says(
        lambda context, correct_answer: (
            with_header(
                with_header(with_body(replace(correct_answer, status=204), b""), "Allow", "POST, OPTIONS"),
                "Access-Control-Allow-Origin",
                "*",
            )
            if context.request.method == b"OPTIONS"
            else correct_answer
        )
    ),
)
_variant(
    "head-200",
    "HEAD is answered 200.",
    "RFC 9110 §9.3.2: the document is silent about HEAD",
    _says(
        lambda context, correct_answer: (
            replace(correct_answer, status=200)
            if context.request.method == b"HEAD" and correct_answer.status == 405
            else correct_answer
        )
    ),
)


def _plain_400(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """
    What is no request is answered by the layer below, in plain text.
    """
    if outgoing.answer is None or outgoing.request is not None:
        yield outgoing.wire
        return
    yield b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: 7\r\n\r\ninvalid"
    yield ConnectionEnd.CLOSE


def _fields_431(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """
    Long heads are refused.
    """
    request = outgoing.request
    if (
        outgoing.answer is None
        or request is None
        or sum(len(name) + len(value) for name, value in request.headers) < 8192
    ):
        yield outgoing.wire
        return
    yield b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    yield ConnectionEnd.CLOSE


for _name, _words, _legal, _send in (
    (
        "malformed-as-text",
        "What is no HTTP request is answered 400 in plain text.",
        "RFC 9112 §2.2; no request of the operation",
        _plain_400,
    ),
    ("fields-431", "More than 8 KiB of header fields are refused.", "RFC 6585 §5, RFC 9110 §5.4", _fields_431),
):
    _variant(_name, _words, _legal, FaultHook(send=_send))

_variant(
    "slow-every-hundredth",
    "Every 100th answer takes half a second longer.",
    "the document sets no time",
    FaultHook(wait=lambda context: 0.5 if context.memory.every_nth(100, "requests") else 0.0),
)
_variant(
    "close-after-401",
    "Who is refused for the key is told so at once, and the connection closed; what is still sent is thrown away.",
    "RFC 9112 §9.6",
    FaultHook(send=lambda outgoing: _closing(outgoing) if outgoing.status == 401 else iter([outgoing.wire])),
)
_variant(
    "query-reported",
    "A query changes nothing, and is logged in a header field.",
    "RFC 9110 §5.1",
    _says(
        lambda context, correct_answer: with_header(
            correct_answer, "X-Query", "yes" if b"?" in context.request.target else "no"
        )
    ),
)
