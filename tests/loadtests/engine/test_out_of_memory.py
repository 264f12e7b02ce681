"""Tests that a kill for lack of memory is named as such, with real kills in a control group with little memory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from chainproof.linux import is_running, oom_kills

from ..behaviours import fine

GROUPS = Path("/sys/fs/cgroup/memory")
LIMIT = 64 << 10
"""For what a process needs from then on; what it already has stays in its old group."""
Launch = Callable[..., Any]


@pytest.fixture
def starve() -> Iterator[Callable[[int], None]]:
    """A function that moves a process to a control group with less memory than it needs."""
    group = GROUPS / f"chainproof-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(LIMIT))
    except OSError as error:
        with suppress(OSError):
            group.rmdir()
        pytest.skip(f"needs root and a memory control group of version 1 at {GROUPS}: {error}")
    yield lambda process: (group / "cgroup.procs").write_text(str(process)) and None
    give_up = time.monotonic() + 10
    while (group / "cgroup.procs").read_text() and time.monotonic() < give_up:
        time.sleep(0.05)
    group.rmdir()


def test_a_kill_of_the_only_load_process_is_named(
    run_server: Callable[..., Any], launch: Launch, starve: Callable[[int], None]
) -> None:
    """The message says that memory ran out; the run is invalid and not an internal error."""
    kills = oom_kills()
    with run_server(fine) as server:
        run = launch(server, "--rate=400", "--duration=60s")
        run.await_intervals(1)
        starve(run.locust())
        done = run.end()

    assert oom_kills() > kills
    assert 4 == done.code, done.errors
    assert "the kernel killed the load process because memory ran out" in done.errors
    assert "internal error" not in done.errors


@pytest.mark.skipif(os.environ.get("CHAINPROOF_SAMPLE") != "all", reason="takes ten seconds: CHAINPROOF_SAMPLE=all")
def test_a_kill_of_a_worker_is_named(
    run_server: Callable[..., Any], launch: Launch, starve: Callable[[int], None]
) -> None:
    """The run is invalid, and the report says which worker was killed and why."""
    with run_server(fine) as server:
        run = launch(server, "--rate=400", "--duration=60s", "--processes=2")
        run.await_intervals(2)
        parent = run.locust()
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        starve(int(next(each for each in children if b"locustfile" in Path(f"/proc/{each}/cmdline").read_bytes())))
        done = run.end()
    (lost,) = done.run.end.lost_workers

    assert 4 == done.code, done.errors
    assert lost.why.startswith("killed by the kernel because memory ran out")
    assert lost.why in " ".join(done.output.split())


def test_a_process_that_nobody_has_waited_for_is_not_running() -> None:
    """A zombie is not running, and neither is a process that does not exist."""
    child = os.fork()
    if not child:
        os._exit(0)
    give_up = time.monotonic() + 10
    while is_running(child) and time.monotonic() < give_up:
        time.sleep(0.01)

    assert not is_running(child)
    assert is_running(os.getpid())
    os.waitpid(child, 0)

    assert not is_running(child)
