"""Rare defects show under many requests, and a target under overload still gives documented answers."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from threading import Lock

from chainproof.clock import Seconds, monotonic
from chainproof.contract import clauses
from chainproof.contract.errors import allowed_statuses
from chainproof.contract.target import is_loopback
from chainproof.judgement.conformance_verdict import ENOUGH_ANSWERS
from chainproof.results.exchange import Transport

from ..judging.expectation import Expectation, expectation
from ..judging.judge import BUSY_STATUSES
from ..options import Depth, Permission
from ..probing.budget import Round
from ..probing.concurrency import run_in_threads
from ..probing.raw_requests import send_reference_request
from ..probing.requester import Requester
from ..transport.check_skipped import CheckSkipped
from ..transport.connection import TransportResult
from ..transport.request import JSON_TYPE, CheckRequest
from . import check_for


@dataclass(frozen=True, slots=True, kw_only=True)
class RepetitionLimits:
    """The largest number of requests of the check for rare defects, and the longest time on a fast target."""

    requests: int
    seconds: Seconds
    """Slow targets get fewer requests in place of less time, so that requests of every kind are among them."""


REPETITION_LIMITS: dict[Depth, RepetitionLimits] = {
    Depth.QUICK: RepetitionLimits(requests=300, seconds=1.5),
    Depth.STANDARD: RepetitionLimits(requests=3000, seconds=12.0),
    Depth.DEEP: RepetitionLimits(requests=30_000, seconds=90.0),
}
_REMOTE_DIVISOR = 10
"""Divides the number of requests to a remote target."""
_THREADS = 4
_FIRST = 16
"""Requests in the first round of a run with two."""
_REQUESTS_PER_CONNECTION = 25
"""Requests on one connection."""
_FREQUENCIES = (0.1, 0.01, 0.001)
"""Defect frequencies whose probability of detection is reported; the note names them."""
_KINDS = ("valid", "unauthenticated", "invalid")
_LEAST = 200
"""Requests with enough of each kind among them."""
_ADDED_BYTES = (0, 0, 0, 500, 3000)
"""Bytes by which bodies are longer, each as often: a gateway may send long outputs in another way."""
_MORE_TIME = 4
"""How many times as long the check may take until each kind has that many."""
_BURSTS = (16, 64, 256)
_LONG_BURST: Seconds = 10.0
"""Duration of a burst of slow requests after which no larger one is sent."""
_RECOVERY_TIME: Seconds = 10.0


def detection_probability(frequency: float, requests: int) -> float:
    """
    The probability that a defect which affects requests at random, with some frequency, affects at least one of
    *requests*.

    >>> round(detection_probability(0.01, 300), 2)
    0.95
    """
    return 1.0 - (1.0 - frequency) ** requests


@check_for(clauses.REQUEST_ANSWERED, clauses.REQUEST_ID_UNIQUE, clauses.REQUEST_ISOLATION, exclusive=True)
def repeated_requests_are_answered_consistently(requester: Requester) -> None:
    """Many valid, unauthenticated and invalid requests, one by one and concurrent, on reused and new connections."""
    requester.require_accepted_input()
    limits = REPETITION_LIMITS[requester.settings.depth]
    is_local = is_loopback(requester.target.host)
    planned = limits.requests if is_local else max(_LEAST, limits.requests // _REMOTE_DIVISOR)
    requests = requester.share(planned, first=_FIRST)
    if requester.scope.round is not Round.FIRST:
        requests = max(requests, min(planned, _LEAST))
    threads = max(_THREADS, requester.concurrency)
    until = monotonic() + limits.seconds if requester.concurrency == 1 else float("inf")
    latest = until + _MORE_TIME * limits.seconds
    counts: Counter[str] = Counter()
    lock = Lock()

    def record(kind: str, request: CheckRequest, received: TransportResult) -> None:
        is_intended = _record(requester, request, received)
        with lock:
            counts[kind] += is_intended

    def send_requests(worker: int) -> None:
        rng = requester.rng(f"rare {worker}")
        for kind, request, on_own_connection in islice(_mixed_requests(requester, rng), requests // threads):
            if monotonic() > latest:
                return
            if monotonic() > until and counts[kind] >= ENOUGH_ANSWERS:
                continue  # a slow target gets no more than are needed to detect a frequent defect
            received = (
                _send_on_own_connection(requester, request) if on_own_connection else requester.send_once(request)
            )
            record(kind, request, received)

    def send_in_turn(row: int) -> None:
        _send_in_turn(requester, row, partial(record, "valid"))

    run_in_threads(send_in_turn, range(min(4, requests // 100)), threads=threads)
    run_in_threads(send_requests, range(threads), threads=threads)
    requester.note(_counts_text(counts))
    if requester.scope.round is not Round.FIRST and any(counts[kind] < ENOUGH_ANSWERS for kind in _KINDS):
        answered = ", ".join(f"{counts[kind]} {kind}" for kind in _KINDS)
        raise CheckSkipped(
            f"needs {ENOUGH_ANSWERS} answers of each kind to detect a defect in 1 of 10 answers, got {answered} in time"
        )


def _mixed_requests(requester: Requester, rng: random.Random) -> Iterator[tuple[str, CheckRequest, bool]]:
    """The kind of the next request, the request, and whether it gets a connection of its own."""
    number = 0
    while True:
        number += 1
        body = requester.unique_input(f"rare {rng.random()}", rng.choice(_ADDED_BYTES))
        request = requester.build_request(body, label="one of many plain requests")
        kind = rng.choices(_KINDS, (6, 2, 2))[0]
        if kind == "unauthenticated":
            key = () if number % 2 else (("Authorization", f"{requester.key.scheme.prefix} wrong.key"),)
            request = replace(request, fields=(*key, JSON_TYPE), label="one of many unauthenticated requests")
        elif kind == "invalid":
            base = requester.inputs.base.strip()
            comma = b'{"a":1,}' if requester.inputs.any_object else base[:-1] + b",}"
            wrong = (b"[]", b"{", b'"x"', comma)[number % 4]
            request = requester.build_request(wrong, label="one of many invalid bodies")
        # The target may close a reused connection at any time: only on a new one does a lost answer mean a defect.
        yield kind, request, rng.random() < (0.35 if kind == "valid" else 0.7)


def _send_on_own_connection(requester: Requester, request: CheckRequest) -> TransportResult:
    """The answer to a request on a connection of its own."""
    request = requester.prepare(request)
    with requester.raw_connection() as connection:
        return connection.exchange(request)


def _record(requester: Requester, request: CheckRequest, received: TransportResult) -> bool:
    """
    Record an answer; if the target is busy, the expectation is not checked. Returns whether the request was accepted or
    rejected as intended.
    """
    request = requester.prepare(request)
    busy = received.status in BUSY_STATUSES
    expected = expectation(request, requester.terms)
    answer = requester.record(request, received, None if busy else expected).answer
    if answer is None or busy:
        return False
    return answer.status == 200 if expected is None else expected.is_met_by(answer)


def _send_in_turn(requester: Requester, row: int, record: Callable[[CheckRequest, TransportResult], None]) -> None:
    """Send valid requests one after another on one connection, so that defects of the n-th request show."""
    with requester.raw_connection() as connection:
        for number in range(_REQUESTS_PER_CONNECTION):
            body = requester.unique_input(f"row {row} {number}")
            request = requester.prepare(requester.build_request(body, label="one of many plain requests"))
            received = connection.exchange(request)
            if number and received.transport is Transport.CONNECTION_LOST and not received.raw:
                return  # the target may close a connection at any time
            record(request, received)
            if connection.is_closed or received.closes_connection or received.answer is None:
                return


def _counts_text(counts: Counter[str]) -> str:
    """The number of requests of each kind that this check sent, with the probability that they show rare defects."""
    each = []
    for kind in filter(counts.get, _KINDS):
        first, *others, last = (_percent(detection_probability(rate, counts[kind])) for rate in _FREQUENCIES)
        each.append(f"{', '.join((first, *others))} or {last} ({counts[kind]:,} {kind} requests)")
    return (
        "rare defects: a defect in 1 of 10, 100 or 1,000 answers of a kind would have been found with a probability of "
        + "; ".join(each)
    )


def _percent(probability: float) -> str:
    """A probability in words; never 100 %."""
    return "more than 99.9 %" if probability > 0.999 else f"{100 * probability:.1f} %"


@check_for(clauses.OVERLOAD, exclusive=True)
def overload_gets_documented_answers(requester: Requester) -> None:
    """
    Growing bursts, until the target rejects requests as too many or needs long: every request gets a documented answer,
    and the target recovers.
    """
    requester.require_permission(Permission.OVERLOAD)
    before = send_reference_request(requester)
    if before.status is None:
        raise CheckSkipped("needs a target that answers equal requests with the same status")
    for size in _BURSTS:
        began = monotonic()
        statuses = _send_burst(requester, size)
        if statuses & {429, 503} or (requester.slow_input is not None and monotonic() - began > _LONG_BURST):
            break
    _check_recovery(requester, _same_status(before.status))


def _same_status(status: int) -> Expectation:
    """The expectation that the status is the same as before."""
    return Expectation(
        clause=clauses.OVERLOAD,
        expected=f"status {status}, as before, within {_RECOVERY_TIME:g} s after a burst",
        is_met_by=lambda answer: answer.status == status,
    )


def _send_burst(requester: Requester, size: int) -> set[int]:
    """Send *size* requests at once. The statuses of the documented answers."""
    allowed = allowed_statuses(requester.settings.contract)
    statuses: set[int] = set()

    def send_requests(number: int) -> None:
        body = requester.slow_input or requester.unique_input(f"burst {size} {number}")
        request = requester.build_request(body, label=f"one of {size} concurrent requests")
        received = requester.send_once(request)
        answer = received.answer
        if answer is not None and (answer.status in allowed or received.framing_error):
            statuses.add(answer.status)
            requester.record(request, received, None)
            requester.record_clause(clauses.OVERLOAD, request, answer)
            return
        expected = "a documented answer: 200 or an error"
        requester.record_clause(clauses.OVERLOAD, request, answer, expected=expected, actual=received.in_words)

    run_in_threads(send_requests, range(size), threads=size)
    return statuses


def _check_recovery(requester: Requester, expected: Expectation) -> None:
    """Check that a valid request is soon answered as before."""
    until = monotonic() + _RECOVERY_TIME
    request = requester.build_request(requester.unique_input("recovered"), label="a plain request after a burst")
    received = requester.send_once(request)
    while (received.answer is None or received.answer.status in BUSY_STATUSES) and monotonic() < until:
        time.sleep(0.25)
        received = requester.send_once(request)
    answer = received.answer
    is_recovered = answer is not None and expected.is_met_by(answer)
    requester.record_clause(
        clauses.OVERLOAD,
        request,
        answer,
        expected=expected.expected,
        actual=None if is_recovered else received.in_words,
    )
