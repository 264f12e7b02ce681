"""
Faults of time: what is answered too late, or never.
"""

from __future__ import annotations

from collections.abc import Iterator

from chainproof.clock import Seconds
from chainproof.contract.clauses import ANSWERS, REQUEST_FRAMING

from .fault import Entry, Stage
from .hooks import Asked, End, Sending, Step

_at = Entry(stage=Stage.TIMING)

_NEVER: Seconds = 3600.0


@_at.waits(ANSWERS)
def hangs_now_and_then(asked: Asked) -> Seconds:
    """Every 60th request is never answered."""
    return _NEVER if asked.memory.every(60, "requests") else 0.0


@_at.waits(ANSWERS)
def hangs_on_large(asked: Asked) -> Seconds:
    """A body of more than 64 KiB is never answered."""
    return _NEVER if asked.request.length > 1 << 16 else 0.0


@_at.waits(ANSWERS)
def hangs_without_body(asked: Asked) -> Seconds:
    """A request without a body waits for one."""
    return _NEVER if asked.ours() and not asked.body and asked.request.length == 0 else 0.0


@_at.waits(ANSWERS)
def hangs_on_504(asked: Asked) -> Seconds:
    """A timeout is never told."""
    return _NEVER if asked.field(b"x-emulate").startswith(b"timeout") else 0.0


@_at.waits(REQUEST_FRAMING)
def hangs_on_expect(asked: Asked) -> Seconds:
    """A request with `Expect: 100-continue` is never answered."""
    return _NEVER if asked.field(b"expect") else 0.0


@_at.sends(ANSWERS)
def stalls_behind_head(sending: Sending) -> Iterator[Step]:
    """Behind the head of every 60th answer nothing comes."""
    yield sending.head
    if sending.answer is not None and sending.body and sending.memory.every(60, "answers"):
        yield _NEVER
        yield End.CLOSE
    yield sending.body


@_at.sends(ANSWERS)
def drips_when_large(sending: Sending) -> Iterator[Step]:
    """Answers of more than 8 KiB come at a byte a second."""
    if len(sending.body) <= 8192:
        yield sending.wire
        return
    for at in range(len(sending.wire)):
        yield sending.wire[at : at + 1]
        yield 1.0
