"""
Measure how often `settled` is right: `python benchmarks/settling.py [--runs N]`

Simulated runs of 50 requests a second, judged with the library's own function. On stationary input it is right if it says
that response times had settled from the beginning and did not become slower. On input that doubles halfway it is right if it
names that second, give or take a twentieth of the run.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from chainproof.judgement.cold_start import Settling, settling

RATE = 50
"""Requests a second."""
SIGMA = 0.5
"""Standard deviation of the logarithm of a response time."""
SHARE_OF_WAVES = 0.5
"""Share of its variance that load waves cause; the rest is independent."""
SERVERS, UTILISATION = 8, 0.9

_Floats = NDArray[np.float64]
World = Callable[[np.random.Generator, int], _Floats]
"""(generator, number of requests) -> their response times"""


def independent(generator: np.random.Generator, count: int) -> _Floats:
    """Independent lognormal response times."""
    return np.asarray(np.exp(SIGMA * generator.normal(size=count)))


def autoregressive(generator: np.random.Generator, count: int) -> _Floats:
    """AR(1) with φ = 0.9 from request to request."""
    return np.asarray(np.exp(SIGMA * _correlated(generator, count, 0.9)))


def waves(correlation_time: float) -> World:
    """Load waves: an Ornstein-Uhlenbeck process with this correlation time, and independent noise."""

    def world(generator: np.random.Generator, count: int) -> _Floats:
        slow = _correlated(generator, count, math.exp(-1 / RATE / correlation_time))
        noise = generator.normal(size=count)
        both = math.sqrt(SHARE_OF_WAVES) * slow + math.sqrt(1 - SHARE_OF_WAVES) * noise
        return np.asarray(np.exp(SIGMA * both))

    return world


def queue(generator: np.random.Generator, count: int) -> _Floats:
    """M/M/8 at 90 % utilisation, after a warm-up."""
    warm_up = 20_000
    arrivals = np.cumsum(generator.exponential(1 / RATE, size=warm_up + count))
    services = generator.exponential(SERVERS * UTILISATION / RATE, size=warm_up + count)
    free = np.zeros(SERVERS)
    times = np.empty(warm_up + count)
    for number, (arrival, service) in enumerate(zip(arrivals, services, strict=True)):
        server = int(free.argmin())
        free[server] = max(free[server], arrival) + service
        times[number] = free[server] - arrival
    return times[warm_up:]


def _correlated(generator: np.random.Generator, count: int, phi: float) -> _Floats:
    """A stationary AR(1) process with variance 1."""
    before = math.ceil(10 / (1 - phi))
    noise = generator.normal(size=before + count)
    return np.asarray(signal.lfilter([math.sqrt(1 - phi * phi)], [1.0, -phi], noise)[before:])


WORLDS: dict[str, World] = {
    "independent": independent,
    "AR(1), φ = .9": autoregressive,
    "waves of 2 s": waves(2.0),
    "waves of 10 s": waves(10.0),
    "M/M/8 at 90 %": queue,
}


def settling_of(response_times: _Floats) -> Settling:
    """Where the response times have settled, by the medians of the seconds."""
    return settling(
        np.median(response_times.reshape(-1, RATE), axis=1).tolist(), [RATE] * (len(response_times) // RATE)
    )


def share_right_when_stationary(world: World, seconds: int, runs: int) -> float:
    """The share of stationary runs of which `settled` is right."""
    right = Settling(settled=0, slower=None)
    found = [settling_of(world(np.random.default_rng(seed), seconds * RATE)) for seed in range(runs)]
    return found.count(right) / runs


def share_right_when_slower(world: World, seconds: int, runs: int, factor: float) -> float:
    """The share of runs, slower by *factor* from their middle on, of which `settled` names the second."""
    right = 0
    for seed in range(runs):
        times = world(np.random.default_rng(seed), seconds * RATE)
        times[len(times) // 2 :] *= factor
        slower = settling_of(times).slower
        right += slower is not None and abs(slower - seconds // 2) <= seconds / 20
    return right / runs


def main() -> None:
    """Print both shares for every world."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    runs = parser.parse_args().runs
    print(f"share of {runs} runs of which `settled` is right")
    print(f"{'world':16}{'stationary, 60 s':>20}{'300 s':>8}{'doubles at 150 s of 300':>26}{'+30 %':>8}")
    for name, world in WORLDS.items():
        stationary = [share_right_when_stationary(world, seconds, runs) for seconds in (60, 300)]
        slower = [share_right_when_slower(world, 300, runs, factor) for factor in (2.0, 1.3)]
        print(f"{name:16}{stationary[0]:20.2f}{stationary[1]:8.2f}{slower[0]:26.2f}{slower[1]:8.2f}", flush=True)


if __name__ == "__main__":
    main()
