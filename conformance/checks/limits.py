"""
Objects up to a common size are accepted, and larger ones are accepted or rejected in a documented way.

Each dimension is doubled; where an object is no longer accepted, bisection finds the limit.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from dataclasses import replace

from chainproof.contract import clauses
from chainproof.contract.levels import Clause
from chainproof.results.exchange import Transport

from ..inputs.sizes import DIMENSIONS, REQUIRED_BODY_BYTES, Dimension
from ..judging.judge import BUSY_STATUSES
from ..options import Depth, Permission
from ..probing.answer_recorder import JudgedExchange
from ..probing.raw_requests import exchange_raw, raw_request, send_accepted_reference_request
from ..probing.requester import Requester
from ..transport.connection import TransportResult
from ..transport.request import CheckRequest, chunked
from . import check_for


@check_for(clauses.OBJECT_ACCEPTED, clauses.ECHO_EXACT)
def large_objects_are_accepted(requester: Requester) -> None:
    """Nesting, digits, members, items, names, strings and whitespace up to the required sizes."""
    requester.run_parts(lambda each: _send_required_sizes(requester, each), _available_dimensions(requester))


def _send_required_sizes(requester: Requester, dimension: Dimension) -> None:
    """Send objects of the sizes that must be accepted, and find the limit if one is not."""
    accepted, first = 0, dimension.required if requester.settings.depth is Depth.QUICK else 1
    for size in _doubling_sizes(first, dimension.required):
        if _send(requester, dimension, size).violations:
            _find_limit(requester, dimension, accepted, size)
            break
        accepted = size


@check_for(clauses.STATUS, clauses.REQUEST_ANSWERED)
def oversized_objects_get_a_documented_answer(requester: Requester) -> None:
    """Larger sizes may be rejected, but must not crash the target."""
    requester.require_permission(Permission.HUGE_BODIES)
    requester.run_parts(lambda each: _send_larger_sizes(requester, each), _available_dimensions(requester))


def _send_larger_sizes(requester: Requester, dimension: Dimension) -> None:
    """Send objects of larger sizes until one is not accepted, and then the largest."""
    accepted, bound = 0, dimension.bounds[requester.settings.depth]
    for size in _doubling_sizes(2 * dimension.required, bound):
        status = _send(requester, dimension, size).status
        if status != 200:
            _send(requester, dimension, bound)
            smaller = f", {accepted}: status 200" if accepted else ""
            if status is not None:
                requester.note(f"{dimension.label(size)}: status {status}{smaller}")
            break
        accepted = size


def _doubling_sizes(first: int, last: int) -> Iterator[int]:
    """Sizes from the first to the last, each twice the previous one."""
    size = first
    while size < last:
        yield size
        size *= 2
    yield last


def _find_limit(requester: Requester, dimension: Dimension, accepted: int, rejected: int) -> None:
    """Bisect to the smallest rejected size, and send it again with a label that names the limit."""
    while rejected - accepted > 1:
        middle = (accepted + rejected) // 2
        if _send(requester, dimension, middle).violations:
            rejected = middle
        else:
            accepted = middle
    label = f"{dimension.label(rejected)}; the largest accepted size is {accepted}"
    _send(requester, dimension, rejected, label)


def _available_dimensions(requester: Requester) -> list[Dimension]:
    """The dimensions in which the chain accepts inputs of any size, as far as is known."""
    if requester.inputs.is_accepted is False:
        return []
    return [dimension for dimension in DIMENSIONS if dimension.make(requester.inputs, 2) is not None]


def _send(requester: Requester, dimension: Dimension, size: int, label: str = "") -> JudgedExchange:
    """Send an object of a size. All sizes on the way share one label."""
    body = dimension.make(requester.inputs, size)
    assert body is not None
    return requester.send(requester.build_request(body, label=label or dimension.name.replace("{}", "n")))


# ------------------------------------------------------------------ the same size in every framing

_SENT_SIZES = {
    Depth.QUICK: (100_000,),
    Depth.STANDARD: (10_000, 100_000),
    Depth.DEEP: (10_000, 50_000, 100_000, 300_000),
}
"""Bytes of bodies below the size that must be accepted, which is sent too."""
_OVERSIZED = {Depth.QUICK: 2 * 2**20, Depth.STANDARD: 8 * 2**20, Depth.DEEP: 32 * 2**20}
"""Bytes of a body that a target may reject, but in every framing with a documented answer."""
_CHUNK_BYTES = 16_384
_NOISE_BYTES = 2**16
"""Bytes after which the whitespace in a body is repeated: more than gzip looks back."""

_Framing = Callable[[Requester, bytes], CheckRequest]


@check_for(clauses.REQUEST_FRAMING, clauses.OBJECT_ACCEPTED)
def body_limits_hold_in_every_framing(requester: Requester) -> None:
    """
    A body that is accepted with a Content-Length is accepted in chunks too, and with `Content-Encoding: gzip` if small
    bodies are.
    """
    status = send_accepted_reference_request(requester).status
    framings = tuple(_accepted_framings(requester, status))
    failed: set[str] = set()
    for size in (*_SENT_SIZES[requester.settings.depth], REQUIRED_BODY_BYTES):
        for label, clause, framed in framings:
            body = _sized_input(requester, size, label)
            if label in failed or _send_sized(requester, body, size).status != 200:
                continue
            if _violates_limit(requester, framed(requester, body), clause, f"a body of {size} bytes {label}"):
                failed.add(label)


@check_for(clauses.STATUS, clauses.REQUEST_ANSWERED)
def oversized_bodies_get_a_documented_answer_in_every_framing(requester: Requester) -> None:
    """
    A body that is larger than it must be may be rejected in chunks and with `Content-Encoding: gzip`, but must not crash
    the target.
    """
    requester.require_permission(Permission.HUGE_BODIES)
    status = send_accepted_reference_request(requester).status
    size = _OVERSIZED[requester.settings.depth]
    for label, _, framed in _accepted_framings(requester, status):
        body = _sized_input(requester, size, label)
        _send_sized(requester, body, size)
        request = replace(framed(requester, body), label=f"a body of {size} bytes {label}")
        received = _send_framed(requester, request)
        if received.answer is None and received.transport is Transport.CONNECTION_LOST:
            received = _send_framed(requester, request)  # the answer of a target that stops reading may get lost
        requester.record(request, received, None)


def _accepted_framings(requester: Requester, usual: int | None) -> Iterator[tuple[str, Clause, _Framing]]:
    """The ways to send a body, beside a Content-Length, in which the target accepts a small one: label, clause, and request."""
    for label, clause, framed in (
        ("in chunks", clauses.REQUEST_FRAMING, _in_chunks),
        ("in one chunk", clauses.REQUEST_FRAMING, _in_one_chunk),
        ("with Content-Encoding: gzip", clauses.OBJECT_ACCEPTED, _compressed),
    ):
        answer = _send_framed(requester, framed(requester, _sized_input(requester, 100, label))).answer
        if answer is not None and answer.status == usual:
            yield label, clause, framed


def _in_chunks(requester: Requester, body: bytes) -> CheckRequest:
    """A request with the body in chunks."""
    lines = ("Transfer-Encoding: chunked",)
    return raw_request(requester, body, *lines, sent=chunked(body, _CHUNK_BYTES), label="a body in chunks")


def _in_one_chunk(requester: Requester, body: bytes) -> CheckRequest:
    """A request with the body in one chunk."""
    lines = ("Transfer-Encoding: chunked",)
    return raw_request(requester, body, *lines, sent=chunked(body, len(body)), label="a body in one chunk")


def _compressed(requester: Requester, body: bytes) -> CheckRequest:
    """A request with a compressed body. It is not much shorter: servers reject what a long run of one letter becomes."""
    sent = gzip.compress(body, mtime=0)
    lines = ("Content-Encoding: gzip", f"Content-Length: {len(sent)}")
    return raw_request(requester, body, *lines, sent=sent, label="a body with Content-Encoding: gzip")


def _sized_input(requester: Requester, size: int, purpose: str) -> bytes:
    """An input of at least *size* bytes: an input with whitespace in no order, which compression makes about four times shorter."""
    text = requester.unique_input(f"{size} {purpose}").strip()
    noise = bytes(requester.rng("whitespace").choices(b" \t\r\n", k=_NOISE_BYTES))
    missing = max(0, size - len(text))
    return text[:-1] + (noise * (missing // len(noise) + 1))[:missing] + text[-1:]


def _send_sized(requester: Requester, body: bytes, size: int) -> JudgedExchange:
    """Send a body with a Content-Length."""
    return requester.send(requester.build_request(body, label=f"a body of {size} bytes"))


def _send_framed(requester: Requester, request: CheckRequest) -> TransportResult:
    """Send a request in its own framing."""
    return exchange_raw(requester, request, within=requester.settings.deadline)[0]


def _violates_limit(requester: Requester, request: CheckRequest, clause: Clause, label: str) -> bool:
    """Send a body in a framing and record whether it is accepted. True if it is not."""
    request = replace(request, label=label)
    received = _send_framed(requester, request)
    if received.answer is None or received.answer.status in BUSY_STATUSES:
        received = _send_framed(requester, request)  # the target may have been busy
    answer = received.answer
    if answer is not None and answer.status == 200:
        requester.record(request, received, None)
        requester.record_clause(clause, request, answer)
        return False
    expected = "status 200, as for the same body with a Content-Length"
    requester.record_clause(clause, request, answer, expected=expected, actual=f"{received.in_words} to {label}")
    return True
