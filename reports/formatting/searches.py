"""Searches for the saturation rate: title and table of probes."""

from __future__ import annotations

from chainproof.clock import format_duration
from chainproof.judgement.capacity import TARGET_UTILISATION, Capacity, capacity
from chainproof.results.search_record import SearchRecord
from chainproof.statistics.confidence_intervals import Estimate
from chainproof.stored_text import shortened
from chainproof.workload.search_settings import SATURATION

from .quantities import count, rate, time
from .runs import label
from .safe_text import escape_unprintable

PROBE_COLUMNS = (
    "rate",
    "purpose",
    "objectives",
    "judged for",
    "planned",
    "ok",
    "ok p50",
    "ok p95",
    "ok p99",
    "in flight",
)
"""The columns of `probes`; purpose and objectives are text, the others numbers."""

MAX_PROBES = 60
"""A search makes no more probes."""


def search_title(search: SearchRecord) -> str:
    """What was searched for."""
    workload = "" if search.workload == SATURATION else f", workload {escape_unprintable(search.workload)}"
    return f"Search for the saturation rate{workload}{label(search.label)}"


def probes(search: SearchRecord) -> list[tuple[str, ...]]:
    """The probes of a search by rate, one row of `PROBE_COLUMNS` each."""
    return [
        (
            f"{probe.rate:.4g}/s",
            shortened(escape_unprintable(probe.purpose), 12),
            shortened(escape_unprintable(probe.verdict), 12),
            format_duration(probe.seconds),
            count(probe.planned),
            count(probe.ok),
            *(time(probe.response_time.get(name)) for name in ("p50", "p95", "p99")),
            f"{probe.in_flight:,.3g}{', growing' * probe.growing}",
        )
        for probe in sorted(search.probes[:MAX_PROBES], key=lambda probe: probe.rate)
    ]


def missing_line(search: SearchRecord) -> str:
    """A caveat about run folders that are gone; empty if there are none."""
    missing = len(search.missing_folders)
    if not missing:
        return ""
    return f"Caveat: {count(missing)} of {count(len(search.probes))} run folders are missing, so their figures cannot be checked."


def capacity_lines(search: SearchRecord) -> list[str]:
    """What the search implies for autoscaling, or why it implies nothing."""
    implied = capacity(search)
    if isinstance(implied, str):
        return [implied]
    law = (
        f"Estimate from {implied.levels} rates by the universal scalability law, not a measurement: contention σ "
        f"{_estimate(implied.sigma)}, coherency κ {_estimate(implied.kappa)}, throughput at most "
        f"{_estimate(implied.highest_throughput)} per second (95 % intervals, bootstrap of the probes)."
    )
    target = (
        f"concurrency_target: {_estimate(implied.concurrency)} requests in flight at {rate(implied.rate)} (Little's law), "
        "divided by the number of replicas that served the search."
    )
    return [law, target, _replicas_line(implied)]


def _replicas_line(implied: Capacity) -> str:
    """How many replicas a peak needs."""
    peaks = (implied.rate, 10 * implied.rate)
    examples = ", ".join(f"{rate(peak)} needs {count(implied.replicas(peak))}" for peak in peaks)
    return (
        f"Replicas for a peak of R requests per second: R ÷ {rate(implied.rate_at_target_utilisation)}, rounded up, times that "
        f"number (target utilisation {TARGET_UTILISATION:g}): {examples}."
    )


def _estimate(estimate: Estimate) -> str:
    """A value with its interval."""
    low, high = ("unknown" if end is None else f"{end:.3g}" for end in (estimate.low, estimate.high))
    return f"{estimate.value:.3g} ({low} to {high})"
