"""
Measure what `--duet` and `--interleave` find: `python benchmarks/paired_runs.py [--kind duet] [--comparisons N]`

Two emulators as real processes, with lognormal service times from different seeds. In half of the comparisons they are equal, in
the other half the candidate is 10 % slower. The table has the number of comparisons, and how many of them say that p50, p95, p99
or any of them differs: between equal versions a false alarm, else counted if the candidate is slower. The exit codes are
those of the command, with the default tolerance of 10 %.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from chainproof.contract.credentials import DEFAULT_KEY_VARIABLE
from chainproof.endpoint import start_emulator
from chainproof.processes import chainproof_command

MEDIAN, P99 = 0.020, 0.060
"""Service time of the baseline, in seconds."""
SLOWER = 1.1


def scenario(folder: Path, factor: float) -> Path:
    """A scenario file whose service times are *factor* times those of the baseline."""
    path = folder / f"times-{factor:g}.toml"
    times = {name: f"{factor * seconds * 1000:g}ms" for name, seconds in (("median", MEDIAN), ("p99", P99))}
    table = ", ".join(f'{name} = "{text}"' for name, text in times.items())
    path.write_text(f'description = "lognormal"\nservice_time = {{ {table} }}\n', encoding="utf-8")
    return path


METRICS = ("p50", "p95", "p99")


def comparison(kind: str, options: argparse.Namespace, folder: Path, factor: float, seed: int) -> tuple[set[str], int]:
    """The metrics that one comparison says to differ, and its exit code."""
    with ExitStack() as stack:
        candidate, baseline = (
            stack.enter_context(start_emulator(str(scenario(folder, each)), options=("--seed", str(number))))
            for each, number in ((factor, 2 * seed + 1), (1.0, 2 * seed + 2))
        )
        seconds, count = options.duet if kind == "duet" else options.interleave
        words = [f"--{kind}", baseline.target.url, "--target", candidate.target.url, "--repeat", f"{count:g}"]
        words += ["--rate", str(options.rate), "--duration", f"{seconds:g}s", "--seed", str(seed)]
        out = folder / f"{kind}-{factor:g}-{seed}"
        arguments = chainproof_command("loadtests", *words, "--out", str(out), "--quiet", "--no-html")
        key = {DEFAULT_KEY_VARIABLE: candidate.key.reveal()}
        ended = subprocess.run(arguments, env={**os.environ, **key}, capture_output=True, text=True, check=False)
    sides = [sorted(str(path) for path in out.glob(f"*_{side}")) for side in ("candidate", "baseline")]
    if not all(sides):
        sys.exit(ended.stderr)
    reports = chainproof_command("reports", *sides[0], "--against", *sides[1], "--json", "-")
    load = json.loads(subprocess.run(reports, stdout=subprocess.PIPE, check=False).stdout)["load"]
    changes = load["metrics"] if load is not None else ()  # none if a run was invalid
    differing = {each["metric"] for each in changes if each["differs"] and (factor == 1.0 or each["change"] > 0)}
    return differing & set(METRICS), ended.returncode


def rows(kinds: Sequence[str], options: argparse.Namespace) -> Iterator[str]:
    """One line of the table for each kind and each pair of versions."""
    with tempfile.TemporaryDirectory() as name:
        for kind in kinds:
            for factor, title in ((1.0, "equal"), (SLOWER, "10 % slower")):
                results = [comparison(kind, options, Path(name), factor, seed) for seed in range(options.comparisons)]
                counts = "".join(f"{sum(metric in found for found, _ in results):5}" for metric in METRICS)
                anything = sum(bool(found) for found, _ in results)
                codes = ", ".join(f"{code}: {n}" for code, n in sorted(Counter(code for _, code in results).items()))
                yield f"{kind:12}{title:14}{len(results):5}{counts}{anything:5}   {codes}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=["duet", "interleave"], help="default: both")
    parser.add_argument("--comparisons", type=int, default=10, help="for each cell (10)")
    parser.add_argument("--rate", type=float, default=50, help="requests per second (50)")
    parser.add_argument("--duet", nargs=2, type=float, default=(60.0, 1), metavar=("SECONDS", "PAIRS"), help="(60 1)")
    parser.add_argument(
        "--interleave", nargs=2, type=float, default=(20.0, 6), metavar=("SECONDS", "PAIRS"), help="(20 6)"
    )
    options = parser.parse_args()
    head = "".join(f"{metric:>5}" for metric in (*METRICS, "any"))
    print(f"{'kind':12}{'versions':14}{'of':>5}{head}   exit codes", flush=True)
    for row in rows([options.kind] if options.kind else ["duet", "interleave"], options):
        print(row, flush=True)


if __name__ == "__main__":
    main()
