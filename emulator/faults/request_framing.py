"""Request framing faults: the boundaries of a request, or its header fields, are read wrongly."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from chainproof.contract.answer import Answer
from chainproof.contract.clauses import OBJECT_ACCEPTED, REQUEST_FRAMING
from chainproof.contract.http_clauses import (
    CHUNK_EXTENSIONS,
    CHUNKED_NOT_FINAL,
    CHUNKED_OVERRIDES_LENGTH,
    CHUNKED_TRAILERS,
    CHUNKED_TWICE,
    FIELD_VALUE_CHARACTERS,
    FOLDED_FIELD,
    HOST_REPEATED,
    INCOMPLETE_AT_CLOSE,
    INCOMPLETE_BODY,
    LENGTH_CONFLICT,
    LENGTH_DIGITS_ONLY,
    SPACE_BEFORE_COLON,
    TRANSFER_CODING_KNOWN,
)

from .fault import FaultRegistrar, FaultStage
from .hooks import FaultHook, RequestContext, error, rejects

_faults = FaultRegistrar(stage=FaultStage.PARSING)

_faults.add_table(
    REQUEST_FRAMING,
    rows={
        "rejects-expect": (
            "Requests with `Expect: 100-continue` are rejected.",
            rejects(lambda context: context.field(b"expect") != b""),
        ),
        "rejects-pipelining": ("Pipelined requests are rejected.", rejects(lambda context: context.in_flight > 0)),
    },
)


@_faults.on_decide(REQUEST_FRAMING, OBJECT_ACCEPTED)
def rejects_chunked(context: RequestContext) -> Answer:
    """Chunked bodies are rejected."""
    answer = context.correct_answer()
    chunked = context.field(b"transfer-encoding") != b""
    return error(answer, 400, "client_error") if answer.status == 200 and chunked else answer


@_faults.on_decide(REQUEST_FRAMING, OBJECT_ACCEPTED)
def chunked_body_ignored(context: RequestContext) -> Answer:
    """Chunked bodies are read as empty."""
    chunked = context.field(b"transfer-encoding") != b""
    return context.serve(replace(context.request, body=b"", length=0)) if chunked else context.correct_answer()


def _split_head(data: bytes) -> tuple[list[bytes], bytes] | None:
    """The lines of the request head, and the bytes after it; None if the head is incomplete."""
    head, blank, rest = data.partition(b"\r\n\r\n")
    return (head.split(b"\r\n"), rest) if blank else None


def rewrites_head(change: Callable[[list[bytes], bytes], tuple[list[bytes], bytes]]) -> FaultHook:
    """A hook for a parser that reads the head and body as *change* returns them."""

    def read(data: bytes, starts_request: bool) -> bytes:  # noqa: FBT001  # the signature of every ReadHook
        parts = _split_head(data) if starts_request else None
        if parts is None:
            return data
        lines, body = change(*parts)
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    return FaultHook(read=read)


def _field_name(line: bytes) -> bytes:
    """Name of a header line, in lower case."""
    return line.partition(b":")[0].strip().lower()


def field_values(lines: list[bytes], name: bytes) -> list[bytes]:
    """Values of a header field."""
    return [line.partition(b":")[2].strip() for line in lines[1:] if _field_name(line) == name]


def without_field(lines: list[bytes], name: bytes) -> list[bytes]:
    """The lines without a header field."""
    return [lines[0], *(line for line in lines[1:] if _field_name(line) != name)]


def _first_segment_only(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Sets Content-Length to the bytes that arrived together with the head."""
    if not field_values(lines, b"content-length"):
        return lines, body
    return [*without_field(lines, b"content-length"), b"Content-Length: %d" % len(body)], body


