"""Show the progress of a run on stderr."""

from __future__ import annotations

import sys
from contextlib import suppress

from chainproof.clock import Seconds
from chainproof.durations import format_duration

from .base_run import BaseRun

UPDATE_INTERVAL: Seconds = 2.0
_WIDTH = 110


def show_progress(run: BaseRun, *, overwrite: bool) -> None:
    """Write a line every two seconds until the run ends; with *overwrite*, over the previous one."""
    last_sent, last_time = 0, 0.0
    while not run.wait(UPDATE_INTERVAL):
        now, sent = run.now(), run.accounting.sent
        rate = (sent - last_sent) / max(now - last_time, 1e-9)
        last_sent, last_time = sent, now
        line = progress_line(run, now, rate)
        _show(f"{line:<{_WIDTH}}\r" if overwrite else f"{line}\n")
    if overwrite:
        _show(f"{'':<{_WIDTH}}\r")


def _show(text: str) -> None:
    with suppress(OSError):  # stderr may be closed; the run goes on
        sys.stderr.write(text)
        sys.stderr.flush()


def progress_line(run: BaseRun, now: Seconds, rate: float) -> str:
    """Elapsed and total time, the totals, requests in flight and requests sent per second."""
    totals = run.accounting
    duration = run.demand.workload.duration
    stage = f"{min(now, duration):.0f} s of {format_duration(duration)}" if now < duration else "draining"
    parts = (
        stage,
        f"sent {totals.sent}",
        f"ok {totals.ok}",
        f"failed {totals.failed}",
        f"timed out {totals.timed_out}",
        *([f"not sent {totals.not_sent}"] if totals.not_sent else []),
        f"in flight {run.in_flight}",
        f"{rate:.0f}/s",
    )
    return " · ".join(parts)
