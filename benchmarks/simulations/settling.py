"""
Measure how often `settled` is right: `python benchmarks/simulations/settling.py [--runs N]`

Simulated runs, judged with the library's own function. On stationary input it is right if it says that response times had
settled from the beginning and did not become slower. On input that becomes slower halfway it is right if it names that
second, give or take a twentieth of the run.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray
from simulated_targets import RATE, Draw, draw_ar1, draw_independent, draw_queue, waves

from chainproof.judgement.cold_start import Settling, settling

WORLDS: dict[str, Draw] = {
    "independent": draw_independent,
    "AR(1), φ = .9": draw_ar1,
    "waves of 2 s": waves(2.0),
    "waves of 10 s": waves(10.0),
    "M/M/8 at 90 %": draw_queue,
}


def settling_of(response_times: NDArray[np.float64]) -> Settling:
    """Where the response times have settled, by the medians of the seconds."""
    medians = np.median(response_times.reshape(-1, RATE), axis=1)
    return settling(medians.tolist(), [RATE] * len(medians))


def share_right_when_stationary(draw: Draw, seconds: int, runs: int) -> float:
    """The share of stationary runs of which `settled` is right."""
    found = map(settling_of, draw(np.random.default_rng(1), runs, seconds * RATE))
    return sum(each == Settling(settled=0, slower=None) for each in found) / runs


def share_right_when_slower(draw: Draw, seconds: int, runs: int, factor: float) -> float:
    """The share of runs, slower by *factor* from their middle on, of which `settled` names the second."""
    times = draw(np.random.default_rng(1), runs, seconds * RATE)
    times[:, times.shape[1] // 2 :] *= factor
    found = (settling_of(each).slower for each in times)
    return sum(each is not None and abs(each - seconds // 2) <= seconds / 20 for each in found) / runs


def main() -> None:
    """Print both shares for every world."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    runs = parser.parse_args().runs
    print(f"share of {runs} runs of which `settled` is right")
    print(f"{'world':16}{'stationary, 60 s':>20}{'300 s':>8}{'doubles at 150 s of 300':>26}{'+30 %':>8}")
    for name, draw in WORLDS.items():
        stationary = [share_right_when_stationary(draw, seconds, runs) for seconds in (60, 300)]
        slower = [share_right_when_slower(draw, 300, runs, factor) for factor in (2.0, 1.3)]
        print(f"{name:16}{stationary[0]:20.2f}{stationary[1]:8.2f}{slower[0]:26.2f}{slower[1]:8.2f}", flush=True)


if __name__ == "__main__":
    main()
