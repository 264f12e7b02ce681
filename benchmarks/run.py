"""
Measure speed and accuracy and compare them with other tools: `python benchmarks/run.py [NAME …] [--seconds S] [--requests N]`

Everything runs on loopback, with generator and server each on its own CPU core. Absolute figures depend on the machine.
Ratios are from alternating runs (A B A B), so that load on the machine affects both sides. wrk, hey, k6 and autocannon
are included if they are installed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from accuracy import arrivals, frozen, truth
from load_generators import STOCK_LOCUST, RoundResult, null_server, run_rounds
from resource_use import in_flight, measure_memory, processes, sustained

from chainproof.endpoint import start_emulator
from chainproof.processes import chainproof_command
from chainproof.results.exchange import Outcome, Result, Transport
from chainproof.results.intervals.interval import Interval

USERS = 64
SECONDS = 5
ROUNDS = 3
RATES = (500, 1000, 2000, 4000)
RECORDED = 2000
"""Exchanges that are counted at once: those of a second."""
INSTANT = 'description = "no service time at all"\nservice_time = "0s"\n'


def closed(*, tls: bool = False) -> None:
    """Print requests per second in a closed loop, for all installed load generators."""
    kind, results = "tls" if tls else "closed", dict[str, list[tuple[RoundResult, float, float]]]()
    with null_server(tls=tls) as origin:
        rounds = run_rounds(origin, connections=USERS, seconds=SECONDS, rounds=ROUNDS, warm_up=3 if tls else 1)
        for number, each in enumerate(rounds):
            print(f"{kind}: round {number + 1} of {ROUNDS}")
            reference = each[STOCK_LOCUST]
            for name, result in each.items():
                ratios = result.per_cpu_second / reference.per_cpu_second, result.per_second / reference.per_second
                results.setdefault(name, []).append((result, *ratios))
    print(
        f"{kind}, {USERS} connections, medians of {ROUNDS} rounds; ratios are relative to {STOCK_LOCUST} in the same round"
    )
    for name, every in results.items():
        by_cpu = statistics.median(result.per_cpu_second for result, _, _ in every)
        by_wall = statistics.median(result.per_second for result, _, _ in every)
        cpu_ratio, wall_ratio = (statistics.median(ratios) for ratios in list(zip(*every, strict=True))[1:])
        print(
            f"  {name:56} {by_wall:8.0f}/s {wall_ratio:6.2f} times   {1e6 / by_cpu:7.1f} µs of CPU time {cpu_ratio:6.2f} times"
        )
    print()


def lag() -> None:
    """Print schedule lag and service time of the open model at increasing rates."""
    with tempfile.TemporaryDirectory() as folder, start_emulator(scenario(folder)) as endpoint:
        environment = {**os.environ, **endpoint.environment}
        for rate in RATES:
            out = Path(folder) / str(rate)
            load(["--rate", str(rate), "--duration", f"{SECONDS}s", "--out", str(out)], environment)
            report = json_report(out)
            schedule_lag, service_time = (
                report["timings"][name]["p99"] * 1e3 for name in ("schedule_lag_s", "service_time_s")
            )
            ok_share = report["accounting"]["ok"] / report["accounting"]["planned"]
            print(
                f"open, {rate:5d}/s: schedule lag p99 {schedule_lag:7.2f} ms   service time p99 {service_time:7.2f} ms   ok {ok_share:.1%}"
            )
    print()


def record() -> None:
    """Print the time to count an exchange among those of its second, and in Locust's statistics."""
    times = [random.Random(1).lognormvariate(-3, 1) for _ in range(200_000)]
    outcome = Outcome(Transport.ANSWERED, 200, None, Result.OK)
    interval = Interval(second=0)
    seconds = [np.array(times[start : start + RECORDED]) for start in range(0, len(times), RECORDED)]
    start = time.perf_counter()
    for each in seconds:
        interval.count_outcomes(outcome, each, each)
    ours = (time.perf_counter() - start) / len(times)
    script = (
        "import random, time; from locust.stats import RequestStats\n"
        "times = [random.Random(1).lognormvariate(-3, 1) * 1e3 for _ in range(200_000)]\n"
        "log = RequestStats().log_request\n"
        "start = time.perf_counter()\n"
        "for value in times: log('POST', '/production/run_remote', value, 44)\n"
        "print((time.perf_counter() - start) / len(times))\n"
    )
    environment = {**os.environ, "LOCUST_SKIP_MONKEY_PATCH": "1"}
    theirs = float(subprocess.check_output([sys.executable, "-P", "-c", script], env=environment, text=True))
    print(
        f"record: ours {ours * 1e6:.2f} µs (two times, 0.05 %, {RECORDED:,} at once)   Locust {theirs * 1e6:.2f} µs (one time, up to 5 %)\n"
    )


def scenario(folder: str) -> str:
    """The path of a scenario without service time."""
    path = Path(folder) / "instant.toml"
    path.write_text(INSTANT, encoding="utf-8")
    return str(path)


def load(options: list[str], environment: dict[str, str]) -> None:
    """Run a load test. Exits with its error output if it fails."""
    completed = subprocess.run(
        chainproof_command("loadtests", "steady", "--no-html", "--quiet", *options),
        env=environment,
        capture_output=True,
        check=False,
    )
    if completed.returncode not in (0, 1, 3, 4):
        sys.exit(completed.stderr.decode())


def json_report(out: Path) -> dict[str, dict[str, dict[str, float]]]:
    """The JSON report of a run."""
    completed = subprocess.run(
        chainproof_command("reports", str(out), "--json", "-"), capture_output=True, text=True, check=False
    )
    report: dict[str, dict[str, dict[str, float]]] = json.loads(completed.stdout)
    return report


def main() -> None:
    """Run the named benchmarks, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument(
        "--seconds", type=int, help="duration of each run of truth, frozen, arrivals, sustained and processes"
    )
    parser.add_argument(
        "--requests", type=int, default=10_000_000, help="number of requests of memory (default: %(default)s)"
    )
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"expected names of benchmarks ({', '.join(BENCHMARKS)}), found {', '.join(unknown)}")
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # show each result at once, since a run takes minutes
    for name in options.names or BENCHMARKS:
        BENCHMARKS[name](options)


BENCHMARKS: dict[str, Callable[[argparse.Namespace], None]] = {
    "closed": lambda _: closed(),
    "tls": lambda _: closed(tls=True),
    "truth": lambda options: truth(options.seconds or 20),
    "frozen": lambda options: frozen(options.seconds or 120),
    "arrivals": lambda options: arrivals(options.seconds or 20),
    "in-flight": lambda _: in_flight(),
    "memory": lambda options: measure_memory(options.requests),
    "sustained": lambda options: sustained(options.seconds or 600),
    "processes": lambda options: processes(options.seconds or 10),
    "lag": lambda _: lag(),
    "record": lambda _: record(),
}

if __name__ == "__main__":
    main()
