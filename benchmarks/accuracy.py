"""
How true is what we say? Held against the emulator's own record of every request, made by the kernel's clock.
"""

from __future__ import annotations

import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from load_generators import GENERATOR_CORE, HERE, SERVER_CORE, null_server, ours, pin_to_core, run_generator
from load_generators import RoundSettings as ClosedRoundSettings
from scipy import stats

from chainproof.contract.credentials import EMULATOR_KEY
from chainproof.processes import chainproof_command
from chainproof.results.folder import Run, read_run
from chainproof.results.interval import total
from chainproof.workload.arrivals import poisson

QUANTILES = (0.5, 0.99, 0.999)
NAMES = ("p50", "p99", "p99.9")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningEmulator:
    """
    An emulator and what it saw.
    """

    origin: str
    process: int
    record: Path

    def lines(self) -> list[dict[str, Any]]:
        """One for each request answered."""
        whole = [line for line in self.record.read_bytes().splitlines() if line.endswith(b"}")]
        return [json.loads(line) for line in whole]


@contextmanager
def emulator(folder: Path, name: str, scenario: str) -> Iterator[RunningEmulator]:
    """
    An emulator on the server's core, as long as the context lasts.
    """
    described, record = folder / f"{name}.toml", folder / f"{name}.jsonl"
    described.write_text(scenario, encoding="utf-8")
    process = subprocess.Popen(
        chainproof_command("emulator", str(described), "--until-eof", "--access-log", str(record)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=pin_to_core(SERVER_CORE),  # noqa: PLW1509  # no other thread is at work yet
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        origin = next(word for word in line.split() if word.startswith("http://")).rstrip(".,")
        yield RunningEmulator(origin=origin.removesuffix("/production/run_remote"), process=process.pid, record=record)
    finally:
        process.send_signal(signal.SIGCONT)
        process.stdin.close()
        process.wait()


def load(served: RunningEmulator, out: Path, *options: str) -> Run:
    """
    What a load run against an emulator wrote.
    """
    run_generator(
        chainproof_command("loadtests", "steady", f"--target={served.origin}", f"--out={out}", *options),
        BASETEN_API_KEY=EMULATOR_KEY,
    )
    return read_run(out)


def nearest_rank(values: list[float], fraction: float) -> float:
    """
    The smallest value that a share of all does not exceed.
    """
    return sorted(values)[max(math.ceil(fraction * len(values)) - 1, 0)]


# ------------------------------------------------------------------ service times at half the ceiling


def truth(seconds: int) -> None:
    """
    Service times at half of our own ceiling beside those on the emulator's record, and those that stock Locust reports.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with null_server() as origin:
            lap = ClosedRoundSettings(origin=origin, connections=64, seconds=3, warm_up=1, folder=folder)
            ceiling = ours(lap).per_second
        rate = round(ceiling / 2)
        print(f"truth: our ceiling {ceiling:.0f}/s in a closed loop against a null server; the rate is {rate}/s")
        scenario = 'description = "a few milliseconds"\nservice_time = { median = "4ms", p99 = "12ms" }\n'
        with emulator(folder, "ours", scenario) as served:
            most = "--max-in-flight=5000"
            run = load(served, folder / "run", f"--rate={rate}", f"--duration={seconds}s", "--deadline=20s", most)
            said = total(run.intervals)
            times = next(each for result, each in said.service_time.items() if result == "ok")
            lag = said.network.read_delay
            told = [times.quantile(fraction) or 0.0 for fraction in QUANTILES]
            show("chainproof", told, recorded_service_times(served), len(served.lines()))
            ends = run.end.network if run.end is not None else {}
            print(
                f"  our own lag in reading p50 {(lag.quantile(0.5) or 0) * 1e3:.3f} p99 {(lag.quantile(0.99) or 0) * 1e3:.3f} ms; "
                f"{ends.get('kernel_timestamps', 0)} instants by the kernel, {ends.get('own_timestamps', 0)} by ourselves"
            )
        with emulator(folder, "rival", scenario) as served:
            said_by_locust = stock_service_times(served, rate, seconds)
            show("Locust FastHttpUser", said_by_locust, recorded_service_times(served), len(served.lines()))


def recorded_service_times(served: RunningEmulator) -> list[float]:
    """
    What the wire took by the emulator's record.
    """
    took = [line["sent_s"] - line["received_first_s"] for line in served.lines() if line["status"] == 200]
    return [nearest_rank(took, fraction) for fraction in QUANTILES]


def stock_service_times(served: RunningEmulator, rate: int, seconds: int) -> list[float]:
    """
    What stock Locust reports at a rate, by as many users of `constant_throughput` as keep it up.
    """
    users = max(rate // 20, 1)
    words = [
        sys.executable,
        "-P",
        "-m",
        "locust",
        "-f",
        str(HERE / "locust_paced_locustfile.py"),
        "--headless",
        "--only-summary",
    ]
    said, _ = run_generator(
        [*words, "-u", str(users), "-r", str(users)],
        CHAINPROOF_TARGET=f"{served.origin}/production/run_remote",
        BENCHMARK_RATE=str(rate / users),
        BENCHMARK_SECONDS=str(seconds),
        BASETEN_API_KEY=EMULATOR_KEY,
    )
    line = next(line for line in said.splitlines() if line.startswith("PERCENTILES "))
    return [float(word) / 1e3 for word in line.split()[1:]]


def show(name: str, told: list[float], true: list[float], count: int) -> None:
    """
    A row for each quantile: said, on record, how far apart, and whether that is within 2 % or 0.2 ms.
    """
    for quantile, said, right in zip(NAMES, told, true, strict=True):
        apart = said - right
        verdict = "within" if abs(apart) <= max(0.02 * right, 0.0002) else "beyond"
        print(
            f"  {name:20} {quantile:6} says {said * 1e3:8.3f} ms   the wire {right * 1e3:8.3f} ms   "
            f"{apart * 1e3:+8.3f} ms {apart / right:+7.1%}   {verdict} 2 % or 0.2 ms   ({count} requests)"
        )


# ------------------------------------------------------------------ a frozen server


def frozen(seconds: int, freeze: float = 10.0, rate: int = 50) -> None:
    """
    A server that stands still for ten seconds: what callers waited must show it, what the wire took must not.

    Of *seconds*, a share freeze/seconds of all arrivals meets the freeze, each waiting for what is left of it: the
    quantile q of response times is freeze - (1 - q) * seconds, where that is more than a usual answer takes.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenario = 'description = "20 ms"\nservice_time = "20ms"\n'
        options = [
            f"--rate={rate}",
            "--arrivals=constant",
            f"--duration={seconds}s",
            "--max-in-flight=10",
            "--deadline=30s",
        ]
        found = {}
        for kind in ("steady", "frozen"):
            with emulator(folder, kind, scenario) as served:
                if kind == "frozen":
                    threading.Thread(
                        target=freeze_process, args=(served.process, seconds * 0.4, freeze), daemon=True
                    ).start()
                found[kind] = total(load(served, folder / f"run-{kind}", *options).intervals)
        theory = freeze - 0.01 * seconds
        waited = found["frozen"].response_time["ok"].quantile(0.99) or 0.0  # type: ignore[index]  # the result is a string
        took = [(found[kind].service_time["ok"].quantile(0.99) or 0.0) * 1e3 for kind in ("steady", "frozen")]  # type: ignore[index]  # likewise
        print(
            f"frozen: {freeze:.0f} s of {seconds} s at {rate}/s, 10 in flight: response time p99 {waited:.3f} s, by theory "
            f"{theory:.3f} s ({waited / theory - 1:+.1%}); service time p99 {took[1]:.2f} ms, unfrozen {took[0]:.2f} ms; "
            f"not sent {found['frozen'].not_sent.total()}\n"
        )


def freeze_process(process: int, after: float, long: float) -> None:
    """
    Stop a process for a while.
    """
    time.sleep(after)
    os.kill(process, signal.SIGSTOP)
    time.sleep(long)
    os.kill(process, signal.SIGCONT)


# ------------------------------------------------------------------ the plan, as it arrives


def arrivals(seconds: int, rate: int = 2000) -> None:
    """
    How late the arrivals of a Poisson plan are at the server, and whether their counts still are those of such a process.
    """
    plan = []
    for start in poisson(rate, seed=0):
        if start >= seconds:
            break
        plan.append(start)
    for processes in (1, 2):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with emulator(folder, "served", 'description = "1 ms"\nservice_time = "1ms"\n') as served:
                options = [f"--rate={rate}", "--arrivals=poisson", f"--duration={seconds}s", "--seed=0"]
                options += ["--max-in-flight=5000"]
                options += ["--processes=2"] if processes == 2 else []
                run = load(served, folder / "run", *options)
                seen = {line["request_id"]: line["received_first_s"] for line in served.lines()}
        judge_arrivals(plan, seen, run, processes)


def judge_arrivals(plan: list[float], seen: dict[str, float], run: Run, processes: int) -> None:
    """
    Lateness by rank, from second 0 as exemplars give it away: each says when it was sent, and the record when it came.
    """
    starts = [
        seen[each.request_id] - each.intended_start - each.schedule_lag
        for each in run.exemplars
        if each.request_id in seen
    ]
    zero = min(starts)
    came = sorted(instant - zero for instant in seen.values())
    if len(came) != len(plan):
        print(f"arrivals, {processes} processes: {len(plan)} planned, {len(came)} came: nothing to compare")
        return
    late = [there - planned for there, planned in zip(came, plan, strict=True)]
    seconds = math.ceil(plan[-1])
    counts = [0] * (seconds * 10)
    for instant in came:
        if 0 <= instant < seconds:
            counts[int(instant * 10)] += 1
    dispersion = statistics.variance(counts) / statistics.mean(counts)
    degrees = len(counts) - 1
    low, high = (float(each) / degrees for each in stats.chi2.ppf((0.025, 0.975), degrees))
    lag = total(run.intervals).schedule_lag.quantile(0.99) or 0.0
    print(
        f"arrivals, {processes} process{'es' * (processes > 1)}: lateness at the server p50 {nearest_rank(late, 0.5) * 1e3:.3f} "
        f"p99 {nearest_rank(late, 0.99) * 1e3:.3f} ms (our own schedule lag p99 {lag * 1e3:.3f} ms); dispersion of counts per "
        f"100 ms {dispersion:.3f}, 95 % of Poisson processes {low:.3f} to {high:.3f}"
    )


__all__ = ["GENERATOR_CORE", "arrivals", "frozen", "truth"]
