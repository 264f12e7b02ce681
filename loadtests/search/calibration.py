"""
What this machine can measure at all: the latency that is there without a target, and the rate beyond which it lags.

A child process serves answers that cost next to nothing, on the same machine; it shares the processors with the
generator, so the ceiling is that of both together, and a lower bound for a target elsewhere. The floor is the response
time at an unhurried rate. The ceiling is the highest rate at which the generator is punctual: searched for as any
saturation rate is, with its own lateness as the objective.
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
from chainproof.results.folder import DEFAULT_ROOT, check_writable, default_run_path, utc_timestamp
from chainproof.target_options import TargetOptions
from chainproof.workload.objectives import parse_objective
from chainproof.workload.search_settings import SearchSettings
from chainproof.workload.workload import Workload

from .runner import ProbeRunner, SearchAborted, probe_table
from .saturation import NoRateReason, Probe, ProbePurpose, ProbeVerdict, SearchResult, saturation

CALIBRATION_FILE = "calibration.json"
ON_TIME_OBJECTIVES = ("p99 schedule_lag < 10ms", "error_rate <= 0%")
"""What a generator that keeps up does."""
FLOOR_RATE: PerSecond = 250.0
"""The floor's rate, and the lowest at which a ceiling is looked for."""
HIGHEST_RATE: PerSecond = 100_000.0
PROBE_DURATION: Seconds = 2.0
_WARM_UP: Seconds = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """
    Floor and ceiling of this machine.
    """

    floor: dict[str, Seconds]
    """By percentile, the response time that is there without a target."""
    ceiling: PerSecond | None
    """The highest rate at which the generator is punctual; None where it was not even at the lowest."""
    ceiling_reached: bool
    """Whether a higher rate was asked for and not kept up with; else the ceiling is a lower bound."""
    lowest: PerSecond = FLOOR_RATE

    @property
    def sentences(self) -> list[str]:
        """Both in words."""
        floor = ", ".join(f"{name} {format_duration(value)}" for name, value in self.floor.items())
        lines = [
            f"floor    {floor or 'not measured'} (response time without a target, at {self.lowest:g} requests a second)"
        ]
        if self.ceiling is None:
            return [
                *lines,
                f"ceiling  below {self.lowest:g} requests a second: this machine is busy with something else",
            ]
        least = "" if self.ceiling_reached else "at least "
        return [*lines, f"ceiling  {least}{self.ceiling:.4g} requests a second, sent on time ({ON_TIME_OBJECTIVES[0]})"]


def run_calibration(options: argparse.Namespace) -> int:
    """
    Measure floor and ceiling, say them, and end with 0, or 4 where this machine keeps up with no rate at all.
    """
    if options.target or options.chain_id or options.model_id:
        raise UsageError("expected no target with --calibrate: it measures this machine, against a server of its own")
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
    with null_server() as chosen:
        folder = (
            Path(options.out)
            if options.out
            else default_run_path(work.name, chosen.target, utc_timestamp(), DEFAULT_ROOT)
        )
        check_writable(folder)
        probing = ProbeRunner(options, _asked(), chosen, folder, (), workload=work, search=search)
        try:
            floor = probing.probe(lowest, ProbePurpose.DOUBLING)
            known = iter([floor])
            answer = saturation(
                lambda rate, purpose: _kept_up(next(known, None) or probing.probe(rate, purpose)), search, lowest
            )
        except SearchAborted as ended:
            probing.write(None, str(ended))
            print(f"chainproof loadtests: {ended}", file=sys.stderr)
            return ended.code
    ceiling = max_rate if answer.no_rate_reason is NoRateReason.NEVER_MISSED else answer.rate
    found = Calibration(
        floor=floor.response_time, ceiling=ceiling, ceiling_reached=answer.rate is not None, lowest=lowest
    )
    _write(folder, found)
    # On the terminal the two are a table.
    said = "; ".join(" ".join(line.split()) for line in found.sentences)
    probing.write(SearchResult(rate=ceiling, missed_at=answer.missed_at), said)
    print("\n".join([*probe_table(probing.probes), "", *(f"  {line}" for line in found.sentences), ""]))
    print(folder, flush=True)
    return ExitCode.PASS if ceiling is not None else ExitCode.INVALID


def _kept_up(probe: Probe) -> Probe:
    """
    A probe of our own ceiling: whatever else it is, where it is not punctual it was missed.
    """
    return probe if probe.verdict is ProbeVerdict.MET else replace(probe, verdict=ProbeVerdict.MISSED)


def _asked() -> TargetOptions:
    """
    A way to the server that needs no option: the environment leads there.
    """
    return TargetOptions()


def _write(folder: Path, found: Calibration) -> None:
    said = {
        "floor_s": found.floor,
        "lowest_per_s": found.lowest,
        "ceiling_per_s": found.ceiling,
        "ceiling_reached": found.ceiling_reached,
        "processors": os.cpu_count(),
        "objectives": list(ON_TIME_OBJECTIVES),
    }
    (folder / CALIBRATION_FILE).write_bytes(orjson.dumps(said, option=orjson.OPT_INDENT_2) + b"\n")


@contextmanager
def null_server() -> Iterator[Endpoint]:
    """
    A server that does nothing, as a child process, for as long as the context lasts.
    """
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
