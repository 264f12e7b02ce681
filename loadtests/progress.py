"""
The progress of a load run on the terminal, read from its run folder.

The process that sends the requests only writes the run folder, so showing the progress does not delay it.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TextIO

import orjson

from chainproof.clock import Seconds, format_duration
from chainproof.judgement.latency import judged_requests, time_text
from chainproof.judgement.no_ok_answers import NEEDS_OK_ANSWERS
from chainproof.judgement.objectives import too_few_ok_text
from chainproof.results.exchange import Result
from chainproof.results.folder import INTERVALS, MANIFEST, interval_files
from chainproof.results.intervals.interval import Interval, total
from chainproof.results.intervals.request_stats import RequestStats
from chainproof.results.manifest import Manifest
from chainproof.signals import start_without_signals
from chainproof.workload.objectives import DURATIONS, TIMES, Indicator, Objective, parse_objective

RECENT = 10
"""The number of seconds whose rate and percentiles are shown."""
_REDRAW_INTERVAL: Seconds = 1.0
_PLAIN_INTERVAL: Seconds = 5.0
"""Time between two lines where the output is no terminal."""
_USUAL_WIDTH = 80
"""Columns of a terminal that does not say how wide it is: the system call fails, or returns 0."""


@dataclass(slots=True, kw_only=True)
class RunProgress:
    """What a run folder says about a run in progress."""

    manifest: Manifest
    totals: Interval = field(default_factory=lambda: Interval(second=-1))
    recent: deque[Interval] = field(default_factory=deque)
    """The intervals of the last `RECENT` seconds, of each worker."""

    def add(self, interval: Interval) -> None:
        """Count one more interval."""
        self.totals.merge(interval)
        self.recent.append(interval)
        while self.recent[0].second <= interval.second - RECENT:
            self.recent.popleft()

    @property
    def in_flight(self) -> int:
        """Requests in flight at the end of the last second."""
        return total(interval for interval in self.recent if interval.second == self.elapsed - 1).in_flight

    @property
    def elapsed(self) -> Seconds:
        """Seconds since the run began, as far as its record goes."""
        return float(max((interval.second for interval in self.recent), default=-1) + 1)


def progress_lines(progress: RunProgress) -> list[str]:
    """The progress in a few lines: time, rate and in flight; results; recent percentiles; objectives so far."""
    recent = total(progress.recent)
    seconds = len({interval.second for interval in progress.recent}) or 1
    times = recent.response_time[Result.OK]
    percentiles = ", ".join(f"p{q} {format_duration(times.quantile(q / 100) or 0.0)}" for q in (50, 95, 99))
    return [
        f"{_time_text(progress)} · {recent.sent / seconds:.3g}/s · {progress.in_flight} in flight · {_results(progress.totals)}",
        f"last {seconds} s: {percentiles if times.count else 'no ok answers'}",
        *(_objective_line(parse_objective(text), progress) for text in progress.manifest.objectives),
    ]


def log_line(progress: RunProgress) -> str:
    """The progress in one short line for a log: of the objectives, only those that are missed so far."""
    first, recent, *objectives = progress_lines(progress)
    missed = [text for text, mark, _ in (line.partition(": missed so far") for line in objectives) if mark]
    return " · ".join([first, recent, *([f"missed so far: {', '.join(missed)}"] if missed else [])])


def _time_text(progress: RunProgress) -> str:
    """How much of the run is over."""
    settings, elapsed = progress.manifest.known_settings, progress.elapsed
    if settings.duration is None:
        return f"{elapsed:.0f} s"
    left = settings.duration - elapsed
    whole = f"{min(elapsed, settings.duration):.0f} s of {format_duration(settings.duration)}"
    return f"{whole}, {format_duration(math.ceil(left))} left" if left > 0 else f"{whole}, waiting for answers"


def _results(totals: RequestStats) -> str:
    """The results so far, without those that did not occur."""
    counts = {result.value.replace("_", " "): totals.count(result) for result in Result}
    counts["not sent"] = sum(totals.not_sent.values())
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count or name == Result.OK.value)


def _objective_line(objective: Objective, progress: RunProgress) -> str:
    """An objective with its value so far."""
    judged = judged_requests(progress.manifest, progress.totals)
    if objective.indicator in NEEDS_OK_ANSWERS and not judged.count(Result.OK):
        return f"{objective.text}: no ok answer yet"
    value = value_so_far(objective, judged, progress.elapsed)
    if value is None:
        return f"{objective.text}: no value yet"
    verdict = "met" if objective.meets(value) else "missed"
    found = too_few_ok_text(objective) if math.isinf(value) else value_text(objective.indicator, value)
    return f"{objective.text}: {verdict} so far, {found}"


def value_text(indicator: Indicator, value: float) -> str:
    """The value of an objective in its own unit."""
    if indicator in DURATIONS:
        return time_text(value)
    return f"{value:.3g}/s" if indicator is Indicator.THROUGHPUT else f"{value * 100:.3g} %"


def value_so_far(objective: Objective, stats: RequestStats, elapsed: Seconds) -> float | None:
    """
    The value of an objective, from the requests whose result is known; None if there is none yet.

    As in the verdict, a request that was not answered ok counts as never answered. There is no interval: it takes more than
    a glance at a running test to decide.
    """
    ok = stats.count(Result.OK)
    known = sum(stats.outcomes.values()) + sum(stats.not_sent.values())
    if objective.indicator is Indicator.THROUGHPUT:
        return ok / elapsed if elapsed else None
    if not known or objective.indicator not in (*TIMES, Indicator.ERROR_RATE):
        return None
    if objective.indicator is Indicator.ERROR_RATE:
        return (known - ok) / known
    if objective.indicator is Indicator.SCHEDULE_LAG:
        times, known = stats.schedule_lag, stats.sent
    else:
        kinds = stats.response_time if objective.indicator is Indicator.RESPONSE_TIME else stats.service_time
        times = kinds[Result.OK]
    value = times.value_at_rank(max(1, math.ceil((objective.quantile or 1.0) * known - 1e-9)))
    return math.inf if value is None else value


# ------------------------------------------------------------------ the run folder


class FolderFollower:
    """Reads what is added to a run folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: IO[bytes] | None = None
        self._complete = 0
        """Files of intervals that were read to their end. In a long run, another one begins every hour."""
        self.progress: RunProgress | None = None
        """None before the run has begun."""

    def update(self) -> bool:
        """Read the intervals that were added. Returns whether there were any."""
        added: list[bytes] = []
        try:
            if self.progress is None:
                manifest = Manifest.from_json(orjson.loads((self.folder / MANIFEST).read_bytes()))
                self.progress = RunProgress(manifest=manifest)
            while self._complete < len(self._complete_files()):
                added += self._rest_of_file()
            self._file = self._file if self._file is not None else (self.folder / INTERVALS).open("rb")
        except FileNotFoundError:
            return False
        if self._complete == len(self._complete_files()):  # otherwise the present file has become another one
            added += _added_lines(self._file)
        for line in added:
            self.progress.add(Interval.from_json(orjson.loads(line)))
        return bool(added)

    def _complete_files(self) -> list[str]:
        """The names of the files to which nothing is added any more."""
        return interval_files(self.folder)[:-1]

    def _rest_of_file(self) -> list[bytes]:
        """The rest of the first file that was not read to its end. It may have been opened by the name of the present one."""
        name = self._complete_files()[self._complete]
        with self._file if self._file is not None else (self.folder / name).open("rb") as file:
            added = _added_lines(file)
        self._file = None
        self._complete += 1
        return added

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _added_lines(file: IO[bytes]) -> list[bytes]:
    """The complete lines from the present position of a file on; an incomplete last one is read next time."""
    start, added = file.tell(), file.read()
    complete = added[: added.rfind(b"\n") + 1]
    file.seek(start + len(complete))
    return complete.splitlines()


