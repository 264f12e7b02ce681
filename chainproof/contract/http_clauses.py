"""
The clauses that follow from one sentence of RFC 9110 or RFC 9112 each: how an HTTP server reads a request.

A MUST of an RFC has the level `must` if common servers keep it, else `should`: docs/http-servers.md has the rule and the
measurement. A SHOULD of an RFC always has the level `should`.
"""

from __future__ import annotations

from chainproof.contract.levels import Clause, Level

HTTP_CLAUSE_BY_ID: dict[str, Clause] = {}
"""Every clause of this file, in its order."""


RFC_MUSTS: set[str] = set()
"""The ids of the clauses that are a MUST for recipients in their RFC."""


def _must(clause_id: str, level: Level, *, source: str, quotation: str, statement: str) -> Clause:
    """A new clause from a MUST, whose level follows from what common servers do."""
    RFC_MUSTS.add(clause_id)
    return _clause(clause_id, level, source, quotation, statement)


def _should(clause_id: str, *, source: str, quotation: str, statement: str) -> Clause:
    """A new clause from a SHOULD, or from a grammar without a rule for recipients."""
    return _clause(clause_id, Level.SHOULD, source, quotation, statement)


def _clause(clause_id: str, level: Level, source: str, quotation: str, statement: str) -> Clause:
    """A new clause, entered in HTTP_CLAUSE_BY_ID."""
    clause = Clause(id=clause_id, level=level, source=source, quotation=quotation, statement=statement)
    return HTTP_CLAUSE_BY_ID.setdefault(clause_id, clause)


# ------------------------------------------------------------------ the length of a request

LENGTH_SYNTAX = _must(
    "length-syntax",
    Level.MUST,
    source="RFC 9112 §6.3, RFC 9110 §8.6",
    quotation="Content-Length = 1*DIGIT",
    statement="A request whose Content-Length is not a number, such as `-5`, is rejected.",
)
LENGTH_DIGITS_ONLY = _must(
    "length-digits-only",
    Level.SHOULD,
    source="RFC 9112 §6.3, RFC 9110 §8.6",
    quotation="Content-Length = 1*DIGIT",
    statement="A request whose Content-Length is a number with anything but digits, such as `+5`, `0x5`, `0_5` or `5.0`, is "
    "rejected.",
)
LENGTH_LEADING_ZEROS = _should(
    "length-leading-zeros",
    source="RFC 9110 §8.6",
    quotation="Content-Length = 1*DIGIT",
    statement="A Content-Length with leading zeros is accepted.",
)
LENGTH_CONFLICT = _must(
    "length-conflict",
    Level.MUST,
    source="RFC 9112 §6.3",
    quotation="then the message framing is invalid and the recipient MUST treat it as an unrecoverable error",
    statement="A request with two different Content-Length values is rejected.",
)
LENGTH_OVERFLOW = _must(
    "length-overflow",
    Level.MUST,
    source="RFC 9110 §8.6",
    quotation="a recipient MUST anticipate potentially large decimal numerals and prevent parsing errors due to integer "
    "conversion overflows",
    statement="A Content-Length that overflows an integer of 32 or 64 bits is not read as a smaller number.",
)
INCOMPLETE_BODY = _must(
    "incomplete-body",
    Level.MUST,
    source="RFC 9112 §6.3, §8",
    quotation="the recipient MUST consider the message to be incomplete and close the connection",
    statement="A body that ends before its Content-Length or before its last chunk is not accepted.",
)
INCOMPLETE_AT_CLOSE = _must(
    "incomplete-at-close",
    Level.SHOULD,
    source="RFC 9112 §6.3",
    quotation="If the sender closes the connection or the recipient times out before the indicated number of octets are "
    "received, the recipient MUST consider the message to be incomplete",
    statement="A body that looks complete is not accepted if the client closes the connection before the Content-Length is "
    "reached.",
)
MESSAGE_BOUNDARY = _must(
    "message-boundary",
    Level.MUST,
    source="RFC 9112 §6.3, §9.3.2",
    quotation="its decimal value defines the expected message body length in octets",
    statement="Bytes after the end of a request are another request: they do not inherit its key, and no part of an invalid "
    "request is answered as a request of its own.",
)

# ------------------------------------------------------------------ transfer codings

