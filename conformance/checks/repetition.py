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

import pytest

from chainproof.clock import Seconds, monotonic
from chainproof.contract import clauses
from chainproof.contract.errors import allowed_statuses
from chainproof.contract.target import is_loopback
from chainproof.contract.violations import Departure
from chainproof.results.exchange import Transport

from ..judging.expectation import Expectation, expectation
from ..options import Depth, Intrusion
from ..probing.raw_requests import body_of_its_own, plainly
from ..probing.requester import BUSY, Examination
from ..transport.connection import Reception
from ..transport.request import JSON_TYPE, Request
from . import upholds


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """
    How many requests are asked for the sake of what is rare, and how long at most.
    """

    requests: int
    seconds: Seconds


STRETCHES: dict[Depth, Stretch] = {
    Depth.QUICK: Stretch(requests=300, seconds=1.5),
    Depth.STANDARD: Stretch(requests=3000, seconds=12.0),
    Depth.DEEP: Stretch(requests=30_000, seconds=90.0),
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


def seen_with(frequency: float, requests: int) -> float:
    """
    The probability that a defect which hits requests with some frequency, independently, hits at least one of so many.

    >>> round(seen_with(0.01, 300), 2)
    0.95
    """
    return 1.0 - (1.0 - frequency) ** requests


@upholds(clauses.ANSWERS, clauses.REQUEST_ID_UNIQUE, clauses.UNAFFECTED)
def what_holds_once_holds_every_time(examination: Examination) -> None:
    """
    Plain requests, unauthorised and refused ones in a long row: alone and at once, on kept connections and new ones.
    """
    stretch = STRETCHES[examination.settings.depth]
    requests = stretch.requests if is_loopback(examination.target.host) else stretch.requests // _AWAY
    until = monotonic() + stretch.seconds
    counts: Counter[str] = Counter()
    lock = Lock()

    def ask(worker: int) -> None:
        chance = examination.chance(f"rare {worker}")
        for kind, request, fresh in islice(_mixed(examination, chance), requests // _THREADS):
            if monotonic() > until:
                return
            reception = _on_its_own(examination, request) if fresh else examination.send(request)
            _enter(examination, request, reception)
            with lock:
                counts[kind] += 1

    _in_a_row(examination, min(4, requests // 100), counts)
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(ask, range(_THREADS)))
    examination.note(_words(counts))


def _mixed(examination: Examination, chance: random.Random) -> Iterator[tuple[str, Request, bool]]:
    """
    What kind of request comes next, the request, and whether it gets a connection of its own.
    """
    number = 0
    while True:
        number += 1
        body = body_of_its_own(examination, f"rare {chance.random()}", chance.choice((0, 0, 0, 500)))
        request = examination.request(body, label="one of many plain requests")
        kind = chance.choices(("valid", "unauthorised", "refused"), (6, 2, 2))[0]
        if kind == "unauthorised":
            key = () if number % 2 else (("Authorization", f"{examination.key.scheme.prefix} wrong.key"),)
            request = replace(request, fields=(*key, JSON_TYPE), label="one of many unauthorised requests")
        elif kind == "refused":
            wrong = (b"[]", b"{", b'"x"', b'{"a":1,}')[number % 4]
            request = examination.request(wrong, label="one of many bodies to be refused")
        # What a kept connection loses may have met its end: only on a new one does it say that there was no answer.
        yield kind, request, chance.random() < (0.35 if kind == "valid" else 0.7)


def _on_its_own(examination: Examination, request: Request) -> Reception:
    """
    What a request is answered with on a connection of its own.
    """
    request = examination.prepared(request)
    with examination.conversation() as talk:
        talk.say(request)
        return talk.hear(request)


def _enter(examination: Examination, request: Request, reception: Reception) -> None:
    """
    Enter an answer; a target that is busy now and then is not asked again for that.
    """
    request = examination.prepared(request)
    busy = reception.answer is not None and reception.answer.status in BUSY
    examination.enter(request, reception, None if busy else expectation(request, examination.terms))


def _in_a_row(examination: Examination, connections: int, counts: Counter[str]) -> None:
    """
    Plain requests one after another on each of some connections: what befalls the first, or the tenth, is seen.
    """
    for connection in range(connections):
        with examination.conversation() as talk:
            for number in range(_IN_A_ROW):
                body = body_of_its_own(examination, f"row {connection} {number}")
                request = examination.prepared(examination.request(body, label="one of many plain requests"))
                talk.say(request)
                reception = talk.hear(request)
                if number and reception.transport is Transport.CONNECTION_LOST and not reception.raw:
                    break  # a target may close a connection now and then
                _enter(examination, request, reception)
                counts["valid"] += 1
                if talk.ended or reception.closes or reception.answer is None:
                    break


def _words(counts: Counter[str]) -> str:
    """
    What was asked, and what would have been seen.
    """
    each = [
        f"{counts[kind]:,} {kind} ("
        + ", ".join(f"1 in {round(1 / rate):,}: {seen_with(rate, counts[kind]):.1%}" for rate in _FREQUENCIES)
        + ")"
        for kind in ("valid", "unauthorised", "refused")
    ]
    return (
        "rare defects: requests of each kind, and with what probability one that hits so many would have been seen: "
        + ("; ".join(each))
    )


@upholds(clauses.OVERLOAD)
def overload_is_answered(examination: Examination) -> None:
    """
    Bursts, each larger than the last until the target says that it is enough: every request is answered, as documented, and
    afterwards the target is as it was.
    """
    examination.require(Intrusion.OVERLOAD)
    before = plainly(examination)
    if before.status is None:
        pytest.skip("a plain request is not answered the same way twice")
    for size in _BURSTS:
        if _burst(examination, size) & {429, 503}:
            break
    _recovered(examination, _as_before(before.status))


def _as_before(status: int) -> Expectation:
    """
    The same status as before.
    """
    return Expectation(
        clause=clauses.OVERLOAD,
        expected=f"status {status} again, {_RECOVERY:g} s after a burst",
        keeps=lambda answer: answer.status == status,
    )


def _burst(examination: Examination, size: int) -> set[int]:
    """
    So many requests at once, and the statuses that they are answered with.
    """
    allowed = allowed_statuses(examination.settings.contract)
    statuses: set[int] = set()

    def ask(number: int) -> None:
        body = body_of_its_own(examination, f"burst {size} {number}")
        request = examination.request(body, label=f"one of {size} requests at once")
        reception = examination.send(request)
        answer = reception.answer
        if answer is not None and (answer.status in allowed or reception.misframed):
            statuses.add(answer.status)
            examination.enter(request, reception, None)
            examination.hold(clauses.OVERLOAD, None, request, answer)
            return
        actual = f"status {answer.status}" if answer is not None else reception.reason
        expected = "an answer as documented, by 200 or by an error"
        departure = Departure(clause=clauses.OVERLOAD, expected=expected, actual=actual)
        examination.hold(clauses.OVERLOAD, departure, request, answer)

    with ThreadPoolExecutor(size) as pool:
        list(pool.map(ask, range(size)))
    return statuses


def _recovered(examination: Examination, expected: Expectation) -> None:
    """
    A plain request is answered as before, soon.
    """
    until = monotonic() + _RECOVERY
    request = examination.request(body_of_its_own(examination, "recovered"), label="a plain request after a burst")
    reception = examination.send(request)
    while (reception.answer is None or reception.answer.status in BUSY) and monotonic() < until:
        time.sleep(0.25)
        reception = examination.send(request)
    answer = reception.answer
    actual = f"status {answer.status}" if answer is not None else reception.reason
    kept = answer is not None and expected.keeps(answer)
    departure = Departure(clause=clauses.OVERLOAD, expected=expected.expected, actual=actual)
    examination.hold(clauses.OVERLOAD, None if kept else departure, request, answer)
