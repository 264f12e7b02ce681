"""LoadRun in this process, without Locust: internal errors."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest

from chainproof.contract.answer import Answer
from chainproof.contract.credentials import ApiKey
from chainproof.contract.judged_answer import JudgedAnswer
from chainproof.contract.levels import Contract
from chainproof.contract.target import parse_target
from chainproof.endpoint import Endpoint
from chainproof.loadtests.demand import Demand
from chainproof.loadtests.engine import result_recorder
from chainproof.loadtests.engine.load_run import LoadRun
from chainproof.loadtests.recording.recorder import Recorder
from chainproof.results.folder import read_run
from chainproof.results.manifest import Ending
from chainproof.results.run_writer import RunWriter
from chainproof.workload.workload import Workload

from ...manifests import load_manifest


async def different(request: Any) -> None:
    """Answer like no other request, so that every answer is judged."""
    await request.answer(body=b"{}" + b" " * request.number)


def test_an_internal_error_ends_the_run_and_loses_no_request(
    run_server: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is censored, the run ends with an internal error and its reason, and the accounting adds up."""
    demand = Demand(
        workload=Workload(name="test", rate=100.0, arrivals="constant", duration=1.0), contract=Contract.STRICT, seed=0
    )
    manifest = load_manifest(name="test", started="2026-01-01T00:00:00.000Z")
    judged: list[object] = []

    def judge(answer: Answer, _: Contract) -> JudgedAnswer:
        judged.append(answer)
        if len(judged) == 5:
            raise ZeroDivisionError
        return JudgedAnswer(answer)

    monkeypatch.setattr(result_recorder, "judge_answer", judge)
    with run_server(different) as server, RunWriter(tmp_path / "run", manifest) as writer:
        recorder = Recorder(writer, contract=Contract.STRICT, seed=0)
        endpoint = Endpoint(target=server.target, key=ApiKey("key"), environment={})
        run = LoadRun(demand, demand.plan(), endpoint, recorder)
        run.begin()
        gevent.spawn(run.run_open_loop)
        run.supervise()
    end = read_run(tmp_path / "run").end

    assert end is not None
    assert (Ending.INTERNAL_ERROR, "ZeroDivisionError") == (end.ending, end.note)
    assert "" == recorder.accounting.contradiction()
    assert {"planned": 100, "censored": 1}.items() <= end.accounting.items()
    assert end.accounting["not_sent"] > 0


def test_no_wait_for_the_end_of_a_run_hangs(tmp_path: Path) -> None:
    """On a busy machine the run may finish while timed waits for it are overdue; all waits return."""
    demand = Demand(workload=Workload(name="test"), contract=Contract.STRICT, seed=0)
    manifest = load_manifest(name="test", started="2026-01-01T00:00:00.000Z")
    endpoint = Endpoint(target=parse_target("http://127.0.0.1:9"), key=ApiKey("key"), environment={})
    with RunWriter(tmp_path / "run", manifest) as writer:
        run = LoadRun(demand, demand.plan(), endpoint, Recorder(writer, contract=Contract.STRICT, seed=0))

        def finish() -> None:
            gevent.sleep(0.01)
            run._finished.set()
            run.wait()

        def wait_repeatedly(timeout: float) -> None:
            while not run.wait(timeout):
                pass

        waiting = [gevent.spawn(finish), gevent.spawn(wait_repeatedly, 0.012), gevent.spawn(wait_repeatedly, 0.013)]
        gevent.sleep(0)
        time.sleep(0.05)  # all timers are overdue in one iteration of the event loop
        gevent.joinall(waiting, timeout=2)

        assert all(greenlet.ready() for greenlet in waiting)


def test_nothing_is_written_after_the_end_of_a_run(tmp_path: Path) -> None:
    """The event loop gives up requests in flight until the next second is over: that second is not written again."""
    demand = Demand(workload=Workload(name="test", rate=10.0, duration=1.0), contract=Contract.STRICT, seed=0)
    manifest = load_manifest(name="test", started="2026-01-01T00:00:00.000Z")
    endpoint = Endpoint(target=parse_target("http://127.0.0.1:9"), key=ApiKey("key"), environment={})
    with RunWriter(tmp_path / "run", manifest) as writer:
        run = LoadRun(demand, demand.plan(), endpoint, Recorder(writer, contract=Contract.STRICT, seed=0))
        finish = run._finish

        def finish_slowly() -> None:
            finish()
            for _ in range(60):  # the event loop looks at its timers after 50 callbacks
                gevent.get_hub().loop.run_callback(time.sleep, 0.001)

        run._finish = finish_slowly  # type: ignore[method-assign]
        run.begin(time.monotonic() - 0.97)
        run.stop()
        flushing = gevent.spawn(run.flush_every_second)
        gevent.sleep(0)
        run.supervise()
        flushing.join(timeout=2)
    recorded = read_run(tmp_path / "run")

    assert flushing.ready()
    assert {} == recorded.damage
