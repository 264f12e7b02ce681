"""Columns of settled requests, which are counted in an interval many at a time."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chainproof.clock import Seconds
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.intervals.interval import Interval

from ..client.request import EncodedRequest
from .assessment import Assessment
from .in_flight_request import InFlightRequest
from .stall_detection import EXCUSABLE, EXCUSING_OVERLAP, StallDetector

BulkListener = Callable[[Outcome, Sequence[Seconds], int], None]
"""(outcome, response times, bytes of the bodies) of many requests"""

_COLUMNS = 8


class SettledRequests:
    """Settled requests that are not counted yet. Answers and their bodies are not kept."""

    __slots__ = ("_ids", "_numbers", "_requests", "assessments", "phases")

    def __init__(self) -> None:
        self._numbers = array("d")
        """Rows of intended start, start, end, time to read the answer, read delay, and bytes sent, received and in the body."""
        self._requests: list[EncodedRequest | None] = []
        self._ids: list[bytes] = []
        """Request ids of the latest answers, empty if there is none, until they are taken."""
        self.assessments: list[Assessment] = []
        self.phases: list[str | None] = []
        """The phase of each request; empty if there are no phases."""

    def add(self, request: InFlightRequest, assessment: Assessment) -> None:
        """Add a request with its reply. If there are phases, its phase is added besides."""
        reply = request.reply
        assert reply is not None
        assert request.start is not None
        end = reply.end
        first_byte = reply.first_byte if reply.transport is Transport.ANSWERED else None
        self._numbers.extend(
            (
                request.intended_start,
                request.start,
                request.end,
                math.nan if first_byte is None else end - first_byte,
                reply.read_at - end,
                reply.sent,
                reply.received,
                reply.body_length,
            )
        )
        self._requests.append(request.encoded_request)
        self._ids.append(reply.request_id)
        self.assessments.append(assessment)

    def take_ids(self) -> list[tuple[bytes, EncodedRequest | None]]:
        """The request ids that were not counted yet, each with the request that was answered."""
        ids, self._ids = self._ids, []
        requests = self._requests[len(self._requests) - len(ids) :]
        return [pair for pair in zip(ids, requests, strict=True) if pair[0]]

    def count_in(self, interval: Interval, listener: BulkListener | None = None) -> None:
        """Count the requests in an interval, and tell the listener."""
        if not self.assessments:
            return
        columns = np.frombuffer(self._numbers).reshape(-1, _COLUMNS).T
        intended, starts, ends, reading, delays, sent, received, bodies = columns
        response_times, service_times = ends - intended, ends - starts
        answered = ~np.isnan(reading)
        # The times are differences of floats, so that zero may come out as a little less.
        interval.network.record_answers(np.maximum(service_times - reading, 0.0)[answered], delays[answered].tolist())
        interval.network.sent_bytes += int(sent.sum())
        interval.network.received_bytes += int(received.sum())
        for outcome, payload, phase, rows in self._groups():
            interval.count_outcomes(outcome, response_times[rows], service_times[rows], payload=payload, phase=phase)
            if listener is not None:
                listener(outcome, response_times[rows].tolist(), int(bodies[rows].sum()))

    def count_stalled_in(self, interval: Interval, stalls: StallDetector) -> None:
        """Count the requests that a stall of this process affected in an interval."""
        if not self.assessments:
            return
        intended, starts, ends, _, delays, *_ = np.frombuffer(self._numbers).reshape(-1, _COLUMNS).T
        stalls.check(float((ends + delays).max()))  # when the last answer was read
        affected = np.flatnonzero(intended <= stalls.affected_until)
        if not affected.size:
            return
        intended, starts, ends = intended[affected], starts[affected], ends[affected]
        within, in_service = stalls.overlaps(intended, ends), stalls.overlaps(starts, ends)
        results = [self.assessments[row].outcome.result for row in affected.tolist()]
        is_ok = np.array([result is Result.OK for result in results]) & (within > 0.0)
        is_excused = np.array([result in EXCUSABLE for result in results]) & (within > EXCUSING_OVERLAP)
        phases = [self.phases[row] for row in affected.tolist()] if self.phases else [None] * len(results)
        # The times are differences of floats, so that zero may come out as a little less.
        times = {
            "response_time": ends - intended,
            "response_time_without": np.maximum(ends - intended - within, 0.0),
            "service_time": ends - starts,
            "service_time_without": np.maximum(ends - starts - in_service, 0.0),
        }
        lags = np.maximum(starts - intended, 0.0)
        for phase in dict.fromkeys(phases):
            of_phase = np.array([each == phase for each in phases])
            ok, excused = is_ok & of_phase, int((is_excused & of_phase).sum())
            touched = (within > 0.0) & of_phase
            for part in interval.stalled_parts(phase) if touched.any() else ():
                part.record_all({name: durations[ok] for name, durations in times.items()})
                part.schedule_lag.record_all(lags[touched])
                part.excused += excused

    def _groups(self) -> Iterator[tuple[Outcome, str | None, str | None, slice | NDArray[np.intp]]]:
        """The indices of the requests with the same outcome, payload and phase. Mostly all requests have the same."""
        assessments, requests = self.assessments, self._requests
        phases = self.phases or [None] * len(assessments)
        if _all_same(assessments) and _all_same(requests) and _all_same(phases):
            yield assessments[0].outcome, _payload_name(requests[0]), phases[0], slice(None)
            return
        groups: dict[tuple[int, str | None, str | None], tuple[Outcome, list[int]]] = {}
        for row, (each, request, phase) in enumerate(zip(assessments, requests, phases, strict=True)):
            # Grouping by identity is faster. Equal outcomes in two groups still add up.
            key = id(each.outcome), _payload_name(request), phase
            groups.setdefault(key, (each.outcome, []))[1].append(row)
        for (_, payload, phase), (outcome, rows) in groups.items():
            yield outcome, payload, phase, np.array(rows)


def _all_same(column: list[Any]) -> bool:
    return column.count(column[0]) == len(column)


def _payload_name(request: EncodedRequest | None) -> str | None:
    return request.payload_name if request is not None else None