CHUNKED_NOT_FINAL = _must(
    "chunked-not-final",
    Level.MUST,
    source="RFC 9112 §6.3",
    quotation="If a Transfer-Encoding header field is present in a request and the chunked transfer coding is not the final "
    "encoding, the message body length cannot be determined reliably; the server MUST respond with the 400 (Bad Request) "
    "status code",
    statement="A request whose last transfer coding is not `chunked`, such as `chunked, gzip`, is rejected.",
)
TRANSFER_CODING_KNOWN = _should(
    "transfer-coding-known",
    source="RFC 9112 §6.1",
    quotation="A server that receives a request message with a transfer coding it does not understand SHOULD respond with "
    "501 (Not Implemented).",
    statement="A request with an unknown or misspelt transfer coding is rejected, and not read as if it had none.",
)
CHUNKED_TWICE = _should(
    "chunked-twice",
    source="RFC 9112 §6.1",
    quotation="A sender MUST NOT apply the chunked transfer coding more than once to a message body",
    statement="A request whose Transfer-Encoding lists `chunked` twice is rejected.",
)
CHUNKED_HTTP_1_0 = _must(
    "chunked-http-1-0",
    Level.SHOULD,
    source="RFC 9112 §6.1",
    quotation="A server or client that receives an HTTP/1.0 message containing a Transfer-Encoding header field MUST treat "
    "the message as if the framing is faulty",
    statement="An HTTP/1.0 request with Transfer-Encoding is rejected.",
)
CHUNKED_OVERRIDES_LENGTH = _must(
    "chunked-overrides-length",
    Level.MUST,
    source="RFC 9112 §6.3",
    quotation="the Transfer-Encoding overrides the Content-Length",
    statement="A request with both Transfer-Encoding and Content-Length is read as chunked, or rejected: the content of a "
    "chunk is never answered as a request.",
)
CHUNKED_ANY_CASE = _must(
    "chunked-any-case",
    Level.MUST,
    source="RFC 9112 §7",
    quotation="All transfer-coding names are case-insensitive",
    statement="`Transfer-Encoding: Chunked` is read like `chunked`.",
)

# ------------------------------------------------------------------ chunks

CHUNK_SIZE_SYNTAX = _must(
    "chunk-size-syntax",
    Level.MUST,
    source="RFC 9112 §7.1",
    quotation="chunk-size = 1*HEXDIG",
    statement="A chunk whose size is missing, negative or not a number is rejected.",
)
CHUNK_SIZE_DIGITS_ONLY = _must(
    "chunk-size-digits-only",
    Level.SHOULD,
    source="RFC 9112 §7.1",
    quotation="chunk-size = 1*HEXDIG",
    statement="A chunk whose size has anything but hexadecimal digits, such as `0x5`, `+5` or `0_5`, is rejected.",
)
CHUNK_SIZE_OVERFLOW = _must(
    "chunk-size-overflow",
    Level.MUST,
    source="RFC 9112 §7.1",
    quotation="recipients MUST anticipate potentially large hexadecimal numerals and prevent parsing errors due to integer "
    "conversion overflows",
    statement="A chunk size that overflows an integer of 32 or 64 bits is not read as a smaller number.",
)
CHUNK_END = _must(
    "chunk-end",
    Level.MUST,
    source="RFC 9112 §7.1",
    quotation="chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF",
    statement="A chunk whose data is not followed by a line end is rejected.",
)
CHUNK_END_CRLF = _must(
    "chunk-end-crlf",
    Level.SHOULD,
    source="RFC 9112 §7.1",
    quotation="chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF",
    statement="Chunks that end in a bare line feed, or are longer than their size, are rejected.",
)
CHUNK_EXTENSIONS = _must(
    "chunk-extensions",
    Level.MUST,
    source="RFC 9112 §7.1.1",
    quotation="A recipient MUST ignore unrecognized chunk extensions.",
    statement="Unknown chunk extensions are ignored.",
)
CHUNKED_TRAILERS = _must(
    "chunked-trailers",
    Level.SHOULD,
    source="RFC 9112 §7.1, §7.1.2",
    quotation="A recipient MUST be able to parse and decode the chunked transfer coding.",
    statement="A chunked request with a trailer field is accepted.",
)
TRAILERS_NOT_MERGED = _must(
    "trailers-not-merged",
    Level.SHOULD,
    source="RFC 9110 §6.5.1, RFC 9112 §7.1.2",
    quotation="A recipient MUST NOT merge a received trailer field into the header section unless the recipient understands "
    "the corresponding header field definition",
    statement="A trailer field is not read as a header field: a key in a trailer does not authenticate.",
)

# ------------------------------------------------------------------ header fields

