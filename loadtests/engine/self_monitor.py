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
from chainproof.results.generator_health import Fitness

from .load_run import LoadRun

SHORTEST: Seconds = 0.005
LONGEST: Seconds = 0.035
"""Between two looks; so about fifty a second."""
_CHEAP = 2000
"""With more open files than that they are counted every few seconds only: counting takes a while."""
_SELDOM = 5
LINGERING: Seconds = 60.0
"""How long Linux keeps a port from the same target after the connection has ended (TIME_WAIT)."""

_FILES = Path("/proc/self/fd")
_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")


def attend(run: LoadRun) -> None:
    """
    Look at a run until it is over.
    """
    chance = random.Random(run.demand.seed)
    usage = Usage()
    looked = time.monotonic()
    pause = chance.uniform(SHORTEST, LONGEST)
    while not run.wait(pause):
        since, looked = time.monotonic() - looked, time.monotonic()
        now = run.now()
        if now >= 0:
            fitness = run.recorder.fitness(now)
            fitness.look(run.recorder.in_flight, max(since - pause, 0.0), since)
            usage.measure(fitness, int(now), opened=run.connections_opened, in_flight=run.recorder.in_flight)
        pause = chance.uniform(SHORTEST, LONGEST)


class Usage:
    """
    What the process uses, measured at the first look of a second.
    """

    def __init__(self) -> None:
        self._second = -1
        self._before = time.monotonic()
        self._cpu = time.process_time()
        self._files = 0
        self._opened: deque[tuple[int, int]] = deque([(0, 0)])

    def measure(self, fitness: Fitness, second: int, *, opened: int, in_flight: int) -> None:
        """Count what was used since the second before, connections *opened* so far among it."""
        if second == self._second:
            return
        present, cpu = time.monotonic(), time.process_time()
        if self._second >= 0:
            fitness.use(cpu - self._cpu, present - self._before)
        self._second, self._before, self._cpu = second, present, cpu
        if self._files < _CHEAP or second % _SELDOM == 0:
            self._files = open_files()
        fitness.descriptors, fitness.descriptors_limit = self._files, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._opened.append((second, opened))
        while self._opened[0][0] < second - LINGERING:
            self._opened.popleft()
        # Those that were opened lately may linger, each with a port; those opened before may still be in use.
        fitness.ports, fitness.ports_limit = opened - self._opened[0][1] + in_flight, port_range()


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
