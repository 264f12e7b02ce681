"""
Schedules as data: intended starts computed without a clock, a socket or a sleep.

An arrival process is an iterator of ascending seconds from the run's beginning. It is drawn from a seed and nothing
else, so that the same workload asks the same of every target.
"""

from __future__ import annotations

import hashlib
import random
import struct
from collections.abc import Iterable, Iterator
from itertools import count, takewhile
from typing import Protocol

from chainproof.clock import PerSecond, Seconds

DEFAULT_VARIATION = 2.0
"""The coefficient of variation of gamma gaps unless said otherwise: twice that of a Poisson process, so in clusters."""


class ArrivalProcess(Protocol):
    """
    An arrival process: a rate and a seed in, endless ascending starts out.
    """

    def __call__(self, rate: PerSecond, seed: int, variation: float = DEFAULT_VARIATION) -> Iterator[Seconds]:
        """Every intended start; *variation* is that of the gaps, where the process leaves it open."""
        ...


def poisson(rate: PerSecond, seed: int, variation: float = 1.0) -> Iterator[Seconds]:
    """
    Intended starts of a Poisson process: gaps are exponential with mean 1/rate, hence memoryless.
    """
    del variation  # that of exponential gaps is 1
    gaps = random.Random(seed)
    start = 0.0
    while True:
        start += gaps.expovariate(rate)
        yield start


def gamma(rate: PerSecond, seed: int, variation: float = DEFAULT_VARIATION) -> Iterator[Seconds]:
    """
    Intended starts with gamma gaps of mean 1/rate, whose standard deviation is *variation* times that.

    At 1 it is a Poisson process; below, it comes closer to an even grid; above, arrivals cluster.
    """
    gaps = random.Random(seed)
    shape = variation**-2
    scale = 1.0 / (rate * shape)
    start = 0.0
    while True:
        start += gaps.gammavariate(shape, scale)
        yield start


def constant(rate: PerSecond, seed: int = 0, variation: float = 0.0) -> Iterator[Seconds]:
    """
    Intended starts on an even grid, the first at 0. The n-th is n/rate, never a sum of gaps: sums drift.
    """
    del seed, variation  # every process takes them, this one has no use for either
    return (number / rate for number in count())


def take_until(end: Seconds, starts: Iterable[Seconds]) -> Iterator[Seconds]:
    """
    The part of an endless schedule that falls before *end*.
    """
    return takewhile(lambda start: start < end, starts)


ARRIVAL_PROCESSES: dict[str, ArrivalProcess] = {"poisson": poisson, "constant": constant, "gamma": gamma}
"""Arrival processes by the name that workloads and `--arrivals` use."""


def plan_arrivals(process: str, rate: PerSecond, duration: Seconds, seed: int) -> tuple[Seconds, ...]:
    """
    Every intended start of a run at one rate. Raises KeyError for an unknown process.
    """
    return tuple(take_until(duration, ARRIVAL_PROCESSES[process](rate, seed)))


def digest(starts: Iterable[Seconds]) -> str:
    """
    What identifies a plan: SHA-256 over its starts as big-endian doubles, in hex.
    """
    whole = hashlib.sha256()
    for start in starts:
        whole.update(struct.pack(">d", start))
    return whole.hexdigest()
