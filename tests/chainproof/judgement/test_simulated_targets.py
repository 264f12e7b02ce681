"""Simulated targets: confidence intervals contain the truth, and verdicts at the boundary are rarely wrong."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

PATH = Path(__file__).parents[3] / "benchmarks" / "simulations" / "verdicts.py"
RUNS = 2000 if os.environ.get("CHAINPROOF_SAMPLE") == "all" else 25
"""Few runs by default: the benchmark takes a quarter of an hour."""
TOLERANCE = 0.0 if RUNS > 1000 else 3.5
"""Standard errors by which few runs may miss a goal by chance."""


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """The module of the benchmark."""
    spec = importlib.util.spec_from_file_location("verdicts_benchmark", PATH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    sys.path.insert(0, str(PATH.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(PATH.parent))
    return module


@pytest.mark.parametrize("place", range(5))
def test_intervals_and_verdicts_hold_for_dependent_requests(benchmark: ModuleType, place: int) -> None:
    """Coverage and wrong verdicts at the boundary reach their goals, within the error of so few runs."""
    world = benchmark.WORLDS[place]
    figures = list(benchmark.world_figures(world, benchmark.simulate(world, RUNS, seed=7 + place)))

    assert [] == [figure for figure in figures if not figure.is_reached(RUNS, TOLERANCE)]


def test_independent_requests_keep_their_power(benchmark: ModuleType) -> None:
    """1,000 independent requests pass a p95 objective with a margin of 10 % in most runs."""
    assert benchmark.power(4 * RUNS, seed=1).is_reached(4 * RUNS, TOLERANCE)
