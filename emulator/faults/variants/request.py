"""Variants of which requests are accepted: inputs, methods, paths, header sections."""

from __future__ import annotations

import json
import math
import posixpath
import re
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import unquote_to_bytes

from chainproof.contract.answer import Answer

from ..hooks import (
    ConnectionEnd,
    DecideHook,
    FaultHook,
    OutgoingAnswer,
    RequestContext,
    Step,
    error,
    rejects,
    with_body,
    with_header,
)
from ..parsing import has_lone_surrogate, nesting_depth
from ..sizes import decoded_request
from .framing import close_after
from .variant import add_variant, changed_answer


def _has_duplicates(context: RequestContext) -> bool:
    """Whether an object has two members with the same name."""

    def unique_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise KeyError
        return dict(pairs)

    try:
        json.loads(context.body, object_pairs_hook=unique_members)
    except KeyError:
        return True
    except (ValueError, RecursionError):
        return False
    return False


add_variant(
    "rejects-duplicate-members",
    "An object with duplicate member names is rejected.",
    "RFC 8259 §4: the behaviour of software that receives such an object is unpredictable",
    FaultHook(decide=rejects(_has_duplicates)),
)
add_variant(
    "rejects-lone-surrogates",
    "A lone surrogate is rejected.",
    "RFC 8259 §8.2: the behaviour of software that receives such a string is unpredictable",
    FaultHook(decide=rejects(lambda context: has_lone_surrogate(context.body))),
)
add_variant(
    "rejects-depth-128",
    "Nesting deeper than 128 levels is rejected.",
    "RFC 8259 §9: an implementation may limit the depth of nesting",
    FaultHook(decide=rejects(lambda context: nesting_depth(context.body) > 128)),
)


def _has_infinite(context: RequestContext) -> bool:
    """Whether an object has a number beyond the range of a double."""
    infinite: list[str] = []

    def read(text: str) -> float:
        infinite.extend([text] if math.isinf(float(text)) else [])
        return 0.0

    try:
        json.loads(context.body, parse_float=read, parse_int=read)
    except (ValueError, RecursionError):
        return False
    return bool(infinite)


add_variant(
    "rejects-infinite-numbers",
    "Numbers beyond the range of a double are rejected.",
    "RFC 8259 §6, §9: an implementation may limit the range of numbers",
    FaultHook(decide=rejects(_has_infinite)),
)
add_variant(
    "accepts-bom",
    "A byte order mark before the object is ignored.",
    "RFC 8259 §8.1: parsers MAY ignore it",
    FaultHook(
        decide=lambda context: context.serve_body(
            context.body[3:] if context.body.startswith(b"\xef\xbb\xbf{") else None
        )
    ),
)


def _any_case_scheme(context: RequestContext) -> Answer:
    """Accepts the scheme in any case, followed by any number of spaces."""
    scheme, _, token = context.authorization().partition(b" ")
    return context.serve_authenticated(scheme.lower() == b"api-key" and token.strip(b" ") == context.key)


add_variant(
    "scheme-case-insensitive",
    "The scheme is compared without regard to case.",
    "RFC 9110 §11.1: schemes are case-insensitive",
    FaultHook(decide=_any_case_scheme),
)


def _other_status(status: int, replacement: int) -> DecideHook:
    """A hook that replaces one status by another."""
    return lambda context: (
        replace(context.correct_answer(), status=replacement)
        if context.correct_answer().status == status
        else context.correct_answer()
    )