# ------------------------------------------------------------------ the terminal


class ProgressDisplay:
    """Shows lines below all other output, drawn again in place on a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._lines: list[str] = []
        self._lock = threading.Lock()

    def show(self, lines: list[str]) -> None:
        """Replace the lines; without a terminal, write them below the former ones."""
        with self._lock:
            if self.is_terminal:
                self._write(f"{self._erasure()}{self._drawn(lines)}")
            else:
                self._write("".join(f"chainproof loadtests: {line}\n" for line in lines))

    def write(self, text: str) -> None:
        """Write other text above the lines."""
        with self._lock:
            self._write(f"{self._erasure()}{text}{self._drawn(self._lines)}" if self._lines else text)

    def close(self) -> None:
        """Remove the lines."""
        if self._lines:
            self.show([])

    def _erasure(self) -> str:
        """The control sequence that removes the lines."""
        return f"\r\x1b[{len(self._lines)}A\x1b[J" if self._lines else ""

    def _drawn(self, lines: list[str]) -> str:
        """The lines, cut to the width of the terminal: a line that wraps could not be removed."""
        try:
            width = os.get_terminal_size(self._stream.fileno()).columns or _USUAL_WIDTH
        except OSError:
            width = _USUAL_WIDTH
        self._lines = lines
        return "".join(f"{line[: max(width - 1, 1)]}\n" for line in lines)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


@contextmanager
def live_progress(
    folders: Mapping[str, Path], stream: TextIO, *, quiet: bool, title: Callable[[], str] = str
) -> Iterator[ProgressDisplay]:
    """
    Show the progress of the runs in some folders until the context ends. The display also takes other output of the runs.

    The keys are written before the lines of each run, and *title* above all of them.
    """
    display, ended = ProgressDisplay(stream), threading.Event()
    followers = {name: FolderFollower(folder) for name, folder in folders.items()}

    def follow() -> None:
        interval = _REDRAW_INTERVAL if display.is_terminal else _PLAIN_INTERVAL
        while not ended.wait(interval):
            updated = [follower.update() for follower in followers.values()]
            if any(updated):
                if display.is_terminal:
                    display.show([*filter(None, [title()]), *_lines_of(followers)])
                else:
                    display.show([" · ".join(filter(None, [title(), line])) for line in _log_lines(followers)])

    thread = threading.Thread(target=follow, daemon=True)
    if not quiet:
        start_without_signals(thread)
    try:
        yield display
    finally:
        ended.set()
        if not quiet:
            thread.join()
        for follower in followers.values():
            follower.close()
        display.close()


def _log_lines(followers: Mapping[str, FolderFollower]) -> Iterator[str]:
    """One line for each run that has begun, with the name of the run."""
    for name, follower in followers.items():
        if follower.progress is not None:
            line = log_line(follower.progress)
            yield f"{name}: {line}" if name else line


def _lines_of(followers: Mapping[str, FolderFollower]) -> Iterator[str]:
    """The lines of all runs that have begun, each with the name of its run."""
    for name, follower in followers.items():
        if follower.progress is not None:
            yield from (f"{name}: {line}" if name else line for line in progress_lines(follower.progress))
