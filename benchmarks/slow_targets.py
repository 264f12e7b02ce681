"""
Measure how many faults are still found if every answer of the target comes late, and how long the runs take.

`python benchmarks/slow_targets.py [--faults NAME,NAME] [--sample N] [--jobs N]` runs `chainproof conformance` against a fixed
sample of the emulator's faults, behind a proxy that delays every answer: `standard` at 300 ms and `quick` at 3 s, each compared
with the same depth at 1 ms. Results are stored in runs/slow_targets.jsonl and not measured again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from delaying_proxy import delaying_proxy
from power import with_slow_payload

from chainproof.clock import Seconds
from chainproof.conformance.options import Depth
from chainproof.emulator.faults import FAULTS
from chainproof.endpoint import start_emulator
from chainproof.processes import chainproof_command

RECORDS = Path(__file__).parents[1] / "runs" / "slow_targets.jsonl"
SEED = 1
TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What must hold for a slow target."""

    depth: Depth
    delay: Seconds
    seconds: Seconds
    """How long a run may take."""
    share: float
    """The share of the faults found at 1 ms that must be found."""


FAST: Seconds = 0.001
GOALS = (
    Goal(depth=Depth.STANDARD, delay=0.3, seconds=180.0, share=0.95),
    Goal(depth=Depth.QUICK, delay=3.0, seconds=90.0, share=0.70),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One run against one fault."""

    fault: str
    depth: str
    delay: Seconds
    code: int
    found: bool
    """Whether a finding names the clause that the fault violates."""
    seconds: Seconds

    @property
    def key(self) -> tuple[str, str, float]:
        """Identifies a measurement."""
        return self.fault, self.depth, self.delay


def measure(fault: str, depth: Depth, delay: Seconds) -> Record:
    """Run conformance against a fault behind a delay."""
    with (
        start_emulator(options=("--fault", fault)) as endpoint,
        delaying_proxy(endpoint.target.port, delay) as port,
        tempfile.TemporaryDirectory() as folder,
    ):
        out = Path(folder) / "run"
        needed = with_slow_payload(FAULTS[fault].needs_options, Path(folder))
        options = ("--depth", depth.value, "--seed", str(SEED), "--steerable", "--echo", *needed)
        command = chainproof_command("conformance", "--target", f"http://127.0.0.1:{port}", "--out", str(out), *options)
        environment = {**os.environ, "BASETEN_API_KEY": endpoint.key.reveal()}
        start = time.monotonic()
        completed = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, timeout=TIMEOUT_S, check=False
        )
        took = time.monotonic() - start
        path = out / "findings.jsonl"  # missing if there are none
        findings = path.read_text().splitlines() if path.exists() else []
    clauses = {json.loads(line)["clause"] for line in findings}
    return Record(
        fault=fault,
        depth=depth.value,
        delay=delay,
        code=completed.returncode,
        found=FAULTS[fault].violates.id in clauses,
        seconds=round(took, 1),
    )


def summary(records: Iterable[Record]) -> Iterable[str]:
    """For each goal, the share of faults found and the longest run."""
    known = {record.key: record for record in records}
    for goal in GOALS:
        pairs = [
            (fast, slow)
            for fast in known.values()
            if (fast.depth, fast.delay) == (goal.depth.value, FAST)
            and (slow := known.get((fast.fault, goal.depth.value, goal.delay))) is not None
        ]
        at_once = [slow for fast, slow in pairs if fast.found]
        if not at_once:
            continue
        found, longest = sum(slow.found for slow in at_once), max(slow.seconds for _, slow in pairs)
        missed = ", ".join(slow.fault for slow in at_once if not slow.found) or "none"
        yield (
            f"{goal.depth} at {goal.delay:g} s per answer: {found} of {len(at_once)} faults ({found / len(at_once):.0%}, goal "
            f"{goal.share:.0%}); longest run {longest:.0f} s (goal {goal.seconds:.0f} s); missed: {missed}"
        )


def _place(name: str) -> bytes:
    """Orders faults by chance, but so that further faults do not change the order of the others."""
    return hashlib.sha256(name.encode()).digest()


def main(arguments: Sequence[str]) -> None:
    """Measure what is missing and print the summary."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0].strip())
    parser.add_argument("--faults", metavar="NAME,NAME", help="only these faults (default: a fixed sample)")
    parser.add_argument("--sample", type=int, default=30, metavar="N", help="size of the sample (default: 30)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="number of parallel commands (default: 2)")
    parser.add_argument(
        "--goals", default="0,1", metavar="N,N", help="which goals: 0 for 300 ms, 1 for 3 s (default: both)"
    )
    options = parser.parse_args(arguments)
    names = options.faults.split(",") if options.faults else sorted(FAULTS, key=_place)[: options.sample]
    records: dict[tuple[str, str, float], Record] = {}
    if RECORDS.exists():
        stored = (Record(**json.loads(line)) for line in RECORDS.read_text().splitlines())
        records = {record.key: record for record in stored}
    goals = [GOALS[int(number)] for number in options.goals.split(",")]
    wanted = [(name, goal.depth, delay) for goal in goals for name in names for delay in (FAST, goal.delay)]
    missing = [each for each in dict.fromkeys(wanted) if (each[0], each[1].value, each[2]) not in records]
    RECORDS.parent.mkdir(exist_ok=True)
    with ThreadPoolExecutor(options.jobs) as pool, RECORDS.open("a", encoding="utf-8") as file:
        for record in pool.map(lambda each: measure(*each), missing):
            records[record.key] = record
            print(json.dumps(asdict(record)), file=file, flush=True)
            print(
                f"{record.fault:32} {record.depth:9} {record.delay:6g} s {'found' if record.found else 'missed':7} "
                f"{record.seconds:6.1f} s",
                flush=True,
            )
    print("\n".join(summary(records.values())))


if __name__ == "__main__":
    main(sys.argv[1:])
