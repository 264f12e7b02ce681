"""Fixtures for all tests, and the order of the files when they are distributed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Neither the time that an example takes nor the examples that chance draws decide whether CI passes.
WITHOUT_TIME = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("all", WITHOUT_TIME)
settings.register_profile("sample", WITHOUT_TIME, max_examples=25, derandomize=True)
settings.load_profile("all" if os.environ.get("CHAINPROOF_SAMPLE") == "all" else "sample")

SLOWEST_FIRST = (
    "end_to_end/test_chain_page.py",
    "loadtests/engine/test_runs.py",
    "conformance/correct_targets/test_correct_endpoints.py",
    "loadtests/distributed/test_distribution.py",
    "conformance/running/test_command.py",
    "power/test_checks.py",
    "conformance/faults/test_faults.py",
    "loadtests/search/test_saturation.py",
    "power/test_matrix.py",
    "end_to_end/test_demo.py",
    "conformance/correct_targets/test_contracts.py",
    "loadtests/web/test_web_ui.py",
    "conformance/running/test_ci_page.py",
    "end_to_end/test_reflected_key.py",
)
"""The files that take longest. The others would otherwise be done when a worker begins one of these."""


def pytest_configure(config: pytest.Config) -> None:
    """Let pytest-xdist distribute the files in their order, not those with the most tests first."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the slowest files to the front."""
    ranks = {Path(__file__).parent / name: rank for rank, name in enumerate(SLOWEST_FIRST)}
    items.sort(key=lambda item: ranks.get(item.path, len(ranks)))


@pytest.fixture(autouse=True, scope="session")
def child_processes() -> Iterator[None]:
    """
    Processes that tests start ignore pytest-xdist: a conformance run in an xdist worker would use a worker folder.

    They also write bytecode, wherever that is switched off: there are hundreds, and each would compile chainproof again.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTEST_XDIST_WORKER", raising=False)
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield


@pytest.fixture(autouse=True, scope="session")
def hangup_signal() -> Iterator[None]:
    """SIGHUP has its usual effect, here and in child processes, also if the tests run under `nohup`, which ignores it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
