"""The kinds of time that every report of a load run shows, and their names. Light, for the processes that generate load."""

from __future__ import annotations

from typing import NamedTuple

RESPONSE_TIME = "response_time_s"
"""The name of the headline: the response time of ok answers."""
SERVICE_TIME = "service_time_s"
"""The part of it without the delay of the load generator."""


class TimingName(NamedTuple):
    """How reports name a kind of time."""

    title: str
    of: str
    """Which requests it is of."""
    meaning: str


TIMING_NAMES: dict[str, TimingName] = {
    RESPONSE_TIME: TimingName("response time", "ok answers", "ok answers, from the intended start"),
    SERVICE_TIME: TimingName("service time", "ok answers", "ok answers, from the actual start"),
    "planned_response_time_s": TimingName(
        "all planned", "response time", "response time of all planned requests; what is not ok was never answered"
    ),
    "rejected_response_time_s": TimingName("rejected", "response time", "response time of answers that are not ok"),
    "schedule_lag_s": TimingName("schedule lag", "requests sent", "delay of the load generator, of every request sent"),
}
"""Every kind of time, in the order of every report."""
