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
from chainproof.command import TARGET_VARIABLE, Mistake, Wanted
from chainproof.contract.credentials import DEFAULT_VARIABLE, EMULATOR_KEY, ApiKey
from chainproof.contract.target import parse_target
from chainproof.durations import format_duration
from chainproof.endpoint import Endpoint
from chainproof.judgement.verdict import Exit
from chainproof.results.folder import DEFAULT_ROOT, check_writable, default_path, now
from chainproof.workload.objectives import parse_objective
from chainproof.workload.search_settings import Search
from chainproof.workload.workload import Workload

from .runner import Ended, Probing, table
from .saturation import Answer, Probe, Purpose, Refusal, Standing, saturation

SUMMARY = "calibration.json"
PUNCTUAL = ("p99 schedule_lag < 10ms", "error_rate <= 0%")
"""What a generator that keeps up does."""
UNHURRIED: PerSecond = 250.0
"""The floor's rate, and the lowest at which a ceiling is looked for."""
HIGHEST: PerSecond = 100_000.0
LASTING: Seconds = 2.0
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
    reached: bool
    """Whether a higher rate was asked for and not kept up with; else the ceiling is a lower bound."""
    lowest: PerSecond = UNHURRIED

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
        least = "" if self.reached else "at least "
        return [*lines, f"ceiling  {least}{self.ceiling:.4g} requests a second, sent on time ({PUNCTUAL[0]})"]


def calibrated(options: argparse.Namespace) -> int:
    """
    Measure floor and ceiling, say them, and end with 0, or 4 where this machine keeps up with no rate at all.
    """
    if options.target or options.chain_id or options.model_id:
        raise Mistake("expected no target with --calibrate: it measures this machine, against a server of its own")
    duration = options.duration or LASTING
    highest = options.search_to or HIGHEST
    options = argparse.Namespace(**{**vars(options), "warm_up": _WARM_UP, "workload": "smoke", "max_in_flight": 5000})
    options.objective = list(PUNCTUAL)
    objectives = tuple(map(parse_objective, PUNCTUAL))
    lowest = min(options.rate or UNHURRIED, highest)
    work = Workload(name="calibration", rate=lowest, duration=duration, objectives=objectives).checked()
    search = Search(
        highest=highest,
        resolution=options.search_resolution or 0.1,
        verifications=options.search_verify or 1,
        longest=max(5 * duration, 10.0),
    )
    with null_server() as chosen:
        folder = Path(options.out) if options.out else default_path(work.name, chosen.target, now(), DEFAULT_ROOT)
        check_writable(folder)
        probing = Probing(options, _asked(), chosen, folder, (), workload=work, search=search)
        try:
            floor = probing.probe(lowest, Purpose.DOUBLING)
            known = iter([floor])
            answer = saturation(
                lambda rate, purpose: _kept_up(next(known, None) or probing.probe(rate, purpose)), search, lowest
            )
        except Ended as ended:
            probing.write(None, str(ended))
            print(f"chainproof loadtests: {ended}", file=sys.stderr)
            return ended.code
    ceiling = highest if answer.refusal is Refusal.NEVER_MISSED else answer.rate
    found = Calibration(floor=floor.response_time, ceiling=ceiling, reached=answer.rate is not None, lowest=lowest)
    _write(folder, found)
    # On the terminal the two are a table.
    said = "; ".join(" ".join(line.split()) for line in found.sentences)
    probing.write(Answer(rate=ceiling, missed_at=answer.missed_at), said)
    print("\n".join([*table(probing.probes), "", *(f"  {line}" for line in found.sentences), ""]))
    print(folder, flush=True)
    return Exit.PASS if ceiling is not None else Exit.INVALID


def _kept_up(probe: Probe) -> Probe:
    """
    A probe of our own ceiling: whatever else it is, where it is not punctual it was missed.
    """
    return probe if probe.standing is Standing.MET else replace(probe, standing=Standing.MISSED)


def _asked() -> Wanted:
    """
    A way to the server that needs no option: the environment leads there.
    """
    return Wanted()


def _write(folder: Path, found: Calibration) -> None:
    said = {
        "floor_s": found.floor,
        "lowest_per_s": found.lowest,
        "ceiling_per_s": found.ceiling,
        "reached": found.reached,
        "processors": os.cpu_count(),
        "punctual": list(PUNCTUAL),
    }
    (folder / SUMMARY).write_bytes(orjson.dumps(said, option=orjson.OPT_INDENT_2) + b"\n")


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
        environment = {TARGET_VARIABLE: target.url, DEFAULT_VARIABLE: EMULATOR_KEY}
        yield Endpoint(target=target, key=ApiKey(EMULATOR_KEY), environment=environment)
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait()
