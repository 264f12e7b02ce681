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

from chainproof.clock import PerSecond, Seconds
from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE, EMULATOR_KEY, ApiKey
from chainproof.contract.target import parse_target
from chainproof.durations import format_duration
from chainproof.endpoint import Endpoint
from chainproof.errors import UsageError
from chainproof.judgement.verdict import ExitCode
from chainproof.options import TARGET_VARIABLE
from chainproof.results.folder import check_writable, create_run_folder
from chainproof.target_options import TargetOptions
from chainproof.workload.objectives import parse_objective
from chainproof.workload.search_settings import SearchSettings
from chainproof.workload.workload import Workload

from .runner import ProbeRunner, SearchAborted, probe_table
from .saturation import NoRateReason, Probe, ProbePurpose, ProbeVerdict, SearchResult, saturation

CALIBRATION_FILE = "calibration.json"
ON_TIME_OBJECTIVES = ("p99 schedule_lag < 10ms", "error_rate <= 0%")
"""The objectives of a generator that keeps up."""
FLOOR_RATE: PerSecond = 250.0
"""The rate at which the floor is measured, and the lowest rate of the search for the ceiling."""
HIGHEST_RATE: PerSecond = 100_000.0
PROBE_DURATION: Seconds = 2.0
_WARM_UP: Seconds = 0.5


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
    search = SearchSettings(
        max_rate=max_rate,
        resolution=options.search_resolution or 0.1,
        verifications=options.search_verifications or 1,
        max_probe_duration=max(5 * duration, 10.0),
    )
    with null_server() as endpoint:
        if options.out:
            check_writable(Path(options.out))
        folder = Path(options.out) if options.out else create_run_folder(work.name, endpoint.target)
        probes = ProbeRunner(options, TargetOptions(), endpoint, folder, (), workload=work, search=search)
        try:
            floor_probe = probes.probe(lowest, ProbePurpose.DOUBLING)
            first = iter([floor_probe])
            result = saturation(
                lambda rate, purpose: _met_or_missed(next(first, None) or probes.probe(rate, purpose)), search, lowest
            )
        except SearchAborted as aborted:
            probes.write(None, str(aborted))
            print(f"chainproof loadtests: {aborted}", file=sys.stderr)
            return aborted.code
    ceiling = max_rate if result.no_rate_reason is NoRateReason.NEVER_MISSED else result.rate
    calibration = Calibration(
        floor=floor_probe.response_time, ceiling=ceiling, ceiling_reached=result.rate is not None, lowest=lowest
    )
    _write_calibration(folder, calibration)
    summary = "; ".join(" ".join(line.split()) for line in calibration.sentences)  # without the terminal's padding
    probes.write(SearchResult(rate=ceiling, missed_at=result.missed_at), summary)
    print("\n".join([*probe_table(probes.probes), "", *(f"  {line}" for line in calibration.sentences), ""]))
    print(f"run folder: {folder}", flush=True)
    return ExitCode.PASS if ceiling is not None else ExitCode.INVALID


def _met_or_missed(probe: Probe) -> Probe:
    """A probe that counts as missed unless its objectives were met, even if it is invalid."""
    return probe if probe.verdict is ProbeVerdict.MET else replace(probe, verdict=ProbeVerdict.MISSED)


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
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        target = parse_target(f"http://127.0.0.1:{int(child.stdout.readline())}")
        environment = {TARGET_VARIABLE: target.url, DEFAULT_KEY_VARIABLE: EMULATOR_KEY}
        yield Endpoint(target=target, key=ApiKey(EMULATOR_KEY), environment=environment)
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait()
