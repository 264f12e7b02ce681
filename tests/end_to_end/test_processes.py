"""Commands as users start them: at the same time as others."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chainproof.endpoint import Endpoint, start_emulator
from chainproof.processes import chainproof_command
from chainproof.results.folder import find_runs, read_run

SHORT_LOAD = ("loadtests", "--rate", "20", "--duration", "0.2s", "--objective", "error_rate < 100%")


@pytest.fixture(scope="module")
def emulator() -> Iterator[Endpoint]:
    """One emulator for all tests of this file."""
    with start_emulator("instant") as endpoint:
        yield endpoint


def environment(endpoint: Endpoint) -> dict[str, str]:
    """The environment of a command that finds the emulator."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("CHAINPROOF_", "LOCUST_"))}
    return inherited | dict(endpoint.environment)


def test_simultaneous_runs_get_folders_of_their_own(emulator: Endpoint, tmp_path: Path) -> None:
    """Load runs that are started within one second, without --out, all complete."""
    runs = [
        subprocess.Popen(
            chainproof_command(*SHORT_LOAD),
            cwd=tmp_path,
            env=environment(emulator),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    ends = [(run.communicate(timeout=120)[0], run.returncode) for run in runs]

    assert {0} == {code for _, code in ends}, ends
    assert 2 == len({output.splitlines()[-1] for output, _ in ends})
    assert 2 == sum(read_run(path).end is not None for path in find_runs(tmp_path / "runs"))


def test_checks_can_be_distributed_over_processes(emulator: Endpoint, tmp_path: Path) -> None:
    """With pytest -n 2 and without --out, each worker writes a run folder of its own."""
    ended = subprocess.run(
        [
            sys.executable,
            "-P",
            "-m",
            "pytest",
            "-n2",
            "--pyargs",
            "chainproof.conformance",
            "--depth=quick",
            "-k",
            "valid_json or without_a_body or single_member",
        ],
        cwd=tmp_path,
        env=environment(emulator),
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == ended.returncode, ended.stdout + ended.stderr