def _length_over_chunked(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Drops Transfer-Encoding if there is a Content-Length."""
    both = field_values(lines, b"content-length") and field_values(lines, b"transfer-encoding")
    return (without_field(lines, b"transfer-encoding") if both else lines), body


def _last_length(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Keeps the last of several lengths."""
    lengths = field_values(lines, b"content-length")
    last = lengths[-1].rpartition(b",")[2].strip() if lengths else b""
    return ([*without_field(lines, b"content-length"), b"Content-Length: " + last] if lengths else lines), body


def _lenient_length(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Reads the leading digits of a malformed length."""
    lengths = field_values(lines, b"content-length")
    digits = re.match(rb"\+?(\d+)", lengths[0]) if len(lengths) == 1 else None
    return ([*without_field(lines, b"content-length"), b"Content-Length: " + digits[1]] if digits else lines), body


def _space_before_colon(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Removes white space between field name and colon."""
    return [lines[0], *(re.sub(rb"^([^:\s]+)[ \t]+:", rb"\1:", line) for line in lines[1:])], body


def _chunked_substring(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Reads every transfer coding that contains `chunked` as chunked."""
    codings = b",".join(field_values(lines, b"transfer-encoding")).lower()
    contains_chunked = b"chunked" in codings and codings != b"chunked"
    return (
        [*without_field(lines, b"transfer-encoding"), b"Transfer-Encoding: chunked"] if contains_chunked else lines
    ), body


def _case_sensitive_names(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Drops known header fields that are not written in their usual case."""
    known = {b"authorization": b"Authorization", b"content-type": b"Content-Type", b"content-length": b"Content-Length"}
    known_lines = [
        line for line in lines[1:] if known.get(_field_name(line), line.partition(b":")[0]) == line.partition(b":")[0]
    ]
    return [lines[0], *known_lines], body


def _breaks_chunk_extensions(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Makes the size of chunks with extensions invalid."""
    chunked = field_values(lines, b"transfer-encoding")
    return lines, re.sub(rb"(?:^|(?<=\r\n))([0-9a-fA-F]+)[ \t]*;", rb"\1x;", body) if chunked else body


def _breaks_odd_chunk_sizes(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Makes chunk sizes with upper-case digits or leading zeros invalid."""
    chunked = field_values(lines, b"transfer-encoding")
    odd_sizes = re.compile(rb"(?:^|(?<=\r\n))(0+[0-9a-fA-F]+|[0-9]*[A-F][0-9A-F]*)(?=[;\r])")
    return lines, odd_sizes.sub(rb"\1x", body) if chunked else body


def _rejects_many_chunks(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Drops the media type, so that the request is rejected, if a thousand chunks follow."""
    has_many = field_values(lines, b"transfer-encoding") and body.count(b"\r\n") > 2000
    return (without_field(lines, b"content-type") if has_many else lines), body


def _breaks_trailers(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Makes the last chunk invalid if trailer fields follow."""
    chunked = field_values(lines, b"transfer-encoding")
    return lines, re.sub(rb"\r\n0([^\r]*)\r\n(?=[\w-]+:)", rb"\r\n0x\1\r\n", body) if chunked else body


def _first_host(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Keeps the first of several Host headers."""
    hosts = field_values(lines, b"host")
    return ([*without_field(lines, b"host"), b"Host: " + hosts[0]] if len(hosts) > 1 else lines), body


def _cut_at_nul(lines: list[bytes], body: bytes) -> tuple[list[bytes], bytes]:
    """Cuts header lines at the first NUL."""
    return [line.partition(b"\0")[0] for line in lines], body


for _name, _description, _change, *_clauses in (
    (
        "nul-ends-key",
        "Header values, including the key, end at the first NUL, as C strings do.",
        _cut_at_nul,
        FIELD_VALUE_CHARACTERS,
    ),
    (
        "reads-first-segment-only",
        "Only the part of the body that arrives in one segment with the head is read.",
        _first_segment_only,
        REQUEST_FRAMING,
    ),
    (
        "field-names-case-sensitive",
        "Header names that are not in their usual case are ignored.",
        _case_sensitive_names,
        REQUEST_FRAMING,
    ),
    ("rejects-chunk-extensions", "Chunk extensions are rejected.", _breaks_chunk_extensions, CHUNK_EXTENSIONS),
    (
        "rejects-odd-chunk-sizes",
        "Chunk sizes with upper-case digits or leading zeros are rejected.",
        _breaks_odd_chunk_sizes,
        REQUEST_FRAMING,
    ),
    ("rejects-many-chunks", "Bodies in more than 1000 chunks are rejected.", _rejects_many_chunks, REQUEST_FRAMING),
    ("rejects-trailers", "Trailer fields are rejected.", _breaks_trailers, CHUNKED_TRAILERS),
    (
        "length-overrides-chunked",
        "Content-Length takes precedence over Transfer-Encoding.",
        _length_over_chunked,
        CHUNKED_OVERRIDES_LENGTH,
        TRANSFER_CODING_KNOWN,
        FOLDED_FIELD,
        SPACE_BEFORE_COLON,
    ),
    ("last-length-wins", "The last of several Content-Length values is used.", _last_length, LENGTH_CONFLICT),
    (
        "accepts-odd-length",
        "A Content-Length with a sign or trailing text is accepted.",
        _lenient_length,
        LENGTH_DIGITS_ONLY,
        LENGTH_CONFLICT,
    ),
    (
        "accepts-space-before-colon",
        "White space before the colon of a header field is accepted.",
        _space_before_colon,
        SPACE_BEFORE_COLON,
    ),
    (
        "chunked-as-substring",
        "Any Transfer-Encoding that contains `chunked` is read as chunked.",
        _chunked_substring,
        CHUNKED_NOT_FINAL,
        TRANSFER_CODING_KNOWN,
        CHUNKED_TWICE,
        SPACE_BEFORE_COLON,
    ),
    ("accepts-two-hosts", "The first of two Host headers is used.", _first_host, HOST_REPEATED),
):
    _faults.add(_name, _description, rewrites_head(_change), *_clauses)

_faults.add(
    "accepts-truncated-body",
    "A body shorter than its Content-Length is accepted.",
    FaultHook(accepts_truncated_body=lambda _headers: True),
    INCOMPLETE_BODY,
    INCOMPLETE_AT_CLOSE,
)
