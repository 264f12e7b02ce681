"""Repeated request ids are detected, even if different workers received them."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from chainproof.contract import clauses
from chainproof.contract.levels import Contract
from chainproof.loadtests.demand import Demand, Shard
from chainproof.loadtests.distributed.merge import DistributedRun, WorkerState
from chainproof.loadtests.distributed.messages import WorkerReport
from chainproof.loadtests.recording.request_ids import ReportedIds, RequestIds
from chainproof.results.finding import ClauseCount, Finding
from chainproof.results.manifest import Ending, RunEnd
from chainproof.workload.workload import Workload

Launch = Callable[..., Any]
RunServer = Callable[..., Any]
UNIQUE = clauses.REQUEST_ID_UNIQUE.id


@given(st.lists(st.integers(0, 30)), st.integers(1, 12))
def test_repeated_ids_are_detected_within_the_window(numbers: list[int], window: int) -> None:
    """An id is detected if fewer other ids than the window came in between; new ids are never reported."""
    ids = RequestIds(window)
    for place, number in enumerate(numbers):
        is_repeated = bool(ids.repeated([b"id-%d" % number]))
        before = numbers[:place]
        last = len(before) - 1 - before[::-1].index(number) if number in before else None

        assert not (is_repeated and last is None)
        if last is not None and len(set(before[last + 1 :])) < window:
            assert is_repeated


@given(st.lists(st.integers(0, 30)), st.integers(1, 12), st.lists(st.integers(1, 8)))
def test_ids_in_bulk_are_found_repeated_as_one_by_one(numbers: list[int], window: int, sizes: list[int]) -> None:
    """The same ids are found repeated, and the same are new, in whichever batches they are added."""
    received = [b"id-%d" % number for number in numbers]
    singly, in_bulk = RequestIds(window, track_new=True), RequestIds(window, track_new=True)
    expected = [index for index, each in enumerate(received) if singly.repeated([each])]
    actual: list[int] = []
    start = 0
    for size in [*sizes, len(received)]:
        actual += [start + index for index in in_bulk.repeated(received[start : start + size])]
        start += size

    assert expected == actual
    assert singly.take_new() == in_bulk.take_new()


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 20)), max_size=60), st.integers(1, 9))
def test_workers_and_master_count_each_repetition_once(answers: list[tuple[int, int]], every: int) -> None:
    """All answers except the first with each id are counted, whichever worker gets them and whenever it reports."""
    workers, master = [RequestIds(track_new=True) for _ in range(3)], ReportedIds()
    counted = 0
    for place, (worker, number) in enumerate(answers):
        counted += len(workers[worker].repeated([b"id-%d" % number]))
        if place % every == 0:
            counted += master.repeated_among(workers[worker].take_new())
    counted += sum(master.repeated_among(worker.take_new()) for worker in workers)

    assert len(answers) - len({number for _, number in answers}) == counted


class MemorySink:
    """A sink that stores findings, clause counts and the end."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.clauses: list[ClauseCount] = []
        self.end: RunEnd | None = None

    def write_interval(self, _: Any) -> None: ...

    def write_exemplar(self, _: Any) -> None: ...

    def write_finding(self, finding: Finding) -> None:
        self.findings.append(finding)

    def write_clause(self, count: ClauseCount) -> None:
        self.clauses.append(count)

    def write_requests(self, _: Any) -> None: ...

    def finish(self, end: RunEnd) -> None:
        self.end = end


def test_the_master_sums_up_reports_of_lost_workers_too() -> None:
    """Clause counts are those of each worker's last report; the master adds ids that repeat across workers."""
    sink = MemorySink()
    demand = Demand(workload=Workload(name="w"), contract=Contract.STRICT, seed=7)
    worker_states = [WorkerState(client=name, shard=Shard(index=place, of=2)) for place, name in enumerate("ab")]
    run = DistributedRun(demand, array("d"), worker_states, sink, halt=lambda _: None, terminate_worker=lambda _: "")
    run.begin(time.monotonic())
    ids = RequestIds(track_new=True)
    ids.repeated([b"id-%d" % number for number in range(3)])
    reported = ids.take_new()
    for number in range(2):
        counts = [ClauseCount(clause=UNIQUE, exercised=3 * (number + 1), violations=0)]
        run.add_report(
            "a", WorkerReport(run="", number=number, clauses=counts, request_ids=reported[: 24 * (number == 0)])
        )
    end = RunEnd(ending=Ending.COMPLETED, seconds=1.0)
    counts = [ClauseCount(clause=UNIQUE, exercised=4, violations=1)]
    run.add_report("b", WorkerReport(run="", number=0, clauses=counts, request_ids=reported[8:], end=end))
    run.add_report("a", WorkerReport(run="", number=9))
    run.supervise()

    assert [(UNIQUE, 10, 3)] == [(count.clause, count.exercised, count.violations) for count in sink.clauses]
    assert [(UNIQUE, 2, 7)] == [(finding.clause, finding.count, finding.seed) for finding in sink.findings]
    assert sink.end is not None
    assert ["0"] == [lost.worker for lost in sink.end.lost_workers]


async def repeat_each_id(request: Any) -> None:
    """Send each request id on two successive answers, which go to different workers."""
    await request.answer(
        200, b"{}", "Content-Type: application/json", f"X-BASETEN-REQUEST-ID: an-id-for-two-{request.number // 2}"
    )


def test_ids_repeated_across_workers_are_detected(run_server: RunServer, launch: Launch) -> None:
    """Half of the answers repeat an id; all of these are counted, most of them only by the master."""
    with run_server(repeat_each_id) as server:
        done = launch(server, "--rate", "80", "--duration", "1s", "--arrivals", "constant", "--processes", "2").end()
    finding = next(each for each in done.run.findings if each.clause == UNIQUE)
    count = next(each for each in done.run.clauses if each.clause == UNIQUE)

    assert 80 == len(server.requests), done.errors
    assert (80, 40) == (count.exercised, count.violations)
    assert 40 == finding.count
