"""
What does the generator itself need: memory, and CPU time for each request?
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from accuracy import emulator
from load_generators import GENERATOR_CORE, HERE, KEY, null_server, pin_to_core, run_generator

from chainproof.contract.credentials import EMULATOR_KEY
from chainproof.results.folder import read_run
from chainproof.results.interval import total


def start_load_run(origin: str, key: str, out: Path, *options: str) -> subprocess.Popen[bytes]:
    """
    A load run in one process, under way.
    """
    words = [
        sys.executable,
        "-P",
        "-m",
        "locust",
        "-f",
        str(HERE / "chainproof_locustfile.py"),
        "--headless",
        "--only-summary",
    ]
    return subprocess.Popen(
        [*words, "--workload=steady", f"--target={origin}", f"--out={out}", *options],
        env={**os.environ, "BASETEN_API_KEY": key},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=pin_to_core(GENERATOR_CORE),  # noqa: PLW1509  # no other thread is at work yet
    )


def memory_of(process: int) -> float:
    """
    What a process holds of the memory, in MB of a million bytes.
    """
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) * 1024 / 1e6 if found is not None else 0.0


def in_flight(requests: int = 10_000) -> None:
    """
    The memory of one process with so many requests in flight over plain TCP.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenario = 'description = "ten seconds"\nservice_time = "10s"\n'
        with emulator(folder, "slow", scenario) as served:
            options = [f"--rate={requests // 4}", "--arrivals=constant", "--duration=5s", "--deadline=60s"]
            out = folder / "run"
            process = start_load_run(served.origin, EMULATOR_KEY, out, *options, f"--max-in-flight={requests}")
            most = 0.0
            begun = time.monotonic()
            while process.poll() is None and time.monotonic() - begun < 60:
                seen = total(read_run(out).intervals) if (out / "intervals.jsonl").exists() else None
                if seen is None or seen.in_flight or not seen.sent:
                    most = max(most, memory_of(process.pid))  # before the summary, which loads what judges
                time.sleep(0.25)
            process.wait()
        whole = total(read_run(out).intervals)
        print(f"in flight: {whole.in_flight_max} at once in one process, at most {most:.0f} MB\n")


def measure_memory(requests: int) -> None:
    """
    The memory of a process along many requests.
    """
    with tempfile.TemporaryDirectory() as name, null_server() as origin:
        out = Path(name) / "run"
        options = ["--model=closed", "--users=64", "--duration=20h", f"--max-requests={requests}"]
        process = start_load_run(origin, KEY, out, *options)
        held: list[tuple[int, float]] = []
        path = out / "intervals.jsonl"
        sent, position = 0, 0
        while process.poll() is None and sent < requests:
            time.sleep(0.5)
            if path.exists():
                with path.open("rb") as lines:
                    lines.seek(position)
                    for line in lines:
                        if line.endswith(b"\n"):
                            position += len(line)
                            sent += json.loads(line)["sent"]
            held.append((sent, memory_of(process.pid)))
        process.wait()
        told = [
            next((each for each in held if each[0] >= share * requests), held[-1])
            for share in (0.1, 0.25, 0.5, 0.75, 1)
        ]
        print("memory:", "   ".join(f"{count / 1e6:.2f} million {size:.0f} MB" for count, size in told), "\n")


def processes(seconds: int) -> None:
    """
    CPU time for each request in a closed loop, with one process and with a master and two workers, on one core all.
    """
    found: dict[int, list[float]] = {}
    for count in (1, 2) * 3:
        with tempfile.TemporaryDirectory() as name, null_server() as origin:
            words = [sys.executable, "-P", "-m", "locust", "-f", str(HERE / "chainproof_locustfile.py"), "--headless"]
            options = [
                "--only-summary",
                "--workload=steady",
                "--model=closed",
                "--users=64",
                f"--duration={seconds + 1}s",
            ]
            options += [f"--target={origin}", f"--out={name}/run", *["--processes=2"] * (count == 2)]
            said, _ = run_generator([*words, *options], BENCHMARK_WARM_UP="60")  # the stopwatch starts with second 1
            told = [json.loads(each) for each in re.findall(r"^BENCHMARK (.*)$", said, re.MULTILINE)]
            intervals = read_run(Path(name) / "run").intervals
        # Locust's own counts leave a worker when they are reported.
        requests = sum(interval.sent for interval in intervals if interval.second >= 1)
        found.setdefault(count, []).append(sum(each["cpu_seconds"] for each in told) / requests)
    one, two = (statistics.median(found[count]) for count in (1, 2))
    print(
        f"processes: {one * 1e6:.1f} µs of CPU time a request in one process, {two * 1e6:.1f} µs with two workers and their "
        f"master: {two / one:.2f} times\n"
    )
