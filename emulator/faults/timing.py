"""Timing faults: answers that come too late, or never."""

from __future__ import annotations

from collections.abc import Iterator

from chainproof.clock import Seconds
from chainproof.contract.clauses import REQUEST_ANSWERED, REQUEST_FRAMING

from .fault import FaultRegistrar, FaultStage
from .hooks import ConnectionEnd, OutgoingAnswer, RequestContext, Step

_faults = FaultRegistrar(stage=FaultStage.TIMING)

_NEVER: Seconds = 3600.0


@_faults.on_wait(REQUEST_ANSWERED)
def hangs_now_and_then(context: RequestContext) -> Seconds:
    """Every 60th request is never answered."""
    return _NEVER if context.memory.every_nth(60, "requests") else 0.0


@_faults.on_wait(REQUEST_ANSWERED)
def hangs_on_large(context: RequestContext) -> Seconds:
    """Requests with a body above 64 KiB are never answered."""
    return _NEVER if context.request.length > 1 << 16 else 0.0


@_faults.on_wait(REQUEST_ANSWERED)
def hangs_without_body(context: RequestContext) -> Seconds:
    """Requests without a body are never answered: the server waits for the body."""
    return _NEVER if context.targets_operation() and not context.body and context.request.length == 0 else 0.0


@_faults.on_wait(REQUEST_ANSWERED)
def hangs_on_504(context: RequestContext) -> Seconds:
    """Chain timeouts are never answered."""
    return _NEVER if context.field(b"x-emulate").startswith(b"timeout") else 0.0


@_faults.on_wait(REQUEST_FRAMING)
def hangs_on_expect(context: RequestContext) -> Seconds:
    """Requests with `Expect: 100-continue` are never answered."""
    return _NEVER if context.field(b"expect") else 0.0


@_faults.on_send(REQUEST_ANSWERED)
def stalls_after_head(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Every 60th answer stops after its header section."""
    yield outgoing.head
    if outgoing.answer is not None and outgoing.body and outgoing.memory.every_nth(60, "answers"):
        yield _NEVER
        yield ConnectionEnd.CLOSE
    yield outgoing.body


@_faults.on_send(REQUEST_ANSWERED)
def drips_when_large(outgoing: OutgoingAnswer) -> Iterator[Step]:
    """Answers above 8 KiB are sent at one byte per second."""
    if len(outgoing.body) <= 8192:
        yield outgoing.wire
        return
    for at in range(len(outgoing.wire)):
        yield outgoing.wire[at : at + 1]
        yield 1.0
