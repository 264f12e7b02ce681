"""Searches for the saturation rate: title and table of probes."""

from __future__ import annotations

from chainproof.durations import format_duration
from chainproof.results.search_record import SearchRecord
from chainproof.workload.search_settings import SATURATION

from .quantities import count, time
from .safe_text import escape_unprintable, truncate

PROBE_COLUMNS = ("rate", "purpose", "objectives", "judged for", "planned", "ok", "ok p50", "ok p95", "ok p99")
"""The columns of `probes`; purpose and objectives are text, the others numbers."""

MAX_PROBES = 60
"""A search makes no more probes."""


def search_title(search: SearchRecord) -> str:
    """What was searched for."""
    workload = "" if search.workload == SATURATION else f", workload {escape_unprintable(search.workload)}"
    return f"Search for the saturation rate{workload}"


def probes(search: SearchRecord) -> list[tuple[str, ...]]:
    """The probes of a search by rate, one row of `PROBE_COLUMNS` each."""
    return [
        (
            f"{probe.rate:.4g}/s",
            truncate(escape_unprintable(probe.purpose), 12),
            truncate(escape_unprintable(probe.verdict), 12),
            format_duration(probe.seconds),
            count(probe.planned),
            count(probe.ok),
            *(time(probe.response_time.get(name)) for name in ("p50", "p95", "p99")),
        )
        for probe in sorted(search.probes[:MAX_PROBES], key=lambda probe: probe.rate)
    ]
