"""
Workloads: the demand of a load test, read from a TOML file or a table.

All errors in a file are reported at once.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice
from typing import cast

from chainproof.clock import PerSecond, Seconds
from chainproof.errors import UsageError
from chainproof.workload.arrivals import ARRIVAL_PROCESSES, DEFAULT_VARIATION, take_until
from chainproof.workload.objectives import Objective
from chainproof.workload.payloads import DEFAULT_PAYLOADS, Payload
from chainproof.workload.phases import Phase, phase_at, phase_ends, rescale_events
from chainproof.workload.replay import (
    mean_rate,
    recording_duration,
)
from chainproof.workload.search_settings import SearchSettings

REPLAY = "replay"
"""The value of `arrivals` for a recording."""
MIN_VARIATION = 0.05
"""The smallest coefficient of variation of gaps; use `constant` for more even arrivals."""
MAX_VARIATION = 20.0
"""The largest; with more, almost all arrivals would fall together."""
MAX_USERS = 100_000
"""Each user has a greenlet and a connection of its own."""


class WorkloadModel(StrEnum):
    """The workload model: what starts a request."""

    OPEN = "open"
    """A schedule, independent of answers."""
    CLOSED = "closed"
    """A user, after the previous answer and a think time."""


class ThinkTimeDistribution(StrEnum):
    """How the pauses of users are distributed."""

    CONSTANT = "constant"
    """Every pause is the think time."""
    EXPONENTIAL = "exponential"
    """The think time is the mean, so that users do not move in step."""


class WorkloadError(UsageError):
    """An invalid workload. The message lists every error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The demand of a run: schedule, payloads and duration."""

    name: str
    description: str = ""
    model: WorkloadModel = WorkloadModel.OPEN
    rate: PerSecond = 10.0
    """Open model: planned requests per second."""
    arrivals: str = "poisson"
    """Open model: a name of `arrivals.ARRIVAL_PROCESSES`, or `REPLAY`."""
    variation: float = DEFAULT_VARIATION
    """Open model, arrivals `WITH_VARIATION`: the coefficient of variation of the gaps."""
    users: int = 10
    """Closed model: the number of users."""
    think_time: Seconds = 0.0
    """Closed model: the pause of a user between an answer and the next request."""
    think_time_distribution: ThinkTimeDistribution = ThinkTimeDistribution.CONSTANT
    duration: Seconds = 10.0
    """How long requests are started. The drain follows."""
    deadline: Seconds = 30.0
    """The time from sending a request after which it has timed out."""
    drain: Seconds | None = None
    """How long to wait for in-flight requests at the end; None waits for their deadline."""
    max_requests: int | None = None
    """The run ends after this number of requests; None for no limit."""
    max_in_flight: int = 1000
    """Open model: the limit of in-flight requests. Planned requests beyond it are not sent, and counted."""
    objectives: tuple[Objective, ...] = ()
    payloads: tuple[Payload, ...] = DEFAULT_PAYLOADS
    phases: tuple[Phase, ...] = ()
    """Open model: phases with changing rates. `rate` is then the highest rate, `duration` the sum."""
    recorded_starts: tuple[Seconds, ...] = ()
    """Open model: the intended starts of a recording, from 0. `rate` is then the mean rate."""
    search: SearchSettings | None = None
    """Settings of the search for the highest rate that meets the objectives; None for a single run."""

    @property
    def payload_names(self) -> tuple[str, ...]:
        """The distinct names of the payloads."""
        return tuple(dict.fromkeys(payload.name for payload in self.payloads))

    @property
    def expected_requests(self) -> float:
        """Open model: the expected number of requests."""
        planned = float(len(self.recorded_starts)) if self.recorded_starts else self._expected
        return planned if self.max_requests is None else min(planned, float(self.max_requests))

    @property
    def _expected(self) -> float:
        return sum(phase.expected_requests for phase in self.phases) if self.phases else self.rate * self.duration

    def pause(self, generator: random.Random) -> Seconds:
        """Closed model: the next pause of a user."""
        if self.think_time_distribution is ThinkTimeDistribution.CONSTANT or not self.think_time:
            return self.think_time
        return generator.expovariate(1.0 / self.think_time)

    def phase_at(self, instant: Seconds) -> str | None:
        """The name of the phase of an intended start; None without phases and after the last."""
        phase = phase_at(instant, self.phases, phase_ends(self.phases)) if self.phases else None
        return phase.name if phase is not None else None

    def starts(self, seed: int) -> Iterator[Seconds]:
        """Open model: every intended start. The same seed gives the same starts."""
        return islice(self._starts(seed), self.max_requests)

    def _starts(self, seed: int) -> Iterator[Seconds]:
        if self.recorded_starts:
            return take_until(self.duration, self.recorded_starts)
        process = ARRIVAL_PROCESSES[self.arrivals]
        if self.phases:
            return rescale_events(process(1.0, seed, self.variation), self.phases)
        return take_until(self.duration, process(self.rate, seed, self.variation))

    def errors(self) -> list[str]:
        """A message for every invalid setting."""
        return [*self._setting_errors(), *self._phase_errors(), *self._search_errors()]

    def _setting_errors(self) -> list[str]:
        """Errors outside phases and search."""
        rate = "the highest rate of the phases" if self.phases else "rate"
        checks = (
            (
                self.rate > 0
                or any(min(phase.rate, phase.final_rate) < 0 for phase in self.phases),  # which has its own message
                f"{rate}: expected more than 0 requests per second, found {self.rate:g}",
            ),
            (self.rate <= 100_000, f"{rate}: expected at most 100000 requests per second, found {self.rate:g}"),
            (self.users > 0, f"users: expected at least 1, found {self.users}"),
            (self.users <= MAX_USERS, f"users: expected at most {MAX_USERS} for each run, found {self.users}"),
            (self.think_time >= 0, f"think_time: expected at least 0 s, found {self.think_time:g} s"),
            (self.duration > 0, f"duration: expected more than 0 s, found {self.duration:g} s"),
            (self.deadline > 0, f"deadline: expected more than 0 s, found {self.deadline:g} s"),
            (
                self.drain is None or self.drain >= 0,
                f"drain: expected at least 0 s, found {self.drain if self.drain is not None else 0:g} s",
            ),
            (
                self.max_requests is None or self.max_requests > 0,
                f"max_requests: expected at least 1, found {self.max_requests}",
            ),
            (self.max_in_flight > 0, f"max_in_flight: expected at least 1, found {self.max_in_flight}"),
            (
                self.arrivals in ARRIVAL_PROCESSES or (self.arrivals == REPLAY and bool(self.recorded_starts)),
                f"arrivals: expected one of {', '.join(ARRIVAL_PROCESSES)}, found {self.arrivals!r}",
            ),
            (
                MIN_VARIATION <= self.variation <= MAX_VARIATION,
                f"variation: expected from {MIN_VARIATION:g} to {MAX_VARIATION:g}, found {self.variation:g}",
            ),
            (
                not self.recorded_starts or self.model is WorkloadModel.OPEN,
                "replay: expected the open model, found closed",
            ),
            (
                not self.recorded_starts or self.arrivals == REPLAY,
                f"arrivals: expected no arrivals together with replay, found {self.arrivals!r}",
            ),
            (bool(self.payloads), "payloads: expected at least one, found none"),
            (
                all(payload.weight > 0 for payload in self.payloads),
                "payloads: expected all weights to be more than 0",
            ),
        )
        return [message for is_valid, message in checks if not is_valid]

    def _search_errors(self) -> list[str]:
        """Errors in the search settings."""
        if self.search is None:
            return []
        one_rate = self.model is WorkloadModel.OPEN and not self.recorded_starts
        checks = (
            (bool(self.objectives), "search: expected at least one objective, found none"),
            (one_rate, "search: expected an open workload with a constant rate"),
        )
        return [message for is_valid, message in checks if not is_valid]

    def _phase_errors(self) -> list[str]:
        """Errors in the phases."""
        names = [phase.name for phase in self.phases]
        checks = [
            (
                not self.phases or self.model is WorkloadModel.OPEN,
                "phases: expected the open model, found closed",
            ),
            (len(set(names)) == len(names), f"phases: expected unique names, found {', '.join(names)}"),
        ]
        for phase in self.phases:
            valid_rates = phase.rate >= 0 and phase.final_rate >= 0
            min_rate = min(phase.rate, phase.final_rate)
            checks += [
                (phase.duration > 0, f"phase {phase.name}: expected a duration of more than 0 s"),
                (
                    valid_rates,
                    f"phase {phase.name}: expected a rate of at least 0 requests per second, found {min_rate:g}",
                ),
                (
                    0 <= phase.amplitude <= min_rate or not valid_rates,
                    f"phase {phase.name}: expected an amplitude from 0 to its lowest rate, {min_rate:g}, found {phase.amplitude:g}",
                ),
                (phase.period > 0, f"phase {phase.name}: expected a period of more than 0 s"),
            ]
        return [message for is_valid, message in checks if not is_valid]

    def validated(self) -> Workload:
        """The workload itself. Raises WorkloadError if it is invalid."""
        errors = self.errors()
        if errors:
            raise WorkloadError("; ".join(errors))
        return self

    def with_options(self, **options: object) -> Workload:
        """
        The workload with those options replaced that are not None. Raises WorkloadError.

        Phases are scaled: `rate` is their highest rate, `duration` that of all phases. A recording is played faster or
        slower to have the mean rate `rate`, and cut to `duration`.
        """
        given = {name: value for name, value in options.items() if value is not None}
        changed = replace(self, **given)  # type: ignore[arg-type]  # argparse has converted each of them
        changed.validated()
        if self.recorded_starts:
            return changed._replayed(self.rate, is_cut="duration" in given)  # noqa: SLF001  # same class
        scale = {"rate": changed.rate / self.rate, "duration": changed.duration / self.duration}
        phases = tuple(phase.scaled(**scale) for phase in self.phases)
        return replace(changed, phases=phases)

    def _replayed(self, rate: PerSecond, *, is_cut: bool) -> Workload:
        """The workload with a recording of mean rate *rate* played at its own rate, and cut to its duration if *is_cut*."""
        factor = rate / self.rate
        duration = self.duration if is_cut else self.duration * factor
        scaled = (instant * factor for instant in self.recorded_starts) if factor != 1.0 else self.recorded_starts
        starts = tuple(take_until(duration, scaled))
        return replace(self, recorded_starts=starts, duration=duration, rate=len(starts) / duration)

    def with_recording(self, instants: tuple[Seconds, ...]) -> Workload:
        """The workload with recorded arrivals instead of its rate and phases. Raises WorkloadError."""
        return replace(self, **recording_values(instants, {})).validated()  # type: ignore[arg-type]  # the values have the types of their fields

    def with_warm_up(self, duration: Seconds) -> Workload:
        """The workload after a warm-up of *duration* at its own rate, which is not judged. Raises WorkloadError."""
        if self.phases or self.recorded_starts or self.model is WorkloadModel.CLOSED:
            other = "a closed one" if self.model is WorkloadModel.CLOSED else "phases" if self.phases else "a recording"
            raise WorkloadError(f"warm-up: expected an open workload with a constant rate, found {other}")
        warm_up = Phase(name="warm-up", duration=duration, rate=self.rate, final_rate=self.rate, judged=False)
        steady = Phase(name="steady", duration=self.duration, rate=self.rate, final_rate=self.rate)
        return replace(self, phases=(warm_up, steady), duration=duration + self.duration).validated()


def recording_values(instants: tuple[Seconds, ...], values: dict[str, object]) -> dict[str, object]:
    """The *values* of a workload that plays these instants up to its duration."""
    duration = cast(Seconds, values.get("duration", recording_duration(instants)))
    starts = tuple(take_until(duration, instants))
    rate = len(starts) / duration if duration > 0 else mean_rate(instants)
    return {**values, "recorded_starts": starts, "rate": rate, "duration": duration, "arrivals": REPLAY, "phases": ()}
