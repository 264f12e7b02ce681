"""
Schedules as data: intended starts computed without a clock, a socket or a sleep.

An arrival process is an iterator of ascending seconds from the run's beginning. It is drawn from a seed and nothing
else, so that the same workload asks the same of every target.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import count, takewhile

from chainproof.clock import PerSecond, Seconds


def poisson(rate: PerSecond, seed: int) -> Iterator[Seconds]:
    """
    Intended starts of a Poisson process: gaps are exponential with mean 1/rate, hence memoryless.
    """
    gaps = random.Random(seed)
    start = 0.0
    while True:
        start += gaps.expovariate(rate)
        yield start


def constant(rate: PerSecond, seed: int = 0) -> Iterator[Seconds]:
    """
    Intended starts on an even grid, the first at 0. The n-th is n/rate, never a sum of gaps: sums drift.
    """
    del seed  # every process takes one, this one has no use for it
    return (number / rate for number in count())


def until(end: Seconds, starts: Iterable[Seconds]) -> Iterator[Seconds]:
    """
    The part of an endless schedule that falls before *end*.
    """
    return takewhile(lambda start: start < end, starts)


PROCESSES: dict[str, Callable[[PerSecond, int], Iterator[Seconds]]] = {"poisson": poisson, "constant": constant}
"""Arrival processes by the name that workloads and `--arrivals` use."""


def plan(process: str, rate: PerSecond, duration: Seconds, seed: int) -> tuple[Seconds, ...]:
    """
    Every intended start of a run at one rate. Raises KeyError for an unknown process.
    """
    return tuple(until(duration, PROCESSES[process](rate, seed)))


def digest(starts: Iterable[Seconds]) -> str:
    """
    What identifies a plan: SHA-256 over its starts as big-endian doubles, in hex.
    """
    whole = hashlib.sha256()
    for start in starts:
        whole.update(struct.pack(">d", start))
    return whole.hexdigest()
