"""
Arrival processes: the intended starts of an open workload.

An arrival process is an iterator of ascending times, in seconds from the start of the run. It depends only on a seed, so
every target gets the same requests.
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
"""The default coefficient of variation of gamma gaps: twice that of a Poisson process, so arrivals cluster."""


class ArrivalProcess(Protocol):
    """A function that gives endless ascending intended starts for a rate and a seed."""

    def __call__(self, rate: PerSecond, seed: int, variation: float = DEFAULT_VARIATION) -> Iterator[Seconds]:
        """Every intended start. *variation* is the coefficient of variation of the gaps, if the process has a choice."""
        ...


def poisson(rate: PerSecond, seed: int, variation: float = 1.0) -> Iterator[Seconds]:
    """Intended starts of a Poisson process: the gaps are exponential with mean 1/rate."""
    del variation  # always 1 for exponential gaps
    gaps = random.Random(seed)
    start = 0.0
    while True:
        start += gaps.expovariate(rate)
        yield start


def gamma(rate: PerSecond, seed: int, variation: float = DEFAULT_VARIATION) -> Iterator[Seconds]:
    """
    Intended starts with gamma gaps of mean 1/rate and coefficient of variation *variation*.

    With 1 this is a Poisson process. Smaller values are closer to an even grid; with larger values arrivals cluster.

    The expected number of starts is the same in every second, the first included, because the run begins at a random
    instant of the process. A long gap is more likely to contain that instant, so the gap around it has the shape k + 1,
    and the instant is uniform within it (Cox, Renewal Theory, 1962, §5.4). If the run began with a start instead, a
    cluster would follow at once: 262 starts for 10/s, 10 s and a variation of 20.
    """
    gaps = random.Random(seed)
    shape = variation**-2
    scale = 1.0 / (rate * shape)
    start = gaps.random() * gaps.gammavariate(shape + 1.0, scale)
    while True:
        yield start
        start += gaps.gammavariate(shape, scale)


def constant(rate: PerSecond, seed: int = 0, variation: float = 0.0) -> Iterator[Seconds]:
    """Evenly spaced intended starts, the first at 0. The n-th is n/rate, not a sum of gaps, which would drift."""
    del seed, variation  # part of the signature of every process
    return (number / rate for number in count())


def take_until(end: Seconds, starts: Iterable[Seconds]) -> Iterator[Seconds]:
    """The starts of an endless schedule before *end*."""
    return takewhile(lambda start: start < end, starts)


ARRIVAL_PROCESSES: dict[str, ArrivalProcess] = {"poisson": poisson, "constant": constant, "gamma": gamma}
"""The arrival processes by name, as workloads and `--arrivals` use it."""

WITH_VARIATION = ("gamma",)
"""Those whose variation can be chosen: all with gaps of one family, of which it selects one."""


def digest(starts: Iterable[Seconds]) -> str:
    """The hash that identifies a plan: SHA-256 over its starts as big-endian doubles, in hex."""
    sha256 = hashlib.sha256()
    for start in starts:
        sha256.update(struct.pack(">d", start))
    return sha256.hexdigest()
