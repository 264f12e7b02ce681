"""
What a rolled-up interval says of each of its seconds: its counts and a few times, one list for each.

The counts of each second are exact. Histograms are not kept by second: they are those of the whole interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NotRequired, TypedDict

from chainproof.clock import Seconds

TIME_NAMES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
"""The quantiles of the response time of ok answers that are kept for each second."""
HEALTH_NAMES = ("samples", "in_flight_sum", "in_flight_squares")
"""The measurements of the generator that are kept for each second."""

SecondTimes = tuple[Seconds, ...]
"""The quantiles of one second, in the order of `TIME_NAMES`; 0 if no answer was ok."""


class SecondsData(TypedDict):
    """The seconds of a rolled-up interval: lists with one value for each of `numbers`."""

    numbers: list[int]
    """The seconds since the run began, ascending. Missing ones are lines of their own, or had no requests."""
    planned: list[int]
    sent: list[int]
    in_flight_max: list[int]
    in_flight: list[int]
    not_sent: dict[str, list[int]]
    outcomes: list[list[int]]
    """For each outcome of the interval, in the same order."""
    ok_response_time_s: dict[str, list[float]]
    """p50, p95, p99 and max of the response times of ok answers; 0 in a second without any."""
    generator_health: NotRequired[dict[str, list[int]]]
    """samples, in_flight_sum and in_flight_squares; only if the generator was monitored."""
    phase: NotRequired[str]
    """The phase of all requests; only if the workload has phases."""
    workers: NotRequired[list[str]]
    """The workers of which the interval is the sum; only if there are several."""


def inconsistency(data: SecondsData, totals: Mapping[str, int], outcomes: Sequence[int]) -> str | None:
    """
    Where the seconds of an interval contradict each other or its totals; None if they do not.

    *totals* are the requests planned, sent and not sent by name, and *outcomes* the counts of its outcomes.
    """
    numbers = data["numbers"]
    columns: dict[str, Sequence[float]] = {
        name: data[name] for name in ("planned", "sent", "in_flight_max", "in_flight")
    }
    columns |= {f"not_sent/{name}": column for name, column in data["not_sent"].items()}
    columns |= {f"outcomes/{place}": column for place, column in enumerate(data["outcomes"])}
    columns |= {f"ok_response_time_s/{name}": data["ok_response_time_s"].get(name, ()) for name in TIME_NAMES}
    if "generator_health" in data:
        columns |= {f"generator_health/{name}": data["generator_health"].get(name, ()) for name in HEALTH_NAMES}
    if not numbers or any(after <= before for before, after in pairwise(numbers)):
        return "/seconds/numbers: expected ascending seconds"
    for name, column in columns.items():
        if len(column) != len(numbers):
            return f"/seconds/{name}: expected {len(numbers)} values, found {len(column)}"
    sums = {"planned": sum(data["planned"]), "sent": sum(data["sent"])}
    sums |= {why: sum(column) for why, column in data["not_sent"].items()}
    if sums != dict(totals) or [sum(column) for column in data["outcomes"]] != list(outcomes):
        return "/seconds: expected the sums of the interval"
    return None
