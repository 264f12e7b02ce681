"""
What happens now and then, and what happens when a target is asked for more than it can do.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from threading import Lock

from chainproof.clock import Seconds, monotonic
from chainproof.contract import clauses
from chainproof.contract.errors import allowed_statuses
from chainproof.contract.target import is_loopback
from chainproof.contract.violations import Violation
from chainproof.results.exchange import Transport

from ..judging.expectation import Expectation, expectation
from ..judging.judge import BUSY_STATUSES
from ..options import Depth, Permission
from ..probing.raw_requests import send_reference_request, unique_body
from ..probing.requester import Requester
from ..transport.connection import TransportResult
from ..transport.not_asked import NotAsked
from ..transport.request import JSON_TYPE, CheckRequest
from . import check_for


@dataclass(frozen=True, slots=True, kw_only=True)
class RepetitionLimits:
    """
    How many requests are asked for the sake of what is rare, and how long at most.
    """

    requests: int
    seconds: Seconds


REPETITION_LIMITS: dict[Depth, RepetitionLimits] = {
    Depth.QUICK: RepetitionLimits(requests=300, seconds=1.5),
    Depth.STANDARD: RepetitionLimits(requests=3000, seconds=12.0),
    Depth.DEEP: RepetitionLimits(requests=30_000, seconds=90.0),
}
_AWAY = 10
"""By how much fewer where the target is not on loopback."""
_THREADS = 4
_IN_A_ROW = 25
"""Requests on one connection before the next is opened."""
_FREQUENCIES = (0.1, 0.01, 0.001)
"""Of the defects of which a run says with what probability it would have seen them."""
_BURSTS = (16, 64, 256)
_RECOVERY: Seconds = 10.0


def detection_probability(frequency: float, requests: int) -> float:
    """
    The probability that a defect which hits requests with some frequency, independently, hits at least one of so many.

    >>> round(seen_with(0.01, 300), 2)
    0.95
    """
    return 1.0 - (1.0 - frequency) ** requests


@check_for(clauses.REQUEST_ANSWERED, clauses.REQUEST_ID_UNIQUE, clauses.REQUEST_ISOLATION)
def repeated_requests_are_answered_consistently(requester: Requester) -> None:
    """
    Plain requests, unauthorised and refused ones in a long row: alone and at once, on kept connections and new ones.
    """
    limits = REPETITION_LIMITS[requester.settings.depth]
    requests = limits.requests if is_loopback(requester.target.host) else limits.requests // _AWAY
    until = monotonic() + limits.seconds
    counts: Counter[str] = Counter()
    lock = Lock()

    def ask(worker: int) -> None:
        rng = requester.rng(f"rare {worker}")
        for kind, request, fresh in islice(_mixed(requester, rng), requests // _THREADS):
            if monotonic() > until:
                return
            received = _on_its_own(requester, request) if fresh else requester.send_once(request)
            _enter(requester, request, received)
            with lock:
                counts[kind] += 1

    _in_a_row(requester, min(4, requests // 100), counts)
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(ask, range(_THREADS)))
    requester.note(_words(counts))


def _mixed(requester: Requester, rng: random.Random) -> Iterator[tuple[str, CheckRequest, bool]]:
    """
    What kind of request comes next, the request, and whether it gets a connection of its own.
    """
    number = 0
    while True:
        number += 1
        body = unique_body(requester, f"rare {rng.random()}", rng.choice((0, 0, 0, 500)))
        request = requester.build_request(body, label="one of many plain requests")
        kind = rng.choices(("valid", "unauthorised", "refused"), (6, 2, 2))[0]
        if kind == "unauthorised":
            key = () if number % 2 else (("Authorization", f"{requester.key.scheme.prefix} wrong.key"),)
            request = replace(request, fields=(*key, JSON_TYPE), label="one of many unauthorised requests")
        elif kind == "refused":
            wrong = (b"[]", b"{", b'"x"', b'{"a":1,}')[number % 4]
            request = requester.build_request(wrong, label="one of many bodies to be refused")
        # What a kept connection loses may have met its end: only on a new one does it say that there was no answer.
        yield kind, request, rng.random() < (0.35 if kind == "valid" else 0.7)


def _on_its_own(requester: Requester, request: CheckRequest) -> TransportResult:
    """
    What a request is answered with on a connection of its own.
    """
    request = requester.prepare(request)
    with requester.raw_connection() as talk:
        talk.send_request(request)
        return talk.read_answer(request)


def _enter(requester: Requester, request: CheckRequest, received: TransportResult) -> None:
    """
    Enter an answer; a target that is busy now and then is not asked again for that.
    """
    request = requester.prepare(request)
    busy = received.answer is not None and received.answer.status in BUSY_STATUSES
    requester.record(request, received, None if busy else expectation(request, requester.terms))


def _in_a_row(requester: Requester, connections: int, counts: Counter[str]) -> None:
    """
    Plain requests one after another on each of some connections: what befalls the first, or the tenth, is seen.
    """
    for connection in range(connections):
        with requester.raw_connection() as talk:
            for number in range(_IN_A_ROW):
                body = unique_body(requester, f"row {connection} {number}")
                request = requester.prepare(requester.build_request(body, label="one of many plain requests"))
                talk.send_request(request)
                received = talk.read_answer(request)
                if number and received.transport is Transport.CONNECTION_LOST and not received.raw:
                    break  # a target may close a connection now and then
                _enter(requester, request, received)
                counts["valid"] += 1
                if talk.is_closed or received.closes_connection or received.answer is None:
                    break


def _words(counts: Counter[str]) -> str:
    """
    What was asked, and what would have been seen.
    """
    each = [
        f"{counts[kind]:,} {kind} ("
        + ", ".join(
            f"1 in {round(1 / rate):,}: {detection_probability(rate, counts[kind]):.1%}" for rate in _FREQUENCIES
        )
        + ")"
        for kind in ("valid", "unauthorised", "refused")
    ]
    return (
        "rare defects: requests of each kind, and with what probability one that hits so many would have been seen: "
        + ("; ".join(each))
    )


@check_for(clauses.OVERLOAD)
def overload_gets_documented_answers(requester: Requester) -> None:
    """
    Bursts, each larger than the last until the target says that it is enough: every request is answered, as documented, and
    afterwards the target is as it was.
    """
    requester.require_permission(Permission.OVERLOAD)
    before = send_reference_request(requester)
    if before.status is None:
        raise NotAsked("needs a target that answers a valid request with the same status twice")
    for size in _BURSTS:
        if _burst(requester, size) & {429, 503}:
            break
    _recovered(requester, _as_before(before.status))


def _as_before(status: int) -> Expectation:
    """
    The same status as before.
    """
    return Expectation(
        clause=clauses.OVERLOAD,
        expected=f"status {status} again, {_RECOVERY:g} s after a burst",
        is_met_by=lambda answer: answer.status == status,
    )


def _burst(requester: Requester, size: int) -> set[int]:
    """
    So many requests at once, and the statuses that they are answered with.
    """
    allowed = allowed_statuses(requester.settings.contract)
    statuses: set[int] = set()

    def ask(number: int) -> None:
        body = unique_body(requester, f"burst {size} {number}")
        request = requester.build_request(body, label=f"one of {size} requests at once")
        received = requester.send_once(request)
        answer = received.answer
        if answer is not None and (answer.status in allowed or received.framing_error):
            statuses.add(answer.status)
            requester.record(request, received, None)
            requester.record_clause(clauses.OVERLOAD, None, request, answer)
            return
        actual = f"status {answer.status}" if answer is not None else received.reason
        expected = "an answer as documented, by 200 or by an error"
        violation = Violation(clause=clauses.OVERLOAD, expected=expected, actual=actual)
        requester.record_clause(clauses.OVERLOAD, violation, request, answer)

    with ThreadPoolExecutor(size) as pool:
        list(pool.map(ask, range(size)))
    return statuses


def _recovered(requester: Requester, expected: Expectation) -> None:
    """
    A plain request is answered as before, soon.
    """
    until = monotonic() + _RECOVERY
    request = requester.build_request(unique_body(requester, "recovered"), label="a plain request after a burst")
    received = requester.send_once(request)
    while (received.answer is None or received.answer.status in BUSY_STATUSES) and monotonic() < until:
        time.sleep(0.25)
        received = requester.send_once(request)
    answer = received.answer
    actual = f"status {answer.status}" if answer is not None else received.reason
    kept = answer is not None and expected.is_met_by(answer)
    violation = Violation(clause=clauses.OVERLOAD, expected=expected.expected, actual=actual)
    requester.record_clause(clauses.OVERLOAD, None if kept else violation, request, answer)
