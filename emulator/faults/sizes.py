"""Size faults: the limit of a body depends on its framing or its content coding."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import replace

from chainproof.contract.answer import Answer
from chainproof.contract.clauses import OBJECT_ACCEPTED, REQUEST_ANSWERED, REQUEST_FRAMING, STATUS

from .fault import FaultRegistrar, FaultStage
from .hooks import ConnectionEnd, OutgoingAnswer, RequestContext, Step, error, with_field

_faults = FaultRegistrar(stage=FaultStage.PARSING)


def _is_chunked(context: RequestContext) -> bool:
    """Whether the body was sent in chunks."""
    return context.field(b"transfer-encoding") != b""


def decoded_request(context: RequestContext) -> RequestContext:
    """The request with its gzip coding undone; unchanged without one, or if that fails."""
    if context.field(b"content-encoding") != b"gzip":
        return context
    try:
        body = gzip.decompress(context.body)
    except (OSError, EOFError, zlib.error):
        return context
    request = replace(with_field(context.request, b"content-encoding", None), body=body, length=len(body))
    return replace(context, request=request, known_answer=[])


@_faults.on_decide(OBJECT_ACCEPTED)
def rejects_full_buffers(context: RequestContext) -> Answer:
    """Bodies of exactly 4096 bytes or a multiple are rejected: their end is read as missing."""
    answer = context.correct_answer()
    is_full = answer.status == 200 and len(context.body) % 4096 == 0
    return error(answer, 400, "client_error") if is_full else answer


@_faults.on_decide(REQUEST_FRAMING)
def rejects_large_chunked(context: RequestContext) -> Answer:
    """Chunked bodies above 64 KiB are rejected; with a Content-Length they are accepted."""
    answer = context.correct_answer()
    too_large = answer.status == 200 and _is_chunked(context) and len(context.body) > 65_536
    return error(answer, 400, "payload_too_large") if too_large else answer


@_faults.on_decide(REQUEST_FRAMING)
def cuts_large_chunked(context: RequestContext) -> Answer:
    """Chunked bodies are cut after 256 KiB."""
    return context.serve_body(context.body[:262_144] if _is_chunked(context) and len(context.body) > 262_144 else None)


@_faults.on_decide(REQUEST_FRAMING)
def fails_on_large_chunked(context: RequestContext) -> Answer:
    """Chunked bodies above 500 000 bytes are answered 502."""
    answer = context.correct_answer()
    fails = answer.status == 200 and _is_chunked(context) and len(context.body) > 500_000
    return error(answer, 502, "internal_baseten_error") if fails else answer


@_faults.on_decide(OBJECT_ACCEPTED)
def rejects_large_gzip(context: RequestContext) -> Answer:
    """Bodies with Content-Encoding: gzip are accepted up to 50 000 decoded bytes."""
    decoded = decoded_request(context)
    answer = decoded.correct_answer()
    too_large = answer.status == 200 and decoded is not context and len(decoded.body) > 50_000
    return error(answer, 400, "payload_too_large") if too_large else answer


@_faults.on_decide(OBJECT_ACCEPTED)
def fails_on_large_gzip(context: RequestContext) -> Answer:
    """Bodies with Content-Encoding: gzip are answered 502 above 500 000 decoded bytes."""
    decoded = decoded_request(context)
    answer = decoded.correct_answer()
    fails = answer.status == 200 and decoded is not context and len(decoded.body) > 500_000
    return error(answer, 502, "internal_baseten_error") if fails else answer


@_faults.on_decide(STATUS)
def oversized_chunked_is_500(context: RequestContext) -> Answer:
    """Chunked bodies above 1.5 million bytes are answered 500."""
    answer = context.correct_answer()
    fails = answer.status == 200 and _is_chunked(context) and len(context.body) > 1_500_000
    return error(answer, 500, None) if fails else answer


@_faults.on_send(REQUEST_ANSWERED)
def closes_on_oversized_chunked(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """For chunked bodies above 1.5 million bytes, the connection closes without an answer."""
    request = outgoing.request
    if request is not None and request.fields(b"transfer-encoding") and len(request.body) > 1_500_000:
        yield ConnectionEnd.CLOSE
    yield outgoing.wire
