"""The emulator beside the real chain server, which Baseten's library truss generates and serves."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ..processes import run_process

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "real_chain_server.py"
VARIABLE = "CHAINPROOF_TRUSS_VENV"


@pytest.mark.skipif(
    VARIABLE not in os.environ,
    reason=f"needs truss: create a virtual environment with {SCRIPT.name} --install DIR, and set {VARIABLE}=DIR",
)
def test_emulator_answers_as_the_real_chain_server() -> None:
    """Every response to the compared requests is the same, or differs for a documented reason."""
    command = [sys.executable, str(SCRIPT), "--venv", os.environ[VARIABLE]]
    completed = run_process(command, timeout=300)

    assert 0 == completed.returncode, completed.stdout + completed.stderr
    assert "0 without a valid one" in completed.stdout


def test_missing_environment_is_a_usage_error(tmp_path: Path) -> None:
    """The message says what was expected."""
    command = [sys.executable, str(SCRIPT), "--venv", str(tmp_path)]
    completed = run_process(command, timeout=60)

    assert 2 == completed.returncode
    assert "expected a virtual environment" in completed.stderr


def test_compared_requests_are_many_and_distinct() -> None:
    """At least 80 requests, each with its own name."""
    script = (
        "from chain_server.compared_requests import REQUESTS as r; "
        "print(len(r), len({(each.chain, each.name) for each in r}))"
    )
    completed = run_process([sys.executable, "-c", script], cwd=SCRIPT.parent, timeout=60, check=True)
    count, distinct = map(int, completed.stdout.split())

    assert 80 <= count == distinct