SPACE_BEFORE_COLON = _must(
    "space-before-colon",
    Level.MUST,
    source="RFC 9112 §5.1",
    quotation="A server MUST reject, with a response status code of 400 (Bad Request), any received request message that "
    "contains whitespace between a header field name and colon.",
    statement="A request with a space between a field name and its colon is rejected.",
)
BARE_CR = _must(
    "bare-cr",
    Level.MUST,
    source="RFC 9112 §2.2",
    quotation="A recipient of such a bare CR MUST consider that element to be invalid or replace each bare CR with SP before "
    "processing the element",
    statement="A carriage return without a line feed does not end a header field.",
)
FOLDED_FIELD = _must(
    "folded-field",
    Level.MUST,
    source="RFC 9112 §5.2",
    quotation="MUST either reject the message by sending a 400 (Bad Request) … or replace each received obs-fold with one or "
    "more SP octets",
    statement="A line that begins with a space continues the previous header field, or the request is rejected. It is not a "
    "header field of its own.",
)
FIELD_VALUE_CHARACTERS = _should(
    "field-value-characters",
    source="RFC 9110 §5.5",
    quotation="Field values containing CR, LF, or NUL characters are invalid and dangerous",
    statement="A request with a NUL or another control character in a header field is rejected, or the character is "
    "replaced by a space.",
)
FIELD_LINE_SYNTAX = _should(
    "field-line-syntax",
    source="RFC 9112 §2.2, §5",
    quotation='field-line = field-name ":" OWS field-value OWS',
    statement="A request with a header line that has no colon, no name, or a name with other characters is rejected.",
)
HOST_MISSING = _must(
    "host-missing",
    Level.SHOULD,
    source="RFC 9112 §3.2",
    quotation="A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host "
    "header field",
    statement="An HTTP/1.1 request without Host is rejected.",
)
HOST_REPEATED = _must(
    "host-repeated",
    Level.SHOULD,
    source="RFC 9112 §3.2",
    quotation="A server MUST respond with a 400 (Bad Request) status code … to any request message that contains more than "
    "one Host header field line",
    statement="A request with two Host fields is rejected.",
)
HOST_SYNTAX = _must(
    "host-syntax",
    Level.SHOULD,
    source="RFC 9112 §3.2",
    quotation="A server MUST respond with a 400 (Bad Request) status code … to any request message that contains … a Host "
    "header field with an invalid field value.",
    statement="A request whose Host is not a host name or address is rejected.",
)

# ------------------------------------------------------------------ the request line, and versions

ABSOLUTE_FORM = _must(
    "absolute-form",
    Level.SHOULD,
    source="RFC 9112 §3.2.2",
    quotation="a server MUST accept the absolute-form in requests",
    statement="A request line with an absolute URL is answered like one with the path alone.",
)
LEADING_EMPTY_LINE = _should(
    "leading-empty-line",
    source="RFC 9112 §2.2",
    quotation="a server that is expecting to receive and parse a request-line SHOULD ignore at least one empty line "
    "(CRLF) received prior to the request-line",
    statement="An empty line before a request is ignored.",
)
HTTP_1_0_ACCEPTED = _should(
    "http-1-0-accepted",
    source="RFC 9110 §2.5",
    quotation="The interpretation of a header field does not change between minor versions of the same major HTTP version",
    statement="An HTTP/1.0 request with Host and Content-Length is accepted.",
)
VERSION_MAJOR = _should(
    "version-major",
    source="RFC 9110 §15.6.6",
    quotation="the server does not support, or refuses to support, the major version of HTTP that was used in the request "
    "message",
    statement="A request line with HTTP/2.0 is rejected on a connection that speaks HTTP/1.1.",
)
VERSION_CASE = _should(
    "version-case",
    source="RFC 9112 §2.3",
    quotation="HTTP-version is case-sensitive.",
    statement="A request line with `http/1.1` in lower case is rejected.",
)
MALFORMED_ANSWERED = _should(
    "malformed-answered",
    source="RFC 9112 §2.2",
    quotation="the server SHOULD respond with a 400 (Bad Request) response and close the connection",
    statement="A message that is not valid HTTP is not answered with a 5xx that reports a failure of the server.",
)

# ------------------------------------------------------------------ negotiation

EXPECT_CONTINUE = _must(
    "expect-continue",
    Level.MUST,
    source="RFC 9110 §10.1.1",
    quotation="an origin server MUST send either: an immediate response with a final status code … or an immediate 100 "
    "(Continue) response",
    statement="A request with `Expect: 100-continue` gets an interim or a final answer before its body is sent.",
)
ACCEPT_ENCODING = _should(
    "accept-encoding",
    source="RFC 9110 §12.5.3",
    quotation="the origin server SHOULD send a response without any content coding",
    statement="A body is encoded only with a content coding that the request accepts.",
)