add_variant(
    "methods-404",
    "Other methods are answered 404.",
    "RFC 9110 §15.5.5; the document declares the path only for POST",
    FaultHook(decide=lambda context: with_header(_other_status(405, 404)(context), "Allow")),
)
add_variant(
    "methods-501",
    "Other methods are answered 501.",
    "RFC 9110 §15.6.2",
    FaultHook(decide=lambda context: with_header(_other_status(405, 501)(context), "Allow")),
)
add_variant("paths-400", "Other paths are answered 400.", "RFC 9110 §15.5.1", FaultHook(decide=_other_status(404, 400)))
add_variant(
    "paths-redirected",
    "The path with a trailing slash is redirected to the path without it.",
    "RFC 9110 §15.4.9: the chain does not run",
    changed_answer(
        lambda context, answer: (
            with_header(replace(answer, status=308), "Location", context.request.path[:-1].decode("latin-1"))
            if answer.status == 404 and context.request.path.endswith(b"/run_remote/")
            else answer
        )
    ),
)
add_variant(
    "paths-401",
    "Other paths and methods without a key are answered 401.",
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
    """The target with a decoded path, merged slashes and resolved dot segments."""
    path, separator, query = target.partition(b"?")
    decoded = unquote_to_bytes(path)
    if not target.startswith(b"/") or any(byte in b"?#%" or byte < 33 for byte in decoded):
        return target
    decoded = posixpath.normpath(re.sub(rb"/+", b"/", decoded))
    return decoded + (b"/" if path.endswith(b"/") else b"") + separator + query


add_variant(
    "paths-normalized",
    "Paths are percent-decoded and normalized before routing.",
    "RFC 3986 §6.2: the server decides which further paths are equivalent",
    FaultHook(
        decide=lambda context: context.serve(replace(context.request, target=_normalized(context.request.target)))
    ),
)
add_variant(
    "options-204",
    "OPTIONS is answered 204 with Allow, as for a CORS preflight.",
    "RFC 9110 §9.3.7",
    changed_answer(
        lambda context, answer: (
            with_header(
                with_header(with_body(replace(answer, status=204), b""), "Allow", "POST, OPTIONS"),
                "Access-Control-Allow-Origin",
                "*",
            )
            if context.request.method == b"OPTIONS"
            else answer
        )
    ),
)
add_variant(
    "head-200",
    "HEAD is answered 200.",
    "RFC 9110 §9.3.2: the document does not mention HEAD",
    changed_answer(
        lambda context, answer: (
            replace(answer, status=200) if context.request.method == b"HEAD" and answer.status == 405 else answer
        )
    ),
)


def _plain_400(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Answer malformed requests in plain text."""
    if outgoing.answer is None or outgoing.request is not None:
        yield outgoing.wire
        return
    yield b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: 7\r\n\r\ninvalid"
    yield ConnectionEnd.CLOSE


def _fields_431(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Answer requests with more than 8 KiB of header fields with 431."""
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


for _name, _description, _allowed_by, _send in (
    (
        "malformed-as-text",
        "Malformed HTTP requests are answered 400 in plain text.",
        "RFC 9112 §2.2; the document does not cover them",
        _plain_400,
    ),
    (
        "fields-431",
        "Requests with more than 8 KiB of header fields are answered 431.",
        "RFC 6585 §5, RFC 9110 §5.4",
        _fields_431,
    ),
):
    add_variant(_name, _description, _allowed_by, FaultHook(send=_send))

add_variant(
    "slow-every-hundredth",
    "Every 100th answer takes half a second longer.",
    "the document sets no time limit",
    FaultHook(wait=lambda context: 0.5 if context.memory.every_nth(100, "requests") else 0.0),
)
add_variant(
    "close-after-401",
    "After a 401 the connection closes at once, and the rest of the request is discarded.",
    "RFC 9112 §9.6",
    FaultHook(send=lambda outgoing: close_after(outgoing) if outgoing.status == 401 else iter([outgoing.wire])),
)
add_variant(
    "query-reported",
    "The query string is ignored but reported in a header field.",
    "RFC 9110 §5.1",
    changed_answer(
        lambda context, answer: with_header(answer, "X-Query", "yes" if b"?" in context.request.target else "no")
    ),
)


def _gzip_of_ratio_10(context: RequestContext) -> Answer:
    """A hook for a gateway that rejects compressed bodies that become more than ten times as long."""
    decoded = decoded_request(context)
    is_bomb = len(decoded.body) > max(10 * len(context.body), 10_000)
    answer = decoded.correct_answer()
    return error(answer, 400, "payload_too_large") if is_bomb and answer.status == 200 else answer


add_variant(
    "gzip-of-ratio-10",
    "Bodies with `Content-Encoding: gzip` are accepted if they become at most ten times as long.",
    "RFC 9110 §8.4, §15.5.16: a server may reject a content coding, as protection against decompression bombs",
    FaultHook(decide=_gzip_of_ratio_10),
)
add_variant(
    "accepts-gzip",
    "Bodies with `Content-Encoding: gzip` are accepted.",
    "RFC 9110 §8.4: a server may accept content codings",
    FaultHook(decide=lambda context: decoded_request(context).correct_answer()),
)
