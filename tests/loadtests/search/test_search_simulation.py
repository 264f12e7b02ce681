"""The decisions of the saturation search on simulated targets: the short form of `benchmarks/simulations/saturation.py`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "simulations" / "saturation.py"
SEARCHES = 8


@pytest.fixture(name="benchmark", scope="module")
def simulation() -> ModuleType:
    """The benchmark as a module."""
    spec = importlib.util.spec_from_file_location("saturation_benchmark", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("share", [0.96, 0.97, 0.98, 0.99])
def test_ordinary_targets_get_an_answer(share: float, benchmark: ModuleType) -> None:
    """A target of which 96 to 99 % of the answers are good where 95 % are required is always answered, below its capacity."""
    found = benchmark.measure(benchmark.coin_world(share), SEARCHES)

    assert SEARCHES == len(found.answers) == found.covered
    assert 0.9 < float(found.answers.min())
    assert float(found.answers.max()) <= 1.0


@pytest.mark.parametrize(("servers", "service"), [(8, 0.2), (8, 2.0), (100, 2.0)])
def test_no_answer_is_above_capacity(servers: int, service: float, benchmark: ModuleType) -> None:
    """A queue that grows is missed, also where its response times still meet the objective."""
    world = benchmark.queue_world(servers, service)
    found = benchmark.measure(world, SEARCHES)

    assert SEARCHES == len(found.answers)
    assert (found.answers * world.truth <= world.capacity).all()
    assert 0.85 < float(np.median(found.answers)) < 1.05


def test_the_steady_state_of_a_queue_is_that_of_theory(benchmark: ModuleType) -> None:
    """With one server, the response time of M/M/1 is exponential with the rate that is spare."""
    share = benchmark.share_within(1.0, 3.0, 1, 0.2)

    assert 1 - np.exp(-2.0) == pytest.approx(share, rel=1e-6)
