"""
No tool needs much memory or time, prints a traceback or writes much, whatever a target sends.

Each server of `servers.py` sends one kind of hostile answer. By default every server gets a call, a few get a load test and a
conformance run of their own, and each tool is run against all of them in turn. `CHAINPROOF_SAMPLE=all pytest tests/hostile`
runs each tool against each server.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from chainproof.results.folder import Run, read_run

from .runs import KEY, ToolRun, run_tool, start_servers
from .servers import ENDLESS, SCRIPTS, SLOW

ALL = os.environ.get("CHAINPROOF_SAMPLE") == "all"
SAMPLE = ("in-turn", "now-and-then", *(SCRIPTS if ALL else ("endless-body-until-close", "varying")))
MEMORY = 400_000_000
"""Bytes of the largest process of each run."""
SLACK = 30.0
"""Seconds for starting the processes and for the report, on a machine with other work."""
BUSY = 0.0 if ALL else 5.0
"""Seconds that a run may take longer while other tests use the machine."""
MAX_FOLDER = 3_000_000
"""Bytes of a run folder."""
BUDGET = 20.0 if ALL else 6.0
COMMANDS = {
    "loadtests": ("--rate=80", "--duration=2s", "--deadline=1s", "--drain=1s", "--no-html", "--quiet"),
    "conformance": ("--depth=quick", f"--time-budget={BUDGET:g}s", "--deadline=1s"),
}
SECONDS = {"loadtests": 6.0, "conformance": BUDGET * 1.1}


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """The ports of all servers."""
    servers = start_servers()
    assert servers.stdin is not None
    assert servers.stdout is not None
    yield json.loads(servers.stdout.readline())
    servers.stdin.close()
    servers.wait(10)
    servers.stdout.close()


@pytest.fixture(scope="module")
def runs(
    ports: dict[str, int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, str], Future[ToolRun]]]:
    """The runs of each tool against each server of the sample, two at the same time."""
    with ThreadPoolExecutor(2) as pool:
        yield {
            (tool, name): pool.submit(
                run_tool,
                tmp_path_factory.mktemp(f"{tool}-{name}"),
                *(tool, "--target", f"http://127.0.0.1:{ports[name]}/production/run_remote"),
                *(*options, "--out", "run"),
            )
            for name in SAMPLE
            for tool, options in COMMANDS.items()
        }


def assert_unharmed(code: int, output: str, memory: int) -> None:
    """Assert what holds for every run of a tool."""
    assert code in {0, 1, 3, 4}, output[-3000:]
    assert "Traceback" not in output, output[-3000:]
    assert "internal error" not in output, output[-3000:]
    assert memory < MEMORY
    assert KEY not in output


def assert_exact(run: Run) -> None:
    """Assert that every planned request has one result."""
    assert run.end is not None
    counts = run.end.accounting
    assert counts["planned"] == counts["sent"] + counts["not_sent"]
    assert counts["sent"] == sum(counts[name] for name in ("ok", "failed", "timed_out", "censored"))
    assert counts["sent"] > 100


@pytest.mark.parametrize("name", SAMPLE)
@pytest.mark.parametrize("tool", COMMANDS)
def test_a_run_survives_hostile_servers(tool: str, name: str, runs: dict[tuple[str, str], Future[ToolRun]]) -> None:
    """It ends in time with a documented exit code, and its run folder is small and complete."""
    done = runs[tool, name].result()
    folder = done.folder / "run"
    run = read_run(folder)

    assert_unharmed(done.code, done.output, done.memory)
    assert done.seconds < SECONDS[tool] + SLACK
    assert sum(path.stat().st_size for path in folder.iterdir()) < MAX_FOLDER
    assert len(done.output) < 100_000
    assert run.end is not None
    assert {} == run.damage
    if tool == "loadtests":
        assert_exact(run)
    else:
        assert run.end.seconds < SECONDS[tool] + BUSY
        is_cut = run.coverage is not None and run.coverage.cut_by  # on a busy machine, after a few requests
        assert run.findings or is_cut, done.output
        assert all(len(finding.actual) <= 500 for finding in run.findings)


def test_a_call_survives_each_hostile_server(ports: dict[str, int]) -> None:
    """It shows what came back, or why nothing did, within its deadline."""
    program = Path(__file__).with_name("calls.py")
    wanted = {name: ports[name] for name in SCRIPTS}
    request = {"ports": wanted, "options": ["--deadline=2s"], "timeout": 60.0}
    done = subprocess.run(
        [sys.executable, "-P", str(program)],
        input=json.dumps(request),
        env={**os.environ, "BASETEN_API_KEY": KEY, "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    results = json.loads(done.stdout)

    assert results.keys() == SCRIPTS.keys()
    for name, (code, seconds, memory, output) in results.items():
        print(f"{name:28} {code} {seconds:5.1f} s {memory / 1e6:4.0f} MB {len(output) / 1e3:6.0f} kB")
        assert_unharmed(code, output, memory)
        assert len(output) < 2_000_000
        assert seconds < 2.0 + SLACK
        if name in ENDLESS.keys() | SLOW.keys() - {"slow-then-valid"}:
            assert code in {1, 3}, output[-2000:]
