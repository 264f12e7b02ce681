"""Columns of settled requests, which are counted in an interval many at a time."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from chainproof.results.exchange import Outcome, Transport
from chainproof.results.interval import Interval

from .assessment import Assessment
from .in_flight_request import InFlightRequest

_COLUMNS = 7


class SettledRequests:
    """Settled requests that are not counted yet. Answers and their bodies are not kept."""

    __slots__ = ("_assessments", "_numbers", "_payloads", "_phases")

    def __init__(self) -> None:
        self._numbers = array("d")
        """Rows of intended start, start, end, time to read the answer, read delay, bytes sent and received."""
        self._assessments: list[Assessment] = []
        self._payloads: list[str | None] = []
        self._phases: list[str | None] = []

    def __len__(self) -> int:
        return len(self._assessments)

    def add(self, request: InFlightRequest, assessment: Assessment, phase: str | None) -> None:
        """Add a request with its reply."""
        reply, encoded = request.reply, request.encoded_request
        assert reply is not None
        assert request.start is not None
        first_byte = reply.first_byte if reply.transport is Transport.ANSWERED else None
        self._numbers.extend(
            (
                request.intended_start,
                request.start,
                request.end,
                math.nan if first_byte is None else reply.end - first_byte,
                reply.read_at - reply.end,
                reply.sent,
                reply.received,
            )
        )
        self._assessments.append(assessment)
        self._payloads.append(encoded.payload_name if encoded is not None else None)
        self._phases.append(phase)

    def assessments(self) -> Iterable[tuple[Assessment, int]]:
        """The distinct assessments, with the number of requests of each."""
        return Counter(self._assessments).items()

    def count_in(self, interval: Interval) -> None:
        """Count the requests in an interval."""
        if not self._assessments:
            return
        intended, starts, ends, reading, delays, sent, received = np.frombuffer(self._numbers).reshape(-1, _COLUMNS).T
        response_times, service_times = ends - intended, ends - starts
        answered = ~np.isnan(reading)
        # The times are differences of floats, so that zero may come out as a little less.
        interval.network.record_answers(np.maximum(service_times - reading, 0.0)[answered], delays[answered].tolist())
        interval.network.sent_bytes += int(sent.sum())
        interval.network.received_bytes += int(received.sum())
        for outcome, payload, phase, rows in self._groups():
            interval.count_outcomes(outcome, response_times[rows], service_times[rows], payload=payload, phase=phase)

    def _groups(self) -> Iterator[tuple[Outcome, str | None, str | None, slice | NDArray[np.intp]]]:
        """The indices of the requests with the same outcome, payload and phase. Mostly all requests have the same."""
        assessments, payloads, phases = self._assessments, self._payloads, self._phases
        if all(column.count(column[0]) == len(self) for column in (assessments, payloads, phases)):  # type: ignore[arg-type]  # each its own
            yield assessments[0].outcome, payloads[0], phases[0], slice(None)
            return
        groups: dict[tuple[int, str | None, str | None], tuple[Outcome, list[int]]] = {}
        for row, (each, payload, phase) in enumerate(zip(assessments, payloads, phases, strict=True)):
            # Grouping by identity is faster. Equal outcomes in two groups still add up.
            groups.setdefault((id(each.outcome), payload, phase), (each.outcome, []))[1].append(row)
        for (_, payload, phase), (outcome, rows) in groups.items():
            yield outcome, payload, phase, np.array(rows)
