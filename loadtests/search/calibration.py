"""
Calibration: the lowest latency and the highest rate that this machine can measure.

The target is a child process on the same machine whose answers cost almost nothing. It shares the processors with the
generator, so the highest rate is a lower bound for targets on other machines. The floor is the response time at a low
rate. The ceiling is the highest rate at which requests start on time: a saturation search whose objective is schedule lag.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

from chainproof.clock import PerSecond, Seconds, format_duration
from chainproof.command import print_run_folder
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, ApiKey
from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.contract.target import parse_target
from chainproof.endpoint import Endpoint
from chainproof.errors import UsageError
from chainproof.judgement.verdict import EXIT_CODE_OF, Verdict
from chainproof.options import TARGET_VARIABLE
from chainproof.processes import piped_environment
from chainproof.results.run_writer import check_writable, create_run_folder
from chainproof.target_options import TargetOptions
from chainproof.workload.objectives import parse_objective
from chainproof.workload.search_settings import SearchSettings
from chainproof.workload.workload import Workload

from ..locust_process import LocustRun, print_message
from .evidence import Probe, ProbeVerdict
from .runner import ProbeRunner, SearchAborted, probe_table
from .saturation import NoRateReason, SearchPlan, SearchResult, saturation

CALIBRATION_FILE = "calibration.json"
ON_TIME_OBJECTIVES = ("p99 schedule_lag < 10ms", "error_rate <= 0%")
"""The objectives of a generator that keeps up."""
FLOOR_RATE: PerSecond = 250.0
"""The rate at which the floor is measured, and the lowest rate of the search for the ceiling."""
HIGHEST_RATE: PerSecond = 100_000.0
PROBE_DURATION: Seconds = 2.0
_WARM_UP: Seconds = 0.5
_REQUESTS = 1200
"""Requests of a probe: enough to show a p99 with four late ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The floor and the ceiling of this machine."""

    floor: dict[str, Seconds]
    """Response time against the null server, by percentile."""
    ceiling: PerSecond | None
    """The highest rate at which requests start on time; None if not even the lowest rate does."""
    ceiling_reached: bool
    """Whether a higher rate was tried and missed; otherwise the ceiling is a lower bound."""
    lowest: PerSecond = FLOOR_RATE

    @property
    def sentences(self) -> list[str]:
        """Floor and ceiling in words."""
        floor = ", ".join(f"{name} {format_duration(value)}" for name, value in self.floor.items()) or "not measured"
        ceiling = f"below {self.lowest:g} requests per second: this machine is busy with something else"
        if self.ceiling is not None:
            at_least = "" if self.ceiling_reached else "at least "
            ceiling = f"{at_least}{self.ceiling:.4g} requests per second, started on time ({ON_TIME_OBJECTIVES[0]})"
        return [
            f"floor    {floor} (response time against the null server, at {self.lowest:g} requests per second)",
            f"ceiling  {ceiling}",
        ]


def run_calibration(options: argparse.Namespace) -> int:
    """Measure and print floor and ceiling. Returns 0, or 4 if this machine keeps up with no rate."""
    if options.target or options.chain_id or options.model_id:
        raise UsageError("expected no target with --calibrate: it measures this machine against its own server")
    duration = options.duration or PROBE_DURATION
    max_rate = options.search_max_rate or HIGHEST_RATE
    options = argparse.Namespace(**{**vars(options), "warm_up": _WARM_UP, "workload": "smoke", "max_in_flight": 5000})
    options.objective = list(ON_TIME_OBJECTIVES)
    objectives = tuple(map(parse_objective, ON_TIME_OBJECTIVES))
    lowest = min(options.rate or FLOOR_RATE, max_rate)
    work = Workload(name="calibration", rate=lowest, duration=duration, objectives=objectives).validated()
    plan = SearchPlan(
        lowest=lowest,
        settings=SearchSettings(
            max_rate=max_rate,
            resolution=options.search_resolution or 0.1,
            verifications=options.search_verifications or 1,
        ),
        first_requests=_REQUESTS,
        verifying_requests=_REQUESTS,
        max_requests=_REQUESTS,
        probe_seconds=duration,
        warm_up=_WARM_UP,
    )
    with null_server() as endpoint:
        if options.out:
            check_writable(Path(options.out))
        folder = Path(options.out) if options.out else create_run_folder(work.name, endpoint.target)
        run = LocustRun(options=options, requested=TargetOptions(), endpoint=endpoint, folder=folder)
        runner = ProbeRunner(run, workload=work, plan=plan)
        try:
            result = saturation(lambda request: _met_or_missed(runner.run(request)), plan)
        except SearchAborted as aborted:
            runner.write(None, str(aborted), Verdict.INCONCLUSIVE)
            print_message(str(aborted))
            return aborted.code
    ceiling = max_rate if result.no_rate_reason is NoRateReason.NEVER_MISSED else result.rate
    calibration = Calibration(
        floor=runner.probes[0].response_time, ceiling=ceiling, ceiling_reached=result.rate is not None, lowest=lowest
    )
    _write_calibration(folder, calibration)
    summary = "; ".join(" ".join(line.split()) for line in calibration.sentences)  # without the terminal's padding
    verdict = Verdict.PASS if ceiling is not None else Verdict.INVALID
    runner.write(SearchResult(rate=ceiling, missed_at=result.missed_at), summary, verdict)
    print("\n".join([*probe_table(runner.probes), "", *(f"  {line}" for line in calibration.sentences), ""]))
    print_run_folder(folder)
    return EXIT_CODE_OF[verdict]


def _met_or_missed(probe: Probe) -> Probe:
    """A probe that is judged alone, and missed unless its objectives were met, even if it is invalid."""
    verdict = ProbeVerdict.MET if probe.verdict is ProbeVerdict.MET else ProbeVerdict.MISSED
    return replace(probe, verdict=verdict, others=verdict, counts=(), in_flight=())


def _write_calibration(folder: Path, calibration: Calibration) -> None:
    data = {
        "floor_s": calibration.floor,
        "lowest_per_s": calibration.lowest,
        "ceiling_per_s": calibration.ceiling,
        "ceiling_reached": calibration.ceiling_reached,
        "processors": os.cpu_count(),
        "objectives": list(ON_TIME_OBJECTIVES),
    }
    (folder / CALIBRATION_FILE).write_bytes(orjson.dumps(data, option=orjson.OPT_INDENT_2) + b"\n")


@contextmanager
def null_server() -> Iterator[Endpoint]:
    """The null server as a child process, until the context ends."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "chainproof.loadtests.search.null_server"],
        env=piped_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        port = child.stdout.readline()
        if not port:
            raise UsageError(f"the null server did not start (exit code {child.wait()}); see above")
        target = parse_target(f"http://127.0.0.1:{int(port)}")
        environment = {TARGET_VARIABLE: target.url, DEFAULT_KEY_VARIABLE: EMULATOR_KEY}
        yield Endpoint(target=target, key=ApiKey(EMULATOR_KEY), environment=environment)
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait()
