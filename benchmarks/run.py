"""
How fast and how true are we, side by side with others? `python benchmarks/run.py [closed] [lag] [record]`

Everything runs on this machine against the emulator on loopback, bounded in count and time. Single figures depend on the
machine and on whatever else it does; the ratios come from runs in turn, A B A B, so that both sides meet the same weather.
"""

from __future__ import annotations

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

from chainproof.embedded import emulator
from chainproof.processes import own_command
from chainproof.results.exchange import Fate, Outcome, Transport
from chainproof.results.interval import Interval

USERS = 50
SECONDS = 5
PAIRS = 3
RATES = (500, 1000, 2000, 4000)
INSTANT = 'description = "no service time at all"\nservice_time = "0s"\n'


def closed() -> None:
    """
    Requests per second of the closed model, beside Locust's FastHttpUser.
    """
    ratios = []
    with tempfile.TemporaryDirectory() as folder, emulator(scenario(folder)) as endpoint:
        environment = {**os.environ, **endpoint.environment}
        for pair in range(PAIRS):
            ours = our_throughput(Path(folder) / str(pair), environment)
            theirs = rival_throughput(environment)
            ratios.append(ours / theirs)
            print(
                f"closed, {USERS} users: ours {ours:8.0f}/s   FastHttpUser {theirs:8.0f}/s   ratio {ours / theirs:.2f}"
            )
    print(f"closed: median ratio {statistics.median(ratios):.2f} of {PAIRS} pairs\n")


def our_throughput(out: Path, environment: dict[str, str]) -> float:
    """
    Complete answers per second of our closed model.
    """
    options = ["--model", "closed", "--users", str(USERS), "--duration", f"{SECONDS}s", "--out", str(out)]
    load(options, environment)
    return float(reported(out)["throughput_per_s"])


def rival_throughput(environment: dict[str, str]) -> float:
    """
    Requests per second of Locust's.
    """
    ended = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "locust", "-f", str(Path(__file__).with_name("rival_locustfile.py"))),
            *("--headless", "-u", str(USERS), "-r", str(USERS), "-t", f"{SECONDS}s", "--json", "--skip-log"),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return sum(int(entry["num_requests"]) for entry in json.loads(ended.stdout)) / SECONDS


def lag() -> None:
    """
    How late the open model's requests are sent, and what the wire took, as the rate grows.
    """
    with tempfile.TemporaryDirectory() as folder, emulator(scenario(folder)) as endpoint:
        environment = {**os.environ, **endpoint.environment}
        for rate in RATES:
            out = Path(folder) / str(rate)
            load(["--rate", str(rate), "--duration", f"{SECONDS}s", "--out", str(out)], environment)
            report = reported(out)
            late, took = (report["figures"][name]["p99"] * 1e3 for name in ("schedule_lag_s", "service_time_s"))
            done = report["accounting"]["ok"] / report["accounting"]["planned"]
            print(
                f"open, {rate:5d}/s: schedule lag p99 {late:7.2f} ms   service time p99 {took:7.2f} ms   ok {done:.1%}"
            )
    print()


def record() -> None:
    """
    What it costs to settle one exchange in an interval, beside Locust's own statistics.
    """
    times = [random.Random(1).lognormvariate(-3, 1) for _ in range(200_000)]
    outcome = Outcome(Transport.ANSWERED, 200, None, Fate.OK)
    interval = Interval(second=0)
    ours = per_call(lambda value: interval.settle(outcome, value, value), times)
    script = (
        "import random, time; from locust.stats import RequestStats\n"
        "times = [random.Random(1).lognormvariate(-3, 1) * 1e3 for _ in range(200_000)]\n"
        "log = RequestStats().log_request\n"
        "begun = time.perf_counter()\n"
        "for value in times: log('POST', '/production/run_remote', value, 44)\n"
        "print((time.perf_counter() - begun) / len(times))\n"
    )
    environment = {**os.environ, "LOCUST_SKIP_MONKEY_PATCH": "1"}
    theirs = float(subprocess.check_output([sys.executable, "-P", "-c", script], env=environment, text=True))
    print(
        f"record: ours {ours * 1e6:.2f} µs (two times, 0.05 %)   Locust {theirs * 1e6:.2f} µs (one time, up to 5 %)\n"
    )


def per_call(call: Callable[[float], None], values: list[float]) -> float:
    """
    Seconds per call.
    """
    begun = time.perf_counter()
    for value in values:
        call(value)
    return (time.perf_counter() - begun) / len(values)


def scenario(folder: str) -> str:
    """
    The path of a scenario that takes no time.
    """
    path = Path(folder) / "instant.toml"
    path.write_text(INSTANT, encoding="utf-8")
    return str(path)


def load(options: list[str], environment: dict[str, str]) -> None:
    """
    A load run, quiet unless it breaks.
    """
    ended = subprocess.run(
        own_command("loadtests", "steady", *options), env=environment, capture_output=True, check=False
    )
    if ended.returncode not in (0, 1, 3, 4):
        sys.exit(ended.stderr.decode())


def reported(out: Path) -> dict[str, dict[str, dict[str, float]]]:
    """
    What a run's JSON report says.
    """
    ended = subprocess.run(own_command("reports", str(out), "--json", "-"), capture_output=True, text=True, check=False)
    report: dict[str, dict[str, dict[str, float]]] = json.loads(ended.stdout)
    return report


BENCHMARKS = {"closed": closed, "lag": lag, "record": record}

if __name__ == "__main__":
    for name in sys.argv[1:] or BENCHMARKS:
        BENCHMARKS[name]()
