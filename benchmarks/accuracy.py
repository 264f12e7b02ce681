"""Accuracy benchmarks: compare reported times with the emulator's access log, which has kernel timestamps."""

from __future__ import annotations

import json
import math
import os
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from load_generators import (
    GENERATOR_CORE,
    SERVER_CORE,
    headless_locust,
    null_server,
    pin_to_core,
    run_chainproof,
    run_generator,
)
from load_generators import RoundSettings as ClosedRoundSettings
from scipy import stats

from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.processes import chainproof_command
from chainproof.results.folder import Run, read_run
from chainproof.results.intervals.interval import total
from chainproof.workload.arrivals import poisson

QUANTILES = (0.5, 0.99, 0.999)
NAMES = ("p50", "p99", "p99.9")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningEmulator:
    """A running emulator and its access log."""

    origin: str
    process: int
    access_log: Path

    def lines(self) -> list[dict[str, Any]]:
        """The lines of the access log, one per answered request."""
        complete = [line for line in self.access_log.read_bytes().splitlines() if line.endswith(b"}")]
        return [json.loads(line) for line in complete]


@contextmanager
def emulator(folder: Path, name: str, scenario: str) -> Iterator[RunningEmulator]:
    """A context manager that runs an emulator on the server's core."""
    scenario_file, access_log = folder / f"{name}.toml", folder / f"{name}.jsonl"
    scenario_file.write_text(scenario, encoding="utf-8")
    process = subprocess.Popen(
        chainproof_command("emulator", str(scenario_file), "--until-eof", "--access-log", str(access_log)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=pin_to_core(SERVER_CORE),  # noqa: PLW1509  # no other thread is running yet
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        origin = next(word for word in line.split() if word.startswith("http://")).rstrip(".,")
        yield RunningEmulator(
            origin=origin.removesuffix("/production/run_remote"), process=process.pid, access_log=access_log
        )
    finally:
        process.send_signal(signal.SIGCONT)
        process.stdin.close()
        process.wait()


def run_load_test(served: RunningEmulator, out: Path, *options: str) -> Run:
    """The run folder of a load test against an emulator."""
    run_generator(
        chainproof_command(
            "loadtests", "steady", "--no-html", "--quiet", f"--target={served.origin}", f"--out={out}", *options
        ),
        BASETEN_API_KEY=EMULATOR_KEY,
    )
    return read_run(out)


def nearest_rank(values: list[float], fraction: float) -> float:
    """The nearest-rank quantile of some values."""
    return sorted(values)[max(math.ceil(fraction * len(values)) - 1, 0)]


# ------------------------------------------------------------------ service times at half the ceiling


def truth(seconds: int) -> None:
    """Print service times at half of our highest rate: those of chainproof and of Locust, each next to the access log's."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with null_server() as origin:
            settings = ClosedRoundSettings(origin=origin, connections=64, seconds=3, warm_up=1, folder=folder)
            ceiling = run_chainproof(settings).per_second
        rate = round(ceiling / 2)
        print(f"truth: ceiling {ceiling:.0f}/s in a closed loop against a null server; tested at {rate}/s")
        scenario = 'description = "a few milliseconds"\nservice_time = { median = "4ms", p99 = "12ms" }\n'
        with emulator(folder, "ours", scenario) as served:
            options = [f"--rate={rate}", f"--duration={seconds}s", "--deadline=20s", "--max-in-flight=5000"]
            run = run_load_test(served, folder / "run", *options)
            totals = total(run.intervals)
            times = next(each for result, each in totals.service_time.items() if result == "ok")
            delay = totals.network.read_delay
            reported = [times.quantile(fraction) or 0.0 for fraction in QUANTILES]
            print_comparison("chainproof", reported, logged_service_times(served), len(served.lines()))
            network = run.end.network if run.end is not None else {}
            print(
                f"  read delay p50 {(delay.quantile(0.5) or 0) * 1e3:.3f} p99 {(delay.quantile(0.99) or 0) * 1e3:.3f} ms; "
                f"timestamps: {network.get('kernel_timestamps', 0)} by the kernel, {network.get('own_timestamps', 0)} our own"
            )
        with emulator(folder, "locust", scenario) as served:
            reported = locust_service_times(served, rate, seconds)
            print_comparison("Locust FastHttpUser", reported, logged_service_times(served), len(served.lines()))


def logged_service_times(served: RunningEmulator) -> list[float]:
    """The quantiles of the service times in the access log, in seconds."""
    times = [line["sent_s"] - line["received_first_s"] for line in served.lines() if line["status"] == 200]
    return [nearest_rank(times, fraction) for fraction in QUANTILES]


def locust_service_times(served: RunningEmulator, rate: int, seconds: int) -> list[float]:
    """The quantiles that Locust reports at a rate, with enough `constant_throughput` users for it, in seconds."""
    users = max(rate // 20, 1)
    output, _ = run_generator(
        [*headless_locust("locust_paced_locustfile.py"), "-u", str(users), "-r", str(users)],
        CHAINPROOF_TARGET=f"{served.origin}/production/run_remote",
        BENCHMARK_RATE=str(rate / users),
        BENCHMARK_SECONDS=str(seconds),
        BASETEN_API_KEY=EMULATOR_KEY,
    )
    line = next(line for line in output.splitlines() if line.startswith("PERCENTILES "))
    return [float(word) / 1e3 for word in line.split()[1:]]


def print_comparison(name: str, reported: list[float], logged: list[float], count: int) -> None:
    """Print a row for each quantile: reported, logged, their difference, and whether it is within 2 % or 0.2 ms."""
    for quantile, shown, actual in zip(NAMES, reported, logged, strict=True):
        difference = shown - actual
        verdict = "within" if abs(difference) <= max(0.02 * actual, 0.0002) else "beyond"
        print(
            f"  {name:20} {quantile:6} reported {shown * 1e3:8.3f} ms   access log {actual * 1e3:8.3f} ms   "
            f"{difference * 1e3:+8.3f} ms {difference / actual:+7.1%}   {verdict} 2 % or 0.2 ms   ({count} requests)"
        )


# ------------------------------------------------------------------ a frozen server


def frozen(seconds: int, freeze: float = 10.0, rate: int = 50) -> None:
    """
    Print times of a server that is stopped for ten seconds: response times must show it, service times must not.

    A share freeze/seconds of all arrivals falls into the freeze and waits for its end, so quantile q of the response times
    is freeze - (1 - q) * seconds, if that is more than the usual response time.
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
        totals = {}
        for kind in ("steady", "frozen"):
            with emulator(folder, kind, scenario) as served:
                if kind == "frozen":
                    threading.Timer(seconds * 0.4, suspend, (served.process, freeze)).start()
                totals[kind] = total(run_load_test(served, folder / f"run-{kind}", *options).intervals)
        expected = freeze - 0.01 * seconds
        response = totals["frozen"].response_time["ok"].quantile(0.99) or 0.0  # type: ignore[index]  # the result is a string
        service = [(totals[kind].service_time["ok"].quantile(0.99) or 0.0) * 1e3 for kind in ("steady", "frozen")]  # type: ignore[index]  # as above
        print(
            f"frozen: {freeze:.0f} s of {seconds} s at {rate}/s, 10 in flight: response time p99 {response:.3f} s, expected "
            f"{expected:.3f} s ({response / expected - 1:+.1%}); service time p99 {service[1]:.2f} ms, without freeze {service[0]:.2f} ms; "
            f"not sent {totals['frozen'].not_sent.total()}\n"
        )


def suspend(process: int, seconds: float) -> None:
    """Let a process stand still for some seconds of real time, which is what its clients see."""
    os.kill(process, signal.SIGSTOP)
    time.sleep(seconds)  # its clients measure real time
    os.kill(process, signal.SIGCONT)


# ------------------------------------------------------------------ arrivals at the server


def arrivals(seconds: int, rate: int = 2000) -> None:
    """Print how late the arrivals of a Poisson plan are at the server, and the dispersion of their counts."""
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
                run = run_load_test(served, folder / "run", *options)
                received = {line["request_id"]: line["received_first_s"] for line in served.lines()}
        print_arrivals(plan, received, run, processes)


def print_arrivals(plan: list[float], received: dict[str, float], run: Run, processes: int) -> None:
    """Print the lateness by rank. Second 0 of the run is computed from the exemplars, which are in both records."""
    starts = [
        received[each.request_id] - each.intended_start - each.schedule_lag
        for each in run.exemplars
        if each.request_id in received
    ]
    zero = min(starts)
    actual = sorted(instant - zero for instant in received.values())
    if len(actual) != len(plan):
        print(f"arrivals, {processes} processes: {len(plan)} planned, {len(actual)} received: cannot compare")
        return
    lateness = [arrival - planned for arrival, planned in zip(actual, plan, strict=True)]
    seconds = math.ceil(plan[-1])
    counts = [0] * (seconds * 10)
    for instant in actual:
        if 0 <= instant < seconds:
            counts[int(instant * 10)] += 1
    dispersion = statistics.variance(counts) / statistics.mean(counts)
    degrees = len(counts) - 1
    low, high = (float(each) / degrees for each in stats.chi2.ppf((0.025, 0.975), degrees))
    lag = total(run.intervals).schedule_lag.quantile(0.99) or 0.0
    print(
        f"arrivals, {processes} process{'es' * (processes > 1)}: lateness at the server p50 {nearest_rank(lateness, 0.5) * 1e3:.3f} "
        f"p99 {nearest_rank(lateness, 0.99) * 1e3:.3f} ms (schedule lag p99 {lag * 1e3:.3f} ms); dispersion of counts per "
        f"100 ms {dispersion:.3f}, 95 % of Poisson processes {low:.3f} to {high:.3f}"
    )


__all__ = ["GENERATOR_CORE", "arrivals", "frozen", "truth"]
