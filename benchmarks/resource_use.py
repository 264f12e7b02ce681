"""Benchmarks of the load generator's own memory and CPU time."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from accuracy import emulator
from load_generators import GENERATOR_CORE, KEY, headless_locust, null_server, pin_to_core, run_generator

from chainproof.contract.redaction import EMULATOR_KEY
from chainproof.judgement.load_summary import summarise_load
from chainproof.results.folder import read_run
from chainproof.results.intervals.interval import total


def start_load_run(origin: str, key: str, out: Path, *options: str) -> subprocess.Popen[bytes]:
    """A load test that has been started in one process."""
    return subprocess.Popen(
        [
            *headless_locust("chainproof_locustfile.py"),
            "--workload=steady",
            f"--target={origin}",
            f"--out={out}",
            *options,
        ],
        env={**os.environ, "BASETEN_API_KEY": key},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=pin_to_core(GENERATOR_CORE),  # noqa: PLW1509  # no other thread is running yet
    )


def memory_of(process: int) -> float:
    """The resident memory of a process, in MB (10^6 bytes)."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    resident = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(resident[1]) * 1024 / 1e6 if resident is not None else 0.0


def in_flight(requests: int = 10_000) -> None:
    """Print the memory of one process with this number of in-flight requests over plain TCP."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenario = 'description = "ten seconds"\nservice_time = "10s"\n'
        with emulator(folder, "slow", scenario) as served:
            options = [f"--rate={requests // 4}", "--arrivals=constant", "--duration=5s", "--deadline=60s"]
            out = folder / "run"
            process = start_load_run(served.origin, EMULATOR_KEY, out, *options, f"--max-in-flight={requests}")
            max_memory = 0.0
            start = time.monotonic()
            while process.poll() is None and time.monotonic() - start < 60:
                totals = total(read_run(out).intervals) if (out / "intervals.jsonl").exists() else None
                if totals is None or totals.in_flight or not totals.sent:
                    max_memory = max(max_memory, memory_of(process.pid))  # without the summary
                time.sleep(0.25)  # between two measurements of another process
            process.wait()
        totals = total(read_run(out).intervals)
        print(f"in flight: {totals.in_flight_max} at once in one process, at most {max_memory:.0f} MB\n")


def measure_memory(requests: int) -> None:
    """Print the memory of a process as it sends many requests."""
    with tempfile.TemporaryDirectory() as name, null_server() as origin:
        out = Path(name) / "run"
        options = ["--model=closed", "--users=64", "--duration=20h", f"--max-requests={requests}"]
        process = start_load_run(origin, KEY, out, *options)
        samples: list[tuple[int, float]] = []
        path = out / "intervals.jsonl"
        sent, position = 0, 0
        while process.poll() is None and sent < requests:
            time.sleep(0.5)  # between two measurements of another process
            if path.exists():
                with path.open("rb") as lines:
                    lines.seek(position)
                    for line in lines:
                        if line.endswith(b"\n"):
                            position += len(line)
                            sent += json.loads(line)["sent"]
            samples.append((sent, memory_of(process.pid)))
        process.wait()
        shown = [
            next((each for each in samples if each[0] >= share * requests), samples[-1])
            for share in (0.1, 0.25, 0.5, 0.75, 1)
        ]
        print("memory:", "   ".join(f"{count / 1e6:.2f} million {size:.0f} MB" for count, size in shown), "\n")


SUSTAINED_RATE = 2000
_FAILING = """
description = "one request in five hundred fails"
service_time = { median = "20ms", p99 = "60ms" }

[errors]
model_unavailable = 0.002
"""
_WARM_UP = 20
"""Seconds after which memory must not grow."""


def sustained(seconds: int) -> None:
    """Print verdict, punctuality, memory growth and size of the run folder at 2,000 requests/s with retries and kept bodies."""
    with tempfile.TemporaryDirectory() as name, emulator(Path(name), "failing", _FAILING) as served:
        out = Path(name) / "run"
        options = [f"--rate={SUSTAINED_RATE}", f"--duration={seconds}s", "--retry=baseten", "--keep-bodies"]
        process = start_load_run(served.origin, EMULATOR_KEY, out, *options)
        start, warm, largest = time.monotonic(), 0.0, 0.0
        while process.poll() is None:
            time.sleep(0.5)  # between two measurements of another process
            elapsed, size = time.monotonic() - start, memory_of(process.pid)
            if elapsed < _WARM_UP:
                warm = max(warm, size)
            elif elapsed < seconds:  # without the summary
                largest = max(largest, size)
        summary = summarise_load(read_run(out))
        totals = total(read_run(out).intervals)
        kilobytes = sum(file.stat().st_size for file in out.iterdir()) / 1e3
    retries = sum((attempts - 1) * count for (attempts, _), count in totals.calls.counts.items())
    lag = totals.schedule_lag.quantile(0.99) or 0.0
    print(
        f"sustained: {totals.sent} requests in {seconds} s, {retries} of them retries: {summary.verdict.value}; "
        f"schedule lag p99 {lag * 1e3:.2f} ms; memory {warm:.0f} MB after {_WARM_UP} s, then {largest - warm:+.1f} MB; run folder "
        f"{kilobytes / 1e3 / (seconds / 60):.2f} MB per minute\n"
    )
    for caveat in summary.caveats:
        print(f"  {caveat.code}: {caveat.text}")


def processes(seconds: int) -> None:
    """Print CPU time per request in a closed loop: with one process, and with a master and two workers, all on one core."""
    costs: dict[int, list[float]] = {}
    for count in (1, 2) * 3:
        with tempfile.TemporaryDirectory() as name, null_server() as origin:
            options = [
                "--workload=steady",
                "--model=closed",
                "--users=64",
                f"--duration={seconds + 1}s",
            ]
            options += [f"--target={origin}", f"--out={name}/run", *["--processes=2"] * (count == 2)]
            output, _ = run_generator(
                [*headless_locust("chainproof_locustfile.py"), *options], BENCHMARK_WARM_UP="60"
            )  # the stopwatch starts with second 1
            results = [json.loads(each) for each in re.findall(r"^BENCHMARK (.*)$", output, re.MULTILINE)]
            intervals = read_run(Path(name) / "run").intervals
        # Not Locust's counts: a worker resets them when it reports.
        requests = sum(interval.sent for interval in intervals if interval.second >= 1)
        costs.setdefault(count, []).append(sum(each["cpu_seconds"] for each in results) / requests)
    one, two = (statistics.median(costs[count]) for count in (1, 2))
    print(
        f"processes: {one * 1e6:.1f} µs of CPU time per request in one process, {two * 1e6:.1f} µs with a master and two "
        f"workers: {two / one:.2f} times\n"
    )
