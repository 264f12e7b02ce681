"""Load runs of 30 s with known response times, for tests of comparisons and history."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from chainproof.hardware import Hardware
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.intervals.interval import Interval
from chainproof.results.manifest import Ending, Manifest, RunEnd, RunKind, Series
from chainproof.results.run_writer import RunWriter

_OK = Outcome(Transport.ANSWERED, 200, None, Result.OK)
_NOT_READY = Outcome(Transport.ANSWERED, 503, "model_not_ready", Result.FAILED)
SECONDS, RATE = 30, 40
MACHINE = Hardware(cpu="AMD EPYC", cores=2, memory_mib=8192)
OPEN: Mapping[str, object] = {"model": "open", "arrivals": "constant", "rate_per_s": float(RATE)}
CLOSED: Mapping[str, object] = {"model": "closed", "users": 8, "think_time_s": 0.0}


def write_run(
    path: Path,
    seed: int,
    *,
    factor: float = 1.0,
    noise: float = 0.01,
    waves: float = 0.0,
    errors: float = 0.0,
    settings: Mapping[str, object] = OPEN,
    series: Series | None = None,
    end: Ending = Ending.COMPLETED,
    **changes: object,
) -> Path:
    """Write a run whose ok answers take *factor* times 200 ms in the median, with *noise* from run to run, in *waves* of 15 s."""
    source = np.random.default_rng(seed)
    median = 0.2 * factor * math.exp(noise * source.standard_normal())
    facts: dict[str, object] = {
        "name": "steady",
        "target": "https://chain-abc123.api.baseten.co/production/run_remote",
        "started": f"2026-11-{1 + seed // 1440 % 28:02d}T{seed // 60 % 24:02d}:{seed % 60:02d}:00.000Z",
        "objectives": ("p95 response_time < 2s",),
        "versions": {"chainproof": "0.1.0"},
        "hardware": MACHINE,
        "settings": {**settings, "duration_s": float(SECONDS), "deadline_s": 5.0},
    }
    manifest = Manifest(kind=RunKind.LOAD, series=series, **(facts | changes))  # type: ignore[arg-type]  # by name
    total, failed = RATE * SECONDS, 0
    with RunWriter(path, manifest) as writer:
        for second in range(SECONDS):
            interval = Interval(second=second)
            bad = int(source.binomial(RATE, errors))
            level = median * math.exp(waves * math.sin(math.tau * second / 15 + seed))
            times = level * np.exp(0.15 * source.standard_normal(RATE - bad))
            interval.count_planned(times=RATE)
            interval.count_all_sent([0.0001] * RATE)
            interval.count_outcomes(_OK, times, times)
            interval.count_outcomes(_NOT_READY, [0.01] * bad, [0.01] * bad)
            interval.in_flight_ns, interval.in_flight_max = int(times.sum() * 1e9), RATE
            writer.write_interval(interval)
            failed += bad
        counts = {"planned": total, "not_sent": 0, "sent": total, "ok": total - failed, "failed": failed}
        ending = RunEnd(ending=end, seconds=float(SECONDS), accounting={**counts, "timed_out": 0, "censored": 0})
        writer.finish(ending)
    return path


def write_side(root: Path, name: str, first_seed: int, count: int = 4, **changes: object) -> list[Path]:
    """Write some runs of one version."""
    return [
        write_run(root / f"{name}-{place}", first_seed + place, **changes)  # type: ignore[arg-type]  # by name
        for place in range(count)
    ]
