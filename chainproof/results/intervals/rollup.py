"""
Roll up the older seconds of a long run, so that its run folder stays small.

The ordinary seconds of a minute become one interval: their histograms are merged, and the counts of each second are kept. A
second is written in full if it is unusual: with more errors or slower answers than the seconds before it, with a stall of
the load generator, or where another phase begins. So every count and every histogram over the run is exact.

"Unusual" is measured by a running mean and standard deviation of the last minutes. By Cantelli's inequality at most
1 / (1 + k²) of any values are more than k standard deviations above their mean, so unusual seconds stay few whatever the
target does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from chainproof.results.exchange import NotSent, Outcome, Result
from chainproof.results.intervals.interval import Interval, IntervalData
from chainproof.results.intervals.second_columns import HEALTH_NAMES, TIME_NAMES, SecondsData
from chainproof.results.intervals.stalls import Stall
from chainproof.statistics.time_batches import LONG_RUN_STEP

_Key = TypeVar("_Key")

WAITING = 20
"""Seconds that wait for the reports of further workers before they are rolled up."""
_FIRST = 60
"""The first seconds of a run are always unusual: a cold start, and nothing to compare with."""
_DEVIATIONS = 4.0
"""A second is unusual if it is this many standard deviations above the mean."""
_MEMORY = 600
"""Seconds over which the running mean and deviation are taken."""
_RELEVANT = math.log(1.1)
"""Times that are less than a tenth slower are not unusual."""


@dataclass(slots=True)
class _Level:
    """The running mean and variance of a value of each second."""

    relevant: float = 0.0
    _seen: int = 0
    _mean: float = 0.0
    _variance: float = 0.0

    def is_exceeded(self, value: float) -> bool:
        """Whether a value is unusually high. It counts towards the level afterwards."""
        self._seen += 1
        difference = value - self._mean
        exceeded = self._seen > _FIRST and difference > max(_DEVIATIONS * math.sqrt(self._variance), self.relevant)
        share = max(1.0 / self._seen, 1.0 / _MEMORY)
        self._mean += share * difference
        self._variance = (1.0 - share) * (self._variance + share * difference * difference)
        return exceeded


@dataclass(slots=True)
class _Second:
    """A second whose workers are still reporting."""

    interval: Interval
    """That of the only worker, or all merged."""
    lines: list[IntervalData]
    workers: list[str]

    def add(self, interval: Interval, line: IntervalData) -> None:
        """Add the interval of another worker."""
        if len(self.lines) == 1:
            first, self.interval = self.interval, Interval(second=interval.second, worker=interval.worker)
            self.interval.merge(first)
        self.interval.merge(interval)
        self.lines.append(line)
        self.workers.append(interval.worker)


class Rollup:
    """Rolls up the intervals of a run as they are written. Every interval is in exactly one of the lines that it returns."""

    def __init__(self) -> None:
        self._waiting: dict[int, _Second] = {}
        self._ended = -1
        """Up to this second, further intervals are late."""
        self._block: _Block | None = None
        self._phase: frozenset[str] = frozenset()
        self._stalls: list[Stall] = []
        """Those of the seconds that wait. A stall is known when the generator has recovered from it."""
        self._errors = _Level()
        self._medians = _Level(_RELEVANT)
        self._maxima = _Level(_RELEVANT)

    def add(self, interval: Interval, line: IntervalData) -> Iterator[IntervalData]:
        """Take the next interval and its JSON; returns the lines that are complete."""
        if interval.second <= self._ended:
            yield line
            return
        if interval.generator_health is not None:
            self._stalls += interval.generator_health.stalls
        second = self._waiting.get(interval.second)
        if second is None:
            self._waiting[interval.second] = _Second(interval, [line], [interval.worker])
        else:
            second.add(interval, line)
        for number in sorted(each for each in self._waiting if each < interval.second - WAITING):
            yield from self._end_second(self._waiting.pop(number))

    def flush(self) -> Iterator[IntervalData]:
        """The lines of everything that is left. Seconds that may not be complete are written in full."""
        yield from self._end_block()
        for second in self._waiting.values():
            yield from second.lines
            self._ended = max(self._ended, second.interval.second)
        self._waiting.clear()

    def _end_second(self, second: _Second) -> Iterator[IntervalData]:
        """The lines that are complete when a second is."""
        interval = second.interval
        self._ended = interval.second
        if self._is_unusual(interval):
            yield from second.lines
            return
        phase = next(iter(interval.phases), None)
        if self._block is not None and not self._block.takes(interval, phase):
            yield from self._end_block()
        if self._block is None:
            self._block = _Block(interval.second, phase)
        self._block.add(interval, second.workers)

    def _end_block(self) -> Iterator[IntervalData]:
        if self._block is not None:
            yield self._block.line()
            self._block = None

    def _is_unusual(self, interval: Interval) -> bool:
        """Whether a second is to be written in full."""
        phases, health = frozenset(interval.phases), interval.generator_health
        changed, self._phase = phases != self._phase, phases
        self._stalls = [stall for stall in self._stalls if interval.second <= stall.recovered]
        has_stall = interval.stalled is not None or (health is not None and bool(health.stalls))
        ok = interval.response_time[Result.OK]
        errors = interval.outcomes.total() - interval.count(Result.OK) + interval.not_sent.total()
        reasons = [  # a list, since every level counts every second
            interval.second < _FIRST,
            changed or not _is_in_one_phase(interval),
            has_stall or any(stall.start < interval.second + 1 for stall in self._stalls),
            self._errors.is_exceeded(errors),
            ok.count > 0 and self._medians.is_exceeded(math.log(max(ok.quantile(0.5) or 0.0, 1e-9))),
            ok.count > 0 and self._maxima.is_exceeded(math.log(max(ok.max_value, 1e-9))),
        ]
        return any(reasons)


def _is_in_one_phase(interval: Interval) -> bool:
    """Whether no requests, or all of them, belong to phases, and to no more than one."""
    return not interval.phases or (
        len(interval.phases) == 1
        and all(
            (part.planned, part.sent, part.not_sent, part.outcomes)
            == (interval.planned, interval.sent, interval.not_sent, interval.outcomes)
            for part in interval.phases.values()
        )
    )


class _Block:
    """Some ordinary seconds of one minute."""

    def __init__(self, first: int, phase: str | None) -> None:
        self._phase = phase
        self._minute = first // LONG_RUN_STEP
        self._merged = Interval(second=first)
        self._workers: set[str] = set()
        self._outcomes: dict[Outcome, list[int]] = {}
        self._not_sent: dict[NotSent, list[int]] = {}
        self._health: dict[str, list[int]] = {name: [] for name in HEALTH_NAMES}
        self._seconds: SecondsData = {
            "numbers": [],
            "planned": [],
            "sent": [],
            "in_flight_max": [],
            "in_flight": [],
            "not_sent": {},
            "outcomes": [],
            "ok_response_time_s": {name: [] for name in TIME_NAMES},
        }

    def takes(self, interval: Interval, phase: str | None) -> bool:
        """Whether a second belongs to this block."""
        return phase == self._phase and interval.second // LONG_RUN_STEP == self._minute

    def add(self, interval: Interval, workers: Iterable[str]) -> None:
        """Add a second."""
        seconds, place = self._seconds, len(self._seconds["numbers"])
        self._merged.merge(interval)
        self._workers.update(workers)
        seconds["numbers"].append(interval.second)
        seconds["planned"].append(interval.planned)
        seconds["sent"].append(interval.sent)
        seconds["in_flight_max"].append(interval.in_flight_max)
        seconds["in_flight"].append(interval.in_flight)
        ok = interval.response_time[Result.OK]
        for name, fraction in TIME_NAMES.items():
            seconds["ok_response_time_s"][name].append(ok.quantile(fraction) or 0.0)
        _append_counts(self._outcomes, interval.outcomes, place)
        _append_counts(self._not_sent, interval.not_sent, place)
        for name, column in self._health.items():
            column.append(0 if interval.generator_health is None else getattr(interval.generator_health, name))

    def line(self) -> IntervalData:
        """The rolled-up interval."""
        merged, seconds = self._merged, self._seconds
        merged.worker = min(self._workers)
        seconds["outcomes"] = [self._outcomes[outcome] for outcome in merged.outcomes]
        seconds["not_sent"] = {why.value: column for why, column in self._not_sent.items()}
        if merged.generator_health is not None:
            seconds["generator_health"] = self._health
        if self._phase is not None:
            seconds["phase"] = self._phase
        if len(self._workers) > 1:
            seconds["workers"] = sorted(self._workers)
        merged.seconds = seconds
        return merged.to_json()


def _append_counts(columns: dict[_Key, list[int]], counts: Mapping[_Key, int], place: int) -> None:
    """Append the counts of one more second; what it does not have is 0, as in the *place* seconds before."""
    for key in counts:
        columns.setdefault(key, [0] * place)
    for key, column in columns.items():
        column.append(counts.get(key, 0))
