"""
How many workers can one master carry? A real master with its web page, and simulated workers that send no requests.

    python benchmarks/many_workers.py                          # 200 workers for 30 s
    python benchmarks/many_workers.py 50 100 200 400 800       # the limit

Each worker sends what a real one sends: a heartbeat and a report each second, Locust's statistics every three seconds.
Shown are the master's CPU time and memory, how late the last worker received the start time (negative: before second 0), how
long the web page took to answer, and whether the run folder and the web page have every request.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import resource
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import zmq
from simulated_worker import Plans, SimulatedWorker, simulate

from chainproof.loadtests.command import LOCUSTFILE
from chainproof.results.folder import find_runs, read_run
from chainproof.results.intervals.interval import total

GROUP = 100
"""Simulated workers of one process."""


def group(port: int, token: str, first: int, count: int, lateness: multiprocessing.Queue[float]) -> None:
    """Some simulated workers, until the master tells them to quit."""
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, 4 * count + 100)
    plans = Plans()
    workers = [SimulatedWorker(context, port, token, f"host-{n}_{n}", plans) for n in range(first, first + count)]
    for worker in workers:
        worker.connect()
    simulate(workers, lambda: False)
    lateness.put(max(worker.late_s for worker in workers))
    for worker in workers:
        worker.socket.close()


def cpu_time(process: int) -> float:
    """The CPU time of a process so far."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(process: int) -> float:
    """The largest resident memory of a process so far, in MB (10^6 bytes)."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(peak[1]) * 1024 / 1e6 if peak is not None else 0.0


def free_port() -> int:
    """A port without a listener."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class Page:
    """The web page of a master."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self.slowest_s = 0.0

    def fetch(self, path: str, form: str | None = None) -> str:
        """Get a page, or post a form to it."""
        start = time.monotonic()
        with urllib.request.urlopen(self._url + path, form.encode() if form else None, timeout=120) as answer:
            text: str = answer.read().decode()
        if form is None:
            self.slowest_s = max(self.slowest_s, time.monotonic() - start)
        return text

    def accounts(self) -> dict[str, object]:
        """The rows of the tab on requests: the totals, and the number of reports of each worker."""
        tabs = json.loads(self.fetch("/stats/requests"))["extended_stats"]
        return {row["what"]: row["value"] for tab in tabs if tab["key"] == "accounts" for row in tab["data"]}

    def workers(self) -> int:
        """How many workers are connected; 0 while the page does not answer."""
        try:
            return int(json.loads(self.fetch("/stats/requests"))["worker_count"])
        except OSError:
            return 0


def measure(workers: int, rate: float, seconds: int) -> None:
    """Run a master with this many workers, and print a line."""
    port, web_port, token = free_port(), free_port(), secrets.token_urlsafe()
    lateness: multiprocessing.Queue[float] = multiprocessing.Queue()
    with tempfile.TemporaryDirectory() as folder:
        words = ["--master", f"--master-bind-port={port}", f"--web-port={web_port}", f"--rate={rate * workers}"]
        words += [f"--duration={seconds}s", f"--max-in-flight={max(1000, workers)}"]
        master = subprocess.Popen(
            [sys.executable, "-P", "-m", "locust", "-f", str(LOCUSTFILE), *words],
            cwd=folder,
            env={**os.environ, "CHAINPROOF_WORKER_TOKEN": token},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        parts = [
            multiprocessing.Process(target=group, args=(port, token, first, min(GROUP, workers - first), lateness))
            for first in range(0, workers, GROUP)
        ]
        for part in parts:
            part.start()
        page = Page(web_port)
        while page.workers() < workers:
            time.sleep(1.0)  # other processes connect, so there is no clock to replace
        page.slowest_s = 0.0
        page.fetch("/swarm", "user_count=1&spawn_rate=1")
        run = _follow(master.pid, page, Path(folder), seconds)
        accounts = page.accounts()
        master.terminate()
        for part in parts:
            part.join()
        late = max(lateness.get() for _ in parts)
        master.wait()
        run |= {"late": late, "page": page.slowest_s, "overrun": run["seconds"] - seconds}
        _show(workers, rate, run, find_runs(Path(folder) / "runs")[0], accounts)


def _follow(master: int, page: Page, folder: Path, seconds: int) -> dict[str, float]:
    """Look at the page every second, until the run has ended. Returns CPU share and memory."""
    while not list(folder.glob("runs/*/intervals.jsonl")):
        time.sleep(0.1)  # another process writes the file, so there is no clock to replace
    start, used = time.monotonic(), cpu_time(master)
    give_up = start + 4 * seconds + 60
    while not list(folder.glob("runs/*/end.json")) and time.monotonic() < give_up:
        page.workers()
        time.sleep(1.0)  # the page is looked at in real time
    # Over the planned duration: on a busy machine the master may be late, which does not change what it costs.
    cpu = (cpu_time(master) - used) / seconds
    return {"cpu": cpu, "memory": memory(master), "seconds": time.monotonic() - start}


def _show(workers: int, rate: float, run: dict[str, float], path: Path, accounts: dict[str, object]) -> None:
    found = read_run(path)
    totals = total(found.intervals)
    end = found.end
    planned = int(json.dumps(found.manifest.settings["plan"]).partition('"arrivals": ')[2].partition(",")[0])
    exact = end is not None and planned == totals.sent == end.accounting["ok"] and not end.lost_workers
    rows = sum(name.startswith("worker ") for name in accounts)
    same = rows == workers and end is not None and end.accounting.items() <= _numbers(accounts).items()
    size = sum(each.stat().st_size for each in path.iterdir())
    print(
        f"{workers} workers, {rate * workers:g} requests/s: master {run['cpu']:.2f} of a core, {run['memory']:.0f} MB; "
        f"last worker notified at {run['late']:+.2f} s; page within {run['page']:.2f} s; complete {run['overrun']:.1f} s after the end; "
        f"run folder {size / 1e6 / run['seconds'] * 60:.1f} MB per minute; "
        f"run folder {'complete' if exact else f'NOT COMPLETE: {end}'}; web page {'the same' if same else 'DIFFERS'}",
        flush=True,
    )


def _numbers(accounts: dict[str, object]) -> dict[str, object]:
    """The totals of the web page by their names in the run folder."""
    return {name.replace(" ", "_"): value for name, value in accounts.items()}


def main() -> None:
    """Measure with each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workers", type=int, nargs="*", default=[200], help="numbers of workers (default: 200)")
    parser.add_argument("--rate", type=float, default=10.0, help="requests per second and worker (default: 10)")
    parser.add_argument("--seconds", type=int, default=30, help="duration of each run (default: 30)")
    options = parser.parse_args()
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    for workers in options.workers:
        measure(workers, options.rate, options.seconds)


if __name__ == "__main__":
    main()
