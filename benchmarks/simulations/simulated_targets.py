"""
Simulated targets: response times of many runs at once, whose true quantiles are known.

Independent, alike from one request to the next, in waves of load, and from a queue: what real services do, in increasing
order of how much their requests depend on each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, signal, special

RATE = 50
"""Requests per second."""
SERVERS, UTILISATION = 8, 0.9

Times = NDArray[np.float64]
"""Response times in seconds, one row for each run."""
Draw = Callable[[np.random.Generator, int, int], Times]
"""Draws the response times of a number of runs with a number of requests each."""


def lognormal(scores: Times) -> Times:
    """Response times with a median of 200 ms and σ = 0.5, from normal scores."""
    return 0.2 * np.exp(0.5 * scores)


def autoregressive(source: np.random.Generator, runs: int, count: int, kept: float) -> Times:
    """Normal scores of which each keeps a part of the one before."""
    noise = source.standard_normal((runs, count)) * math.sqrt(1.0 - kept * kept)
    noise[:, 0] /= math.sqrt(1.0 - kept * kept)
    scores: Times = signal.lfilter([1.0], [1.0, -kept], noise, axis=1)
    return scores


def draw_independent(source: np.random.Generator, runs: int, count: int) -> Times:
    """Independent response times."""
    return lognormal(source.standard_normal((runs, count)))


def draw_ar1(source: np.random.Generator, runs: int, count: int) -> Times:
    """Each response time resembles the one before, φ = 0.9."""
    return lognormal(autoregressive(source, runs, count, 0.9))


def waves(tau: float) -> Draw:
    """Half of the variance is a load that decays as exp(−t / tau)."""

    def draw(source: np.random.Generator, runs: int, count: int) -> Times:
        load = autoregressive(source, runs, count, math.exp(-1.0 / (RATE * tau)))
        return lognormal((load + source.standard_normal((runs, count))) * math.sqrt(0.5))

    return draw


def draw_queue(source: np.random.Generator, runs: int, count: int) -> Times:
    """A queue with 8 servers at 90 % utilisation (M/M/8), from its steady state."""
    warm_up = 5000
    total = count + warm_up
    arrivals = np.cumsum(source.exponential(1.0 / RATE, (total, runs)), axis=0)
    services = source.exponential(SERVERS * UTILISATION / RATE, (total, runs))
    free, times, rows = np.zeros((runs, SERVERS)), np.empty((count, runs)), np.arange(runs)
    for place in range(total):
        server = free.argmin(axis=1)
        end = np.maximum(free[rows, server], arrivals[place]) + services[place]
        free[rows, server] = end
        if place >= warm_up:
            times[place - warm_up] = end - arrivals[place]
    return times.T


def queue_quantile(fraction: float) -> float:
    """The true quantile of the response time of that queue (Erlang C)."""
    load, service_rate = SERVERS * UTILISATION, RATE / (SERVERS * UTILISATION)
    terms = [load**k / math.factorial(k) for k in range(SERVERS)]
    last = load**SERVERS / math.factorial(SERVERS) / (1.0 - UTILISATION)
    waits, drain = last / (sum(terms) + last), SERVERS * service_rate - RATE

    def slower(time: float) -> float:
        both = service_rate * math.exp(-drain * time) - drain * math.exp(-service_rate * time)
        return (1.0 - waits) * math.exp(-service_rate * time) + waits * both / (service_rate - drain)

    return float(optimize.brentq(lambda time: slower(time) - (1.0 - fraction), 0.0, 100.0))


def lognormal_quantile(fraction: float) -> float:
    """The true quantile of `lognormal`."""
    return 0.2 * math.exp(0.5 * float(special.ndtri(fraction)))
