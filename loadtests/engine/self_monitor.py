"""
The generator looks at itself: fifty times a second at its requests in flight and at how late it was woken, once a second at
what it uses.

The looks come at instants drawn by chance, so that no regular traffic hides between them: what they see on the average is
what there is on the average (Wolff, "Poisson Arrivals See Time Averages", Operations Research 30(2), 1982). They are held
against the sum of all times in flight, which is counted apart: Little's law says that the two agree.
"""

from __future__ import annotations

import random
import resource
import time
from collections import deque
from pathlib import Path

from chainproof.clock import Seconds
from chainproof.results.generator_health import GeneratorHealth

from .load_run import LoadRun

MIN_SAMPLE_GAP: Seconds = 0.005
MAX_SAMPLE_GAP: Seconds = 0.035
"""Between two looks; so about fifty a second."""
_CHEAP = 2000
"""With more open files than that they are counted every few seconds only: counting takes a while."""
_SELDOM = 5
TIME_WAIT: Seconds = 60.0
"""How long Linux keeps a port from the same target after the connection has ended (TIME_WAIT)."""

_FILES = Path("/proc/self/fd")
_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def monitor_generator(run: LoadRun) -> None:
    """
    Look at a run until it is over.
    """
    chance = random.Random(run.demand.seed)
    usage = ResourceUsage()
    looked = time.monotonic()
    pause = chance.uniform(MIN_SAMPLE_GAP, MAX_SAMPLE_GAP)
    while not run.wait(pause):
        since, looked = time.monotonic() - looked, time.monotonic()
        now = run.now()
        if now >= 0:
            generator_health = run.recorder.generator_health(now)
            generator_health.add_sample(run.recorder.in_flight, max(since - pause, 0.0), since)
            usage.measure(generator_health, int(now), opened=run.connections_opened, in_flight=run.recorder.in_flight)
        pause = chance.uniform(MIN_SAMPLE_GAP, MAX_SAMPLE_GAP)


class ResourceUsage:
    """
    What the process uses, measured at the first look of a second.
    """

    def __init__(self) -> None:
        self._second = -1
        self._before = time.monotonic()
        self._cpu = time.process_time()
        self._files = 0
        self._opened: deque[tuple[int, int]] = deque([(0, 0)])

    def measure(self, generator_health: GeneratorHealth, second: int, *, opened: int, in_flight: int) -> None:
        """Count what was used since the second before, connections *opened* so far among it."""
        if second == self._second:
            return
        present, cpu = time.monotonic(), time.process_time()
        if self._second >= 0:
            generator_health.add_cpu_time(cpu - self._cpu, present - self._before)
        self._second, self._before, self._cpu = second, present, cpu
        if self._files < _CHEAP or second % _SELDOM == 0:
            self._files = open_files()
        generator_health.open_files, generator_health.open_files_limit = (
            self._files,
            resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        )
        self._opened.append((second, opened))
        while self._opened[0][0] < second - TIME_WAIT:
            self._opened.popleft()
        # Those that were opened lately may linger, each with a port; those opened before may still be in use.
        generator_health.ports, generator_health.ports_limit = opened - self._opened[0][1] + in_flight, port_range()


def open_files() -> int:
    """
    How many files this process has open; 0 where the system does not tell.
    """
    try:
        return sum(1 for _ in _FILES.iterdir())
    except OSError:
        return 0


def port_range() -> int:
    """
    How many ports there are for outgoing connections; 0 where the system does not tell.
    """
    try:
        low, high = map(int, _PORTS.read_text().split())
    except (OSError, ValueError):
        return 0
    return high - low + 1
