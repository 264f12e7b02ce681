"""
Monitor the load generator: event-loop lag and requests in flight fifty times a second, resource use once a second.

The samples are taken at random times, so that their mean is that of all instants even if the traffic is regular (Wolff,
"Poisson Arrivals See Time Averages", Operations Research 30(2), 1982).
"""

from __future__ import annotations

import random
import resource
import time
from collections import deque
from pathlib import Path

from chainproof.clock import Seconds
from chainproof.results.intervals.generator_health import GeneratorHealth

from ..recording.stall_detection import MAX_SAMPLE_GAP
from .load_run import LoadRun

MIN_SAMPLE_GAP: Seconds = 0.005
_MEAN_GAP: Seconds = (MIN_SAMPLE_GAP + MAX_SAMPLE_GAP) / 2
"""About fifty samples a second."""
_MANY_FILES = 2000
"""With more open files, they are counted only every few seconds, because counting takes a while."""
_MANY_FILES_INTERVAL = 5
TIME_WAIT: Seconds = 60.0
"""How long Linux reserves the port of a closed connection."""

_FILES = Path("/proc/self/fd")
_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def monitor_generator(run: LoadRun) -> None:
    """Take samples until the run ends."""
    generator = random.Random(run.demand.seed)
    usage = ResourceUsage()
    last_sample = time.monotonic()
    gap = generator.uniform(MIN_SAMPLE_GAP, MAX_SAMPLE_GAP)
    while not run.wait(gap):
        elapsed, last_sample = time.monotonic() - last_sample, time.monotonic()
        now = run.now()
        if now >= 0:
            lag, in_flight = max(elapsed - gap, 0.0), run.recorder.in_flight
            run.recorder.stalls.sample(now, lag, in_flight)
            health = run.recorder.generator_health(now)
            health.add_sample(in_flight, lag, _MEAN_GAP)
            usage.measure(health, int(now), opened=run.connections_opened, in_flight=in_flight)
        gap = generator.uniform(MIN_SAMPLE_GAP, MAX_SAMPLE_GAP)


class ResourceUsage:
    """CPU time, open files and ports of this process, measured once a second."""

    def __init__(self) -> None:
        self._second = -1
        self._last_time = time.monotonic()
        self._last_cpu_time = time.process_time()
        self._files = 0
        self._opened: deque[tuple[int, int]] = deque([(0, 0)])

    def measure(self, health: GeneratorHealth, second: int, *, opened: int, in_flight: int) -> None:
        """Add the usage since the last call in another second. *opened* counts all connections opened so far."""
        if second == self._second:
            return
        now, cpu_time = time.monotonic(), time.process_time()
        if self._second >= 0:
            health.add_cpu_time(cpu_time - self._last_cpu_time, now - self._last_time)
        self._second, self._last_time, self._last_cpu_time = second, now, cpu_time
        if self._files < _MANY_FILES or second % _MANY_FILES_INTERVAL == 0:
            self._files = open_files()
        health.open_files, health.open_files_limit = self._files, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._opened.append((second, opened))
        while self._opened[0][0] < second - TIME_WAIT:
            self._opened.popleft()
        # Ports of connections opened recently may be in TIME_WAIT; those opened earlier may still be in use.
        health.ports, health.ports_limit = opened - self._opened[0][1] + in_flight, port_range()


def open_files() -> int:
    """How many files this process has open; 0 if unknown."""
    try:
        return sum(1 for _ in _FILES.iterdir())
    except OSError:
        return 0


def port_range() -> int:
    """How many ports there are for outgoing connections; 0 if unknown."""
    try:
        low, high = map(int, _PORTS.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return 0
    return high - low + 1
